"""Losses beside NumPy in float64, their gradients, reductions and errors (CONTRACT 7, 12)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.errors import ShapeError
from needle.nn import functional as F
from needle.testing import gradient_check

RANDOM = np.random.default_rng(9)
LOGITS = RANDOM.normal(size=(7, 5)) * 3
CLASSES = np.array([0, 4, 2, 2, 1, 3, 0])
A, B = RANDOM.normal(size=(2, 4, 3)) * 2
P = RANDOM.uniform(size=(4, 3))


def softmax_loss(z: np.ndarray, y: np.ndarray) -> float:
    top = z.max(axis=1, keepdims=True)
    rows = np.log(np.exp(z - top).sum(axis=1)) + top[:, 0]
    return float((rows - z[np.arange(len(y)), y]).mean())


# SoftmaxLoss


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "float32", "float64"])
def test_softmax_loss_of_labels_of_any_dtype(dtype: str) -> None:
    loss = nn.SoftmaxLoss()(Tensor(LOGITS), Tensor(CLASSES, dtype=dtype))
    assert loss.shape == ()
    assert loss.dtype == np.float64
    np.testing.assert_allclose(loss.numpy(), softmax_loss(LOGITS, CLASSES), rtol=1e-12)
    single = nn.SoftmaxLoss()(Tensor(LOGITS, dtype="float32"), Tensor(CLASSES, dtype=dtype))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.numpy(), softmax_loss(LOGITS, CLASSES), rtol=1e-6)


def test_softmax_loss_takes_arrays_and_lists_as_labels() -> None:
    expected = nn.SoftmaxLoss()(Tensor(LOGITS), Tensor(CLASSES)).item()
    assert nn.SoftmaxLoss()(Tensor(LOGITS), CLASSES).item() == expected
    assert nn.SoftmaxLoss()(Tensor(LOGITS), CLASSES.tolist()).item() == expected
    hot = np.eye(5)[CLASSES]
    np.testing.assert_allclose(F.cross_entropy(Tensor(LOGITS), hot).item(), expected, rtol=1e-14)


def test_softmax_loss_gradient() -> None:
    z = Tensor(LOGITS)
    y = Tensor(CLASSES)
    nn.SoftmaxLoss()(z, y).backward()
    exp = np.exp(LOGITS - LOGITS.max(axis=1, keepdims=True))
    expected = (exp / exp.sum(axis=1, keepdims=True) - np.eye(5)[CLASSES]) / 7
    np.testing.assert_allclose(z.grad.numpy(), expected, rtol=1e-10, atol=1e-14)
    assert y.grad is None
    gradient_check(lambda z: nn.SoftmaxLoss()(z, CLASSES), Tensor(LOGITS), order=2)


def test_softmax_loss_is_stable() -> None:
    z = Tensor(np.array([[1e5, 0.0, -1e5], [3e4, 3e4, 3e4]]))
    loss = nn.SoftmaxLoss()(z, [1, 2])
    np.testing.assert_allclose(loss.numpy(), (1e5 + np.log(3)) / 2, rtol=1e-12)
    loss.backward()
    np.testing.assert_allclose(z.grad.numpy()[0], [0.5, -0.5, 0], atol=1e-15)


def test_cross_entropy_of_more_axes_and_of_one_sample() -> None:
    cube, ids = LOGITS.reshape(7, 1, 5), CLASSES.reshape(7, 1)
    expected = softmax_loss(LOGITS, CLASSES)
    np.testing.assert_allclose(F.cross_entropy(Tensor(cube), ids).item(), expected, rtol=1e-12)
    np.testing.assert_allclose(
        F.cross_entropy(Tensor(LOGITS[1]), 4).item(), softmax_loss(LOGITS[1:2], CLASSES[1:2])
    )
    probabilities = RANDOM.dirichlet(np.ones(5), size=7)
    logs = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(
        F.cross_entropy(Tensor(LOGITS), Tensor(probabilities)).item(),
        -(probabilities * logs).sum(axis=1).mean(),
        rtol=1e-12,
    )


# Losses of two tensors of one shape


def huber(a: np.ndarray, b: np.ndarray, delta: float = 1.0) -> np.ndarray:
    d = np.abs(a - b)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


def bce(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-z))
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


# A module, a function, the target, and NumPy's losses of the elements.
Loss = Callable[..., np.ndarray]
LOSSES: dict[str, tuple[Callable[..., Any], Callable[..., Tensor], np.ndarray, Loss]] = {
    "mse": (nn.MSELoss, F.mse_loss, B, lambda a, b: (a - b) ** 2),
    "l1": (nn.L1Loss, F.l1_loss, B, lambda a, b: np.abs(a - b)),
    "huber": (nn.HuberLoss, F.huber_loss, B, huber),
    "huber, delta": (
        lambda reduction="mean": nn.HuberLoss(reduction, delta=2.5),
        lambda a, b, reduction="mean": F.huber_loss(a, b, 2.5, reduction),
        B,
        lambda a, b: huber(a, b, 2.5),
    ),
    "bce": (nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits, P, bce),
}
REDUCE: dict[str, Callable[[np.ndarray], Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "none": lambda losses: losses,
}


@pytest.mark.parametrize("reduction", REDUCE)
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients(name: str, reduction: str) -> None:
    module, function, target, reference = LOSSES[name]
    expected = REDUCE[reduction](reference(A, target))
    for loss in (module(reduction), lambda a, b: function(a, b, reduction=reduction)):
        out = loss(Tensor(A), Tensor(target))
        assert out.shape == np.shape(expected)
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
        np.testing.assert_allclose(loss(Tensor(A), target).numpy(), expected, rtol=1e-12)
        single = loss(Tensor(A, dtype="float32"), Tensor(target, dtype="float32"))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single.numpy(), expected, rtol=1e-5)
        gradient_check(loss, Tensor(A), Tensor(target))


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_is_the_default(name: str) -> None:
    module, _, target, reference = LOSSES[name]
    expected = reference(A, target).mean()
    np.testing.assert_allclose(module()(Tensor(A), Tensor(target)).item(), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bce_does_not_overflow(dtype: str) -> None:
    z = Tensor([-900.0, 900.0, -900.0, 900.0, 0.0], dtype=dtype)
    out = nn.BCEWithLogitsLoss("none")(z, np.array([0, 1, 1, 0, 1], dtype))
    np.testing.assert_allclose(out.numpy(), [0, 0, 900, 900, np.log(2)], rtol=1e-6)
    out.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), [0, 0, -1, 1, -0.5], atol=1e-7)


def test_huber_at_its_joints() -> None:
    a = Tensor([0.0, 1.0, -1.0, 2.0, -2.0])
    out = nn.HuberLoss("none", delta=1.0)(a, np.zeros(5))
    assert out.tolist() == [0, 0.5, 0.5, 1.5, 1.5]
    out.sum().backward()
    assert a.grad.tolist() == [0, 1, -1, 1, -1]


# Errors

CE = "cross_entropy: expected"
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: nn.SoftmaxLoss()(Tensor(LOGITS), Tensor([0, 1, 2, 3, 4, 5, 0])),
        IndexError,
        f"{CE} labels from 0 to 4, got 5 at position 5",
    ),
    (
        lambda: nn.SoftmaxLoss()(Tensor(LOGITS), Tensor([0.0, -1.0, 2, 3, 4, 1, 0])),
        IndexError,
        f"{CE} labels from 0 to 4, got -1 at position 1",
    ),
    (
        lambda: nn.SoftmaxLoss()(Tensor(LOGITS), Tensor([0, 1, 2, 3, 4, 1.5, 0])),
        ValueError,
        f"{CE} whole numbers, got label 1.5 at position 5",
    ),
    (
        lambda: nn.SoftmaxLoss()(Tensor(LOGITS), Tensor([0, 1])),
        ShapeError,
        f"{CE} a target of shape (7, 5) (shares of 5 classes) or (7,) (labels), got (2,)",
    ),
    (
        lambda: nn.MSELoss()(Tensor(np.ones((3, 1))), Tensor(np.ones(3))),
        ShapeError,
        "mse_loss: expected a target of the input's shape (3, 1), got (3,)",
    ),
    (
        lambda: nn.L1Loss()(Tensor(np.ones(3)), Tensor(1.0)),
        ShapeError,
        "l1_loss: expected a target of the input's shape (3,), got ()",
    ),
    (
        lambda: nn.HuberLoss()(Tensor(np.ones(3)), np.ones(1)),
        ShapeError,
        "huber_loss: expected a target of the input's shape (3,), got (1,)",
    ),
    (
        lambda: nn.BCEWithLogitsLoss()(Tensor(np.ones(3)), np.ones(4)),
        ShapeError,
        "binary_cross_entropy_with_logits: expected a target of the input's shape (3,), got (4,)",
    ),
    (
        lambda: nn.MSELoss("average"),
        ValueError,
        "reduction: expected 'mean', 'sum' or 'none', got 'average'",
    ),
    (
        lambda: F.l1_loss(Tensor(A), B, reduction="median"),
        ValueError,
        "reduction: expected 'mean', 'sum' or 'none', got 'median'",
    ),
    (lambda: nn.HuberLoss(delta=0), ValueError, "HuberLoss: expected delta above 0, got 0"),
    (
        lambda: F.huber_loss(Tensor(A), B, delta=-1.0),
        ValueError,
        "huber_loss: expected delta above 0, got -1.0",
    ),
]


@pytest.mark.parametrize(("act", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors(act: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        act()


def test_losses_in_lazy_mode() -> None:
    with ndl.lazy():
        z = Tensor(LOGITS)
        loss = nn.SoftmaxLoss()(z * 1.0, Tensor(CLASSES))
        loss.backward()
        np.testing.assert_allclose(loss.item(), softmax_loss(LOGITS, CLASSES), rtol=1e-12)
        assert z.grad.shape == z.shape
