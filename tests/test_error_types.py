"""Messages about types, misuse and gradients: exact class and text (DESIGN 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import DTypeError, GradError, Tensor


def t(*shape: int, dtype: str = "float64") -> Tensor:
    return Tensor(np.ones(shape), dtype=dtype)


DTYPE_HINT = (
    "hint: needle has bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, "
    "float32, float64"
)

# What is done, the exact class, the exact text.
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # dtypes and types
    (
        lambda: Tensor([1], dtype="complex64"),
        DTypeError,
        "dtype complex64 is not supported\n" + DTYPE_HINT,
    ),
    (
        lambda: ndl.from_numpy(np.ones(1, "float16")),
        DTypeError,
        "dtype float16 is not supported\n" + DTYPE_HINT,
    ),
    (
        lambda: -Tensor([True]),
        DTypeError,
        "negate: bool is not supported\nhint: use equal(a, False)",
    ),
    (lambda: Tensor(None), TypeError, "expected numbers, got None"),
    (lambda: Tensor("text"), TypeError, "expected numbers, got an array of dtype <U4"),
    (
        lambda: Tensor([t(1)]),
        TypeError,
        "cannot make a tensor of a list of tensors: it would cut the graph\nhint: use needle.stack",
    ),
    (lambda: ndl.from_numpy([1]), TypeError, "from_numpy: expected numpy.ndarray, got list"),
    (lambda: Tensor([1], device="gpu"), TypeError, "device: expected cpu(), got gpu"),
    (
        lambda: setattr(t(1), "grad", 1),
        TypeError,
        "grad: expected None or a Tensor, got int\nhint: write t.grad = needle.Tensor(value)",
    ),
    (lambda: len(t()), TypeError, "len() of unsized object: the tensor is 0-d"),
    (lambda: iter(t()), TypeError, "iteration over a 0-d tensor"),
    (lambda: ndl.add(t(1)), TypeError, "add: missing argument 'b'\nhint: add takes a, b"),
    (
        lambda: ndl.reshape(t(1)),
        TypeError,
        "reshape: missing argument 'shape'\nhint: reshape takes a, shape",
    ),
    (lambda: ndl.exp(t(1), 2), TypeError, "exp: expected 1 argument, got 2\nhint: exp takes a"),
    (
        lambda: ndl.exp(t(1), b=2),
        TypeError,
        "exp: unexpected keyword argument 'b'\nhint: exp takes a",
    ),
    (
        lambda: ndl.summation(t(1), 0, axes=0),
        TypeError,
        "summation: got multiple values for argument 'axes'",
    ),
    (
        lambda: ndl.summation(t(1), axes=1.5),
        TypeError,
        "summation: axes expects an integer or several, got float",
    ),
    (
        lambda: ndl.stack([t(1)], axis=1.5),
        TypeError,
        "stack: axis expects an integer, got float",
    ),
    (lambda: ndl.AddScalar("a"), TypeError, "add_scalar: scalar expects a number, got str"),
    (
        lambda: ndl.stack(3),
        TypeError,
        "stack: args expects a list or tuple of tensors, got int",
    ),
    (lambda: ndl.EWiseAdd()(t(1)), TypeError, "add: expected 2 operands, got 1"),
    # assertions
    (
        lambda: setattr(t(1), "data", Tensor([1])),
        AssertionError,
        "data: dtypes differ: tensor has float64, value has int64\n"
        "hint: write t.data = value.astype(t.dtype)",
    ),
    (
        lambda: setattr(t(1), "data", 1),
        AssertionError,
        "data: expected a Tensor, got int\n"
        "hint: write t.data = needle.Tensor(value, dtype=t.dtype)",
    ),
    (
        lambda: ndl.make_tuple(t(1)) + t(1),
        AssertionError,
        "add: expected a TensorTuple, got Tensor",
    ),
    (
        lambda: ndl.make_tuple(t(1)) + ndl.make_tuple(t(1), t(1)),
        AssertionError,
        "add: tuples of 1 and 2 tensors",
    ),
    (
        lambda: ndl.tuple_get_item(t(1), 0),
        AssertionError,
        "tuple_get_item: expected a TensorTuple, got Tensor",
    ),
    # gradients and objects
    (
        lambda: Tensor([1.0], requires_grad=False).backward(),
        GradError,
        "backward: the tensor does not require a gradient\n"
        "hint: it was computed within no_grad(), or from constants and detached tensors alone; "
        "make a leaf with requires_grad=True",
    ),
    (
        lambda: setattr(t(1) * 2, "requires_grad", False),
        GradError,
        "requires_grad: only a leaf can stop requiring a gradient\n"
        "hint: use detach(); a step is w.data = w - lr * w.grad, else w keeps the graph of all "
        "steps before",
    ),
    (
        lambda: (t(1) * 2).__reduce__(),
        RuntimeError,
        "only leaves and gradients can be pickled or copied: this tensor is the result of an op, "
        "whose history would be lost\nhint: use detach()",
    ),
    (
        lambda: Tensor.__new__(Tensor).shape,
        RuntimeError,
        "the object is empty: __init__ or _init has not run\n"
        "hint: call super().__init__(...) first",
    ),
    (
        lambda: t(1)._init(None, [], cached_data=np.ones(1)),
        RuntimeError,
        "the object already has a value: it is filled once",
    ),
    (
        lambda: ndl.Exp().gradient_as_tuple(t(1), Tensor([1.0])),
        GradError,
        "exp: the node has no inputs: nothing was recorded for it\n"
        "hint: one of the operands must require a gradient",
    ),
]


@pytest.mark.parametrize(("act", "cls", "text"), ERRORS, ids=[e[2].split("\n")[0] for e in ERRORS])
def test_message(act: Callable[[], Any], cls: type[Exception], text: str) -> None:
    with pytest.raises(cls) as caught:
        act()
    assert type(caught.value) is cls
    assert str(caught.value) == text


def test_messages_are_in_the_house_form() -> None:
    for _, _, text in ERRORS:
        first = text.split("\n")[0]
        assert not first.endswith((".", "!", "?"))
        assert first[0].islower()
        assert all(line.startswith("hint: ") for line in text.split("\n")[1:])


def test_replaced_inputs_are_named() -> None:
    x, y = Tensor([1.0]), Tensor([2.0])
    z = x * y
    y.data = Tensor([3.0])
    with pytest.raises(GradError) as caught:
        z.backward()
    assert str(caught.value) == (
        "multiply: its gradient needs input 1, which was replaced (`.data =`) after the operation "
        "was recorded\nhint: call backward() before the assignment, or record again after it"
    )


def test_objects_that_cannot_be_printed(capfd: pytest.CaptureFixture[str]) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise KeyError("mine")

        __str__ = __repr__

    for act in (
        lambda: t(1).astype(Hostile()),
        lambda: Tensor([1], dtype=Hostile()),
        lambda: Tensor([1], device=Hostile()),
        lambda: Tensor(Hostile()),
        lambda: t(1)[Hostile()],
    ):
        with pytest.raises(TypeError):
            act()
    assert capfd.readouterr().err == ""
