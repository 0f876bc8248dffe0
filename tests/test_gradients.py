"""Gradients against finite differences, and `needle.testing.gradient_check` itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorOp
from needle.testing import gradient_check

SAMPLES = [
    pytest.param(row["name"], op, inputs, id=f"{row['name']}-{i}")
    for row in ndl._core.op_table()
    for i, (op, inputs) in enumerate(row["samples"])
    if row["differentiable"]
]


@pytest.mark.parametrize(("name", "op", "inputs"), SAMPLES)
def test_every_op_to_second_order(name: str, op: Any, inputs: list[Tensor]) -> None:
    if name == "astype" and op.dtype.kind != "f":
        result = op(*inputs)
        assert result.dtype == op.dtype
        result.sum().backward()
        assert all(np.all(x.grad.numpy() == 0) for x in inputs if x.grad is not None)
        return
    gradient_check(op, *inputs, order=2)


COMPOSITES = {
    "softmax loss": lambda a, b: (ndl.logsumexp(a @ b, axes=(1,)) - (a @ b)[:, 0]).mean(),
    "layer norm": lambda a, b: (
        (a - a.mean(axes=1, keepdims=True))
        / ndl.sqrt(((a - a.mean(axes=1, keepdims=True)) ** 2).mean(axes=1, keepdims=True) + 0.1)
        @ b
    ),
    "attention": lambda a, b: ndl.softmax(a @ ndl.transpose(a)) @ a,
    "broadcasts": lambda a, b: a / (1 + b.reshape((1, 4, 2)) ** 2).sum(axes=2) - b[:, 1],
    "joins": lambda a, b: ndl.concat([ndl.stack([a, a * a], 2), b.reshape((1, 4, 2)) ** 3], 0),
    "extrema": lambda a, b: ndl.maximum(a, 1.1) * a.max(axes=0) - ndl.minimum(b.min(), a),
    "choice": lambda a, b: ndl.where(a > 1, a**2, ndl.exp(-a)) * ndl.sigmoid(a),
    "tuple": lambda a, b: ndl.split(a * a, 0),
    "powers": lambda a, b: a ** b[:, 0] / a**1.5 + 2**a,
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", COMPOSITES)
def test_compositions_to_second_order(name: str, lazy: bool) -> None:
    rng = np.random.default_rng(5)
    a, b = Tensor(rng.uniform(0.5, 1.5, (3, 4))), Tensor(rng.uniform(0.5, 1.5, (4, 2)))
    with ndl.lazy(lazy):
        gradient_check(COMPOSITES[name], a, b, order=2)


class Wrong(TensorOp):
    """x ** 2 with a gradient that is wrong in one place."""

    def compute(self, a: np.ndarray) -> np.ndarray:
        return a**2

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        factor = np.full(node.shape, 2.0)
        factor[1, 2] = 3.0
        return out_grad * node.inputs[0] * factor


class WrongSecond(TensorOp):
    """x ** 2 whose gradient is right but cut off from x."""

    def compute(self, a: np.ndarray) -> np.ndarray:
        return a**2

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * (2 * node.inputs[0].numpy())


def test_the_worst_entry_is_named() -> None:
    x, y = Tensor(np.ones((2, 3))), Tensor(np.full((2, 3), 2.0))
    with pytest.raises(AssertionError, match=r"gradient of argument 1 at \(1, 2\).*got.*give"):
        gradient_check(lambda a, b: ndl.exp(a) + Wrong()(b), x, y)
    gradient_check(lambda a, b: ndl.exp(a) + Wrong()(b)[0], x, y)


def test_the_second_order_is_checked_when_asked() -> None:
    x = Tensor([1.0, 2.0])
    gradient_check(WrongSecond(), x)
    with pytest.raises(AssertionError, match=r"second gradient of argument 0 at \(\d,\)"):
        gradient_check(WrongSecond(), x, order=2)


def test_nan_and_missing_gradients_are_found() -> None:
    x = Tensor([0.0, 4.0])
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match=r"\(0,\)"):
        gradient_check(ndl.log, x)
    with pytest.raises(AssertionError, match="argument 0"):
        gradient_check(lambda a: a.detach() * 2, x)
    gradient_check(lambda a: Tensor([1.0]), x)


def test_tensors_keep_their_values_and_gradients() -> None:
    x, g = Tensor([1.0, 2.0]), Tensor([7.0, 7.0])
    x.grad = g
    gradient_check(ndl.exp, x, order=2)
    assert x.tolist() == [1, 2]
    assert x.grad is g


def test_tolerance_and_step() -> None:
    x = Tensor([1.0])
    with pytest.raises(AssertionError):
        gradient_check(lambda a: a**5, x, eps=0.1)
    gradient_check(lambda a: a**5, x, eps=0.1, tol=0.1)
    with pytest.raises(AssertionError):
        gradient_check(lambda a: ndl.exp(a * 3), x, tol=0.0)


def test_only_what_requires_a_gradient_is_checked() -> None:
    x, c = Tensor([[2.0]]), Tensor([True], requires_grad=False)
    gradient_check(lambda a, m: ndl.where(m, a, 0.0), x, c)
    with pytest.raises(ValueError, match="no tensor requires"):
        gradient_check(lambda a: a, c)


def test_misuse() -> None:
    x = Tensor([1.0])
    with pytest.raises(TypeError, match="argument 0 expects float64, got float32"):
        gradient_check(ndl.exp, Tensor([1.0], dtype="float32"))
    with pytest.raises(TypeError, match="f expects to give float64, got float32"):
        gradient_check(lambda a: a.astype("float32"), x)
    with pytest.raises(TypeError, match="argument 1 expects a Tensor, got float"):
        gradient_check(ndl.add, x, 1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="f expects to give tensors, got float"):
        gradient_check(lambda a: 1.0, x)
    with pytest.raises(ValueError, match="order"):
        gradient_check(ndl.exp, x, order=3)
