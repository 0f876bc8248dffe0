"""Every rule in every dtype that its op admits: the derivative of floats of the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float32", "float64"]
SAMPLES = [
    pytest.param(op, inputs, id=f"{row['name']}-{i}")
    for row in ndl._core.op_table()
    for i, (op, inputs) in enumerate(row["samples"])
    if row["differentiable"] and row["name"] != "astype"
]


def values(x: Tensor, dtype: str) -> np.ndarray:
    """Small numbers that the dtype can hold; indices and conditions as they are."""
    a = x.numpy()
    if a.dtype.kind != "f":
        return a
    whole = np.abs(np.round(a * 2)) % 4
    return (whole != 0) if dtype == "bool" else whole


def total(value: Any) -> Tensor:
    parts = list(value) if isinstance(value, ndl.TensorTuple) else [value]
    return sum((part.sum() for part in parts[1:]), parts[0].sum())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "inputs"), SAMPLES)
def test_gradients_are_those_of_floats(op: Any, inputs: list[Tensor], dtype: str) -> None:
    arrays = [values(x, dtype) for x in inputs]
    floats = [x.dtype.kind == "f" for x in inputs]

    def leaves(dtype: str) -> list[Tensor]:
        pairs = zip(arrays, floats, strict=True)
        return [Tensor(a.astype(dtype) if is_float else a) for a, is_float in pairs]

    own, expected = leaves(dtype), leaves("float64")
    if dtype == "bool" and type(op).__name__ in ("EWiseSub", "Negate"):
        with pytest.raises(ndl.DTypeError):
            op(*own)
        return
    total(op(*own)).backward()
    total(op(*expected)).backward()
    for x, y in zip(own, expected, strict=True):
        assert (x.grad is None) == (y.grad is None)
        if x.grad is not None:
            got, reference = x.grad.numpy().astype("float64"), y.grad.numpy()
            np.testing.assert_allclose(got, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES[:-2])
def test_adjoints_of_roots_that_are_no_floats_add_up(dtype: str) -> None:
    for body in (lambda x: x + x, lambda x: ndl.stack([x, x]), lambda x: ndl.concat([x, x])):
        x = Tensor(np.ones(3, dtype))
        body(x).backward()
        assert x.grad.numpy().tolist() == [2, 2, 2]
        assert x.grad.dtype == ("float64" if dtype == "uint64" else "int64")
    x = Tensor(np.ones(3, dtype))
    ndl.take(x, Tensor([0, 0, 2])).backward()
    assert x.grad.numpy().tolist() == [2, 0, 1]


def test_large_numbers_without_a_sign() -> None:
    x = Tensor(np.array([3], "uint64"))
    (x * 2**63).backward()
    assert x.grad.item() == 2.0**63


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_adjoints_of_what_has_no_sign_have_one(dtype: str) -> None:
    for body in (lambda a: -a, lambda a: 3 - a, lambda a: -(a * a) * 2):
        x = Tensor(np.array([1, 2, 3], dtype))
        body(x).backward()
        assert (x.grad.numpy() < 0).all(), x.grad
    x = Tensor(np.array([0, 1, 3], dtype))
    (x**x).backward()
    logs = np.log([1.0, 1.0, 3.0])
    powers = np.array([1.0, 1.0, 27.0])
    np.testing.assert_allclose(x.grad.numpy(), [0, 1, 27] + powers * logs)
