"""Ops written in Python as the posts write them equal the native ones (CONTRACT 4).

Values and gradients of first and second order, alone and mixed in one graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorOp


class Add(TensorOp):
    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a + b

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
        return out_grad, out_grad


class PowerScalar(TensorOp):
    def __init__(self, scalar: float) -> None:
        self.scalar = scalar

    def compute(self, a: np.ndarray) -> np.ndarray:
        return a**self.scalar

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        return out_grad * self.scalar * PowerScalar(self.scalar - 1)(a)


class Div(TensorOp):
    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a / b

    def gradient(self, out_grad: Tensor, node: Tensor) -> list[Tensor]:
        a, b = node.inputs
        return [Div()(out_grad, b), -out_grad * a / (b * b)]


class Transpose(TensorOp):
    def __init__(self, axes: tuple[int, int] | None = None) -> None:
        self.axes = axes

    def compute(self, a: np.ndarray) -> np.ndarray:
        return np.swapaxes(a, *(self.axes or (-1, -2)))

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Transpose(self.axes)(out_grad)


class Reshape(TensorOp):
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def compute(self, a: np.ndarray) -> np.ndarray:
        return a.reshape(self.shape)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Reshape(node.inputs[0].shape)(out_grad)


class BroadcastTo(TensorOp):
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def compute(self, a: np.ndarray) -> np.ndarray:
        return np.broadcast_to(a, self.shape)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        shape = node.inputs[0].shape
        padded = (1,) * (len(self.shape) - len(shape)) + shape
        axes = tuple(i for i, n in enumerate(padded) if n != self.shape[i])
        return Reshape(shape)(Summation(axes)(out_grad))


class Summation(TensorOp):
    def __init__(self, axes: tuple[int, ...] | None = None) -> None:
        self.axes = axes

    def compute(self, a: np.ndarray) -> Any:
        return a.sum(axis=self.axes)  # a np.float64 where all axes go

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        shape = node.inputs[0].shape
        axes = range(len(shape)) if self.axes is None else [i % len(shape) for i in self.axes]
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
        return BroadcastTo(shape)(Reshape(kept)(out_grad))


class MatMul(TensorOp):
    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a @ b

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
        a, b = node.inputs
        return MatMul()(out_grad, Transpose()(b)), MatMul()(Transpose()(a), out_grad)


class Log(TensorOp):
    def compute(self, a: np.ndarray) -> np.ndarray:
        return np.log(a)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad / node.inputs[0]


class Exp(TensorOp):
    def compute(self, a: np.ndarray) -> np.ndarray:
        return np.exp(a)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * node


class ReLU(TensorOp):
    def compute(self, a: np.ndarray) -> np.ndarray:
        return np.maximum(a, 0)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        mask = node.inputs[0].realize_cached_data() > 0
        return out_grad * Tensor(mask)


A, B = (3, 4), (4, 2)
# A user op, the native one, the shapes of the inputs.
PAIRS: list[tuple[TensorOp, Any, list[tuple[int, ...]]]] = [
    (Add(), ndl.EWiseAdd(), [A, A]),
    (Add(), ndl.EWiseAdd(), [A, (4,)]),  # the engine sums over what was broadcast
    (PowerScalar(3), ndl.PowerScalar(3), [A]),
    (PowerScalar(-1.5), ndl.PowerScalar(-1.5), [A]),
    (Div(), ndl.EWiseDiv(), [A, A]),
    (Div(), ndl.EWiseDiv(), [(3, 1), (1, 4)]),
    (Transpose(), ndl.Transpose(), [A]),
    (Transpose((0, 2)), ndl.Transpose((0, 2)), [(2, 3, 4)]),
    (Reshape((2, 6)), ndl.Reshape((2, 6)), [A]),
    (BroadcastTo((2, 3, 4)), ndl.BroadcastTo((2, 3, 4)), [(3, 1)]),
    (BroadcastTo((3, 2)), ndl.BroadcastTo((3, 2)), [()]),
    (Summation(), ndl.Summation(), [A]),
    (Summation((1,)), ndl.Summation((1,)), [A]),
    (Summation((-1, 0)), ndl.Summation((-1, 0)), [(2, 3, 4)]),
    (MatMul(), ndl.MatMul(), [A, B]),
    (Log(), ndl.Log(), [A]),
    (Exp(), ndl.Exp(), [A]),
    (ReLU(), ndl.ReLU(), [A]),
]


def inputs(shapes: list[tuple[int, ...]]) -> list[Tensor]:
    rng = np.random.default_rng(3)
    return [Tensor(rng.uniform(0.5, 1.5, size=s)) for s in shapes]


def results(f: Callable[..., Tensor], leaves: list[Tensor]) -> list[np.ndarray]:
    """The value, the gradients, and the gradients of a function of the gradients."""
    weights = Tensor(np.linspace(0.3, 1.7, 24), requires_grad=False)
    out = f(*leaves)
    (out * out * weights[: out.size].reshape(out.shape)).sum().backward()
    first = [leaf.grad for leaf in leaves]
    total = sum((g * g * weights[: g.size].reshape(g.shape)).sum() for g in first)
    total.backward()
    second = [leaf.grad for leaf in leaves]
    assert all(a is not b for a, b in zip(first, second, strict=True))
    assert [g.shape for g in second] == [leaf.shape for leaf in leaves]
    return [t.numpy() for t in (out, *first, *second)]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("user", "native", "shapes"), PAIRS)
def test_alone(user: TensorOp, native: Any, shapes: list[tuple[int, ...]], lazy: bool) -> None:
    with ndl.lazy(lazy):
        ours, theirs = results(user, inputs(shapes)), results(native, inputs(shapes))
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_relu_masks_by_the_raw_input() -> None:
    x, y = Tensor([-1.0, 0.0, 2.0]), Tensor([-1.0, 0.0, 2.0])
    for f, leaf in ((ReLU(), x), (ndl.relu, y)):
        (f(leaf) * leaf).sum().backward()
        assert leaf.grad.tolist() == [0, 0, 4]
        leaf.grad.sum().backward()
        assert leaf.grad.tolist() == [0, 0, 2]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("pattern", range(8))
def test_mixed_in_one_graph(pattern: int, lazy: bool) -> None:
    def network(use: list[bool]) -> Callable[..., Tensor]:
        matmul: Any = MatMul() if use[0] else ndl.matmul
        relu: Any = ReLU() if use[1] else ndl.relu
        exp, log, total = (
            (Exp(), Log(), Summation((1,)))
            if use[2]
            else (ndl.exp, ndl.log, lambda a: ndl.summation(a, axes=(1,)))
        )

        def loss(x: Tensor, w: Tensor, v: Tensor) -> Tensor:
            hidden = relu(matmul(x, w) - 1.5)
            logits = matmul(hidden, v)
            return log(total(exp(logits))) / 3 + logits[:, 0]

        return loss

    shapes = [(3, 4), (4, 5), (5, 2)]
    with ndl.lazy(lazy):
        mixed = results(network([bool(pattern >> i & 1) for i in range(3)]), inputs(shapes))
        native = results(network([False] * 3), inputs(shapes))
    for a, b in zip(mixed, native, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_third_order() -> None:
    x = Tensor([1.5])
    y = Exp()(x) * PowerScalar(3)(x)
    for _ in range(3):
        y.backward()
        y = x.grad
    e = np.exp(1.5)
    expected = e * (1.5**3 + 9 * 1.5**2 + 18 * 1.5 + 6)
    np.testing.assert_allclose(x.grad.numpy(), [expected], rtol=1e-12)


@pytest.mark.parametrize("value", [[100.0, 100.0], [9.0], [1.0, 2.0, 3.0]])
def test_data_that_a_gradient_replaces_is_not_read_by_the_rules_to_come(value: list[float]) -> None:
    w, x = ndl.Tensor([3.0, 4.0]), ndl.Tensor([1.0, 2.0])

    class Replacing(ndl.TensorOp):
        def compute(self, a):
            return a

        def gradient(self, out_grad, node):
            w.data = ndl.Tensor(value)
            return out_grad

    with pytest.raises(ndl.GradError, match=r"multiply: its gradient needs .*input 1, which was"):
        Replacing()(x * w).sum().backward()
    # The graph is as usable as before.
    (x * w.sum()).sum().backward()
    assert x.grad.tolist() == [sum(value)] * 2


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_a_gradient_of_another_kind_than_the_input_is_refused(many: bool, lazy: bool) -> None:
    class Mixed(TensorOp):
        def compute(self, a: np.ndarray, b: Any) -> np.ndarray:
            return a + (b[0] if many else b)

        def gradient(self, out_grad: Tensor, node: Tensor) -> Any:
            return out_grad, out_grad if many else ndl.make_tuple(out_grad, out_grad)

    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    with ndl.lazy(lazy):
        result = Mixed()(x, ndl.make_tuple(y, y) if many else y)
        with pytest.raises(ndl.GradError, match=r"Mixed: gradient for input 1 \(b\) is a t"):
            result.backward()


def test_a_gradient_may_be_a_tuple_where_the_input_is_one() -> None:
    class First(TensorOp):
        def compute(self, pair: tuple[np.ndarray, ...]) -> np.ndarray:
            return pair[0] * 1.0

        def gradient(self, out_grad: Tensor, node: Tensor) -> Any:
            return ndl.make_tuple(out_grad, *parts)

    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    parts = [Tensor([0.0, 0.0])]
    First()(ndl.make_tuple(x, y)).backward()
    assert x.grad.numpy().tolist() == [1.0, 1.0]
    assert y.grad.numpy().tolist() == [0.0, 0.0]
    parts.clear()
    with pytest.raises(ndl.GradError, match=r"input 0 \(pair\) is a tuple of tensors of"):
        First()(ndl.make_tuple(x, y)).backward()
