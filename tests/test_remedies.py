"""Messages about habits from other libraries: what was expected, what came, and what to write.

What a hint says is tried where it is a line of code.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

x = Tensor([1.0, 2.0, 3.0])
EMPTY: list[int] = []

KEY = "getitem: expected integers, slices, `...` or None, got "
MASK = (
    "\nhint: needle.where(mask, t, 0) keeps the shape of t; "
    "needle.take(t, numpy.flatnonzero(mask), axis=0) picks by a mask of one axis"
)
POSITIONS = (
    "\nhint: needle.take(t, indices, axis=0) gives what is at several positions along an axis"
)
ONE = "\nhint: write t[int(i)] for the integer in a tensor"
FLOAT = "\nhint: positions are integers: write int(i), or indices.astype('int64')"
HUGE = (
    "expected numbers, got an integer out of the range of 64-bit integers\n"
    "hint: make it a float, as in float(2**70)"
)
SET = (
    "setitem: a tensor is not changed in place, since others may be computed from it\n"
    "hint: needle.where(mask, value, t) gives a new tensor; t.cached_data[key] = value writes into "
    "the data, and no gradient knows of it"
)
NOT_A_TENSOR = "\nhint: write t.data = needle.Tensor(value, dtype=t.dtype)"


def run(code: str) -> None:
    exec(code, {"x": Tensor([1.0, 2.0, 3.0]), "np": np, "Tensor": Tensor})


# What is done, the class, and the text.
MESSAGES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # names of parameters
    (
        lambda: x.sum(dim=0),
        TypeError,
        "summation: unexpected keyword argument 'dim'\n"
        "hint: write axes= for it: summation takes a, axes=None, keepdims=False",
    ),
    (
        lambda: x.mean(keepdim=True),
        TypeError,
        "mean: unexpected keyword argument 'keepdim'\n"
        "hint: write keepdims= for it: mean takes a, axes=None, keepdims=False",
    ),
    (
        lambda: ndl.softmax(x, axes=0),
        TypeError,
        "softmax: unexpected keyword argument 'axes'\n"
        "hint: write axis= for it: softmax takes a, axis=-1",
    ),
    (
        lambda: x.var(unbiased=False),
        TypeError,
        "var: unexpected keyword argument 'unbiased'\n"
        "hint: write correction= for it: var takes a, axes=None, keepdims=False, correction=0",
    ),
    (
        lambda: x.reshape(newshape=3),
        TypeError,
        "reshape: unexpected keyword argument 'newshape'\n"
        "hint: write shape= for it: reshape takes a, shape",
    ),
    (
        lambda: x.relu(inplace=True),
        TypeError,
        "relu: unexpected keyword argument 'inplace'\nhint: relu takes a",
    ),
    (
        lambda: ndl.exp(x=x),
        TypeError,
        "exp: unexpected keyword argument 'x'\nhint: exp takes a",
    ),
    (
        lambda: ndl.matmul(x, other=x),
        TypeError,
        "matmul: unexpected keyword argument 'other'\nhint: matmul takes a, b",
    ),
    # the number of arguments
    (lambda: ndl.matmul(x), TypeError, "matmul: missing argument 'b'\nhint: matmul takes a, b"),
    (
        lambda: ndl.reshape(x),
        TypeError,
        "reshape: missing argument 'shape'\nhint: reshape takes a, shape",
    ),
    (lambda: ndl.exp(x, 1), TypeError, "exp: expected 1 argument, got 2\nhint: exp takes a"),
    (
        lambda: ndl.softmax(x, 0, 1),
        TypeError,
        "softmax: expected at most 1 parameter, got 2\nhint: softmax takes a, axis=-1",
    ),
    (
        lambda: ndl.concat(x, x),
        TypeError,
        "concat: expected the tensors in one list or tuple, got 2 arguments\n"
        "hint: write concat((a, b))",
    ),
    (
        lambda: ndl.stack(x, x, x),
        TypeError,
        "stack: expected the tensors in one list or tuple, got 3 arguments\n"
        "hint: write stack((a, b))",
    ),
    (
        lambda: ndl.Summation(0)(x, keepdims=True),
        TypeError,
        "Summation: an op object takes no keyword arguments\n"
        "hint: they go to the class, as in Summation(...)(x)",
    ),
    # truth values
    (
        lambda: 0 < x < 3,
        ValueError,
        "the truth value of a tensor with 3 elements is ambiguous\n"
        "hint: choose by element with needle.where(c, a, b); write (0 < x) * (x < 3) for "
        "`0 < x < 3`, (x > 0).min() for all of them, `x is None` for None",
    ),
    # writing
    (lambda: run("x[0] = 5"), TypeError, SET),
    (lambda: run("x[0] += 1"), TypeError, SET),
    (lambda: run("x[x > 1] = 0"), TypeError, SET),
    (lambda: run("x.data[0] = 5"), TypeError, SET),
    (
        lambda: run("del x[0]"),
        TypeError,
        "delitem: a tensor keeps its elements\n"
        "hint: needle.concat((t[:i], t[i + 1:])) leaves one out",
    ),
    (
        lambda: run("x.data = np.ones(3)"),
        AssertionError,
        "data: expected a Tensor, got ndarray" + NOT_A_TENSOR,
    ),
    (
        lambda: run("x.data = 3.0"),
        AssertionError,
        "data: expected a Tensor, got float" + NOT_A_TENSOR,
    ),
    (
        lambda: run("x.data = Tensor([1, 2, 3])"),
        AssertionError,
        "data: dtypes differ: tensor has float64, value has int64\n"
        "hint: write t.data = value.astype(t.dtype)",
    ),
    (
        lambda: run("x.grad = np.ones(3)"),
        TypeError,
        "grad: expected None or a Tensor, got ndarray\nhint: write t.grad = needle.Tensor(value)",
    ),
    # keys
    (lambda: x[x > 1], TypeError, f"{KEY}Tensor{MASK}"),
    (lambda: x[np.array([True, False, True])], TypeError, f"{KEY}ndarray{MASK}"),
    (lambda: x[[True, False, True]], TypeError, f"{KEY}list{MASK}"),
    (lambda: x[True], TypeError, f"{KEY}bool{MASK}"),
    (lambda: x[np.array([0, 1])], TypeError, f"{KEY}ndarray{POSITIONS}"),
    (lambda: x[Tensor([0, 1])], TypeError, f"{KEY}Tensor{POSITIONS}"),
    (lambda: x[[0, 2]], TypeError, f"{KEY}list{POSITIONS}"),
    (lambda: x[EMPTY], TypeError, f"{KEY}list{POSITIONS}"),
    (lambda: x[None, [0, 2]], TypeError, f"{KEY}list{POSITIONS}"),
    (lambda: x[1.0], TypeError, f"{KEY}float{FLOAT}"),
    (lambda: x[np.float64(1)], TypeError, f"{KEY}float64{FLOAT}"),
    (lambda: x[Tensor([0.0])], TypeError, f"{KEY}Tensor{FLOAT}"),
    (lambda: x[Tensor(1)], TypeError, f"{KEY}Tensor{ONE}"),
    (lambda: x["a"], TypeError, f"{KEY}str"),
    (lambda: x[["a"]], TypeError, f"{KEY}list"),
    (lambda: x[[[1], [1, 2]]], TypeError, f"{KEY}list"),
    # numbers
    (lambda: Tensor(2**70), TypeError, HUGE),
    (lambda: Tensor([[1.5], [-(2**70)]]), TypeError, HUGE),
    (lambda: Tensor([1.0, None]), TypeError, "expected numbers, got None in a list"),
    (lambda: Tensor((1, Decimal(2))), TypeError, "expected numbers, got Decimal in a tuple"),
    (lambda: Tensor({}), TypeError, "expected numbers, got dict"),
]


@pytest.mark.parametrize(
    ("act", "cls", "text"), MESSAGES, ids=[row[2].split("\n")[0] for row in MESSAGES]
)
def test_message(act: Callable[[], Any], cls: type[Exception], text: str) -> None:
    with pytest.raises(cls) as caught:
        act()
    assert type(caught.value) is cls
    assert str(caught.value) == text


def test_what_the_hints_say_works() -> None:
    mask = (0 < x) * (x < 3)  # noqa: SIM300 (as the hint has it)
    assert x[int(Tensor(1))].item() == 2
    assert mask.dtype == "bool"
    assert mask.tolist() == [True, True, False]
    assert bool((x > 0).min()) is True
    assert bool((x > 1).min()) is False
    assert ndl.where(mask, x, 0).tolist() == [1, 2, 0]
    assert ndl.take(x, [0, 2]).tolist() == [1, 3]
    assert ndl.concat((x[:1], x[2:])).tolist() == [1, 3]
    assert ndl.take(x, Tensor([0.0, 2.0]).astype("int64")).tolist() == [1, 3]
    t = Tensor([1.0, 2.0])
    t.cached_data[0] = 5
    assert t.tolist() == [5, 2]
    t.data = ndl.Tensor([1, 2], dtype=t.dtype)
    t.data = Tensor([3, 4]).astype(t.dtype)
    assert t.tolist() == [3, 4]
    assert Tensor(float(2**70)).item() == 2**70


def parameters(row: Any) -> set[str]:
    return {name for name, _, _ in row["params"]}


# How other libraries call what needle calls otherwise.
HABITS = {"axes": ["dim", "dims"], "axis": ["dim", "axes"], "keepdims": ["keepdim", "keep_dims"]}


@pytest.mark.parametrize("row", ndl._core.op_table(), ids=lambda row: row["name"])
def test_every_op_says_what_it_takes(row: Any) -> None:
    function = getattr(ndl._core, row["name"])
    operands = [x] * len(row["inputs"])
    if row["variadic"]:
        operands = [] if row["name"] == "make_tuple" else [(x, x)]
    with pytest.raises(TypeError) as caught:
        function(*operands, nonsense=1)
    if row["name"] != "make_tuple":
        first, hint = str(caught.value).split("\n")
        assert first == f"{row['name']}: unexpected keyword argument 'nonsense'"
        assert hint.startswith(f"hint: {row['name']} takes {row['inputs'][0]}")
        assert all(name in hint for name in parameters(row))
    for own in parameters(row) & set(HABITS):
        for other in HABITS[own]:
            with pytest.raises(TypeError, match=f"hint: write {own}= for it: "):
                function(*operands, **{other: 0})
