"""What the Op protocol promises to those who write ops, and to those who call them (CONTRACT 4)."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Op, Tensor, TensorOp, TensorTupleOp


def user_op(compute: Callable[..., Any], gradient: Any = None, base: type = TensorOp) -> Any:
    """An op object from two functions."""

    def default(self: Op, out_grad: Tensor, node: Tensor) -> Any:
        return gradient(out_grad, node) if callable(gradient) else gradient

    body = {"compute": lambda self, *a: compute(*a), "gradient": default}
    return type("Custom", (base,), body)()


@pytest.mark.parametrize("cls", [Op, TensorOp, TensorTupleOp])
def test_abstract_methods(cls: type) -> None:
    op = cls()
    for call in (lambda: op.compute(np.ones(1)), lambda: op.gradient(Tensor([1.0]), Tensor([1.0]))):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(NotImplementedError):
        op(Tensor([1.0]))


def test_gradient_as_tuple() -> None:
    x = Tensor([1.0, 2.0])
    for given in (lambda g, n: g, lambda g, n: (g,), lambda g, n: [g]):
        op = user_op(lambda a: a * 1, given)
        result = op.gradient_as_tuple(Tensor([3.0, 4.0]), op(x))
        assert isinstance(result, tuple)
        assert [r.tolist() for r in result] == [[3, 4]]


@pytest.mark.parametrize("row", ndl._core.op_table(), ids=lambda row: row["name"])
def test_gradient_as_tuple_of_native_ops(row: Any) -> None:
    for op, inputs in row["samples"]:
        out = op(*inputs)
        if not row["differentiable"] or isinstance(out, ndl.TensorTuple):
            continue
        if out.op is None:
            continue
        assert out.op == op
        weights = Tensor(np.linspace(0.5, 1.5, out.size).reshape(out.shape))
        gradients = out.op.gradient_as_tuple(weights, out)
        if len(gradients) == 1 and isinstance(gradients[0], ndl.TensorTuple):
            gradients = gradients[0].tuple()
        out.backward(weights)
        assert len(gradients) == len(inputs)
        for g, x in zip(gradients, inputs, strict=True):
            if g is not None and x.grad is not None:
                assert isinstance(g, Tensor)
                assert g.shape == x.shape
                np.testing.assert_allclose(g.numpy(), x.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        (ndl.AddScalar(1.5), {"scalar": 1.5}),
        (ndl.PowerScalar(scalar=2), {"scalar": 2}),
        (ndl.Summation((0, 1)), {"axes": (0, 1)}),
        (ndl.Summation(axes=None), {"axes": None, "keepdims": False}),
        (ndl.Summation(1), {"axes": 1}),
        (ndl.Reshape((2, 3)), {"shape": (2, 3)}),
        (ndl.BroadcastTo(shape=[2, 3]), {"shape": (2, 3)}),
        (ndl.Transpose((0, 1)), {"axes": (0, 1)}),
        (ndl.Stack(1), {"axis": 1}),
        (ndl.Split(0), {"axis": 0}),
        (ndl.TupleGetItem(2), {"index": 2}),
        (ndl.FusedAddScalars(1.0, 2.0), {"c0": 1.0, "c1": 2.0}),
        (ndl.LogSumExp((1,)), {"axes": (1,)}),
    ],
)
def test_constructor_arguments_are_readable(op: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        assert getattr(op, name) == value
    with pytest.raises(AttributeError):
        op.nonsense  # noqa: B018


def test_native_op_objects() -> None:
    x = Tensor([1.0])
    y = x * 2
    assert y.op == y.op == ndl.MulScalar(2)
    assert y.op != ndl.MulScalar(3)
    assert ndl.Exp() != ndl.Log()
    assert hash(ndl.MulScalar(2)) == hash(y.op)
    assert isinstance(y.op, ndl.TensorOp)
    assert np.array_equal(y.op.compute(np.array([3.0])), [6])
    with pytest.raises((TypeError, AttributeError)):
        ndl.MulScalar.extra = 1
    with pytest.raises(AttributeError):
        ndl.MulScalar(2).scalar = 3
    for bad in (lambda: ndl.MulScalar(), lambda: ndl.Exp(1), lambda: ndl.Stack("a")):
        with pytest.raises(TypeError):
            bad()


def test_objects_that_ops_see_and_keep() -> None:
    class Keeper(TensorOp):
        def compute(self, a: np.ndarray) -> np.ndarray:
            self.calls = getattr(self, "calls", 0) + 1
            return a * 2

        def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
            self.node = node
            self.same = node.inputs[0] is x
            return out_grad * 2

    x = Tensor([1.0, 2.0])
    op = Keeper()
    y = op(x)
    assert y.op is op
    y.sum().backward()
    assert op.node is y
    assert op.same
    loss = (y * y).sum()
    loss.backward()
    loss.backward()
    assert (op.calls, x.grad.tolist()) == (1, [8, 16])
    del op.node, y, loss
    gc.collect()


def test_an_op_is_computed_once_even_when_its_value_was_released() -> None:
    rng = np.random.default_rng(0)
    calls: list[int] = []

    def noise(a: np.ndarray) -> np.ndarray:
        calls.append(1)
        return a * rng.normal(size=a.shape)

    x = Tensor(np.ones(10))
    loss = (user_op(noise, lambda g, n: g * n)(x) ** 3).sum()
    loss.backward()
    first = x.grad.numpy().copy()
    loss.backward()
    assert np.array_equal(first, x.grad.numpy())
    x.grad.sum().backward()
    assert len(calls) == 1
