"""What Python ops may return from compute and gradient, and what they may raise (CONTRACT 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Op, Tensor, TensorOp


def user_op(compute: Callable[..., Any], gradient: Any = None, base: type = TensorOp) -> Any:
    """An op object from two functions."""

    def default(self: Op, out_grad: Tensor, node: Tensor) -> Any:
        return gradient(out_grad, node) if callable(gradient) else gradient

    body = {"compute": lambda self, *a: compute(*a), "gradient": default}
    return type("Custom", (base,), body)()


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (lambda a: a, [1.0, 2.0]),
        (lambda a: a[::-1], [2.0, 1.0]),
        (lambda a: np.float64(a.sum()), 3.0),
        (lambda a: 7, 7),
        (lambda a: 1.5, 1.5),
        (lambda a: a.tolist(), [1.0, 2.0]),
        (lambda a: np.broadcast_to(a, (2, 2)), [[1.0, 2.0], [1.0, 2.0]]),
        (lambda a: a.astype(">f8"), [1.0, 2.0]),
        (lambda a: a > 1, [False, True]),
        (lambda a: np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]]),
    ],
)
def test_results_of_compute(returned: Callable[..., Any], expected: Any) -> None:
    x = Tensor([1.0, 2.0])
    y = user_op(returned)(x)
    assert y.tolist() == expected
    assert y.shape == np.shape(expected)
    if y.size:
        assert not np.shares_memory(y.numpy(), x.numpy())
    assert (y + 1).shape == y.shape


def test_fresh_results_are_adopted_and_kept_ones_are_copied() -> None:
    seen: list[int] = []
    kept: list[np.ndarray] = []

    def fresh(a: np.ndarray) -> np.ndarray:
        result = a + 1
        seen.append(result.__array_interface__["data"][0])
        return result

    def keeping(a: np.ndarray) -> np.ndarray:
        kept.append(a + 1)
        return kept[-1]

    x = Tensor(np.zeros(1000))
    y = user_op(fresh)(x)
    assert y.numpy().__array_interface__["data"][0] == seen[0]
    z = user_op(keeping)(x)
    kept[0][:] = 99
    assert np.all(z.numpy() == 1)


@pytest.mark.parametrize("value", ["text", None, np.array(["a"]), np.array([1j]), object(), [None]])
def test_results_that_are_no_numbers_name_the_op(value: Any) -> None:
    x = Tensor([1.0])
    with pytest.raises(TypeError, match="Custom"):
        user_op(lambda a: value)(x)
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        with pytest.raises(ndl.DTypeError, match="complex"):
            user_op(lambda a: value)(x)


def test_inputs_of_compute_are_arrays_that_cannot_hurt_the_tensor() -> None:
    def vandal(a: np.ndarray) -> np.ndarray:
        assert type(a) is np.ndarray
        a[...] = 0
        return a

    x = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        user_op(vandal)(x)
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize("where", ["compute", "gradient"])
@pytest.mark.parametrize(
    "kind", [ValueError, KeyboardInterrupt, SystemExit, type("Own", (Exception,), {})]
)
def test_exceptions_pass_unchanged_and_the_graph_stays_usable(where: str, kind: type) -> None:
    raised = kind("mine")
    fail = [True]

    def step(value: Any) -> Any:
        if fail[0]:
            raise raised
        return value

    if where == "compute":
        op = user_op(lambda a: step(a * 2), lambda g, n: g * 2)
    else:
        op = user_op(lambda a: a * 2, lambda g, n: step(g * 2))
    type(op).infer = lambda self, x: x
    x = Tensor([1.0])
    hidden = x * 3
    with ndl.lazy():
        loss = (op(hidden) * hidden).sum()
        for _ in range(2):
            with pytest.raises(kind) as caught:
                _ = loss.item() if where == "compute" else loss.backward()
            assert caught.value is raised
            del caught
    fail[0] = False
    assert loss.item() == 18
    loss.backward()
    assert x.grad.tolist() == [36]


def test_an_exception_of_eager_compute() -> None:
    x = Tensor([1.0])
    before = ndl.autograd.TENSOR_COUNTER
    with pytest.raises(ZeroDivisionError):
        user_op(lambda a: 1 // 0)(x)
    assert before == ndl.autograd.TENSOR_COUNTER
    (x * 2).backward()
    assert x.grad.tolist() == [2]


@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_wrong_number_of_gradients(count: int) -> None:
    x = Tensor([1.0])
    y = user_op(lambda a: a * 1, lambda g, n: [g] * count)(x)
    with pytest.raises(ndl.GradError, match=rf"Custom.*{count}.*1"):
        y.backward()
    assert x.grad is None


def test_none_is_no_gradient() -> None:
    x, y = Tensor([1.0]), Tensor([2.0])
    op = user_op(lambda a, b: a * b, lambda g, n: (g * n.inputs[1], None))
    op(x, y).backward()
    assert x.grad.tolist() == [2]
    assert y.grad is None
    (op(x, y) + y * 5).backward()
    assert y.grad.tolist() == [5]
    user_op(lambda a: a * 1, None)(x).backward()


@pytest.mark.parametrize(
    "gradient",
    [
        lambda g, n: np.array([5.0, 5.0]),
        lambda g, n: np.array([[5.0, 5.0]]),
        lambda g, n: Tensor([5.0, 5.0], dtype="float32"),
        lambda g, n: Tensor([5, 5]),
    ],
)
def test_gradients_are_wrapped_fitted_and_cast(gradient: Any) -> None:
    x = Tensor([1.0, 2.0])
    user_op(lambda a: a * 1, gradient)(x).backward()
    assert x.grad.tolist() == [5, 5]
    assert x.grad.dtype == "float64"


def test_gradients_that_are_no_numbers() -> None:
    x = Tensor([1.0, 2.0])
    for wrong in ("text", object(), {}):
        with pytest.raises(TypeError, match="Custom: gradient for input 0: expected numbers, got"):
            user_op(lambda a: a * 1, lambda g, n, wrong=wrong: wrong)(x).backward()
