"""How tensors are made, what they say of themselves, and what they share (CONTRACT 2.1, 2.2)."""

from __future__ import annotations

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float32", "float64"]


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([1.0, 2.0], "float64"),
        ([1, 2], "int64"),
        ([1, 2.5], "float64"),
        ([True, False], "bool"),
        (3.5, "float64"),
        (3, "int64"),
        (True, "bool"),
        (np.float32(2), "float32"),
        (np.int8(2), "int8"),
        ([], "float64"),
        ([[1, 2], [3, 4]], "int64"),
        (((1.0,), (2.0,)), "float64"),
        (np.zeros((2, 0), "uint16"), "uint16"),
    ],
)
def test_inference_is_numpys(given: object, dtype: str) -> None:
    t = Tensor(given)
    assert t.dtype == dtype
    assert t.shape == np.asarray(given).shape
    assert np.array_equal(t.numpy(), np.asarray(given))
    assert t.requires_grad is True


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_in_each_spelling(dtype: str) -> None:
    values = np.array([[0, 1], [1, 0]])
    for spelling in (dtype, np.dtype(dtype), getattr(np, dtype if dtype != "bool" else "bool_")):
        t = Tensor(values, dtype=spelling)
        assert t.dtype == dtype
        assert isinstance(t.dtype, np.dtype)
        assert Tensor([1], dtype=t.dtype).dtype == dtype
        assert np.array_equal(t.numpy(), values.astype(dtype))
    kept = Tensor(values.astype(dtype))
    assert kept.dtype == dtype


def test_arrays_are_copied() -> None:
    a = np.arange(4.0)
    t = Tensor(a)
    a[0] = 9
    assert t.numpy()[0] == 0
    for awkward in (np.arange(4.0)[::-1], np.arange(4.0).astype(">f8"), np.arange(8.0)[::2]):
        assert np.array_equal(Tensor(awkward).numpy(), awkward)
    assert np.array_equal(Tensor(np.asfortranarray([[1, 2], [3, 4]])).numpy(), [[1, 2], [3, 4]])


def test_a_tensor_of_a_tensor_shares_memory_and_is_a_leaf() -> None:
    x = Tensor([1.0, 2.0])
    y = x * 2
    shared = Tensor(y)
    assert shared.op is None
    assert shared.inputs == []
    assert shared.requires_grad is True
    assert address(shared.numpy()) == address(y.numpy())
    assert Tensor(y, requires_grad=False).requires_grad is False
    converted = Tensor(y, dtype="float32")
    assert converted.dtype == "float32"
    assert address(converted.numpy()) != address(y.numpy())
    assert converted.numpy().tolist() == [2, 4]


@pytest.mark.parametrize("given", [None, "text", ["a"], [None], object(), {"a": 1}, [1, None]])
def test_what_is_not_numeric_is_a_type_error(given: object) -> None:
    with pytest.raises(TypeError):
        Tensor(given)


def test_ragged_lists_and_lists_of_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="inhomogeneous"):
        Tensor([[1, 2], [3]])
    t = Tensor([1.0])
    for nested in ([t, t], [[t], [t]], (t,)):
        with pytest.raises(TypeError, match="stack"):
            Tensor(nested)


def test_everything_after_the_array_is_keyword_only() -> None:
    with pytest.raises(TypeError):
        Tensor([1.0], None)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Tensor([1.0], dtypo="float32")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Tensor()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "dtype", ["complex64", "U3", "datetime64[s]", "float16", object, "nonsense"]
)
def test_dtypes_that_needle_lacks(dtype: object) -> None:
    with pytest.raises(ndl.DTypeError) as error:
        Tensor([1, 2], dtype=dtype)
    assert isinstance(error.value, TypeError)
    assert "float32" in str(error.value)


def test_integer_tensors_are_differentiable() -> None:
    x = Tensor([6])
    y = x * x
    y.backward()
    assert x.grad.numpy().tolist() == [12]
    assert x.grad.dtype == "int64"
    x.grad.backward()
    assert x.grad.numpy().tolist() == [2]


def test_attributes() -> None:
    t = Tensor([[1.0, 2.0, 3.0]], dtype="float32", device=ndl.cpu())
    assert t.shape == (1, 3)
    assert isinstance(t.shape, tuple)
    assert (t.ndim, t.size, t.num_outputs) == (2, 3, 1)
    assert t.dtype == "float32"
    assert t.device == ndl.cpu()
    assert (t.op, t.inputs, t.grad) == (None, [], None)
    assert t.is_leaf() is True
    assert t.T.shape == (3, 1)
    assert t.tolist() == [[1.0, 2.0, 3.0]]
    with pytest.raises(TypeError):
        Tensor([1], device="gpu")


def test_requires_grad_is_assignable_on_leaves() -> None:
    x = Tensor([1.0], requires_grad=False)
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad is True
    x.requires_grad = False
    assert (x * 2).requires_grad is False
    y.requires_grad = True
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False


def test_grad_setter() -> None:
    x = Tensor([1.0, 2.0])
    g = Tensor([3.0, 4.0])
    x.grad = g
    assert x.grad is g
    x.grad = None
    assert x.grad is None
    with pytest.raises(ValueError, match="own gradient"):
        x.grad = x
    with pytest.raises(ValueError, match="shape"):
        x.grad = Tensor([1.0])
    for wrong in (1.0, np.ones(2), [1.0, 2.0]):
        with pytest.raises(TypeError):
            x.grad = wrong


def test_repr_and_str() -> None:
    t = Tensor([[1.5, 2.0]])
    assert repr(t) == "needle.Tensor([[1.5 2. ]])"
    assert str(t) == str(np.array([[1.5, 2.0]]))
    assert repr(Tensor(3)) == "needle.Tensor(3)"
    tt = ndl.make_tuple(Tensor([1.0]), Tensor(2))
    assert repr(tt).startswith("needle.TensorTuple(")


def test_op_results_know_their_op_and_inputs() -> None:
    x, y = Tensor([1.0]), Tensor([2.0])
    z = x * y
    assert isinstance(z.op, ndl.EWiseMul)
    assert z.inputs[0] is x
    assert z.inputs[1] is y
    assert z.is_leaf() is False
    w = z + z
    assert w.inputs[0] is w.inputs[1]
    assert w.inputs[0] is z
    assert type(w) is Tensor


def address(array: np.ndarray) -> int:
    """Where the data of an array lie."""
    return array.__array_interface__["data"][0]
