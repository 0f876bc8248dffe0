"""A boundary value problem solved by a network that is trained to obey the equation.

Poisson's equation in one dimension asks for the function u on [0, 1] with

    u''(x) = f(x),   u(0) = a,   u(1) = b

A physics-informed network (Lagaris, Likas and Fotiadis 1998; Raissi, Perdikaris and Karniadakis
2019) looks for it among functions of the form

    u(x) = a (1 - x) + b x + x (1 - x) N(x)

where N is a small tanh network. Whatever its weights w are, the boundary values hold. Training
makes the residual of the equation small at points x_i:

    loss(w) = mean_i (u''(x_i) - f(x_i))^2

u'' comes from two nested calls of `backward` with respect to x. They are recorded, so that a third
one differentiates the loss, with u'' in it, with respect to w. There is no noise in this loss, so
L-BFGS is the method. Here f is chosen such that the solution is known, and the error can be told:

    u(x) = sin(3 pi x) + x^2,   f(x) = -9 pi^2 sin(3 pi x) + 2

    python examples/poisson.py --plot poisson.svg
"""

import argparse
import time

import numpy as np

import needle as ndl
from needle import nn, optim

LEFT, RIGHT = 0.0, 1.0  # u(0) and u(1)


def exact(x):
    return np.sin(3 * np.pi * x) + x**2


def source(x):
    return -9 * np.pi**2 * np.sin(3 * np.pi * x) + 2


def network(units):
    """float64: second derivatives lose digits."""
    return nn.Sequential(
        nn.Linear(1, units, dtype="float64"),
        nn.Tanh(),
        nn.Linear(units, units, dtype="float64"),
        nn.Tanh(),
        nn.Linear(units, 1, dtype="float64"),
    )


def solution(model, x):
    """u at the points x, of shape (n, 1)."""
    return LEFT * (1 - x) + RIGHT * x + x * (1 - x) * model(x)


def derivative(u, x):
    """du/dx at every point: each u depends on its own x only, so one backward of all is enough."""
    u.backward()
    return x.grad


def residual(model, points):
    """u'' - f at the points, recorded: it can be differentiated by the weights."""
    x = ndl.Tensor(points)
    u = solution(model, x)
    second = derivative(derivative(u, x), x)
    return second - source(points)


def solve(model, points, steps):
    """Train the network; gives the losses after 0, 10, 20, ... steps of L-BFGS."""

    def closure():
        loss = (residual(model, points) ** 2).mean()
        loss.backward()
        return loss

    optimizer = optim.LBFGS(model.parameters(), max_iter=10, history_size=50)
    losses = [optimizer.step(closure).item() for _ in range(steps // 10)]
    return [*losses, closure().item()]


def plot(path, model, points, losses):
    """The solution, its error, and the loss."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    x = np.linspace(0, 1, 200)[:, None]
    found = solution(model, ndl.Tensor(x)).numpy()
    figure = Figure(figsize=(9.6, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.3, 1, 1])
    left.plot(x, exact(x), color="0.75", linewidth=5, label="exact solution")
    left.plot(x, found, label="network")
    left.plot(points, np.full(len(points), -1.2), "|", color="0.4", label="training points")
    left.set(xlabel="x", title="u(x)", ylim=(-1.4, 2.9))
    left.legend(loc="upper left")
    middle.plot(x, found - exact(x))
    middle.set(xlabel="x", title="error of u")
    middle.ticklabel_format(axis="y", scilimits=(0, 0))
    right.semilogy(10 * np.arange(len(losses)), losses)
    right.set(xlabel="step of L-BFGS", title="mean squared residual")
    for axes in (left, middle, right):
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=64, help="training points")
    parser.add_argument("--units", type=int, default=24, help="units of each hidden layer")
    parser.add_argument("--steps", type=int, default=1000, help="steps of L-BFGS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", metavar="FILE", help="draw the result: .png, .svg or .pdf")
    parser.add_argument("--quick", action="store_true", help="200 steps")
    options = parser.parse_args()

    np.random.seed(options.seed)
    model = network(options.units)
    points = np.linspace(0, 1, options.points)[:, None]
    began = time.perf_counter()
    losses = solve(model, points, 200 if options.quick else options.steps)
    seconds = time.perf_counter() - began
    x = np.linspace(0, 1, 1001)[:, None]
    error = np.abs(solution(model, ndl.Tensor(x)).numpy() - exact(x)).max()
    print(f"mean squared residual: {losses[0]:.1e} at the start, {losses[-1]:.1e} at the end")
    print(f"largest error of u: {error:.1e} after {seconds:.1f} s")
    if options.plot:
        plot(options.plot, model, points, losses)


if __name__ == "__main__":
    main()
