"""Comparisons of integers are those of whole numbers, and otherwise NumPy's."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

Array = np.ndarray[Any, Any]
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
# Around the ends of both ranges, and where float64 has no longer every whole number.
SIGNED = np.array([-(2**63), -(2**53) - 1, -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1])
UNSIGNED = np.array([0, 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1], "uint64")
INTEGERS = {
    "int8": np.array([-128, -1, 0, 127], "int8"),
    "int32": np.array([-(2**31), -1, 0, 2**31 - 1], "int32"),
    "int64": SIGNED,
    "uint8": np.array([0, 255], "uint8"),
    "uint64": UNSIGNED,
}
FLOATS = {
    "float32": np.array([-1.5, 0.0, 2.0**53, 2.0**63, np.inf, np.nan], "float32"),
    "float64": np.array([-1.5, -(2.0**63), 2.0**53, 2.0**53 + 2, 2.0**63, 2.0**64, np.nan]),
}
NUMBERS = [*SIGNED.tolist(), *UNSIGNED.tolist(), 2**64, 2**70, -(2**63) - 1, -(2**80)]

names = pytest.mark.parametrize("name", OPERATORS)


def exact(name: str, a: Array, b: Array) -> Array:
    """The comparison of each number with each, by Python's integers."""
    rows = [[OPERATORS[name](x, y) for y in b.tolist()] for x in a.tolist()]
    return np.array(rows)


@names
@pytest.mark.parametrize(("left", "right"), list(itertools.product(INTEGERS, INTEGERS)))
def test_integers_of_any_kind(name: str, left: str, right: str) -> None:
    a, b = INTEGERS[left][:, None], INTEGERS[right]
    expected = exact(name, INTEGERS[left], b)
    compare = OPERATORS[name]
    np.testing.assert_array_equal(compare(Tensor(a), Tensor(b)).numpy(), expected)
    np.testing.assert_array_equal(compare(Tensor(a), b).numpy(), expected)
    np.testing.assert_array_equal(getattr(ndl, name)(Tensor(a), Tensor(b)).numpy(), expected)
    # Side by side in memory, and not.
    a, b = (np.ascontiguousarray(part) for part in np.broadcast_arrays(a, b))
    np.testing.assert_array_equal(compare(Tensor(a), Tensor(b)).numpy(), expected)
    with ndl.lazy():
        lazy = compare(Tensor(a.T), Tensor(b.T))
        np.testing.assert_array_equal(lazy.numpy(), expected.T)


@names
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_and_python_numbers_of_any_size(name: str, dtype: str) -> None:
    a = INTEGERS[dtype]
    for number in NUMBERS:
        expected = exact(name, a, np.array([number], object))[:, 0]
        found = OPERATORS[name](Tensor(a), number)
        np.testing.assert_array_equal(found.numpy(), expected, str(number))
        expected = exact(name, np.array([number], object), a)[0]
        found = OPERATORS[name](number, Tensor(a))
        np.testing.assert_array_equal(found.numpy(), expected, str(number))


@names
@pytest.mark.parametrize(("left", "right"), list(itertools.product(INTEGERS, FLOATS)))
def test_integers_and_floats_as_numpy(name: str, left: str, right: str) -> None:
    a, b = INTEGERS[left][:, None], FLOATS[right]
    compare = OPERATORS[name]
    np.testing.assert_array_equal(compare(Tensor(a), Tensor(b)).numpy(), compare(a, b))
    np.testing.assert_array_equal(compare(Tensor(b), Tensor(a)).numpy(), compare(b, a))
    for number in (0.5, -1.0, 2.0**53, 2.0**63, np.inf, np.nan):
        np.testing.assert_array_equal(compare(Tensor(a), number).numpy(), compare(a, number))


def test_arithmetic_of_such_pairs_keeps_the_promoted_dtype() -> None:
    a, b = SIGNED[:, None], UNSIGNED
    for function in (np.add, np.multiply, np.maximum, np.minimum):
        found = getattr(ndl, function.__name__)(Tensor(a), Tensor(b)).numpy()
        assert found.dtype == "float64"
        np.testing.assert_array_equal(found, function(a.astype(float), b.astype(float)))


def test_no_elements() -> None:
    found = Tensor(SIGNED[:0]) < Tensor(UNSIGNED[:0])
    assert found.shape == (0,)
    assert found.dtype == "bool"


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_integers_beyond_the_range_are_finite(name: str, dtype: str) -> None:
    """An infinity is larger than any integer, and every other number is smaller than these."""
    compare = OPERATORS[name]
    kind = np.dtype(dtype).kind
    values = (
        [0, 1] if kind in "iub" else [-np.inf, -1.0, np.inf, np.nan, float(np.finfo(dtype).max)]
    )
    a = np.array(values, dtype)
    for number in (10**400, -(10**400), 2**2000, *([2**200] if dtype != "float64" else [])):
        x = Tensor(a)
        np.testing.assert_array_equal(
            compare(x, number).numpy(), [compare(v, number) for v in a.tolist()]
        )
        np.testing.assert_array_equal(
            compare(number, x).numpy(), [compare(number, v) for v in a.tolist()]
        )
