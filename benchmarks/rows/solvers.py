"""SciPy's solvers with needle's derivatives beside the same solvers with gradients by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from needle import ops

from .. import peers
from ..figures import Bound, Figure
from ..peers import NEEDLE, NUMPY
from ..timing import Contestant, Plan, Repeated, compete

BY_HAND = f"{NUMPY} by hand"

_STEPS, _LENGTH = 40, 0.15


def solvers(plan: Plan) -> list[Figure]:
    """SciPy's minimize and least_squares with needle's derivatives, beside gradients by hand"""
    scipy = peers.scipy_optimize()
    if scipy is None:
        return []
    return [
        _race("rosenbrock", "Rosenbrock, 50 dimensions, L-BFGS-B", *_rosenbrock(scipy), plan),
        _race("logistic", "logistic regression (1000, 30), L-BFGS-B", *_logistic(scipy), plan),
        _race("ode", "fit of an ODE: 3 parameters, 40 steps of RK4", *_ode_fit(scipy), plan),
    ]


def _race(
    key: str, title: str, ours: Callable[[], Any], by_hand: Callable[[], Any], plan: Plan
) -> Figure:
    np.testing.assert_allclose(ours().fun, by_hand().fun, rtol=1e-4, atol=1e-6)
    contestants = [Contestant(NEEDLE, Repeated(ours)), Contestant(BY_HAND, Repeated(by_hand))]
    samples = compete(contestants, plan.without_threads())[""]
    return Figure(f"solver/{key}", title, samples, [Bound(1.3, (BY_HAND,))])


def _rosenbrock(scipy: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    start = np.linspace(-1.2, 1.0, 50)

    def function(x: Any) -> Any:
        head = x[:-1]
        rise, rest = x[1:] - head * head, 1.0 - head
        return 100.0 * (rise * rise).sum() + (rest * rest).sum()

    def by_hand(x: Any) -> Any:
        head = x[:-1]
        rise, rest = x[1:] - head * head, 1.0 - head
        gradient = np.empty_like(x)
        gradient[:-1] = -400.0 * head * rise - 2.0 * rest
        gradient[-1] = 0.0
        gradient[1:] += 200.0 * rise
        return 100.0 * (rise * rise).sum() + (rest * rest).sum(), gradient

    return _both(scipy, function, by_hand, start)


def _logistic(scipy: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    random = np.random.default_rng(0)
    x = random.standard_normal((1000, 30))
    noisy = x @ random.standard_normal(30) + random.standard_normal(1000)
    target = (noisy > 0).astype(float)
    inputs, targets = (ndl.Tensor(array, requires_grad=False) for array in (x, target))

    def function(w: Any) -> Any:
        score = inputs @ w
        return (ops.softplus(score) - targets * score).sum() + 0.5 * (w * w).sum()

    def by_hand(w: Any) -> Any:
        score = x @ w
        small = np.exp(-np.abs(score))
        loss = np.maximum(score, 0.0) + np.log1p(small) - target * score
        chance = np.where(score >= 0, 1.0, small) / (1.0 + small)
        return loss.sum() + 0.5 * w @ w, x.T @ (chance - target) + w

    return _both(scipy, function, by_hand, np.zeros(30))


def _both(
    scipy: Any, function: Any, by_hand: Any, start: Any
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return (
        lambda: ndl.optimize.minimize(function, start, method="L-BFGS-B"),
        lambda: scipy.minimize(by_hand, start, method="L-BFGS-B", jac=True),
    )


def _ode_fit(scipy: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Logistic growth, with the sensitivity equations by hand."""
    clean = np.array(_rk4(lambda y: 1.1 * y * (1.0 - y / 5.0), 0.4))
    observed = clean + 0.05 * np.random.default_rng(1).standard_normal(_STEPS + 1)
    start = np.array([0.5, 3.0, 1.0])

    def residuals(p: Any) -> Any:
        rate, capacity = p[0], p[1]
        return ops.stack(_rk4(lambda y: rate * y * (1.0 - y / capacity), p[2])) - observed

    def both_by_hand(p: Any) -> tuple[Any, Any]:
        rate, capacity, first = p

        def slope(state: Any) -> Any:
            y = state[0]
            change = rate * (1.0 - 2.0 * y / capacity) * state
            part = y / capacity
            change[0] = rate * y * (1.0 - part)
            change[1] += y * (1.0 - part)
            change[2] += rate * part * part
            return change

        path = np.array(_rk4(slope, np.array([first, 0.0, 0.0, 1.0])))
        return path[:, 0] - observed, path[:, 1:]

    class Kept:
        """The residuals and the Jacobian of one point, which SciPy asks for one by one."""

        at: Any = None
        found: Any = None

        def __call__(self, p: Any) -> tuple[Any, Any]:
            if self.at is None or not np.array_equal(self.at, p):
                self.at, self.found = p.copy(), both_by_hand(p)
            return self.found

    def by_hand() -> Any:
        kept = Kept()
        return _with_sum(scipy.least_squares(lambda p: kept(p)[0], start, jac=lambda p: kept(p)[1]))

    return lambda: _with_sum(ndl.optimize.least_squares(residuals, start)), by_hand


def _with_sum(result: Any) -> Any:
    result.fun = result.cost
    return result


def _rk4(slope: Callable[[Any], Any], y: Any) -> list[Any]:
    path = [y]
    half, sixth = 0.5 * _LENGTH, _LENGTH / 6.0
    for _ in range(_STEPS):
        a = slope(y)
        b = slope(y + half * a)
        c = slope(y + half * b)
        d = slope(y + _LENGTH * c)
        y = y + sixth * (a + 2.0 * (b + c) + d)
        path.append(y)
    return path
