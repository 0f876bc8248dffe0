"""TensorTuple and the ops that make and take it (CONTRACT 2.5, 5)."""

from __future__ import annotations

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorTuple

A = np.arange(6.0).reshape(2, 3)


def test_make_tuple_folds_to_the_very_inputs() -> None:
    x, y = Tensor(A), Tensor([1.0])
    tt = ndl.make_tuple(x, y)
    assert isinstance(tt, TensorTuple)
    assert isinstance(tt, ndl.Value)
    assert len(tt) == tt.num_outputs == 2
    assert tt[0] is x
    assert tt[1] is y
    assert tt[-1] is y
    assert ndl.tuple_get_item(tt, 0) is x
    assert tt.tuple() == (x, y) or tt.tuple()[0] is x
    assert [t is u for t, u in zip(tt, (x, y), strict=True)] == [True, True]
    unfolded = ndl.TupleGetItem(0)(tt, fold_const=False)
    assert unfolded is not x
    assert unfolded.op == ndl.TupleGetItem(0)
    assert unfolded.op.index == 0
    assert unfolded.inputs[0] is tt
    assert np.array_equal(unfolded.numpy(), A)
    for index in (2, -3):
        with pytest.raises(IndexError):
            tt[index]


@pytest.mark.parametrize("wrong", [Tensor([1.0]), [1], (Tensor([1.0]),), None])
def test_only_tuples_have_items(wrong: object) -> None:
    with pytest.raises(AssertionError):
        ndl.tuple_get_item(wrong, 0)


def test_gradients_flow_through_tuples() -> None:
    x, y = Tensor([1.0, 2.0]), Tensor([3.0])
    tt = ndl.MakeTensorTuple()(x * 2, y)
    first = ndl.tuple_get_item(tt, 0, fold_const=False)
    (first * first).sum().backward()
    assert x.grad.tolist() == [8, 16]
    assert y.grad is None or y.grad.tolist() == [0]


def test_tuple_addition() -> None:
    x, y = Tensor([1.0]), Tensor([2.0, 3.0])
    total = ndl.make_tuple(x, y) + ndl.make_tuple(x, y)
    assert isinstance(total, TensorTuple)
    assert [t.tolist() for t in total] == [[2], [4, 6]]
    total[1].sum().backward()
    assert y.grad.tolist() == [2, 2]
    for wrong in (ndl.make_tuple(x), x, 1, (x, y)):
        with pytest.raises(AssertionError):
            ndl.make_tuple(x, y) + wrong


def test_detach() -> None:
    tt = ndl.split(Tensor(A) * 2, 0)
    d = tt.detach()
    assert isinstance(d, TensorTuple)
    assert d.requires_grad is False
    assert [t.requires_grad for t in d] == [False, False]
    assert [t.tolist() for t in d] == (A * 2).tolist()


def test_repr() -> None:
    tt = ndl.make_tuple(Tensor([1.0]), Tensor(2))
    assert repr(tt) == "needle.TensorTuple(needle.Tensor([1.]), needle.Tensor(2))"


def test_no_nesting() -> None:
    inner = ndl.make_tuple(Tensor([1.0]))
    with pytest.raises((TypeError, AssertionError)):
        ndl.make_tuple(inner, inner)
    with pytest.raises(TypeError):
        ndl.add(inner, inner)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_stack(axis: int) -> None:
    xs = [Tensor(A + i) for i in range(3)]
    arrays = [x.numpy() for x in xs]
    for args in (xs, tuple(xs), ndl.make_tuple(*xs)):
        out = ndl.stack(args, axis)
        assert np.array_equal(out.numpy(), np.stack(arrays, axis))
    assert out.op.axis == axis
    weights = np.random.default_rng(0).normal(size=out.shape)
    (out * weights).sum().backward()
    for i, x in enumerate(xs):
        assert np.array_equal(x.grad.numpy(), np.take(weights, i, axis))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_split(axis: int) -> None:
    x = Tensor(A)
    tt = ndl.split(x, axis)
    assert isinstance(tt, TensorTuple)
    assert len(tt) == A.shape[axis]
    for i, part in enumerate(tt):
        assert part.shape == np.take(A, i, axis).shape
        assert np.array_equal(part.numpy(), np.take(A, i, axis))
    (tt[0] * 3 + tt[1] * tt[1]).sum().backward()
    expected = np.zeros_like(A)
    index = [slice(None)] * 2
    index[axis] = 0
    expected[tuple(index)] = 3
    index[axis] = 1
    expected[tuple(index)] = 2 * A[tuple(index)]
    assert np.array_equal(x.grad.numpy(), expected)


def test_split_and_stack_undo_each_other_to_second_order() -> None:
    x = Tensor(A)
    back = ndl.stack(ndl.split(x * x, 1), 1)
    assert np.array_equal(back.numpy(), A * A)
    (back * back).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * A**3)
    x.grad.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 12 * A**2)


def test_fused_add_scalars() -> None:
    x = Tensor(A)
    tt = ndl.fused_add_scalars(x, 1.5, -2.0)
    assert isinstance(tt, TensorTuple)
    assert (tt.op.c0, tt.op.c1) == (1.5, -2.0)
    assert np.array_equal(tt[0].numpy(), A + 1.5)
    assert np.array_equal(tt[1].numpy(), A - 2)
    (tt[0] * tt[1]).sum().backward()
    assert np.array_equal(x.grad.numpy(), 2 * A - 0.5)


def test_gradient_as_tuple_of_tuple_ops() -> None:
    xs = [Tensor(A), Tensor(A * 2)]
    out = ndl.stack(xs, 0)
    given = Tensor(np.arange(12.0).reshape(2, 2, 3))
    gradients = out.op.gradient_as_tuple(given, out)
    if len(gradients) == 1:
        assert isinstance(gradients[0], TensorTuple)
        gradients = gradients[0].tuple()
    assert [g.tolist() for g in gradients] == given.tolist()
    x = Tensor(A)
    tt = ndl.split(x, 0)
    (gradient,) = tt.op.gradient_as_tuple(tt, tt)
    assert np.array_equal(gradient.numpy(), A)
    part = tt[1]
    (gradient,) = part.op.gradient_as_tuple(Tensor(np.ones(3)), part)
    assert isinstance(gradient, TensorTuple)
    assert [g.tolist() for g in gradient] == [[0, 0, 0], [1, 1, 1]]


def test_lazy_tuples() -> None:
    with ndl.lazy():
        x = Tensor(A)
        tt = ndl.split(x * 2, 0)
        assert len(tt) == 2
        assert tt[0].shape == (3,)
        tt[1].sum().backward()
        assert x.grad.tolist() == [[0, 0, 0], [2, 2, 2]]
        assert tt[0].tolist() == [0, 2, 4]
