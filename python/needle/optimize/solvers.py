"""The solvers: `minimize`, `least_squares` and `root` of SciPy, with derivatives from needle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from needle import _optional
from needle.optimize.functions import Function, Objective, Residuals
from needle.optimize.structure import Structure, Vector

# What SciPy's methods take besides the value.
NO_GRADIENT = {"nelder-mead", "powell", "cobyla", "cobyqa"}
PRODUCTS = {"newton-cg", "trust-ncg", "trust-krylov", "trust-constr"}
HESSIAN = {"dogleg", "trust-exact"}
WITH_JACOBIAN = {"hybr", "lm"}


def minimize(
    fun: Function,
    x0: Any,
    args: Any = (),
    method: str | None = None,
    *,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """Minimise `fun(x, *args)`, a tensor of one element, by `scipy.optimize.minimize`. `args` is a
    tuple or list; anything else is the only argument.

    Gradients are by reverse mode. Newton-CG, trust-ncg, trust-krylov and trust-constr get
    products of the Hessian with vectors, as gradients of gradients; dogleg and trust-exact get
    the Hessian, product by product. `callback(x)` gets `x` in the structure of `x0`; `bounds` and
    `constraints` are SciPy's, on the flat vector.

    Returns SciPy's OptimizeResult, with `x` in the structure of `x0`.

    Raises TypeError for an `x0` or a result of `fun` of the wrong kind, ValueError where the
    result is not scalar, or not finite at `x0`, GradError where the result depends on no
    parameter, ModuleNotFoundError without SciPy.
    """
    solvers = _optional.load("scipy.optimize", "minimize needs")
    at = Structure(x0, "x0")
    objective = Objective("minimize", fun, at, args)
    kind = method.lower() if isinstance(method, str) else method
    derivatives: dict[str, Any] = {}
    if kind not in NO_GRADIENT:
        derivatives["jac"] = objective.gradient
    if kind in PRODUCTS:
        derivatives["hessp"] = objective.hessp
    if kind in HESSIAN:
        derivatives["hess"] = objective.hessian
    objective.second = kind in PRODUCTS | HESSIAN
    found = solvers.minimize(
        objective.value,
        at.start,
        method=method,
        bounds=bounds,
        constraints=constraints,
        tol=tol,
        callback=_on_structure(callback, at),
        options=options,
        **derivatives,
    )
    found.x = at.restore(found.x)
    return found


def least_squares(fun: Function, x0: Any, args: Any = (), **options: Any) -> Any:
    """Minimise the sum of squares of `fun(x, *args)`, a tensor or a structure of tensors, by
    `scipy.optimize.least_squares`; `options` are its other keywords.

    The Jacobian is by forward mode, one pass for all parameters, or by reverse mode, one pass for
    each residual where they are fewer; functions with ops written in Python take reverse mode.

    Returns SciPy's OptimizeResult, with `x` in the structure of `x0`; `fun` and `jac` are of the
    residuals and parameters one after the other. Raises as `minimize`.
    """
    solvers = _optional.load("scipy.optimize", "least_squares needs")
    _refuse("least_squares", options, "jac")
    at = Structure(x0, "x0")
    residuals = Residuals("least_squares", fun, at, args)
    found = solvers.least_squares(residuals.value, at.start, jac=residuals.jacobian, **options)
    found.x = at.restore(found.x)
    return found


def root(fun: Function, x0: Any, args: Any = (), method: str = "hybr", **options: Any) -> Any:
    """Find `x` where `fun(x, *args)`, a tensor or a structure of tensors, is zero, by
    `scipy.optimize.root`; `options` are its other keywords.

    Methods hybr and lm get the Jacobian, as in `least_squares`; the others need none.

    Returns SciPy's OptimizeResult, with `x` in the structure of `x0`. Raises as `minimize`, and
    ValueError where there are not as many residuals as unknowns (fewer, with lm).
    """
    solvers = _optional.load("scipy.optimize", "root needs")
    _refuse("root", options, "jac")
    at = Structure(x0, "x0")
    residuals = Residuals("root", fun, at, args)
    given = residuals.value(at.start).size
    if given < at.start.size or (given > at.start.size and method != "lm"):
        raise ValueError(f"root: expected {at.start.size} residuals, got {given}")
    jacobian = residuals.jacobian if method in WITH_JACOBIAN else None
    callback = _on_structure(options.pop("callback", None), at)
    found = solvers.root(
        residuals.value, at.start, method=method, jac=jacobian, callback=callback, **options
    )
    found.x = at.restore(found.x)
    return found


def _refuse(who: str, options: dict[str, Any], name: str) -> None:
    if name in options:
        raise TypeError(f"{who}: {name} is not a keyword here: needle gives the derivatives")


def _on_structure(callback: Callable[..., Any] | None, at: Structure) -> Callable[..., Any] | None:
    """The user's callback, called with the structure instead of the vector."""
    if callback is None:
        return None

    def called(x: Vector, *state: Any) -> Any:
        return callback(at.restore(x), *state)

    return called
