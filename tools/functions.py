"""The functions whose accuracy is promised: how needle computes each, what it is, and where.

What a function is comes from mpmath, with as many digits as it takes. Names are those of
docs/accuracy.md; a name with `'` is a derivative by the rules, with `''` one of second order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from mpmath import mp
from numpy.typing import NDArray

import needle as ndl
from needle import Tensor

Array = NDArray[Any]
Reference = Callable[..., Any]

TINY = {"float32": 2.0**-149, "float64": 2.0**-1074}


@dataclass(frozen=True)
class Function:
    """One row of docs/accuracy.md."""

    name: str
    run: Callable[..., Tensor]
    """What needle computes, of as many tensors as there are spans."""
    reference: Reference
    """The value of it in mpmath."""
    spans: tuple[tuple[tuple[float, float], ...], ...]
    """For each operand the intervals from which points are drawn, besides those of any size."""
    edges: tuple[float, ...] = ()
    """Points where a formula begins or ends, or the value is near 0."""
    scale: Reference | None = None
    """Errors are in units of the last place of this, where it is larger than the value."""
    any_size: bool = True
    """Whether there are points of every exponent."""


def within(x: Any, most: int) -> Any:
    """A number up to where a function is 0, 1 or infinite in every dtype, and no larger."""
    return max(-most, min(x, most))


def exp(x: Any) -> Any:
    return mp.exp(within(x, 5000))


def erf(x: Any) -> Any:
    return mp.erf(within(x, 60))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def cdf(x: Any) -> Any:
    return mp.erfc(-within(x, 60) / mp.sqrt(2)) / 2


def pdf(x: Any) -> Any:
    return exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def sech2(x: Any) -> Any:
    """1 - tanh(x)^2."""
    return 4 * sigmoid(2 * x) * sigmoid(-2 * x)


def softplus(x: Any) -> Any:
    return x if x > 5000 else mp.log1p(exp(x))


def sigmoid2(x: Any) -> Any:
    """The second derivative of the logistic function."""
    return sigmoid(x) * sigmoid(-x) * (sigmoid(-x) - sigmoid(x))


def silu1(x: Any) -> Any:
    return sigmoid(x) * (1 + x * sigmoid(-x))


def silu2(x: Any) -> Any:
    slope = sigmoid(x) * sigmoid(-x)
    return slope * (2 + x * (sigmoid(-x) - sigmoid(x)))


def one(*_: Any) -> Any:
    return mpmath.mpf(1)


def first(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The derivative of a function of elements, by the rules."""

    def run(x: Tensor) -> Tensor:
        return slope(function, Tensor(x.numpy()))

    return run


def second(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The second derivative."""
    return first(lambda x: slope(function, x))


def slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    function(x).sum().backward()
    gradient = x.grad
    assert gradient is not None
    x.grad = None
    return gradient


def with_one(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A fused adjoint for the adjoint 1: what its factor is."""
    return lambda y: function(Tensor(np.ones_like(y.numpy())), y)


# Intervals in which values vary.
NEAR = ((-1.0, 1.0), (-12.0, 12.0), (-120.0, 120.0), (-760.0, 760.0))
ABOVE = ((0.5, 2.0), (0.0, 1.0), (0.0, 1e4))
ALL = ((-2.0, 2.0), (-1e3, 1e3))
ANGLES = ((-1.0, 1.0), (-7.0, 7.0), (-1e3, 1e3), (-2e6, 2e6))
BELL = ((-1.0, 1.0), (-6.0, 6.0), (-15.0, 15.0), (-39.0, 39.0))
QUARTERS = tuple(n * np.pi / 2 for n in (1, 2, 3, 4, 5, 101, 10001, 600_000))
# Where the derivatives of gelu and silu are 0.
GELU_ZERO, SILU_ZERO = -0.7517915246935645, -1.2784645427610738

FUNCTIONS = (
    Function("sqrt", ndl.sqrt, mp.sqrt, (ABOVE,)),
    Function("exp", ndl.exp, exp, (NEAR,), (709.78, -745.13, -708.4, 88.72, -103.97, -87.3)),
    Function("log", ndl.log, mp.log, (ABOVE,), (1.0, 0.7071067811865476, 1.4142135623730951)),
    Function("log1p", ndl.log1p, mp.log1p, (((-0.999, 1.0), (-0.5, 0.5), (0.0, 1e4)),)),
    Function("sin", ndl.sin, mp.sin, (ANGLES,), QUARTERS),
    Function("cos", ndl.cos, mp.cos, (ANGLES,), QUARTERS),
    Function("tanh", ndl.tanh, mp.tanh, (NEAR,), (0.625, -0.625, 9.0, 20.0)),
    Function("sigmoid", ndl.sigmoid, sigmoid, (NEAR,), (-745.1, -709.0, -103.9, -87.3, 36.7)),
    Function("erf", ndl.erf, erf, (BELL,), (1.0, -1.0, 3.9, 5.9)),
    Function("softplus", ndl.softplus, softplus, (NEAR,), (-745.1, -103.9, -88.0)),
    Function("gelu", ndl.gelu, lambda x: x * cdf(x), (BELL,), (-38.4, -37.5, -14.2, -13.1)),
    Function("silu", ndl.silu, lambda x: x * sigmoid(x), (NEAR,), (-751.0, -709.0, -108.0, -88.0)),
    Function("leaky_relu", ndl.leaky_relu, lambda x: x if x > 0 else x * 0.01, (ALL,)),
    Function("add", ndl.add, lambda a, b: a + b, (ALL, ALL)),
    Function("subtract", ndl.subtract, lambda a, b: a - b, (ALL, ALL)),
    Function("multiply", ndl.multiply, lambda a, b: a * b, (ALL, ALL)),
    Function("chain_product", ndl.chain_product, lambda a, b: a * b, (ALL, ALL)),
    Function("divide", ndl.divide, lambda a, b: a / b, (ALL, ALL)),
    Function("power", ndl.power, mp.power, (ABOVE, ALL), any_size=False),
    Function("power_scalar 3", lambda x: x**3, lambda x: x**3, (ALL,), (1e-108, 1e-103, 1e-15)),
    Function("power_scalar 2", lambda x: x**2, lambda x: x * x, (ALL,)),
    Function("power_scalar 0.5", lambda x: x**0.5, mp.sqrt, (ABOVE,)),
    Function("power_scalar -1", lambda x: x**-1, lambda x: 1 / x, (ALL,)),
    Function("power_scalar 2.5", lambda x: x**2.5, lambda x: x**2.5, (ABOVE,)),
    Function(
        "tanh_gradient",
        with_one(ndl.tanh_gradient),
        lambda y: 1 - y * y,
        (((-1.0, 1.0), (0.99, 1.0)),),
        (1.0, -1.0),
        one,
        any_size=False,
    ),
    Function(
        "sigmoid_gradient",
        with_one(ndl.sigmoid_gradient),
        lambda y: y * (1 - y),
        (((0.0, 1.0), (0.99, 1.0), (0.0, 1e-5)),),
        (1.0,),
        any_size=False,
    ),
    Function(
        "gelu_gradient",
        with_one(ndl.gelu_gradient),
        lambda x: cdf(x) + x * pdf(x),
        (BELL,),
        (GELU_ZERO, -38.4, -37.5, -14.2, -13.1),
        lambda x: max(cdf(x), abs(x) * pdf(x)),
    ),
    Function(
        "silu_gradient",
        with_one(ndl.silu_gradient),
        silu1,
        (NEAR,),
        (SILU_ZERO, -751.0, -709.0, -108.0, -88.0),
        lambda x: sigmoid(x) * max(1, abs(x) * sigmoid(-x)),
    ),
    Function("exp'", first(ndl.exp), exp, (NEAR,)),
    Function("log'", first(ndl.log), lambda x: 1 / x, (ABOVE,)),
    Function(
        "log1p'", first(ndl.log1p), lambda x: 1 / (1 + x), (((-0.9, 1.0), (0.0, 1e4)),), (), one
    ),
    Function("sqrt'", first(ndl.sqrt), lambda x: 1 / (2 * mp.sqrt(x)), (ABOVE,)),
    Function("sin'", first(ndl.sin), mp.cos, (ANGLES,), QUARTERS),
    Function("cos'", first(ndl.cos), lambda x: -mp.sin(x), (ANGLES,), QUARTERS),
    Function("tanh'", first(ndl.tanh), lambda x: sech2(x), (NEAR,), (), one),
    Function("sigmoid'", first(ndl.sigmoid), lambda x: sigmoid(x) * sigmoid(-x), (NEAR,), (), one),
    Function("softplus'", first(ndl.softplus), sigmoid, (NEAR,)),
    Function(
        "erf'",
        first(ndl.erf),
        lambda x: 2 * exp(-x * x) / mp.sqrt(mp.pi),
        (BELL,),
        (),
        one,
    ),
    Function(
        "tanh''",
        second(ndl.tanh),
        lambda x: -2 * mp.tanh(x) * sech2(x),
        (NEAR,),
        (),
        one,
    ),
    Function("sigmoid''", second(ndl.sigmoid), sigmoid2, (NEAR,), (), one),
    Function(
        "softplus''",
        second(ndl.softplus),
        lambda x: sigmoid(x) * sigmoid(-x),
        (NEAR,),
        (),
        one,
    ),
    Function("gelu''", second(ndl.gelu), lambda x: pdf(x) * (2 - x * x), (BELL,), (), one),
    Function("silu''", second(ndl.silu), silu2, (NEAR,), (), one),
)


def points(function: Function, dtype: str, count: int) -> list[Array]:
    """Arrays of points, one for each operand: `count` from each interval, and special ones."""
    kind = np.dtype(dtype).type
    random = np.random.RandomState(len(function.name))
    most = max(len(spans) for spans in function.spans)
    operands = []
    for spans in function.spans:
        parts = [random.uniform(*spans[i % len(spans)], size=count) for i in range(most)]
        edges = [np.asarray(function.edges, kind)]
        if function.any_size:
            smallest, largest = np.finfo(kind).smallest_normal, np.finfo(kind).max
            exponents = random.uniform(np.log2(TINY[dtype]), np.log2(largest) - 1, size=2 * count)
            signs = random.choice([-1.0, 1.0], size=2 * count)
            parts.append(signs * np.exp2(exponents))
            edges.append(np.asarray([0.0, TINY[dtype], smallest, largest], kind))
        near = np.concatenate(edges)
        with np.errstate(over="ignore"):
            above, below = (np.nextafter(near, kind(end)) for end in (np.inf, -np.inf))
        near = np.concatenate([near, above, below])
        near = np.concatenate([near, -near])[np.isfinite(np.concatenate([near, near]))]
        if len(function.spans) == 2:
            near = random.permutation(near)
        operands.append(np.concatenate([*parts, near]).astype(kind))
    return operands
