"""Reverse mode: what backward sets, overwrites and leaves alone (CONTRACT 3)."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, autograd


def counter() -> int:
    gc.collect()
    return autograd.TENSOR_COUNTER


def test_values_of_a_small_graph() -> None:
    x1, x2 = Tensor([2.0]), Tensor([5.0])
    y = ndl.log(x1) + x1 * x2 - ndl.sin(x2)
    y.backward()
    np.testing.assert_allclose(x1.grad.numpy(), [5.5])
    np.testing.assert_allclose(x2.grad.numpy(), [2 - np.cos(5.0)])
    assert x1.grad.shape == x1.shape
    assert y.backward() is None


def test_backward_overwrites() -> None:
    x = Tensor([3.0])
    (x * 2).backward()
    first = x.grad
    (x * 5).backward()
    assert x.grad.tolist() == [5]
    assert x.grad is not first
    assert first.tolist() == [2]


def test_accumulate_adds() -> None:
    x = Tensor([3.0, 1.0])
    (x * 2).backward(accumulate=True)
    first = x.grad
    (x * 5).backward(accumulate=True)
    assert x.grad.tolist() == [7, 7]
    assert first.tolist() == [2, 2]
    x.grad = None
    (x * 5).backward(accumulate=True)
    assert x.grad.tolist() == [5, 5]
    with pytest.raises(TypeError):
        (x * 5).backward(None, True)  # type: ignore[misc]


def test_non_scalar_outputs_and_out_grad() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    y = x * x
    y.backward()
    assert np.array_equal(x.grad.numpy(), 2 * x.numpy())
    assert y.grad.tolist() == [[1, 1], [1, 1]]
    weights = np.array([[1.0, 0.0], [-1.0, 2.0]])
    y.backward(Tensor(weights))
    assert np.array_equal(x.grad.numpy(), 2 * x.numpy() * weights)
    y.backward(out_grad=Tensor(weights))
    assert np.array_equal(x.grad.numpy(), 2 * x.numpy() * weights)
    with pytest.raises(ndl.ShapeError, match=r"backward.*\(2,\).*\(2, 2\)"):
        y.backward(Tensor([1.0, 2.0]))


def test_gradients_are_graph_nodes() -> None:
    x = Tensor([2.0, 3.0])
    (x**4).sum().backward()
    for power, factor in [(3, 4), (2, 12), (1, 24), (0, 24)]:
        g = x.grad
        np.testing.assert_allclose(g.numpy(), factor * x.numpy() ** power)
        if power:
            assert g.requires_grad
            g.sum().backward()
    assert x.grad.requires_grad is False or x.grad.op is not None


def test_gradients_of_gradients_reach_the_leaf_through_inputs() -> None:
    x, y = Tensor([2.0]), Tensor([3.0])
    (x * x * y).backward()
    gx = x.grad
    assert any(n is x for n in autograd.find_topo_sort([gx]))
    gx.backward()
    assert y.grad.tolist() == [4]
    assert x.grad.tolist() == [6]


def test_a_gradient_that_depends_on_nothing_is_a_leaf() -> None:
    x = Tensor([1.0, 2.0])
    (x + x).backward()
    assert x.grad.tolist() == [2, 2]
    assert (x.grad.op, x.grad.requires_grad) == (None, False)
    p, q = Tensor([1.0]), Tensor([2.0])
    (p + q).backward()
    assert p.grad.tolist() == q.grad.tolist() == [1]


def test_held_intermediates_get_gradients() -> None:
    x = Tensor([1.0, 2.0])
    hidden = x * 3
    loss = (hidden * hidden).sum()
    loss.backward()
    assert hidden.grad.tolist() == [6, 12]
    assert loss.grad.item() == 1
    assert x.grad.tolist() == [18, 36]


def test_nodes_first_seen_afterwards_have_none() -> None:
    x = Tensor([1.0])
    loss = (x * 2).exp()
    loss.backward()
    assert loss.inputs[0].grad is None
    assert all(n.grad is None for n in autograd.find_topo_sort([loss]) if n not in {x, loss})


def test_leaves_that_are_not_reached_keep_theirs() -> None:
    x, other = Tensor([1.0]), Tensor([1.0])
    kept = Tensor([9.0])
    other.grad = kept
    (x * 2).backward()
    assert other.grad is kept
    detached = (other.detach() * x).sum()
    detached.backward()
    assert other.grad is kept


def test_unbroadcasting() -> None:
    shapes = [(2, 3), (3,), (2, 1), (1, 3), (), (4, 1, 3), (1,)]
    for a in shapes:
        for b in shapes:
            x, y = Tensor(np.full(a, 2.0)), Tensor(np.full(b, 3.0))
            z = x * y
            z.backward()
            assert x.grad.shape == a
            assert y.grad.shape == b
            np.testing.assert_allclose(x.grad.numpy(), 3.0 * z.size / x.size)
            np.testing.assert_allclose(y.grad.numpy(), 2.0 * z.size / y.size)


def test_a_tensor_used_many_times() -> None:
    x = Tensor([2.0])
    y = x
    for _ in range(10):
        y = y + y
    y.backward()
    assert x.grad.tolist() == [1024]
    assert sum([x] * 5).op is not None


@pytest.mark.parametrize("make", [lambda x: x, lambda x: x * 2, lambda x: (x * 2).sum()])
def test_backward_without_gradient_is_an_error(make: object) -> None:
    x = Tensor([1.0], requires_grad=False)
    with pytest.raises(RuntimeError, match="backward"):
        make(x).backward()
    assert x.grad is None
    with ndl.no_grad():
        y = Tensor([1.0]) * 2
    with pytest.raises(ndl.GradError):
        y.backward()


def test_backward_of_a_leaf() -> None:
    x = Tensor([1.0, 2.0])
    x.backward()
    assert x.grad.tolist() == [1, 1]
    assert x.grad is not x


def test_a_second_backward_works_after_release() -> None:
    x = Tensor(np.linspace(0.1, 1, 50))
    loss = (x.exp().sin() * x).sum()
    loss.backward()
    first = x.grad.numpy().copy()
    loss.backward()
    assert np.array_equal(x.grad.numpy(), first)
    assert x.grad is not None


def test_gradients_are_dropped_with_their_handle() -> None:
    start = counter()
    x = Tensor([1.0, 2.0])
    (x.exp() * x).sum().backward()
    assert counter() > start + 2
    del x
    assert counter() == start


def test_replaced_data_is_an_error_not_a_wrong_gradient() -> None:
    x = Tensor([1.0, 2.0])
    y = (x * x).sum()
    x.data = Tensor([5.0, 5.0])
    with pytest.raises(ndl.GradError, match=r"multiply.*\n.*hint|multiply"):
        y.backward()
    assert y.item() == 5
    (x * x).sum().backward()
    assert x.grad.tolist() == [10, 10]
    z = (x + x).sum()
    x.data = Tensor([0.0, 0.0])
    z.backward()
    assert x.grad.tolist() == [2, 2]
