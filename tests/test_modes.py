"""Counters, lazy mode, no_grad (CONTRACT 2.4)."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, autograd

TABLE = [
    pytest.param(op, inputs, id=f"{row['name']}-{i}")
    for row in ndl._core.op_table()
    for i, (op, inputs) in enumerate(row["samples"])
]


@pytest.fixture(autouse=True)
def _modes_are_restored() -> Iterator[None]:
    yield
    autograd.LAZY_MODE = False


def counter() -> int:
    gc.collect()
    return autograd.TENSOR_COUNTER


class Untyped(ndl.TensorOp):
    """x + 1, which counts how often it is computed."""

    def __init__(self) -> None:
        self.calls = 0

    def compute(self, x: np.ndarray) -> np.ndarray:
        self.calls += 1
        return x + 1

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad


class Counted(Untyped):
    """The same with a rule for shape and dtype."""

    def infer(self, x: tuple[Any, Any]) -> tuple[Any, Any]:
        return x


def in_thread(body: Callable[[], object]) -> object:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(body()))
    thread.start()
    thread.join()
    return results[0]


def test_the_counter_returns_to_its_start() -> None:
    start = counter()
    x = Tensor([1.0, 2.0])
    assert counter() == start + 1
    y = ((x * 2).exp() + x).sum()
    assert counter() > start + 2
    y.backward()
    x.grad.sum().backward()
    tt = ndl.split(x * 3, 0)
    parts = tt.tuple()
    del x, y, tt, parts
    assert counter() == start


def test_the_counter_counts_nodes_without_object() -> None:
    start = counter()
    x = Tensor([1.0])
    y = x * 2 * 3 * 4
    assert counter() == start + 4
    z = (Tensor([1.0], requires_grad=False) * 2) * 3
    assert counter() == start + 5
    del x, y, z
    assert counter() == start


def test_the_counter_can_be_set() -> None:
    before = autograd.TENSOR_COUNTER
    autograd.TENSOR_COUNTER = 0
    x = Tensor([1.0])
    assert autograd.TENSOR_COUNTER == 1
    del x
    assert autograd.TENSOR_COUNTER == 0
    autograd.TENSOR_COUNTER = before


@pytest.mark.parametrize(("op", "inputs"), TABLE)
def test_lazy_results_equal_eager_ones(op: Any, inputs: list[Tensor]) -> None:
    def run() -> list[np.ndarray]:
        leaves = [Tensor(t, requires_grad=t.requires_grad) for t in inputs]
        result = op(*leaves)
        outputs = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
        arrays = [t.numpy() for t in outputs]
        differentiable = [t for t in outputs if t.requires_grad]
        for t in differentiable:
            t.backward()
            arrays += [leaf.grad.numpy() for leaf in leaves if leaf.grad is not None]
        return arrays

    eager = run()
    with ndl.lazy():
        lazy = run()
    assert len(eager) == len(lazy)
    for a, b in zip(eager, lazy, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_lazy_shape_and_dtype_cost_no_computation() -> None:
    with ndl.lazy():
        column = Tensor(np.zeros((10**6, 1)), requires_grad=False)
        huge = ndl.exp(column + column.reshape((1, 10**6))) * 2
        assert huge.shape == (10**6, 10**6)
        assert (huge.dtype, huge.ndim, huge.size) == ("float64", 2, 10**12)
        op = Counted()
        y = op(Tensor([1.0, 2.0]))
        z = (y * 2).sum()
        assert (y.shape, y.dtype, z.shape) == ((2,), "float64", ())
        assert op.calls == 0
        assert z.item() == 10
        assert y.numpy().tolist() == [2, 3]
        assert op.calls == 1


def test_an_op_without_infer_is_computed_when_its_shape_is_needed() -> None:
    with ndl.lazy():
        op = Untyped()
        y = op(Tensor([1.0, 2.0]))
        assert op.calls == 0
        assert y.shape == (2,)
        assert op.calls == 1
        assert y.numpy().tolist() == [2, 3]
        assert op.calls == 1


def test_lazy_mode_is_of_the_process() -> None:
    op = Counted()
    assert autograd.LAZY_MODE is False
    autograd.LAZY_MODE = True
    assert autograd.LAZY_MODE is True
    y = op(Tensor([1.0]))
    in_thread(lambda: op(Tensor([1.0])).shape)
    assert op.calls == 0
    autograd.LAZY_MODE = False
    assert y.numpy().tolist() == [2]
    assert op.calls == 1
    op(Tensor([1.0]))
    assert op.calls == 2


def test_lazy_is_of_the_thread() -> None:
    op = Counted()
    x = Tensor([1.0])
    with ndl.lazy():
        in_thread(lambda: op(x))
        assert op.calls == 1
        held = op(x)
        assert op.calls == 1
        with ndl.lazy(False):
            op(x)
        assert op.calls == 2
        again = op(x)
        assert op.calls == 2
    op(x)
    assert op.calls == 3
    assert held.item() == again.item() == 2


def test_no_grad_is_of_the_thread_and_ends() -> None:
    x = Tensor([1.0])
    with ndl.no_grad():
        assert (x * 2).op is None
        assert (x * 2).requires_grad is False
        assert in_thread(lambda: (x * 2).requires_grad) is True
        with ndl.no_grad():
            pass
        assert (x * 2).op is None
    assert (x * 2).requires_grad is True
    with pytest.raises(KeyError), ndl.no_grad():
        raise KeyError
    assert (x * 2).op is not None


def test_a_lazy_result_without_gradient_becomes_a_leaf_when_computed() -> None:
    x = Tensor([1.0], requires_grad=False)
    with ndl.lazy():
        y = x * 2
        assert isinstance(y.op, ndl.MulScalar)
        assert y.inputs[0] is x
        y.numpy()
        assert (y.op, y.inputs) == (None, [])


def test_lazy_no_grad() -> None:
    x = Tensor([3.0])
    with ndl.lazy(), ndl.no_grad():
        y = x * x
        assert y.requires_grad is False
    assert y.item() == 9


def test_lazy_pins_what_it_read() -> None:
    x = Tensor([1.0, 2.0])
    with ndl.lazy():
        loss = (x * x).sum()
        loss.backward()
        x.data = Tensor([10.0, 20.0])
        assert loss.item() == 5
        assert x.grad.tolist() == [2, 4]
    assert x.tolist() == [10, 20]


def test_errors_of_shape_are_raised_at_once_in_lazy_mode() -> None:
    with ndl.lazy(), pytest.raises(ndl.ShapeError):
        Tensor([1.0, 2.0]) + Tensor([1.0, 2.0, 3.0])
