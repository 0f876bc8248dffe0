"""Zeros of both signs, infinities, NaN and the smallest and largest numbers through every
elementwise function: what NumPy gives, under the instruction set of the environment.

Results are compared by kind: NaN, or sign and whether it is zero, finite or infinite. Each row
holds every value at every place of a vector, and in the tail behind the last one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tools.functions import FUNCTIONS

import needle as ndl
from needle import Tensor

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]

HALVES = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 7.0]
MAGNITUDES = {
    "float64": [
        0.0,
        1.5e-323,
        1e-310,
        1e-200,
        1e-108,
        1e-30,
        *HALVES,
        1e3,
        1e30,
        1e110,
        1e123,
        1.7e308,
    ],
    "float32": [0.0, 4e-45, 1e-40, 1e-30, 1e-14, *HALVES, 1e3, 1e14, 1e30, 3e38],
}


def values(dtype: str) -> Array:
    magnitudes = np.array([*MAGNITUDES[dtype], np.inf])
    return np.concatenate([magnitudes, -magnitudes, [np.nan]]).astype(dtype)


def normal(a: Array) -> Array:
    return np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2, otypes=["float64"])(a)


def sigmoid(a: Array) -> Array:
    return np.exp(-np.logaddexp(0, -a))


def times(a: Array, b: Array) -> Array:
    """A product that goes to 0 with the second factor, whose sign the first one decides."""
    return np.where(b == 0, np.copysign(0.0, a), a * b)


def chain(a: Array, b: Array) -> Array:
    return np.where((a == 0) | (b == 0), 0.0, a * b)


UNARY: dict[str, Function] = {
    "negate": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "erf": np.vectorize(math.erf, otypes=["float64"]),
    "relu": lambda a: np.where(a <= 0, 0.0, a),
    "leaky_relu": lambda a: np.where(a > 0, a, a * 0.01),
    "softplus": lambda a: np.logaddexp(a, 0),
    "gelu": lambda a: times(a, normal(a)),
    "silu": lambda a: times(a, sigmoid(a)),
}
# The zero that two equal operands leave is NumPy's to choose, by its version and the machine; here
# it is the first.
BINARY: dict[str, Function] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "maximum": lambda a, b: np.where((b > a) | np.isnan(b), b, a),
    "minimum": lambda a, b: np.where((b < a) | np.isnan(b), b, a),
    "chain_product": chain,
    "relu_gradient": lambda g, y: np.where(y > 0, g, 0.0),
}
# The second factor underflows where it does in the dtype.
SLOPES: dict[str, Function] = {
    "tanh_gradient": lambda a: 4 * sigmoid(2 * a) * sigmoid(-2 * a),
    "sigmoid_gradient": lambda a: sigmoid(a) * sigmoid(-a),
    "tanh_curvature": lambda a: -8 * np.tanh(a) * sigmoid(2 * a) * sigmoid(-2 * a),
    "sigmoid_curvature": lambda a: -np.tanh(a / 2) * sigmoid(a) * sigmoid(-a),
    "tanh_third": lambda a: 8 * sigmoid(2 * a) * sigmoid(-2 * a) * (3 * np.tanh(a) ** 2 - 1),
    "sigmoid_third": lambda a: sigmoid(a) * sigmoid(-a) * (1 - 6 * sigmoid(a) * sigmoid(-a)),
    "erf_gradient": lambda a: 2 / math.sqrt(math.pi) * np.exp(-a * a),
    "normal_gradient": lambda a: np.exp(-a * a / 2) / math.sqrt(2 * math.pi),
}
SCALAR: dict[str, tuple[Function, Function]] = {
    "a + b": (lambda a, b: a + b, np.add),
    "a - b": (lambda a, b: a - b, np.subtract),
    "a * b": (lambda a, b: a * b, np.multiply),
    "a / b": (lambda a, b: a / b, np.divide),
    # As C has it: +0 for -0, and infinity for -infinity, to the power of 1/2.
    "a ** b": (lambda a, b: a**b, lambda a, b: np.power(a, np.full_like(a, b))),
    "maximum": (ndl.maximum, BINARY["maximum"]),
    "minimum": (ndl.minimum, BINARY["minimum"]),
}
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")

dtypes = pytest.mark.parametrize("dtype", list(MAGNITUDES))


def kind(a: Array) -> Array:
    size = np.where(a == 0, 1, np.where(np.isinf(a), 3, 2))
    return np.where(np.isnan(a), 0, np.where(np.signbit(a), -size, size))


def agree(result: Tensor, function: Function, *operands: Array) -> None:
    found = result.numpy()
    with np.errstate(all="ignore"):
        wide = [np.asarray(operand, "float64") for operand in operands]
        expected = np.asarray(function(*wide)).astype(found.dtype)
        wrong = kind(found) != kind(expected)
    if np.any(wrong):
        first = tuple(np.argwhere(np.broadcast_to(wrong, found.shape))[0])
        at = [float(np.broadcast_to(operand, found.shape)[first]) for operand in operands]
        pytest.fail(f"{at}: {float(found[first])}, not {float(expected[first])}")


def everywhere(dtype: str) -> Array:
    """All values at all places: of a prime number of them one comes after the other."""
    return np.tile(values(dtype), 17)


@dtypes
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_operand(name: str, dtype: str) -> None:
    x = everywhere(dtype)
    function = getattr(ndl, name)
    agree(function(Tensor(x)), UNARY[name], x)
    # One alone, and two vectors' halves: the tails of rows.
    for value in values(dtype):
        agree(function(Tensor(np.array(value))), UNARY[name], np.array(value))


@dtypes
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_operands(name: str, dtype: str) -> None:
    x, y = values(dtype)[:, None], everywhere(dtype)
    function = getattr(ndl, name)
    agree(function(Tensor(x), Tensor(y)), BINARY[name], x, y)
    agree(function(Tensor(y), Tensor(x)), BINARY[name], y, x)
    a, b = (np.ascontiguousarray(part) for part in np.broadcast_arrays(x, y))
    agree(function(Tensor(a), Tensor(b)), BINARY[name], a, b)


@dtypes
@pytest.mark.parametrize("name", SLOPES)
def test_adjoints_behind_functions(name: str, dtype: str) -> None:
    g, a = values(dtype)[:, None], everywhere(dtype)
    function = lambda g, a: chain(g, SLOPES[name](a).astype(dtype))  # noqa: E731
    agree(getattr(ndl, name)(Tensor(g), Tensor(a)), function, g, a)


@dtypes
def test_the_loss_of_a_logit(dtype: str) -> None:
    z, t = everywhere(dtype), np.array([[0.0], [1.0], [0.5]], dtype)

    def loss(z: Array, t: Array) -> Array:
        return chain(t, np.logaddexp(0, -z)) + chain(1 - t, np.logaddexp(0, z))

    agree(ndl.logistic_loss(Tensor(z), Tensor(t)), loss, z, t)
    found = ndl.logistic_residual(Tensor(z), Tensor(t)).numpy()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(z) | np.isnan(t))
    for end, share in ((-np.inf, 0.0), (np.inf, 1.0)):
        expected = np.broadcast_to(share - t, found.shape)[:, z == end]
        np.testing.assert_array_equal(found[:, z == end], expected)


@dtypes
@pytest.mark.parametrize("name", SCALAR)
def test_one_operand_is_a_number(name: str, dtype: str) -> None:
    ours, theirs = SCALAR[name]
    x = everywhere(dtype)
    for value in values(dtype):
        number = float(value)
        agree(ours(Tensor(x), number), theirs, x, np.full_like(x, value))
        agree(ours(number, Tensor(x)), theirs, np.full_like(x, value), x)


@dtypes
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name: str, dtype: str) -> None:
    x, y = values(dtype)[:, None], everywhere(dtype)
    found = getattr(ndl, name)(Tensor(x), Tensor(y)).numpy()
    np.testing.assert_array_equal(found, getattr(np, name)(x, y))


@dtypes
@pytest.mark.parametrize("name", ["gelu_gradient", "silu_gradient"])
def test_slopes_at_the_ends(name: str, dtype: str) -> None:
    x = np.tile(np.array([-np.inf, np.inf, np.nan, -1e30, 1e30, -0.0, 0.0], dtype), 9)
    found = getattr(ndl, name)(Tensor(np.ones_like(x)), Tensor(x)).numpy()
    np.testing.assert_array_equal(found, np.tile([0, 1, np.nan, 0, 1, 0.5, 0.5], 9))
    assert not np.any(np.signbit(found[~np.isnan(found)]))
    nothing = getattr(ndl, name)(Tensor(np.zeros_like(x)), Tensor(x)).numpy()
    np.testing.assert_array_equal(nothing, 0)


@dtypes
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
def test_reductions(name: str, dtype: str) -> None:
    rows = [[value] * 37 for value in (-0.0, 0.0, np.inf, -np.inf, np.nan, -1.0)]
    for special in (np.nan, np.inf, -np.inf):
        for place in (0, 5, 36):
            rows.append([1.0] * 37)
            rows[-1][place] = special
    rows.append([np.inf, -np.inf] * 18 + [0.0])
    x = np.array(rows, dtype)
    agree(getattr(Tensor(x), name)(1), lambda a: getattr(a, name)(1), x)
    across = np.ascontiguousarray(x.T)
    agree(getattr(Tensor(across), name)(0), lambda a: getattr(a, name)(0), across)


def test_every_function_with_a_bound_is_here() -> None:
    names = {function.name.split()[0] for function in FUNCTIONS if "'" not in function.name}
    tested = {*UNARY, *BINARY, *SLOPES, "gelu_gradient", "silu_gradient", "power_scalar"}
    assert names <= tested | {"logistic_loss", "logistic_residual"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cubes_beyond_the_range_are_infinite_with_the_sign_of_the_base(dtype: str) -> None:
    """Also where what rounding took from the square is beyond the range, with either sign."""
    end = np.log10(float(np.finfo(dtype).max))
    sizes = 10.0 ** np.linspace(end / 3 + 0.1, end - 0.1, 999)
    bases = np.concatenate([sizes, -sizes]).astype(dtype)
    np.testing.assert_array_equal((Tensor(bases) ** 3).numpy(), np.copysign(np.inf, bases))
