"""The parameters of a differential equation, found from noisy measurements.

The equations of Lotka (1925) and Volterra (1926) describe prey x and predators y:

    x' = birth x - hunt x y,   y' = grow x y - death y

Both populations have been counted at n times, with errors of some per cent. Six numbers are looked
for: the four rates and the two populations at the beginning. They are positive, so their logarithms
are the unknowns p. With u(t; p) = (log x, log y), the solution of the equations, and the logarithms
d of the counts, a fit of nonlinear least squares minimises

    sum_ij (u_j(t_i; p) - d_ij)^2 / noise^2

The solution is computed by the classical Runge-Kutta method in operations of needle, a few steps
from one time to the next. So the derivatives of all counts by all parameters are exact for the
numbers that are computed; SciPy's least_squares gets them from needle. At the minimum the inverse
of J^T J is the covariance of the parameters, to first order in the noise.

Over several periods such a sum of squares has many local minima, in which the cycles are out of
step. So the first sixth of the times is fitted first, and what is found there is where the fit of
twice as many starts, and so on.

    python examples/lotka_volterra.py --plot populations.svg
"""

import argparse
import time

import numpy as np

import needle as ndl
from needle.optimize import least_squares

TRUE = {"birth": 1.1, "hunt": 0.4, "grow": 0.1, "death": 0.4, "prey": 10.0, "predators": 5.0}
NAMES = list(TRUE)


def slope(u, p):
    """The equations for u = (log x, log y): divided by x and y they need no products of both."""
    prey, predators = ndl.exp(u[0]), ndl.exp(u[1])
    return ndl.stack([p["birth"] - p["hunt"] * predators, p["grow"] * prey - p["death"]])


def solve(p, times, substeps):
    """The logarithms of both populations at the times, (n, 2), from the logarithms `p`."""
    p = {name: ndl.exp(value) for name, value in p.items()}
    u = ndl.log(ndl.stack([p["prey"], p["predators"]]))
    states = [u]
    for wait in np.diff(times):
        h = wait / substeps
        for _ in range(substeps):
            k1 = slope(u, p)
            k2 = slope(u + h / 2 * k1, p)
            k3 = slope(u + h / 2 * k2, p)
            k4 = slope(u + h * k3, p)
            u = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(u)
    return ndl.stack(states)


def measure(times, noise, rng):
    """Synthetic counts, (n, 2): the solution for TRUE, times log-normal errors."""
    p = {name: np.log(value) for name, value in TRUE.items()}
    with ndl.no_grad():
        exact = solve({name: ndl.Tensor(value) for name, value in p.items()}, times, 20).numpy()
    return np.exp(exact + rng.normal(scale=noise, size=exact.shape))


def plot(path, fits, times, counts):
    """Both populations: counts, truth and fit."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    figure = Figure(figsize=(7.6, 3.8), layout="constrained")
    axes = figure.add_subplot(xlabel="time", ylabel="population", title="predators and prey")
    fine = np.linspace(times[0], times[-1], 401)
    looks = {"true": {"color": "0.75", "linewidth": 5}, "start": {"color": "0.5", "ls": ":"}}
    for name, p in fits.items():
        curves = np.exp(solve(p, fine, 2).numpy())
        for curve, color, kind in zip(curves.T, ("C0", "C3"), ("prey", "predators"), strict=True):
            look = looks.get(name, {"color": color})
            label = f"{kind}, {name}" if name == "fitted" else name if kind == "prey" else None
            axes.plot(fine, curve, label=label, **look)
    axes.plot(times, counts[:, 0], "o", color="C0", ms=4, label="prey, counted")
    axes.plot(times, counts[:, 1], "s", color="C3", ms=4, label="predators, counted")
    axes.set_ylim(0, 1.25 * counts.max())
    axes.legend(ncols=3, fontsize="small", loc="upper center")
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=61, help="times of counting, from 0 to 30")
    parser.add_argument("--noise", type=float, default=0.08, help="relative error of a count")
    parser.add_argument("--substeps", type=int, default=4, help="Runge-Kutta steps between times")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", metavar="FILE", help="draw the result: .png, .svg or .pdf")
    parser.add_argument("--quick", action="store_true", help="31 times")
    options = parser.parse_args()

    times = np.linspace(0.0, 30.0, 31 if options.quick else options.times)
    counts = measure(times, options.noise, np.random.default_rng(options.seed))
    data = np.log(counts)

    def residuals(p, n):
        return (solve(p, times[:n], options.substeps) - data[:n]) / options.noise

    first = {"prey": counts[0, 0], "predators": counts[0, 1]}
    start = at = {name: np.log(first.get(name, 0.5)) for name in NAMES}
    began = time.perf_counter()
    for part in (1 / 6, 1 / 3, 2 / 3, 1):
        found = least_squares(residuals, at, args=(round(part * len(times)),))
        at = found.x
    seconds = time.perf_counter() - began
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
    print("parameter   start    true   found, with standard error")
    for name, error in zip(NAMES, errors, strict=True):
        value = np.exp(found.x[name])
        print(
            f"{name:9} {np.exp(start[name]):7.3f} {TRUE[name]:7.3f} {value:7.3f} +- "
            f"{value * error:.3f}"
        )
    chi2 = 2 * found.cost / (data.size - len(NAMES))
    print(f"chi^2 {chi2:.2f} for each degree of freedom, found in {seconds:.1f} s")
    if options.plot:
        truth = {name: np.log(value) for name, value in TRUE.items()}
        fits = {"true": truth, "start": start, "fitted": found.x}
        tensors = {k: {n: ndl.Tensor(v) for n, v in p.items()} for k, p in fits.items()}
        plot(options.plot, tensors, times, counts)


if __name__ == "__main__":
    main()
