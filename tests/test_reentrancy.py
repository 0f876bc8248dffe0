"""Python code that runs in the middle of the engine's work: hooks, weakrefs, dying objects."""

import weakref

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorOp


def fill_freed_memory() -> list[bytes]:
    """Objects of many sizes, so that memory freed a moment ago is in use again."""
    return [bytes([1]) * size for size in range(1, 120) for _ in range(200)]


def test_a_rule_may_drop_tensors_that_wait_for_their_gradient() -> None:
    held: list[Tensor] = []
    kept: list[bytes] = []

    class Dropping(TensorOp):
        def compute(self, a: np.ndarray) -> np.ndarray:
            return a * 1.0

        def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
            held.clear()
            kept.extend(fill_freed_memory())
            return out_grad

    x = Tensor([1.0, 2.0])
    held.extend(x * 2 for _ in range(50))
    sum(Dropping()(h) for h in held).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [100.0, 100.0])


def test_a_dying_gradient_may_drop_tensors_that_wait_for_theirs() -> None:
    x = Tensor([1.0, 2.0])
    held = [x * 2 for _ in range(50)]
    kept: list[bytes] = []
    y = sum(h * 1.0 for h in held)
    y.backward()

    def callback(_: object) -> None:
        held.clear()
        kept.extend(fill_freed_memory())

    watch = weakref.ref(y.grad, callback)
    y.backward()
    assert watch() is None
    np.testing.assert_array_equal(x.grad.numpy(), [100.0, 100.0])


def test_one_object_stands_for_an_input_that_is_there_twice() -> None:
    x = Tensor([2.0])
    y = x * x
    del x
    a, b = y.inputs
    assert a is b
    del b
    y.backward()
    assert a.grad.item() == 4.0
    assert a is y.inputs[0]


def test_a_seed_that_was_in_no_graph_yet_is_differentiated() -> None:
    x, v = Tensor([3.0]), Tensor([1.0])
    y = x * x
    y.backward(v)
    x.grad.backward()
    assert v.grad.item() == 6.0


@pytest.mark.parametrize("shape", [(4, 3), (3,)])
def test_replacing_data_by_another_shape_before_backward_is_an_error(shape: tuple[int]) -> None:
    x = Tensor(np.ones((1, 3)))
    h = x * 2
    y = h.sum()
    h.data = Tensor(np.ones(shape))
    with pytest.raises(ndl.GradError, match=r"summation: .* shape and dtype of input 0"):
        y.backward()


def test_a_rule_of_another_op_is_refused() -> None:
    x = Tensor([1.0, 2.0])
    ones = Tensor([1.0, 1.0])
    for op in (ndl.EWisePow(), ndl.Transpose((0, 1)), ndl.FusedAddScalars(1, 2)):
        with pytest.raises(ndl.GradError, match="was not made by this op"):
            op.gradient_as_tuple(ones, ndl.exp(x))


def test_a_result_that_its_op_still_watches_is_copied() -> None:
    class Watching(TensorOp):
        def compute(self, a: np.ndarray) -> np.ndarray:
            result = a * 2
            self.watch = weakref.ref(result)
            self.address = result.__array_interface__["data"][0]
            return result

        def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
            return out_grad * 2

    op = Watching()
    y = op(Tensor([1.0, 2.0]))
    assert y.numpy().__array_interface__["data"][0] != op.address


def test_a_broadcast_beyond_any_memory_is_refused() -> None:
    with pytest.raises(ndl.ShapeError, match="no array can have"):
        Tensor(np.ones((2, 3))).broadcast_to((2**62, 2, 3))
