"""Losses and functions far from the origin: as the mathematics has them, not the formula.

Reference values are computed by mpmath with 60 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn import functional as F

Array = np.ndarray[Any, Any]
DTYPES = ("float32", "float64")
dtypes = pytest.mark.parametrize("dtype", DTYPES)
in_modes = pytest.mark.parametrize("is_lazy", [False, True], ids=["eager", "lazy"])


def exactly(function: Callable[..., Any], *arrays: Array) -> Array:
    """A function of mpmath numbers, for each element."""
    with mpmath.workdps(60):
        points = zip(*(array.tolist() for array in arrays), strict=True)
        return np.array([float(function(*map(mpmath.mpf, point))) for point in points])


def orders(function: Callable[[Tensor], Tensor], x: Tensor, count: int) -> list[Array]:
    """The value and its derivatives."""
    value = function(x)
    found = [value.numpy()]
    for _ in range(count):
        value.sum().backward()
        assert x.grad is not None
        value, x.grad = x.grad, None
        found.append(value.numpy())
    return found


def close(found: Array, expected: Array, units: float = 8.0) -> None:
    info = np.finfo(found.dtype)
    with np.errstate(over="ignore", under="ignore"):
        expected = expected.astype(found.dtype)
    np.testing.assert_allclose(
        found, expected, rtol=units * info.eps, atol=units * info.smallest_subnormal
    )


def softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(x))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


@in_modes
@dtypes
def test_binary_cross_entropy_of_logits(dtype: str, is_lazy: bool) -> None:
    sizes = [0.0, 1e-30, 0.5, 3.0, 15.0, 17.0, 80.0, 103.0, 400.0, 740.0, 1e4, 1e30]
    z = np.array([sign * size for size in sizes for sign in (1, -1)], dtype)
    for target in (0.0, 1.0, 0.25, 1e-6):
        t = np.full_like(z, target)
        with ndl.lazy(is_lazy):
            loss = lambda x: F.binary_cross_entropy_with_logits(x, t, "none")  # noqa: B023, E731
            value, first, second = orders(loss, Tensor(z), 2)
        close(value, exactly(lambda z, t: t * softplus(-z) + (1 - t) * softplus(z), z, t))
        close(first, exactly(lambda z, t: (1 - t) * sigmoid(z) - t * sigmoid(-z), z, t))
        close(second, exactly(lambda z, _: sigmoid(z) * sigmoid(-z), z, t))


def test_binary_cross_entropy_as_a_module() -> None:
    z = Tensor(np.array([15.0], "float32"))
    loss = nn.BCEWithLogitsLoss()(z, [1.0])
    loss.backward()
    assert loss.item() == pytest.approx(3.059022e-7, rel=1e-6)
    assert z.grad.item() == pytest.approx(-3.059022e-7, rel=1e-6)


@dtypes
def test_binary_cross_entropy_of_infinite_logits(dtype: str) -> None:
    z = np.array([np.inf, np.inf, np.inf, -np.inf, -np.inf, -np.inf], dtype)
    t = np.array([1.0, 0.0, 0.5, 1.0, 0.0, 0.5], dtype)
    loss = lambda x: F.binary_cross_entropy_with_logits(x, t, "none")  # noqa: E731
    value, first, second = orders(loss, Tensor(z), 2)
    np.testing.assert_array_equal(value, [0, np.inf, np.inf, np.inf, 0, np.inf])
    np.testing.assert_array_equal(first, [0, 1, 0.5, -1, 0, -0.5])
    np.testing.assert_array_equal(second, 0)


@dtypes
def test_the_target_of_a_logit_has_a_derivative(dtype: str) -> None:
    z = np.array([-200.0, -1.0, 0.0, 2.0, 300.0], dtype)
    t = Tensor(np.array([0.0, 0.3, 0.5, 0.9, 1.0], dtype))
    _, first, second = orders(lambda t: ndl.logistic_loss(Tensor(z), t) * t, t, 2)
    with np.errstate(over="ignore"):
        expected = exactly(
            lambda z, t: t * softplus(-z) + (1 - t) * softplus(z) - t * z, z, t.numpy()
        )
    close(first, expected, 16)
    close(second, -2 * z.astype(float))


@dtypes
def test_huber_is_smooth_at_0_and_linear_far_off(dtype: str) -> None:
    top = float(np.finfo(dtype).max)
    x = np.array([0.0, 0.5, -0.5, 3.0, -3.0, top / 8, -top / 8], dtype)
    value, first, second = orders(lambda x: F.huber_loss(x, 0 * x, 2.0, "none"), Tensor(x), 2)
    size = np.abs(x.astype("float64"))
    close(value, np.where(size <= 2, np.minimum(size, 2) ** 2 / 2, 2.0 * size - 2))
    np.testing.assert_array_equal(first, np.clip(x, -2, 2))
    np.testing.assert_array_equal(second, np.abs(x) < 2)


@dtypes
def test_gelu_by_tanh_keeps_its_left_tail(dtype: str) -> None:
    x = np.array([-7.0, -5.0, -3.0, -0.5, 0.0, 2.0, 9.0, -np.inf, np.inf, -1e30, 1e30], dtype)
    value, first = orders(lambda x: F.gelu(x, "tanh"), Tensor(x), 1)

    def right(x: Any) -> Any:
        if abs(x) > 1e3:
            return max(x, 0)
        return x * sigmoid(mpmath.sqrt(8 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))

    # The argument of the exponential is rounded.
    close(value, exactly(right, x), 100)
    finite = np.isfinite(x) & (np.abs(x) < 1e3)
    slopes = exactly(lambda x: mpmath.diff(right, x), x[finite])
    close(first[finite], slopes, 400)
    np.testing.assert_array_equal(first[~finite], x[~finite] > 0)


@dtypes
@pytest.mark.parametrize("exponent", [0.1, 1 / 3, -0.3, 2.3, 1e-20, -1.7, 0.5, 3])
def test_derivatives_of_powers_far_from_1(exponent: float, dtype: str) -> None:
    c = np.dtype(dtype).type(exponent)
    top = np.log10(np.finfo(dtype).max)
    x = np.array([2e-18, 3e-15, 0.3, 1.0, 7.0, 3e10, 0.9 * 10.0 ** (top / 4)], dtype)
    for run in (lambda x: x**exponent, lambda x: x ** Tensor(np.full_like(x.numpy(), c))):
        _, first, second = orders(run, Tensor(x), 2)
        b = mpmath.mpf(float(c))
        close(first, exactly(lambda x: b * x ** (b - 1), x))  # noqa: B023
        close(second, exactly(lambda x: b * (b - 1) * x ** (b - 2), x))  # noqa: B023


@dtypes
def test_a_large_adjoint_meets_a_tiny_derivative(dtype: str) -> None:
    info = np.finfo(dtype)
    # Below the normal numbers the derivative alone has few digits.
    far = np.array([-np.log(float(info.smallest_normal)) + 4], dtype)
    g = np.array([float(info.max) / 8], dtype)
    found = ndl.sigmoid_gradient(Tensor(g), Tensor(far)).numpy()
    close(found, exactly(lambda g, x: g * sigmoid(x) * sigmoid(-x), g, far))
    far = np.sqrt(far)
    found = ndl.erf_gradient(Tensor(g), Tensor(far)).numpy()
    close(found, exactly(lambda g, x: 2 * g * mpmath.exp(-x * x) / mpmath.sqrt(mpmath.pi), g, far))
