"""Residuals for SciPy's solvers: Jacobians, least squares, roots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, _core, ops
from needle.optimize import least_squares, minimize, root

scipy_optimize = pytest.importorskip("scipy.optimize")

STEPS, H = 40, 0.15


def rk4(slope: Callable[[Any], Any], y: Any) -> list[Any]:
    """The classical Runge-Kutta method; works on tensors and arrays alike."""
    path = [y]
    for _ in range(STEPS):
        a = slope(y)
        b = slope(y + H / 2 * a)
        c = slope(y + H / 2 * b)
        d = slope(y + H * c)
        y = y + H / 6 * (a + 2 * b + 2 * c + d)
        path.append(y)
    return path


def logistic_growth_data() -> Any:
    exact = np.array(rk4(lambda y: 1.1 * y * (1 - y / 5.0), 0.4))
    return exact + 0.05 * np.random.default_rng(1).standard_normal(STEPS + 1)


def growth_by_hand(p: Any, observed: Any) -> tuple[Any, Any]:
    """Residuals and Jacobian of the fit by (rate, capacity, start), with the sensitivity
    equations integrated along."""
    rate, capacity, start = p

    def slope(state: Any) -> Any:
        y, s = state[0], state[1:]
        partial = np.array([y * (1 - y / capacity), rate * y * y / capacity**2, 0.0])
        return np.append(rate * y * (1 - y / capacity), rate * (1 - 2 * y / capacity) * s + partial)

    path = np.array(rk4(slope, np.array([start, 0.0, 0.0, 1.0])))
    return path[:, 0] - observed, path[:, 1:]


def test_an_ode_fit_beside_sensitivities_by_hand() -> None:
    observed = logistic_growth_data()

    def residuals(p: Any) -> Any:
        path = rk4(lambda y: p["rate"] * y * (1 - y / p["capacity"]), p["start"])
        return ops.stack(path) - observed

    start = np.array([0.5, 3.0, 1.0])
    given = scipy_optimize.least_squares(
        lambda p: growth_by_hand(p, observed)[0],
        start,
        jac=lambda p: growth_by_hand(p, observed)[1],
        xtol=1e-12,
        ftol=1e-12,
    )
    x0 = {"rate": 0.5, "capacity": 3.0, "start": 1.0}
    found = least_squares(residuals, x0, xtol=1e-12, ftol=1e-12)
    assert found.nfev == given.nfev
    np.testing.assert_allclose(list(found.x.values()), given.x, rtol=1e-8)
    np.testing.assert_allclose(found.jac, given.jac, rtol=1e-6, atol=1e-8)
    assert found.x["capacity"] == pytest.approx(5.0, abs=0.1)
    # The same as one scalar function, by reverse mode.
    scalar = minimize(lambda p: 0.5 * (residuals(p) ** 2).sum(), x0, method="BFGS", tol=1e-7)
    np.testing.assert_allclose(list(scalar.x.values()), given.x, rtol=1e-5)


class Cube(ndl.TensorOp):
    """An op in Python: it has no rule for forward mode."""

    def compute(self, x: Any) -> Any:
        return x**3

    def gradient(self, out_grad: Any, node: Any) -> Any:
        return out_grad * 3 * node.inputs[0] ** 2


JACOBIANS: list[tuple[str, Callable[[Any], Any]]] = [
    ("more residuals", lambda p: [p["a"] * p["b"].sum(), ops.stack([p["b"], p["b"] ** 2])]),
    ("fewer residuals", lambda p: (p["a"] * p["b"]).sum()),
    ("some constant", lambda p: {"u": p["a"] ** 2, "v": Tensor([1.0] * 4, requires_grad=False)}),
    ("one more constant", lambda p: (p["a"].sum(), Tensor([1.0], requires_grad=False))),
    ("an op in Python", lambda p: [Cube()(p["a"]), p["b"], p["a"] * p["b"]]),
    ("several results", lambda p: ops.split(ops.stack([p["a"], p["b"], p["a"] * p["b"]]), 0)),
]


@pytest.mark.parametrize("f", [j[1] for j in JACOBIANS], ids=[j[0] for j in JACOBIANS])
def test_jacobians_are_those_of_finite_differences(f: Any) -> None:
    from needle.optimize.functions import Residuals
    from needle.optimize.structure import Structure

    at = Structure({"a": np.array([1.0, 2.0]), "b": np.array([0.5, -1.0])}, "x0")
    residuals = Residuals("root", f, at, ())
    found = residuals.jacobian(at.start)
    expected = [
        (residuals.value(at.start + 1e-6 * e) - residuals.value(at.start - 1e-6 * e)) / 2e-6
        for e in np.eye(4)
    ]
    np.testing.assert_allclose(found, np.array(expected).T, atol=1e-8)


@pytest.mark.parametrize("method", ["hybr", "lm", "krylov", "df-sane"])
def test_root(method: str) -> None:
    def fun(p: Any) -> Any:
        return {"circle": p["x"] ** 2 + p["y"] ** 2 - 4.0, "line": p["x"] - p["y"]}

    found = root(fun, {"x": 1.0, "y": np.array([2.0])}, method=method)
    assert found.success
    assert type(found.x["x"]) is float
    np.testing.assert_allclose(found.x["x"], np.sqrt(2), atol=1e-5)
    np.testing.assert_allclose(found.x["y"], [np.sqrt(2)], atol=1e-5)


def test_options_of_least_squares_are_scipys() -> None:
    x = np.linspace(0.0, 1.0, 20)
    y = np.exp(1.5 * x)
    y[3] = 5.0
    options = {"loss": "soft_l1", "f_scale": 0.1, "bounds": (0.0, 10.0)}
    found = least_squares(lambda p: ops.exp(p[0] * x) * p[1] - y, [1.0, 2.0], **options)
    given = scipy_optimize.least_squares(
        lambda p: np.exp(p[0] * x) * p[1] - y, [1.0, 2.0], jac="3-point", **options
    )
    np.testing.assert_allclose(found.x, given.x, rtol=1e-6)
    assert found.x[0] == pytest.approx(1.5, abs=0.1)


def test_a_jacobian_goes_in_blocks_of_moderate_size(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each direction goes through 400 x 400 elements: all 400 at once would be half a gigabyte.
    n, blocks = 400, []
    push = _core.tangents

    def counted(outputs: Any, inputs: Any, tangents: Any) -> Any:
        blocks.append(len(tangents[0]))
        return push(outputs, inputs, tangents)

    monkeypatch.setattr(_core, "tangents", counted)
    matrix = np.random.default_rng(0).standard_normal((n, n)) + n * np.eye(n)
    weights = Tensor(matrix, requires_grad=False)
    found = least_squares(lambda x: (weights * x).sum((1,)), np.ones(n), max_nfev=1)
    np.testing.assert_allclose(found.jac, matrix)
    assert sum(blocks) == n
    assert max(blocks) * n * n <= 1 << 20
    blocks.clear()
    least_squares(lambda x: x * x, np.ones(n), max_nfev=1)
    assert blocks == [n]


def test_an_empty_result_beside_another() -> None:
    found = least_squares(lambda x: [ndl.exp(x), x[0:0]], np.array([1.0, 2.0]), max_nfev=1)
    np.testing.assert_allclose(found.jac, np.diag(np.exp([1.0, 2.0])))


def test_history_of_what_the_function_closes_over_does_not_matter() -> None:
    w = Tensor([1.0, 2.0, 3.0])
    squares, cubes = w * w, Cube()(w)
    w.data = Tensor([5.0, 6.0, 7.0])
    found = least_squares(lambda x: x * squares + cubes, np.ones(3))
    np.testing.assert_allclose(found.x, [-1.0, -2.0, -3.0])
    assert w.grad is None
