"""What users read who write an op wrongly: what was expected, what came, and what to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorOp, TensorTupleOp


def x() -> Tensor:
    return Tensor([1.0, 2.0])


def own(base: type = TensorOp, **methods: Any) -> Any:
    return type("Own", (base,), methods)()


def passing(self: Any, out_grad: Tensor, node: Tensor) -> Tensor:
    return out_grad


class Plain(TensorOp):
    def compute(self, x: np.ndarray) -> np.ndarray:
        return x * 1

    gradient = passing


class Two(TensorOp):
    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a * b


class Bare(TensorTupleOp):
    pass


SEVERAL = (
    "\nhint: an op with several results derives from TensorTupleOp; one array is made of several "
    "by numpy.stack"
)
ONE = "\nhint: an op with one result derives from TensorOp; a tuple of one is `(result,)`"
FIRST = "\nhint: make an op object first, then apply it: "

# What is done, the class, and the text.
MESSAGES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # results of compute
    (
        lambda: own(compute=lambda s, x: (x, x))(x()),
        TypeError,
        "Own: compute returned a tuple of 2, expected one array" + SEVERAL,
    ),
    (
        lambda: own(compute=lambda s, x: (x,))(x()),
        TypeError,
        "Own: compute returned a tuple of 1, expected one array" + SEVERAL,
    ),
    (
        lambda: own(compute=lambda s, x: [x, x, x])(x()),
        TypeError,
        "Own: compute returned a list of 3, expected one array" + SEVERAL,
    ),
    (
        lambda: own(compute=lambda s, x: [[1.0, 2.0], [x]])(x()),
        TypeError,
        "Own: compute returned a list of 2, expected one array" + SEVERAL,
    ),
    (
        lambda: own(compute=lambda s, x: ndl.make_tuple(Tensor(x)))(x()),
        TypeError,
        "Own: compute returned a TensorTuple, expected one array" + SEVERAL,
    ),
    (
        lambda: own(compute=lambda s, x: None)(x()),
        TypeError,
        "Own: compute returned None, expected an array\nhint: end it with `return` and the result",
    ),
    (
        lambda: own(compute=lambda s, x: "text")(x()),
        TypeError,
        "Own: compute: expected numbers, got an array of dtype <U4",
    ),
    (
        lambda: own(TensorTupleOp, compute=lambda s, x: x)(x()),
        TypeError,
        "Own: compute returned one array of shape (2,), expected a tuple of arrays" + ONE,
    ),
    (
        lambda: own(TensorTupleOp, compute=lambda s, x: 3.0)(x()),
        TypeError,
        "Own: compute returned float, expected a tuple of arrays" + ONE,
    ),
    (
        lambda: own(TensorTupleOp, compute=lambda s, x: {0: x})(x()),
        TypeError,
        "Own: compute returned dict, expected a tuple of arrays" + ONE,
    ),
    (
        lambda: own(TensorTupleOp, compute=lambda s, x: None)(x()),
        TypeError,
        "Own: compute returned None, expected a tuple of arrays\n"
        "hint: end it with `return` and the result",
    ),
    (
        lambda: own(TensorTupleOp, compute=lambda s, x: (x, None))(x()),
        TypeError,
        "Own: compute: result 1: expected an array, got None",
    ),
    # the number of inputs
    (
        lambda: Two()(x()),
        TypeError,
        "Two: compute takes 2 inputs (a, b), got 1\nhint: call the op as op(a, b)",
    ),
    (
        lambda: Two()(x(), x(), x()),
        TypeError,
        "Two: compute takes 2 inputs (a, b), got 3\nhint: call the op as op(a, b)",
    ),
    (
        lambda: Plain()(),
        TypeError,
        "Plain: compute takes 1 input (x), got 0\nhint: call the op as op(x)",
    ),
    (
        lambda: own(compute=lambda s, a, b, c=1: a)(x()),
        TypeError,
        "Own: compute takes 2 to 3 inputs (a, b, c), got 1\nhint: call the op as op(a, b)",
    ),
    (
        lambda: own(compute=lambda s, a, b, *more: a)(x()),
        TypeError,
        "Own: compute takes at least 2 inputs (a, b), got 1\nhint: call the op as op(a, b)",
    ),
    (
        lambda: own(compute=lambda x: x)(x()),
        TypeError,
        "Own: compute takes 0 inputs, got 1\n"
        "hint: define compute(self, a), with a parameter for each input",
    ),
    (
        lambda: own(compute=lambda s, x: x * 1, gradient=lambda s, g: g)(x()).backward(),
        TypeError,
        "Own: gradient takes 1 argument (g), and is called with the adjoint of the result and the "
        "result\nhint: define gradient(self, out_grad, node)",
    ),
    # gradients
    (
        lambda: own(compute=lambda s, x: x * 1, gradient=lambda s, g, n: (g, g))(x()).backward(),
        ndl.GradError,
        "Own: gradient returned 2 values for 1 input\n"
        "hint: return one gradient for each input, in a tuple, and None where nothing flows",
    ),
    (
        lambda: own(compute=lambda s, a, b: a * b, gradient=passing)(x(), x()).backward(),
        ndl.GradError,
        "Own: gradient returned 1 value for 2 inputs\n"
        "hint: return one gradient for each input, in a tuple, and None where nothing flows",
    ),
    # methods that are missing
    (
        lambda: Bare()(x()),
        NotImplementedError,
        "Bare: compute is not defined\nhint: define compute(self, *arrays) in the class",
    ),
    (
        lambda: own(compute=lambda s, x: x * 1)(x()).backward(),
        NotImplementedError,
        "Own: gradient is not defined\nhint: define gradient(self, out_grad, node) in the class",
    ),
    # classes that were not made objects
    (lambda: Plain(x()), TypeError, f"Plain: the class takes no arguments, got 1{FIRST}Plain()(x)"),
    (
        lambda: Two(x(), b=x()),
        TypeError,
        f"Two: the class takes no arguments, got 2{FIRST}Two()(x)",
    ),
    (lambda: Bare(3.0), TypeError, f"Bare: the class takes no arguments, got 1{FIRST}Bare()(x)"),
    (
        lambda: TensorOp(x()),
        TypeError,
        f"TensorOp: the class takes no arguments, got 1{FIRST}TensorOp()(x)",
    ),
    (lambda: ndl.Exp(x()), TypeError, f"exp: the class Exp takes no arguments{FIRST}Exp()(x)"),
    (lambda: ndl.Exp(2.0), TypeError, f"exp: the class Exp takes no arguments{FIRST}Exp()(x)"),
    (
        lambda: ndl.Summation(x()),
        TypeError,
        "summation: the class Summation takes the op's parameters, not its inputs"
        f"{FIRST}Summation(axes=None, keepdims=False)(x)",
    ),
    # the protocol of types
    (
        lambda: lazily(own(compute=lambda s, x: x, infer=lambda s, x: 3)),
        TypeError,
        "Own: infer returned int, expected a pair (shape, dtype)",
    ),
    (
        lambda: lazily(own(compute=lambda s, x: x, infer=lambda s: ((2,), "float64"))),
        TypeError,
        "Own: infer takes 0 inputs, got 1\n"
        "hint: define infer(self, a), with a parameter for each input",
    ),
]


def lazily(op: Any) -> Any:
    with ndl.lazy():
        return op(x()).numpy()


@pytest.mark.parametrize(
    ("act", "cls", "text"), MESSAGES, ids=[row[2].split("\n")[0] for row in MESSAGES]
)
def test_message(act: Callable[[], Any], cls: type[Exception], text: str) -> None:
    with pytest.raises(cls) as caught:
        act()
    assert type(caught.value) is cls
    assert str(caught.value) == text


@pytest.mark.parametrize("lazy", [False, True])
def test_the_number_of_inputs_in_both_modes(lazy: bool) -> None:
    with ndl.lazy(lazy), pytest.raises(TypeError, match=r"^Two: compute takes 2 inputs \(a, b\), "):
        Two()(x()).numpy()


def test_a_type_error_of_the_body_is_not_taken_for_a_wrong_call() -> None:
    def helper(a: Any, b: Any) -> Any: ...

    wrong = own(compute=lambda s, x: helper(x))
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'b'$"):
        wrong(x())
    with pytest.raises(TypeError, match="exp: expected 1 operand"):
        type("Sub", (ndl.Exp,), {})().compute(np.ones(2), np.ones(2))


NUMBERS: list[tuple[Any, Any]] = [
    ([1.0, 2.0], [1.0, 2.0]),
    ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    ([np.float64(3.0), 4], [3.0, 4.0]),
    ([], []),
    (3, 3),
    (np.float32(2), 2.0),
]


@pytest.mark.parametrize(("given", "expected"), NUMBERS)
def test_numbers_and_lists_of_them_are_an_array(given: Any, expected: Any) -> None:
    assert own(compute=lambda s, x: given)(x()).tolist() == expected


@pytest.mark.parametrize(
    "given", [tuple, list, iter, lambda pair: ndl.make_tuple(*map(Tensor, pair))]
)
def test_several_results_come_in_a_tuple_or_its_like(given: Callable[[Any], Any]) -> None:
    result = own(TensorTupleOp, compute=lambda s, x: given((x * 2, x[0])))(x())
    assert [part.tolist() for part in result] == [[2, 4], 1]


def iadd(x: np.ndarray) -> None:
    x += 1


WRITES: list[Callable[[np.ndarray], Any]] = [
    iadd,
    lambda x: x.__setitem__(0, 1.0),
    lambda x: x.sort(),
    lambda x: x.fill(0),
    lambda x: x.put(0, 1),
    lambda x: x.partition(1),
    lambda x: x.byteswap(inplace=True),
    lambda x: x.setflags(write=True),
    lambda x: np.add(x, 1, out=x),
    lambda x: np.copyto(x, 0),
    lambda x: np.place(x, x > 0, 1),
    lambda x: np.cumsum(x, out=x),
    lambda x: np.einsum("i->i", x, out=x),
    lambda x: np.random.default_rng(0).shuffle(x),
    lambda x: np.fill_diagonal(x.reshape(1, 2), 1),
    lambda x: memoryview(x).__setitem__(0, 1.0),
]


@pytest.mark.parametrize("write", WRITES)
def test_an_input_that_is_changed_in_place(write: Callable[[np.ndarray], Any]) -> None:
    class Writing(TensorOp):
        def compute(self, x: np.ndarray) -> np.ndarray:
            write(x)
            return x

    t = x()
    with pytest.raises((ValueError, TypeError)) as caught:
        Writing()(t)
    first, hint = str(caught.value).split("\n")
    assert first.startswith("Writing: compute: ")
    assert hint == (
        "hint: the inputs of compute are read-only, since other tensors share their memory; "
        "write `x = x.copy()` before x is changed in place"
    )
    assert isinstance(caught.value.__cause__, type(caught.value))
    assert t.tolist() == [1, 2]


@pytest.mark.parametrize("row", ndl._core.op_table(), ids=lambda row: row["name"])
def test_no_native_class_takes_a_tensor(row: Any) -> None:
    cls = getattr(ndl._core, row["class"])
    for call in (lambda: cls(x()), *(lambda p=p: cls(**{p[0]: x()}) for p in row["params"])):
        with pytest.raises(TypeError) as caught:
            call()
        hint = str(caught.value).split("\n")[1]
        assert hint.startswith(f"hint: make an op object first, then apply it: {row['class']}(")
        assert hint.endswith(")(x)")


def test_classes_whose_constructor_takes_tensors() -> None:
    class Init(Plain):
        def __init__(self, t: Tensor) -> None:
            self.t = t

    class New(Plain):
        def __new__(cls, t: Tensor) -> New:
            made = super().__new__(cls)
            made.t = t
            return made

    class Mixin:
        def __init__(self, t: Tensor) -> None:
            self.t = t

    class Mixed(Mixin, Plain):
        pass

    class Shadowed(Plain, Mixin):  # needle's constructor comes first
        pass

    class Native(ndl.Summation):
        def __init__(self, t: Tensor) -> None:
            super().__init__(axes=0)
            self.t = t

    t = x()
    for cls in (Init, New, Mixed, Native):
        op: Any = cls(t)
        assert op.t is t
        assert op(t).numpy().sum() == 3
    for wrong in (Shadowed, type("Inherited", (ndl.Summation,), {})):
        with pytest.raises(TypeError, match="make an op object first"):
            wrong(t)
