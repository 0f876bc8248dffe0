"""Tuple ops, ops with `infer`, and subclasses of native ops, all written in Python (CONTRACT 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorOp, TensorTuple, TensorTupleOp


class SinCos(TensorTupleOp):
    """(sin x, cos x)."""

    def compute(self, a: np.ndarray) -> Any:
        return np.sin(a), np.cos(a)

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> Tensor:
        assert isinstance(out_grad, TensorTuple)
        assert len(out_grad) == len(node) == 2
        return out_grad[0] * node[1] - out_grad[1] * node[0]


class SumOf(TensorOp):
    """The sum of a tuple's tensors."""

    def compute(self, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        assert isinstance(arrays, tuple)
        return arrays[0] + arrays[1]

    def gradient(self, out_grad: Tensor, node: Tensor) -> TensorTuple:
        return ndl.make_tuple(out_grad, out_grad)


class Double(ndl.MulScalar):
    """A native op with another compute and gradient."""

    def __init__(self) -> None:
        super().__init__(2)
        self.calls: list[str] = []

    def compute(self, a: np.ndarray) -> np.ndarray:
        self.calls.append("compute")
        return a * self.scalar

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        self.calls.append("gradient")
        return out_grad * 20


class Outer(TensorOp):
    """The outer product, with a rule for its type."""

    def __init__(self) -> None:
        self.calls = 0

    def infer(self, a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
        return a[0] + b[0], np.promote_types(a[1], b[1])

    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.outer(a, b)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
        a, b = node.inputs
        return out_grad @ b, ndl.transpose(out_grad) @ a


@pytest.mark.parametrize("lazy", [False, True])
def test_a_tuple_op(lazy: bool) -> None:
    x = Tensor([0.3, 0.7])
    with ndl.lazy(lazy):
        tt = SinCos()(x)
        assert isinstance(tt, TensorTuple)
        assert len(tt) == 2
        s, c = tt
        np.testing.assert_allclose(s.numpy(), np.sin(x.numpy()))
        (s * c).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), np.cos(2 * x.numpy()), rtol=1e-12)
        x.grad.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), -2 * np.sin(2 * x.numpy()), rtol=1e-12)


def test_a_tuple_op_of_which_one_part_is_used() -> None:
    x = Tensor([0.3, 0.7])
    SinCos()(x)[0].sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos(x.numpy()), rtol=1e-12)


def test_a_tuple_goes_through_ops() -> None:
    x = Tensor([0.3, 0.7])
    y = SumOf()(SinCos()(x))
    np.testing.assert_allclose(y.numpy(), np.sin(x.numpy()) + np.cos(x.numpy()))
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos(x.numpy()) - np.sin(x.numpy()), rtol=1e-12)
    z = SumOf()(ndl.make_tuple(x, x * 2))
    z.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_a_tuple_op_without_gradient_is_a_leaf() -> None:
    tt = SinCos()(Tensor([1.0], requires_grad=False))
    assert (tt.op, tt.inputs, tt.requires_grad) == (None, [], False)
    assert len(tt) == 2


@pytest.mark.parametrize("returned", [np.float64(1), 3, None])
def test_a_tuple_op_that_returns_no_tuple(returned: Any) -> None:
    class Wrong(TensorTupleOp):
        def compute(self, a: np.ndarray) -> Any:
            return returned

    with pytest.raises(TypeError):
        Wrong()(Tensor([1.0]))


def test_a_subclass_of_a_native_op_is_a_python_op() -> None:
    op = Double()
    assert op.scalar == 2
    x = Tensor([3.0])
    y = op(x)
    assert y.op is op
    assert y.tolist() == [6]
    y.backward()
    assert x.grad.tolist() == [20]
    assert op.calls == ["compute", "gradient"]


def test_a_subclass_may_override_only_one_of_the_two() -> None:
    class Loud(ndl.Exp):
        def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
            return super().gradient(out_grad, node) * 10

    class Other(ndl.Exp):
        def compute(self, a: np.ndarray) -> np.ndarray:
            return super().compute(a) + 1

    class Plain(ndl.Exp):
        pass

    x = Tensor([0.5])
    Loud()(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), 10 * np.exp([0.5]))
    np.testing.assert_allclose(Other()(x).numpy(), np.exp([0.5]) + 1)
    y = Plain()(x)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([0.5]))
    assert type(y.op) is Plain


def test_infer_says_shape_and_dtype_without_computing() -> None:
    a, b = Tensor([1.0, 2.0], dtype="float32"), Tensor([3.0, 4.0, 5.0])
    op = Outer()
    with ndl.lazy():
        y = op(a, b)
        assert y.shape == (2, 3)
        assert y.dtype == "float64"
        z = (y.reshape((3, 2)) * 2).sum(axes=0)
        assert z.shape == (2,)
        assert op.calls == 0
        z.sum().backward()
        assert a.grad.tolist() == [24, 24]
        assert b.grad.tolist() == [6, 6, 6]
        assert a.grad.dtype == "float32"


@pytest.mark.parametrize("answer", [None, 3, ((2,),), ("a", "b"), ((-1,), "float64"), ((2,), "c8")])
def test_an_infer_that_answers_nonsense(answer: Any) -> None:
    class Wrong(Outer):
        def infer(self, a: Any, b: Any) -> Any:
            return answer

    with ndl.lazy(), pytest.raises((TypeError, ValueError, OverflowError)):
        _ = Wrong()(Tensor([1.0]), Tensor([1.0])).shape


@pytest.mark.parametrize("answer", [((5,), "float64"), ((2, 3), "float32"), ((), "float64")])
def test_an_infer_that_is_wrong_is_found_when_the_value_comes(answer: Any) -> None:
    class Wrong(Outer):
        def infer(self, a: Any, b: Any) -> Any:
            return answer

    with ndl.lazy():
        y = Wrong()(Tensor([1.0, 2.0]), Tensor([1.0, 2.0, 3.0]))
        assert y.shape == answer[0]
        with pytest.raises((TypeError, ValueError), match="Wrong"):
            y.numpy()


def test_an_exception_in_infer_passes_unchanged() -> None:
    raised = LookupError("mine")

    class Raises(Outer):
        def infer(self, a: Any, b: Any) -> Any:
            raise raised

    with ndl.lazy(), pytest.raises(LookupError) as caught:
        assert Raises()(Tensor([1.0]), Tensor([1.0])).shape
    assert caught.value is raised
