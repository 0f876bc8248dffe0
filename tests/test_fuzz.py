"""Any shapes, dtypes and strides against NumPy (hypothesis)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tools.fuzz.arrays import LAYOUTS, in_layout

import needle as ndl
from needle import Tensor

settings.register_profile(
    "needle", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("needle")

FLOATS = ["float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = ["bool", *INTEGERS, *FLOATS]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def elements(dtype: str, special: bool) -> Any:
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind == "f":
        numbers = st.floats(-30, 30, width=32)
        return numbers | st.sampled_from([np.inf, -np.inf, np.nan, -0.0]) if special else numbers
    return st.integers(0 if kind == "u" else -9, 9)


@st.composite
def arrays(draw: Any, dtypes: Any = DTYPES, shape: Any = SHAPES, special: bool = True) -> Any:
    dtype = draw(st.sampled_from(dtypes))
    a = draw(hnp.arrays(dtype, shape, elements=elements(dtype, special)))
    return in_layout(a, draw(st.sampled_from(LAYOUTS)))


def tensor(draw_alias: bool, a: np.ndarray) -> Tensor:
    return ndl.from_numpy(a) if draw_alias else Tensor(a, requires_grad=False)


def same(got: Tensor, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    expected = np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if expected.dtype == "float64":
        rtol, atol = rtol * 1e-7, atol * 1e-6
    np.testing.assert_allclose(got.numpy(), expected, rtol=rtol, atol=atol)


@given(arrays(), st.booleans())
@settings(max_examples=150)
def test_in_and_out(a: np.ndarray, alias: bool) -> None:
    t = tensor(alias, a)
    same(t, a.astype(a.dtype.newbyteorder("=")), 0, 0)
    assert t.tolist() == a.tolist() or a.dtype.kind == "f"
    assert len(t.numpy().ravel()) == t.size


UNARY = ["exp", "sqrt", "sin", "cos", "tanh", "log", "negate", "abs", "sign", "relu"]


@given(arrays(FLOATS), st.booleans(), st.sampled_from(UNARY))
@settings(max_examples=150)
def test_unary(a: np.ndarray, alias: bool, name: str) -> None:
    references: dict[str, Callable[..., Any]] = {"negate": np.negative, "relu": relu}
    with np.errstate(all="ignore"):
        native = a.astype(a.dtype.newbyteorder("="))
        expected = references.get(name, getattr(np, name, None))(native)
    same(getattr(ndl.ops, name)(tensor(alias, a)), expected)


def relu(a: np.ndarray) -> np.ndarray:
    return np.where(a <= 0, a.dtype.type(0), a)


BINARY = ["add", "subtract", "multiply", "maximum", "minimum", "equal", "less", "greater_equal"]


@given(st.data(), st.sampled_from(BINARY), st.booleans())
@settings(max_examples=250)
def test_binary_with_broadcasting(data: st.DataObject, name: str, alias: bool) -> None:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4))
    a, b = (data.draw(arrays(shape=shape)) for shape in shapes.input_shapes)
    with np.errstate(all="ignore"):
        try:
            expected = getattr(np, name)(a, b)
        except TypeError:  # bool minus bool
            with pytest.raises(TypeError):
                getattr(ndl, name)(tensor(alias, a), tensor(alias, b))
            return
    same(getattr(ndl, name)(tensor(alias, a), tensor(alias, b)), expected)


@given(st.data(), st.booleans())
@settings(max_examples=100)
def test_division_and_power(data: st.DataObject, alias: bool) -> None:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3))
    a, b = (data.draw(arrays(shape=shape)) for shape in shapes.input_shapes)
    with np.errstate(all="ignore"):
        same(tensor(alias, a) / tensor(alias, b), a / b)
        base, exponent = np.abs(a.astype("f8")), np.clip(b.astype("f8"), -3, 3)
        same(Tensor(base) ** Tensor(exponent), base**exponent, 1e-3)


@given(st.data(), arrays(), st.booleans(), st.booleans())
@settings(max_examples=250)
def test_reductions(data: st.DataObject, a: np.ndarray, keepdims: bool, alias: bool) -> None:
    name = data.draw(st.sampled_from(["sum", "mean", "max", "min"]))
    axes = data.draw(
        st.none() | st.lists(st.integers(0, a.ndim - 1), unique=True).map(tuple)
        if a.ndim
        else st.sampled_from([None, ()])
    )
    if isinstance(axes, tuple):
        negative = data.draw(st.lists(st.booleans(), min_size=len(axes), max_size=len(axes)))
        axes = tuple(i - a.ndim if n else i for i, n in zip(axes, negative, strict=True))
        if len(axes) == 1 and data.draw(st.booleans()):
            axes = axes[0]
    t = tensor(alias, a)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            expected = getattr(np, name)(a, axis=axes, keepdims=keepdims)
        except ValueError:
            with pytest.raises(ValueError, match=name):
                getattr(t, name)(axes=axes, keepdims=keepdims)
            return
    same(getattr(t, name)(axes=axes, keepdims=keepdims), expected, atol=1e-4)


@given(st.data(), st.sampled_from([*FLOATS, "int64", "int8", "uint16"]), st.booleans())
@settings(max_examples=200)
def test_matmul(data: st.DataObject, dtype: str, alias: bool) -> None:
    signature = "(m?,n),(n,p?)->(m?,p?)"
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(signature=signature, max_dims=2, min_side=0, max_side=5)
    )
    a, b = (data.draw(arrays([dtype], shape, special=False)) for shape in shapes.input_shapes)
    expected = np.matmul(a, b)
    same(tensor(alias, a) @ tensor(alias, b), expected, atol=1e-3)


@given(st.data(), arrays(), st.booleans())
@settings(max_examples=200)
def test_getitem(data: st.DataObject, a: np.ndarray, alias: bool) -> None:
    key = data.draw(hnp.basic_indices(a.shape, allow_newaxis=True, allow_ellipsis=True))
    expected = a[key]
    t = tensor(alias, a)
    same(t[key], np.asarray(expected).astype(a.dtype.newbyteorder("=")), 0, 0)
    if a.dtype.kind == "f":
        x = Tensor(a)
        x[key].sum().backward()
        marks = np.zeros(a.shape, x.dtype)
        marks[key] = 1
        same(x.grad, marks, 0, 0)


@given(st.data(), arrays(), st.booleans())
@settings(max_examples=150)
def test_views(data: st.DataObject, a: np.ndarray, alias: bool) -> None:
    t, native = tensor(alias, a), a.astype(a.dtype.newbyteorder("="))
    order = tuple(data.draw(st.permutations(range(a.ndim))))
    if a.ndim:
        same(ndl.permute(t, order), native.transpose(order), 0, 0)
    if a.ndim > 1:
        i, j = (data.draw(st.integers(-a.ndim, a.ndim - 1)) for _ in range(2))
        same(ndl.transpose(t, (i, j)), native.swapaxes(i, j), 0, 0)
        same(
            ndl.transpose(t).reshape((-1,) if a.size else (a.size,)),
            native.swapaxes(-1, -2).ravel(),
        )
    lead = data.draw(st.lists(st.integers(0, 3), max_size=2))
    same(t.broadcast_to((*lead, *a.shape)), np.broadcast_to(native, (*lead, *a.shape)), 0, 0)
    same(t.reshape((*a.shape, 1)), native.reshape((*a.shape, 1)), 0, 0)


@given(arrays(special=False), st.sampled_from(DTYPES), st.booleans())
@settings(max_examples=150)
def test_astype(a: np.ndarray, dtype: str, alias: bool) -> None:
    if a.dtype.kind == "f" and dtype.startswith("u"):
        a = np.asarray(np.abs(a))
    same(tensor(alias, a).astype(dtype), a.astype(dtype), 0, 0)


@given(st.data(), st.integers(1, 4), st.booleans())
@settings(max_examples=150)
def test_joins(data: st.DataObject, count: int, alias: bool) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3))
    parts = [data.draw(arrays(shape=shape)) for _ in range(count)]
    tensors = [tensor(alias, part) for part in parts]
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    same(ndl.concat(tensors, axis), np.concatenate(parts, axis), 0, 0)
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    same(ndl.stack(tensors, axis), np.stack(parts, axis), 0, 0)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    pieces = ndl.split(tensors[0], axis)
    assert len(pieces) == shape[axis]
    for i, piece in enumerate(pieces):
        same(piece, np.take(parts[0], i, axis).astype(piece.dtype), 0, 0)
