"""SciPy's solvers with needle's derivatives: known optima, structures, and wrong use."""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops
from needle.optimize import least_squares, minimize, root

scipy_optimize = pytest.importorskip("scipy.optimize")

START = np.array([1.3, 0.7, 0.8, 1.9])


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


WITH_DERIVATIVES = [
    "CG",
    "BFGS",
    "L-BFGS-B",
    "TNC",
    "SLSQP",
    "Newton-CG",
    "trust-ncg",
    "trust-krylov",
    "trust-exact",
    "trust-constr",
    None,
]


@pytest.mark.parametrize("method", WITH_DERIVATIVES)
def test_rosenbrock_as_with_scipys_own_derivatives(method: Any) -> None:
    options = {"maxiter": 2000} if method == "trust-constr" else None
    found = minimize(rosenbrock, START, method=method, options=options)
    assert type(found.x) is np.ndarray
    np.testing.assert_allclose(found.x, np.ones(4), atol=1e-3)
    derivatives: dict[str, Any] = {"jac": scipy_optimize.rosen_der}
    if method in ("trust-exact",):
        derivatives["hess"] = scipy_optimize.rosen_hess
    elif method in ("Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"):
        derivatives["hessp"] = scipy_optimize.rosen_hess_prod
    given = scipy_optimize.minimize(
        scipy_optimize.rosen, START, method=method, options=options, **derivatives
    )
    np.testing.assert_allclose(found.x, given.x, atol=1e-4)
    assert (found.success, found.status) == (given.success, given.status)
    assert abs(found.nit - given.nit) <= 1 + given.nit // 10


def test_dogleg_on_a_convex_function() -> None:
    found = minimize(lambda x: (ops.exp(x) - 2 * x).sum(), np.zeros(3), method="dogleg")
    np.testing.assert_allclose(found.x, np.full(3, np.log(2)), atol=1e-4)


@pytest.mark.parametrize("method", ["Nelder-Mead", "Powell", "COBYLA"])
def test_methods_without_derivatives(method: str) -> None:
    found = minimize(lambda x: ((x - 3.0) ** 2).sum(), np.zeros(2), method=method)
    np.testing.assert_allclose(found.x, [3.0, 3.0], atol=1e-3)


def test_gradients_and_hessians_are_exact() -> None:
    from needle.optimize.functions import Objective
    from needle.optimize.structure import Structure

    example = {"a": START[:1], "b": (START[1:3], [START[3:]])}
    objective = Objective(
        "minimize",
        lambda p: rosenbrock(ops.stack([p["a"][0], *p["b"][0], p["b"][1][0][0]])),
        Structure(example, "x0"),
        (),
    )
    objective.second = True
    rng = np.random.default_rng(0)
    for _ in range(3):
        x, v = rng.standard_normal(4), rng.standard_normal(4)
        np.testing.assert_allclose(objective.value(x), scipy_optimize.rosen(x), rtol=1e-12)
        np.testing.assert_allclose(objective.gradient(x), scipy_optimize.rosen_der(x), rtol=1e-10)
        product = scipy_optimize.rosen_hess_prod(x, v)
        np.testing.assert_allclose(objective.hessp(x, v), product, rtol=1e-10)
        np.testing.assert_allclose(objective.hessian(x), scipy_optimize.rosen_hess(x), rtol=1e-10)


def test_one_evaluation_answers_all_questions_at_a_point() -> None:
    calls = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return rosenbrock(x)

    found = minimize(counted, START, method="L-BFGS-B")
    assert len(calls) == found.nfev
    calls.clear()
    found = minimize(counted, START, method="trust-ncg")
    # After a step that was refused the point before is evaluated again.
    assert len(calls) <= 2 * found.nfev - found.njev


Pair = namedtuple("Pair", ["left", "right"])
STRUCTURES: list[tuple[str, Any]] = [
    ("array", np.zeros((2, 2))),
    ("float32", np.zeros(2, dtype=np.float32)),
    ("integers", np.zeros(2, dtype=np.int64)),
    ("tensor", Tensor([0.0, 0.0])),
    ("number", 0.0),
    ("list of numbers", [0.0, 0, 0.0]),
    ("dict", {"w": np.zeros((2, 3)), "b": Tensor([0.0])}),
    ("tuple", (np.zeros(2), 0.0)),
    ("nested", {"layers": [(np.zeros(2), np.zeros(1)), (np.zeros(1), 0)], "scale": 0.0}),
    ("named tuple", Pair(np.zeros(2), Tensor(0.0))),
]


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list | tuple) and not isinstance(value[0], float):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@pytest.mark.parametrize("x0", [s[1] for s in STRUCTURES], ids=[s[0] for s in STRUCTURES])
def test_x_has_the_structure_of_x0(x0: Any) -> None:
    seen: list[Any] = []

    def fun(x: Any) -> Any:
        assert all(leaf.dtype == "float64" for leaf in leaves(x))
        return sum(((leaf - 1.5) ** 2).sum() for leaf in leaves(x))

    found = minimize(fun, x0, method="BFGS", callback=seen.append)
    for x in (found.x, seen[-1]):
        # A list of plain numbers is an array.
        assert type(x) is (np.ndarray if isinstance(x0, list) else type(x0))
        for leaf, start in zip(leaves(x), leaves(x0), strict=True):
            if isinstance(start, np.ndarray | Tensor):
                assert type(leaf) is type(start)
            assert np.shape(leaf) == np.shape(start)
            np.testing.assert_allclose(leaf, np.full(np.shape(start), 1.5), atol=1e-6)
    assert {"fun", "jac", "nfev", "message"} <= set(found)
    with ndl.no_grad():
        assert all(np.all(np.equal(leaf, 0)) for leaf in leaves(x0)), "x0 stays"


def test_bounds_and_constraints_are_scipys() -> None:
    found = minimize(lambda x: (x**2).sum(), [2.0, 2.0], bounds=[(1.0, None), (None, None)])
    np.testing.assert_allclose(found.x, [1.0, 0.0], atol=1e-6)
    on_line = {"type": "eq", "fun": lambda x: x.sum() - 2.0}
    found = minimize(lambda x: (x**2).sum(), [2.0, 5.0], constraints=on_line)
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-6)


def test_further_arguments_and_modes() -> None:
    def fun(x: Any, a: float, b: Any) -> Any:
        return ((x - a) ** 2 * b).sum()

    with ndl.no_grad():
        found = minimize(fun, [0.0, 0.0], args=(3.0, np.array([1.0, 2.0])))
    np.testing.assert_allclose(found.x, [3.0, 3.0], atol=1e-5)
    with ndl.lazy():
        found = minimize(fun, [0.0, 0.0], args=(3.0, np.array([1.0, 2.0])), method="trust-ncg")
    np.testing.assert_allclose(found.x, [3.0, 3.0], atol=1e-5)
    for single in (3.0, np.array([3.0, 4.0])):
        expected = np.broadcast_to(single, 2)
        found = minimize(lambda x, a: ((x - a) ** 2).sum(), [0.0, 0.0], args=single)
        np.testing.assert_allclose(found.x, expected, atol=1e-5)
        found = root(lambda x, a: x - a, [0.0, 0.0], args=single)
        np.testing.assert_allclose(found.x, expected, atol=1e-5)


@pytest.mark.parametrize("method", ["BFGS", "trust-ncg", "Newton-CG"])
def test_a_parameter_that_is_ignored_has_a_zero_gradient(method: str) -> None:
    x0 = {"used": np.array([4.0]), "ignored": np.array([7.0, 8.0]), "linear": np.array([1.0])}
    found = minimize(
        lambda p: ((p["used"] - 1) ** 4 + (p["used"] - 1) ** 2).sum() + 0 * p["linear"].sum(),
        x0,
        method=method,
    )
    np.testing.assert_allclose(found.x["used"], [1.0], atol=1e-4)
    assert found.x["ignored"].tolist() == [7.0, 8.0]
    assert found.jac[1:].tolist() == [0.0, 0.0, 0.0]


def test_logistic_regression_beside_gradients_by_hand() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    data, target = datasets.load_breast_cancer(return_X_y=True)
    x = (data - data.mean(0)) / data.std(0)
    sign = 2.0 * target - 1.0
    xs, signs = Tensor(x, requires_grad=False), Tensor(sign, requires_grad=False)

    def loss(p: Any) -> Any:
        margin = signs * (xs @ p["w"] + p["b"])
        stacked = ops.stack([margin * 0.0, -margin], axis=1)
        return ops.logsumexp(stacked, axes=1).sum() + 0.5 * (p["w"] ** 2).sum()

    def by_hand(p: Any) -> Any:
        w, b = p[:-1], p[-1]
        margin = sign * (x @ w + b)
        slope = -sign / (1 + np.exp(margin))
        value = np.logaddexp(0.0, -margin).sum() + 0.5 * w @ w
        return value, np.append(x.T @ slope + w, slope.sum())

    given = scipy_optimize.minimize(by_hand, np.zeros(31), jac=True, method="L-BFGS-B", tol=1e-12)
    start = {"w": np.zeros(30), "b": 0.0}
    for method in ("L-BFGS-B", "Newton-CG", "trust-krylov"):
        found = minimize(loss, start, method=method, tol=1e-12)
        assert found.fun == pytest.approx(given.fun, rel=1e-9)
        np.testing.assert_allclose(found.x["w"], given.x[:-1], atol=2e-4)
        assert found.x["b"] == pytest.approx(given.x[-1], abs=2e-4)


nan = float("nan")
WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: minimize(lambda x: x * 2, np.zeros(3)),
        ValueError,
        r"minimize: expected a scalar result, got shape \(3,\)",
    ),
    (
        lambda: minimize(lambda x: 1.0, np.zeros(3)),
        TypeError,
        "minimize: expected the function to return a tensor, got float",
    ),
    (
        lambda: minimize(lambda x: ops.log(x).sum(), np.full(2, -1.0)),
        ValueError,
        "minimize: expected a finite value at x0, got nan",
    ),
    (
        lambda: minimize(lambda x: (x * x).sum(), np.array([nan])),
        ValueError,
        "minimize: expected a finite value at x0, got nan",
    ),
    (
        lambda: minimize(lambda x: Tensor(float(np.sum(x.numpy()))), np.zeros(3)),
        ndl.GradError,
        "minimize: the result does not depend on x",
    ),
    (lambda: minimize(rosenbrock, []), ValueError, "x0: expected at least one number"),
    (lambda: minimize(rosenbrock, {}), ValueError, "x0: expected at least one number"),
    (lambda: minimize(rosenbrock, {"a": "b"}), TypeError, "x0: expected arrays, .* got str"),
    (lambda: minimize(rosenbrock, None), TypeError, "x0: expected arrays, .* got NoneType"),
    (
        lambda: minimize(rosenbrock, np.zeros(2, complex)),
        TypeError,
        "x0: expected real numbers, got complex128",
    ),
    (lambda: minimize(rosenbrock, np.zeros(2, bool)), TypeError, "real numbers, got bool"),
    (lambda: minimize(rosenbrock, START, method="best"), ValueError, "Unknown solver best"),
    (
        lambda: least_squares(lambda x: ops.log(x), [-1.0]),
        ValueError,
        "least_squares: expected finite values at x0",
    ),
    (
        lambda: least_squares(lambda x: 2.0, [1.0]),
        TypeError,
        "least_squares: expected the function to return tensors, got float",
    ),
    (
        lambda: least_squares(lambda x: Tensor([1.0]), [1.0]),
        ndl.GradError,
        "least_squares: the result does not depend on x",
    ),
    (
        lambda: least_squares(lambda x: x, [1.0], jac="2-point"),
        TypeError,
        "least_squares: jac is not a keyword here",
    ),
    (
        lambda: root(lambda x: x[:1], [1.0, 2.0]),
        ValueError,
        "root: expected 2 residuals, got 1",
    ),
    (
        lambda: root(lambda x: ops.stack([x, x]), [1.0, 2.0]),
        ValueError,
        "root: expected 2 residuals, got 4",
    ),
]


@pytest.mark.parametrize(("act", "error", "message"), WRONG)
def test_wrong_use(act: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        act()


def test_an_error_of_the_function_comes_through() -> None:
    def fails(x: Any) -> Any:
        raise KeyError("mine")

    for solver in (minimize, least_squares, root):
        with pytest.raises(KeyError, match="mine"):
            solver(fails, [1.0])
    assert ndl._core.get_thread_mode() == (None, False)


@pytest.mark.parametrize("solver", [minimize, least_squares, root])
def test_without_scipy_it_says_what_to_install(
    solver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ModuleNotFoundError, match=f"{solver.__name__} needs SciPy"):
        solver(rosenbrock, START)
