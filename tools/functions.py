"""The functions whose accuracy is promised: how needle computes each, what it is, and where.

What a function is comes from mpmath, with as many digits as it takes. Names are those of
docs/accuracy.md; a name with `'` is a derivative by the rules, with `''` one of second order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    factor: Reference | None = None
    """What multiplies a term that is rounded before: it may make much of what the term has lost
    below the normal numbers, and not bring it back from beyond the largest."""


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
    return -bump(x) * mp.tanh(within(x, 5000) / 2)


def silu1(x: Any) -> Any:
    return sigmoid(x) * (1 + x * sigmoid(-x))


def bump(x: Any) -> Any:
    """The derivative of the logistic function."""
    return sigmoid(x) * sigmoid(-x)


def tanh2(x: Any) -> Any:
    return -2 * mp.tanh(within(x, 5000)) * sech2(x)


def silu2(x: Any) -> Any:
    return bump(x) * (2 - x * mp.tanh(within(x, 5000) / 2))


def erf1(x: Any) -> Any:
    return 2 * exp(-x * x) / mp.sqrt(mp.pi)


def logistic_loss(z: Any, t: Any) -> Any:
    return t * softplus(-z) + (1 - t) * softplus(z)


def residual(z: Any, t: Any) -> Any:
    return (1 - t) * sigmoid(z) - t * sigmoid(-z)


def real_power(a: Any, b: Any) -> Any:
    """A power of a base from 0 on. Beyond every dtype it is 0 or infinite."""
    if a == 0:
        return mpmath.inf if b < 0 else mpmath.mpf(b == 0)
    if abs(b * mp.log(a)) > 5000:
        return mpmath.inf if b * mp.log(a) > 0 else mpmath.mpf(0)
    return a**b


def times_power(factor: Any, a: Any, b: Any) -> Any:
    """A factor times a power, 0 where either is."""
    power = real_power(a, b)
    return mpmath.mpf(0) if factor == 0 or power == 0 else factor * power


def tenth(x: Tensor) -> Tensor:
    return x**TENTH


def mixed_factor(a: Any, b: Any) -> Any:
    """What multiplies a power times its logarithm in the mixed derivative, and both."""
    size = max(1, abs(ln(a)))
    return abs(b) * size if abs(b) > 1 else max(1, abs(b * ln(a))) / size


def ln(a: Any) -> Any:
    return mp.log(a) if a != 0 else mpmath.mpf(0)


@dataclass(frozen=True)
class Partial:
    """The derivative of a function of elements by the operands of `order`, one after the other, by
    the rules."""

    function: Callable[..., Tensor]
    order: tuple[int, ...]

    def __call__(self, *operands: Tensor) -> Tensor:
        leaves = [Tensor(operand.numpy()) for operand in operands]
        return self._reverse(leaves, self.order)

    def forward(self, *operands: Tensor) -> Tensor:
        """The same, the last derivative in forward mode."""
        leaves = [Tensor(operand.numpy()) for operand in operands]
        *before, last = self.order
        value = self._reverse(leaves, before)
        directions = [Tensor(np.ones((1, *leaves[last].shape), leaves[last].dtype))]
        (tangent,) = ndl._core.tangents([value], [leaves[last]], directions)
        assert tangent is not None
        return tangent[0]

    def _reverse(self, leaves: list[Tensor], order: Sequence[int]) -> Tensor:
        value = self.function(*leaves)
        for i in order:
            value.sum().backward()
            gradient = leaves[i].grad
            assert gradient is not None
            value = gradient
            for leaf in leaves:
                leaf.grad = None
        return value


def partial(function: Callable[..., Tensor], *order: int) -> Partial:
    return Partial(function, order)


def first(function: Callable[..., Tensor]) -> Partial:
    return Partial(function, (0,))


def second(function: Callable[..., Tensor]) -> Partial:
    return Partial(function, (0, 0))


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
# An exponent of both dtypes, from which 1 is taken away exactly in float64 only.
TENTH = float(np.float32(0.1))
# A slope of leaky_relu that is rounded to float32.
LEAK = mpmath.mpf(0.01)
# The targets of a loss; bases of powers; and where 1 + x is small.
SHARES = ((0.0, 1.0), (0.0, 0.0), (1.0, 1.0))
POSITIVE = ((0.5, 2.0), (0.0, 1e4))
NEAR_MINUS_ONE = ((-0.9, 1.0), (-1.0, -0.999), (0.0, 1e4))
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
    Function("logistic_loss", ndl.logistic_loss, logistic_loss, (NEAR, SHARES), any_size=False),
    Function(
        "logistic_residual",
        ndl.logistic_residual,
        residual,
        (NEAR, SHARES),
        (),
        lambda z, t: max(abs(1 - t) * sigmoid(z), abs(t) * sigmoid(-z)),
        any_size=False,
    ),
    Function("tanh_gradient", with_one(ndl.tanh_gradient), sech2, (NEAR,)),
    Function("sigmoid_gradient", with_one(ndl.sigmoid_gradient), bump, (NEAR,)),
    Function("tanh_curvature", with_one(ndl.tanh_curvature), tanh2, (NEAR,)),
    Function("sigmoid_curvature", with_one(ndl.sigmoid_curvature), sigmoid2, (NEAR,)),
    Function(
        "tanh_third",
        with_one(ndl.tanh_third),
        lambda x: sech2(x) * (4 - 6 * sech2(x)),
        (NEAR,),
        (),
        lambda x: sech2(x) * max(4, 6 * sech2(x)),
    ),
    Function(
        "sigmoid_third",
        with_one(ndl.sigmoid_third),
        lambda x: bump(x) * (1 - 6 * bump(x)),
        (NEAR,),
        (),
        lambda x: bump(x) * max(1, 6 * bump(x)),
    ),
    Function("erf_gradient", with_one(ndl.erf_gradient), erf1, (BELL,)),
    Function("normal_gradient", with_one(ndl.normal_gradient), pdf, (BELL,)),
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
    Function("log1p'", first(ndl.log1p), lambda x: 1 / (1 + x), (NEAR_MINUS_ONE,)),
    Function("sqrt'", first(ndl.sqrt), lambda x: 1 / (2 * mp.sqrt(x)), (ABOVE,)),
    Function("sin'", first(ndl.sin), mp.cos, (ANGLES,), QUARTERS),
    Function("cos'", first(ndl.cos), lambda x: -mp.sin(x), (ANGLES,), QUARTERS),
    Function("tanh'", first(ndl.tanh), sech2, (NEAR,)),
    Function("sigmoid'", first(ndl.sigmoid), bump, (NEAR,)),
    Function("softplus'", first(ndl.softplus), sigmoid, (NEAR,)),
    Function("erf'", first(ndl.erf), erf1, (BELL,)),
    Function(
        "gelu'",
        first(ndl.gelu),
        lambda x: cdf(x) + x * pdf(x),
        (BELL,),
        (GELU_ZERO,),
        lambda x: max(cdf(x), abs(x) * pdf(x)),
    ),
    Function(
        "silu'",
        first(ndl.silu),
        silu1,
        (NEAR,),
        (SILU_ZERO,),
        lambda x: sigmoid(x) * max(1, abs(x) * sigmoid(-x)),
    ),
    Function(
        "leaky_relu'", first(ndl.leaky_relu), lambda x: mpmath.mpf(1) if x > 0 else LEAK, (ALL,)
    ),
    Function(
        "logistic_loss'",
        first(ndl.logistic_loss),
        residual,
        (NEAR, SHARES),
        (),
        lambda z, t: max(abs(1 - t) * sigmoid(z), abs(t) * sigmoid(-z)),
        any_size=False,
    ),
    Function("divide' a", partial(ndl.divide, 0), lambda a, b: 1 / b, (ALL, ALL)),
    Function(
        "divide' b",
        partial(ndl.divide, 1),
        lambda a, b: -a / b**2,
        (ALL, ALL),
        factor=lambda a, b: 1 / b,
    ),
    Function("multiply' a", partial(ndl.multiply, 0), lambda a, b: b, (ALL, ALL)),
    Function(
        "power' a",
        partial(ndl.power, 0),
        lambda a, b: times_power(b, a, b - 1),
        (POSITIVE, ALL),
        any_size=False,
        factor=lambda a, b: b,
    ),
    Function(
        "power' b",
        partial(ndl.power, 1),
        lambda a, b: times_power(ln(a), a, b),
        (POSITIVE, ALL),
        any_size=False,
        factor=lambda a, b: ln(a),
    ),
    Function(
        "power_scalar 0.1'",
        first(tenth),
        lambda x: TENTH * x ** (TENTH - mpmath.mpf(1)),
        (ABOVE,),
        factor=lambda x: TENTH,
    ),
    Function("exp''", second(ndl.exp), exp, (NEAR,)),
    Function("log''", second(ndl.log), lambda x: -1 / x**2, (ABOVE,)),
    Function("log1p''", second(ndl.log1p), lambda x: -1 / (1 + x) ** 2, (NEAR_MINUS_ONE,)),
    Function("sqrt''", second(ndl.sqrt), lambda x: -1 / (4 * x * mp.sqrt(x)), (ABOVE,)),
    Function("sin''", second(ndl.sin), lambda x: -mp.sin(x), (ANGLES,), QUARTERS),
    Function("cos''", second(ndl.cos), lambda x: -mp.cos(x), (ANGLES,), QUARTERS),
    Function("tanh''", second(ndl.tanh), tanh2, (NEAR,)),
    Function("sigmoid''", second(ndl.sigmoid), sigmoid2, (NEAR,)),
    Function("softplus''", second(ndl.softplus), bump, (NEAR,)),
    Function("erf''", second(ndl.erf), lambda x: -2 * x * erf1(x), (BELL,)),
    Function(
        "gelu''",
        second(ndl.gelu),
        lambda x: pdf(x) * (2 - x * x),
        (BELL,),
        (),
        lambda x: pdf(x) * max(2, x * x),
        factor=lambda x: 2 + x * x,
    ),
    Function(
        "silu''",
        second(ndl.silu),
        silu2,
        (NEAR,),
        (),
        lambda x: bump(x) * max(2, abs(x)),
        factor=lambda x: 2 + abs(x),
    ),
    Function(
        "logistic_loss''",
        partial(ndl.logistic_loss, 0, 0),
        lambda z, t: bump(z),
        (NEAR, SHARES),
        any_size=False,
    ),
    Function("divide'' ab", partial(ndl.divide, 0, 1), lambda a, b: -1 / b**2, (ALL, ALL)),
    Function(
        "divide'' bb",
        partial(ndl.divide, 1, 1),
        lambda a, b: 2 * a / b**3,
        (ALL, ALL),
        factor=lambda a, b: 2 / b**2,
    ),
    Function(
        "power'' aa",
        partial(ndl.power, 0, 0),
        lambda a, b: times_power(b * (b - 1), a, b - 2),
        (POSITIVE, ALL),
        any_size=False,
        factor=lambda a, b: b * (b - 1),
    ),
    Function(
        "power'' ab",
        partial(ndl.power, 0, 1),
        lambda a, b: times_power(1 + b * ln(a), a, b - 1),
        (POSITIVE, ALL),
        (),
        lambda a, b: times_power(max(1, abs(b * ln(a))), a, b - 1),
        any_size=False,
        factor=mixed_factor,
    ),
    Function(
        "power'' bb",
        partial(ndl.power, 1, 1),
        lambda a, b: times_power(ln(a) ** 2, a, b),
        (POSITIVE, ALL),
        any_size=False,
        factor=lambda a, b: ln(a) ** 2,
    ),
    Function(
        "power_scalar 0.1''",
        second(tenth),
        lambda x: TENTH * (TENTH - mpmath.mpf(1)) * x ** (TENTH - mpmath.mpf(2)),
        (ABOVE,),
        factor=lambda x: TENTH * (1 - TENTH),
    ),
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
