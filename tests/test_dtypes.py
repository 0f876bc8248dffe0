"""Promotion and result dtypes as NumPy's (CONTRACT 2.3, 5)."""

from __future__ import annotations

import contextlib
import itertools
import operator
import warnings
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = ["bool", *INTEGERS, "float32", "float64"]
PAIRS = list(itertools.product(DTYPES, DTYPES))


def sample(dtype: str) -> np.ndarray:
    return np.array([1, 0, 1]) == 1 if dtype == "bool" else np.array([3, 1, 2], dtype)


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_arithmetic_of_two_tensors(left: str, right: str) -> None:
    a, b = sample(left), sample(right)
    for op in (operator.add, operator.mul, operator.truediv, operator.pow, operator.sub):
        try:
            with np.errstate(all="ignore"):
                expected = op(a, b)
        except TypeError:
            with pytest.raises(TypeError):
                op(Tensor(a), Tensor(b))
            continue
        if left == right == "bool" and op is operator.pow:
            continue  # NumPy has int8 here, for want of a bool power
        got = op(Tensor(a), Tensor(b)).numpy()
        assert got.dtype == expected.dtype, op.__name__
        np.testing.assert_allclose(got, expected, rtol=1e-6, err_msg=op.__name__)


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_comparisons_choices_and_joins(left: str, right: str) -> None:
    a, b = sample(left), sample(right)
    t, u = Tensor(a), Tensor(b)
    assert np.array_equal((t < u).numpy(), a < b)
    assert np.array_equal((t == u).numpy(), a == b)
    for function, reference in [(ndl.maximum, np.maximum), (ndl.minimum, np.minimum)]:
        expected = reference(a, b)
        assert function(t, u).dtype == expected.dtype
        assert np.array_equal(function(t, u).numpy(), expected)
    assert ndl.where(t, t, u).dtype == np.where(a, a, b).dtype
    assert np.array_equal(ndl.stack([t, u]).numpy(), np.stack([a, b]))
    assert ndl.concat([t, u]).dtype == np.concatenate([a, b]).dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [2, 2.5, True, np.float64(2.5), np.float32(2), np.int8(2)])
def test_numbers(dtype: str, number: Any) -> None:
    a = sample(dtype)
    for op in (operator.add, operator.mul, operator.truediv):
        expected = op(a, number)
        got = op(Tensor(a), number)
        assert got.dtype == expected.dtype, op.__name__
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


def test_float32_stays_float32_with_python_numbers() -> None:
    t = Tensor([1.0], dtype="float32")
    for result in (t + 1, t * 2.5, t / 3, t**2, t - 1.5, 1 - t, 2 / t, 2**t, -t):
        assert result.dtype == "float32"
        assert result.requires_grad
    assert (t * np.float64(2)).dtype == "float64"
    assert (np.float64(2) * t).dtype == "float64"


@pytest.mark.parametrize("dtype", INTEGERS)
def test_python_integers_out_of_bounds(dtype: str) -> None:
    t = Tensor(sample(dtype))
    too_large = int(np.iinfo(dtype).max) + 1
    with pytest.raises(OverflowError):
        np.add(sample(dtype), too_large)
    with pytest.raises(OverflowError):
        t + too_large
    assert (t < too_large).numpy().all()


def test_integer_overflow_wraps() -> None:
    for dtype in INTEGERS:
        a = np.array([np.iinfo(dtype).max], dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert np.array_equal((Tensor(a) + Tensor(a)).numpy(), a + a)
            assert np.array_equal((Tensor(a) * 3).numpy(), a * 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions_and_functions(dtype: str) -> None:
    a = sample(dtype)
    t = Tensor(a)
    for name in ("sum", "mean", "max", "min"):
        expected = getattr(np, name)(a)
        got = getattr(t, name)()
        assert got.shape == ()
        assert got.dtype == expected.dtype, name
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)
    for name in ("exp", "sqrt", "sin", "cos", "tanh"):
        got = getattr(t, name)()
        narrow = np.dtype(dtype).itemsize < 4  # NumPy has float16 or float32 here
        floating = dtype if dtype.startswith("float") else "float32" if narrow else "float64"
        assert got.dtype == floating, name
        np.testing.assert_allclose(got.numpy(), getattr(np, name)(a.astype(floating)), rtol=1e-6)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_astype(source: str, target: str) -> None:
    # Negative floats have no meaning as unsigned integers, in NumPy either.
    negative = source.startswith("int") or (source, target[0]) in [
        ("float32", "i"),
        ("float64", "i"),
    ]
    values = [-3, 0, 100] if negative else [0, 1, 100]
    a = np.array(values).astype(source)
    got = Tensor(a).astype(target)
    assert got.dtype == target
    assert np.array_equal(got.numpy(), a.astype(target))


def test_joins_of_three_dtypes() -> None:
    for dtypes in [("int8", "uint16", "float32"), ("bool", "uint8", "int8"), ("uint64", "int8")]:
        for order in itertools.permutations(dtypes):
            parts = [sample(dtype) for dtype in order]
            expected = np.concatenate(parts).dtype
            assert ndl.concat([Tensor(p) for p in parts]).dtype == expected, order
            assert ndl.stack([Tensor(p) for p in parts]).dtype == expected, order


def test_mixed_floats_promote_in_the_softmax_loss() -> None:
    logits = Tensor(np.full((2, 3), 0.1), dtype="float32")
    one_hot = Tensor(np.eye(3)[[0, 2]])
    product = logits * one_hot
    assert product.dtype == "float64"
    product.sum().backward()
    assert logits.grad.dtype == "float32"
    assert (Tensor([True]) * Tensor([1.0])).dtype == "float64"
    assert (Tensor([1], dtype="uint8") * Tensor([1.0], dtype="float32")).dtype == "float32"


def test_gradients_keep_the_dtype_of_float_leaves() -> None:
    x = Tensor([1.0, 2.0], dtype="float32")
    y = Tensor([1.0, 2.0])
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == ("float32", "float64")
    n = Tensor([1, 2])
    (n / 2).backward()
    assert n.grad.dtype == "float64"
    (n * n).backward()
    assert n.grad.dtype == "int64"


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS])
@pytest.mark.parametrize(
    "function",
    [
        *("erf", "gelu", "silu", "softplus", "leaky_relu", "tanh", "sigmoid", "log1p"),
        *("layer_norm", "rms_norm", "var"),
    ],
)
def test_derivatives_of_integers_are_those_of_floats(function: str, dtype: str) -> None:
    """Also where the square of an integer would wrap, and where there are no negative ones."""
    values = [1, 0, 1] if dtype == "bool" else [3, 1, 17]
    found, expected = (
        derivatives(getattr(ndl, function), Tensor(values, dtype=kind))
        for kind in (dtype, "float64")
    )
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_derivative_of_log1p_does_not_wrap_at_the_largest_integer(dtype: str) -> None:
    most = np.iinfo(dtype).max
    x = Tensor([most], dtype=dtype)
    ndl.log1p(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [1 / (float(most) + 1)], rtol=1e-6)


def derivatives(function: Any, x: Any) -> list[np.ndarray]:
    """The first and second derivative of the square of a function."""
    (function(x) ** 2).sum().backward()
    first, x.grad = x.grad, None
    (first**2).sum().backward()
    return [first.numpy(), x.grad.numpy()]


@pytest.mark.parametrize("dtype", ["int64", "int8"])
@pytest.mark.parametrize(
    ("base", "exponent"),
    [((0, 3), (3,)), ((0, 1), (1, 3)), ((3,), (0, 3)), ((0,), ()), ((2, 0), None)],
)
def test_negative_powers_of_no_integers(
    base: tuple[int, ...], exponent: tuple[int, ...] | None, dtype: str
) -> None:
    a = np.ones(base, dtype)
    b = -1 if exponent is None else np.full(exponent, -1, dtype)
    expected = np.power(a, b)
    for mode in (contextlib.nullcontext, ndl.lazy):
        with mode():
            result = Tensor(a) ** (b if isinstance(b, int) else Tensor(b))
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
            assert result.numpy().size == 0
