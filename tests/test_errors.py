"""Messages about shapes, axes, indices and values: exact class and text (DESIGN 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import AxisError, DTypeError, GradError, ShapeError, Tensor


def t(*shape: int, dtype: str = "float64") -> Tensor:
    return Tensor(np.ones(shape), dtype=dtype)


# What is done, the exact class, the exact text.
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # shapes
    (lambda: t(2, 3) + t(4), ShapeError, "add: shapes (2, 3) and (4,) do not broadcast together"),
    (lambda: t(2) * t(3), ShapeError, "multiply: shapes (2,) and (3,) do not broadcast together"),
    (lambda: t(2) / t(3), ShapeError, "divide: shapes (2,) and (3,) do not broadcast together"),
    (lambda: t(2) ** t(3), ShapeError, "power: shapes (2,) and (3,) do not broadcast together"),
    (lambda: t(2) < t(3), ShapeError, "less: shapes (2,) and (3,) do not broadcast together"),
    (
        lambda: ndl.maximum(t(2), t(3)),
        ShapeError,
        "maximum: shapes (2,) and (3,) do not broadcast together",
    ),
    (
        lambda: ndl.where(t(2), t(3), t(3)),
        ShapeError,
        "where: shapes (2,), (3,) and (3,) do not broadcast together",
    ),
    (lambda: t(2, 3) @ t(4, 5), ShapeError, "matmul: inner dimensions differ: (2, 3) @ (4, 5)"),
    (lambda: t(3) @ t(4), ShapeError, "matmul: inner dimensions differ: (3,) @ (4,)"),
    (lambda: t() @ t(3), ShapeError, "matmul: operands need at least one dimension: () @ (3,)"),
    (
        lambda: t(2, 3, 3) @ t(4, 3, 3),
        ShapeError,
        "matmul: batches do not broadcast: (2, 3, 3) @ (4, 3, 3)",
    ),
    (lambda: t(2, 3).reshape((4, 2)), ShapeError, "reshape: cannot reshape (2, 3) into (4, 2)"),
    (lambda: t(2, 3).reshape(-1, 4), ShapeError, "reshape: cannot reshape (2, 3) into (-1, 4)"),
    (lambda: t(2, 3).reshape(5), ShapeError, "reshape: cannot reshape (2, 3) into (5,)"),
    (
        lambda: t(2, 3).broadcast_to((3, 3)),
        ShapeError,
        "broadcast_to: cannot broadcast (2, 3) to (3, 3)",
    ),
    (
        lambda: t(1).broadcast_to((-1,)),
        ShapeError,
        "broadcast_to: negative length -1 in the shape",
    ),
    (
        lambda: ndl.concat(t(2)),
        ShapeError,
        "concat: single numbers have no axis to be joined along\nhint: use stack",
    ),
    (
        lambda: ndl.stack([t(2), t(3)]),
        ShapeError,
        "stack: all tensors need one shape, got (2,) and (3,)",
    ),
    (
        lambda: ndl.concat([t(2, 1), t(3, 2)], 0),
        ShapeError,
        "concat: shapes (2, 1) and (3, 2) differ outside of axis 0",
    ),
    (
        lambda: ndl.permute(t(2, 3), (0,)),
        ShapeError,
        "permute: 1 axes given for 2 dimensions",
    ),
    (lambda: ndl.logsoftmax(t(3)), ShapeError, "logsoftmax: expected 2 dimensions, got shape (3,)"),
    (
        lambda: setattr(t(2), "grad", t(3)),
        ShapeError,
        "grad: has shape (3,), expected (2,)",
    ),
    (
        lambda: (t(2) * 1).backward(t(3)),
        ShapeError,
        "backward: out_grad has shape (3,), expected (2,)",
    ),
    # axes
    (
        lambda: t(2, 3).sum(axes=2),
        AxisError,
        "summation: axis 2 is out of bounds for array of dimension 2",
    ),
    (
        lambda: t(2).max(axes=(0, -2)),
        AxisError,
        "max: axis -2 is out of bounds for array of dimension 1",
    ),
    (lambda: t(2, 3).mean(axes=(1, -1)), AxisError, "mean: axis 1 is named twice"),
    (
        lambda: ndl.transpose(t(2, 3), (0, 5)),
        AxisError,
        "transpose: axis 5 is out of bounds for array of dimension 2",
    ),
    (
        lambda: ndl.softmax(t(2), axis=1),
        AxisError,
        "softmax: axis 1 is out of bounds for array of dimension 1",
    ),
    (
        lambda: ndl.stack([t(2)], 3),
        AxisError,
        "stack: axis 3 is out of bounds for array of dimension 2",
    ),
    (
        lambda: ndl.split(t(2), 1),
        AxisError,
        "split: axis 1 is out of bounds for array of dimension 1",
    ),
    # indices
    (lambda: t(2)[2], IndexError, "getitem: index 2 is out of bounds for axis 0 with size 2"),
    (lambda: t(2)[0, 0], IndexError, "getitem: too many indices: 2 for shape (2,)"),
    (lambda: t(2)[..., ...], IndexError, "getitem: an index can only have one `...`"),
    (
        lambda: t(2)["a"],
        TypeError,
        "getitem: expected integers, slices, `...` or None, got str",
    ),
    (
        lambda: ndl.make_tuple(t(2))[1],
        IndexError,
        "tuple_get_item: index 1 is out of range for a tuple of 1",
    ),
    # values
    (
        lambda: t(0).max(),
        ValueError,
        "max: no elements to choose from along the reduced axes of (0,)",
    ),
    (
        lambda: ndl.logsumexp(t(0)),
        ValueError,
        "logsumexp: no elements along the reduced axes of (0,)",
    ),
    (lambda: ndl.stack([]), ValueError, "stack: needs at least one tensor"),
    (lambda: ndl.concat([]), ValueError, "concat: needs at least one tensor"),
    (
        lambda: ndl.transpose(t(2, 3), (0, 1, 2)),
        ValueError,
        "transpose: expected the two axes to swap, got 3 of them\n"
        "hint: use permute for a whole order",
    ),
    (
        lambda: Tensor([2]) ** -1,
        ValueError,
        "power_scalar: integers to negative integer powers are not allowed\n"
        "hint: make the base a float tensor",
    ),
    (
        lambda: Tensor([2, 3]) ** Tensor([1, -1]),
        ValueError,
        "power: integers to negative integer powers are not allowed\n"
        "hint: make the base a float tensor",
    ),
    (
        lambda: bool(t(2)),
        ValueError,
        "the truth value of a tensor with 2 elements is ambiguous\n"
        "hint: choose by element with needle.where(c, a, b); write (0 < x) * (x < 3) for "
        "`0 < x < 3`, (x > 0).min() for all of them, `x is None` for None",
    ),
    (
        lambda: Tensor([1], dtype="uint8") + 256,
        OverflowError,
        "add_scalar: Python integer 256 out of bounds for uint8",
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


def test_both_habits_of_catching_work() -> None:
    assert issubclass(ShapeError, ValueError)
    assert issubclass(DTypeError, TypeError)
    assert issubclass(AxisError, np.exceptions.AxisError)
    assert issubclass(AxisError, ValueError)
    assert issubclass(AxisError, IndexError)
    assert issubclass(GradError, RuntimeError)
