"""Gradients of held leaves that do not require one: recorded, computed when read (CONTRACT 3)."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, autograd


def plain(values: object) -> Tensor:
    return Tensor(values, requires_grad=False)


def counter() -> int:
    gc.collect()
    return autograd.TENSOR_COUNTER


def test_a_held_leaf_that_took_part_has_a_gradient() -> None:
    x, c = Tensor([1.0, 2.0]), plain([3.0, 4.0])
    (x * c).sum().backward()
    assert x.grad.tolist() == [3, 4]
    assert c.grad.tolist() == [1, 2]
    assert c.requires_grad is False


def test_a_leaf_of_nothing_recorded_has_none() -> None:
    x, c, d = Tensor([1.0]), plain([2.0]), plain([3.0])
    product = c * d
    (x * product).sum().backward()
    assert c.grad is None
    assert d.grad is None
    assert product.grad.tolist() == [1]


def test_the_posts_loop() -> None:
    """`W = (W - lr * W.grad).detach()`: from the second step on, W requires no gradient."""
    rng = np.random.default_rng(0)
    data, targets = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    start1, start2 = rng.normal(size=(5, 8)), rng.normal(size=(8, 3))

    def train(explicit: bool) -> tuple[np.ndarray, np.ndarray]:
        w1, w2 = Tensor(start1), Tensor(start2)
        for i in range(0, 40, 10):
            x = Tensor(data[i : i + 10])
            y = Tensor(targets[i : i + 10], requires_grad=False)
            error = ndl.relu(x @ w1) @ w2 - y
            loss = (error * error).sum() / 10
            loss.backward()
            w1 = (w1 - 0.05 * w1.grad).detach()
            w2 = (w2 - 0.05 * w2.grad).detach()
            assert w1.requires_grad is False
            if explicit:
                w1.requires_grad = w2.requires_grad = True
        return w1.numpy(), w2.numpy()

    for literal, reference in zip(train(False), train(True), strict=True):
        assert np.abs(literal - start1 if literal.shape == start1.shape else 1).max() > 1e-3
        np.testing.assert_allclose(literal, reference, rtol=1e-12)


def test_the_posts_loop_against_numpy() -> None:
    x, w = Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])
    reference = w.numpy().copy()
    for _ in range(5):
        ((x @ w) ** 2).sum().backward()
        w = (w - 0.01 * w.grad).detach()
        reference = reference - 0.01 * 2 * (x.numpy() @ reference) * x.numpy().T
        np.testing.assert_allclose(w.numpy(), reference, rtol=1e-12)


def test_asking_whether_it_is_none_computes_nothing() -> None:
    x, c = Tensor(np.ones((1, 200_000))), plain(np.ones((200_000, 1)))
    with ndl.lazy():
        loss = (x * c).sum()
        loss.backward()
    # the gradient is a reduction over an outer product of 320 GB
    assert (c.grad is None) is False
    assert c.grad is not None
    assert c.grad.shape == (200_000, 1)
    assert c.grad.dtype == "float64"


def test_one_object_each_time() -> None:
    x, c = Tensor([1.0]), plain([2.0])
    (x * c).backward()
    g = c.grad
    assert c.grad is g
    assert g.tolist() == [1]
    assert c.grad is g


def chain(x: Tensor, c: Tensor) -> Tensor:
    return ((x * c).exp() * (c + x).tanh() / x).sum()


CHANGES: list[Callable[[Tensor, Tensor], object]] = [
    lambda x, c: setattr(x, "data", Tensor(x.numpy() * 9)),
    lambda x, c: setattr(c, "data", Tensor(c.numpy() * 9)),
    lambda x, c: setattr(x, "cached_data", x.numpy() * 9),
    lambda x, c: chain(x, c),
    lambda x, c: setattr(x, "grad", None),
    lambda x, c: gc.collect(),
]


@pytest.mark.parametrize("change", range(len(CHANGES)))
@pytest.mark.parametrize("lazy", [False, True])
def test_it_is_fixed_by_the_sweep(change: int, lazy: bool) -> None:
    values, weights = [0.5, 0.7], [0.3, 0.9]
    expected = Tensor(weights)
    chain(Tensor(values), expected).backward()
    x, c = Tensor(values), plain(weights)
    with ndl.lazy(lazy):
        chain(x, c).backward()
        CHANGES[change](x, c)
        np.testing.assert_allclose(c.grad.numpy(), expected.grad.numpy(), rtol=1e-12)


def test_it_survives_the_death_of_everything_else() -> None:
    c = plain([0.3, 0.9])
    chain(Tensor([0.5, 0.7]), c).backward()
    expected = Tensor([0.3, 0.9])
    chain(Tensor([0.5, 0.7]), expected).backward()
    np.testing.assert_allclose(c.grad.numpy(), expected.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("release", ["none", "newer", "death", "read"])
def test_it_is_released(release: str) -> None:
    x, c = Tensor([0.5, 0.7]), plain([0.3, 0.9])
    (x * c).sum().backward()
    reference = counter()
    x.grad = c.grad = None
    del c
    empty = counter()
    c = plain([0.3, 0.9])
    chain(x, c).backward()
    if release == "none":
        c.grad = None
        x.grad = None
        assert counter() == empty + 1
    elif release == "newer":
        (x * c).sum().backward()
        assert counter() <= reference
    elif release == "death":
        x.grad = None
        del c
        assert counter() == empty
    else:
        x.grad = None
        c.grad.numpy()
        del c
        assert counter() == empty


def test_accumulate_with_a_pending_gradient() -> None:
    x, c = Tensor([1.0]), plain([2.0])
    (x * c).backward()
    (x * c * 3).backward(accumulate=True)
    assert c.grad.tolist() == [4]
    assert x.grad.tolist() == [8]


def test_several_uses_add_up() -> None:
    x, c = Tensor([2.0]), plain([3.0])
    (x * c + c * c * x + c).backward()
    # c * c requires no gradient: the sweep stops there
    assert c.grad.tolist() == [3]


def test_gradients_of_pending_gradients() -> None:
    x, c = Tensor([2.0]), plain([3.0])
    (x * x * c).backward()
    g = c.grad
    assert g.tolist() == [4]
    g.backward()
    assert x.grad.tolist() == [4]


def test_batches_that_nobody_reads_cost_nothing() -> None:
    calls = []

    class Watched(ndl.TensorOp):
        def compute(self, a: np.ndarray) -> np.ndarray:
            return a.copy()

        def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
            calls.append(1)
            return out_grad

    x, c = Tensor([1.0]), plain([2.0])
    (x * Watched()(c)).sum().backward()
    assert calls == []
