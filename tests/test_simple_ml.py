"""The course's two-layer network: loss, epoch, error, against NumPy written out by hand."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import needle as ndl
from needle import autograd
from needle.apps.simple_ml import descend, loss_err, nn_epoch, parse_mnist, softmax_loss
from needle.data import DataError, load_mnist
from needle.errors import ShapeError


def one_hot(y, classes, dtype=np.float64):
    return np.eye(classes, dtype=dtype)[y]


def reference_loss(logits, y):
    logits = logits.astype(np.float64)
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y])


@pytest.fixture
def problem():
    random = np.random.RandomState(0)
    x = random.randn(50, 5).astype(np.float32)
    y = random.randint(3, size=50).astype(np.uint8)
    w1 = random.randn(5, 10).astype(np.float32)
    w2 = random.randn(10, 3).astype(np.float32)
    return x, y, w1, w2


def test_parse_mnist(tiny_mnist):
    images, labels = parse_mnist(
        tiny_mnist / "t10k-images-idx3-ubyte.gz", str(tiny_mnist / "t10k-labels-idx1-ubyte.gz")
    )
    assert images.shape == (60, 30)
    assert images.dtype == np.float32
    assert labels.shape == (60,)
    assert labels.dtype == np.uint8
    assert images.max() <= 1
    loaded = load_mnist(tiny_mnist)
    np.testing.assert_array_equal(images, loaded.test_images)
    np.testing.assert_array_equal(labels, loaded.test_labels)


def test_parse_mnist_of_mixed_files(tiny_mnist):
    with pytest.raises(DataError, match="60 labels, expected 250"):
        parse_mnist(
            tiny_mnist / "train-images-idx3-ubyte.gz", tiny_mnist / "t10k-labels-idx1-ubyte.gz"
        )


def test_softmax_loss_of_equal_logits_is_log_of_the_classes():
    loss = softmax_loss(ndl.zeros(7, 10), ndl.Tensor(one_hot(np.arange(7), 10)))
    assert loss.shape == ()
    np.testing.assert_allclose(loss.numpy(), np.log(10), rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_softmax_loss_value_and_gradient(dtype, tolerance):
    random = np.random.RandomState(1)
    logits, y = random.randn(16, 10), random.randint(10, size=16)
    z = ndl.Tensor(logits, dtype=dtype)
    loss = softmax_loss(z, ndl.Tensor(one_hot(y, 10), dtype=dtype, requires_grad=False))
    assert loss.dtype == dtype
    np.testing.assert_allclose(loss.numpy(), reference_loss(logits, y), rtol=tolerance)
    loss.backward()
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        z.grad.numpy(), (softmax - one_hot(y, 10)) / 16, rtol=10 * tolerance, atol=tolerance
    )


def test_softmax_loss_promotes_with_a_float64_target():
    loss = softmax_loss(ndl.ones(4, 3), ndl.Tensor(one_hot(np.arange(3)[[0, 1, 2, 0]], 3)))
    assert loss.dtype == np.float64


@pytest.mark.parametrize("batch", [50, 20, 1, 1000])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_nn_epoch_against_gradients_by_hand(problem, batch, requires_grad, reference_epoch):
    x, y, w1, w2 = problem
    given = (
        ndl.Tensor(w1, requires_grad=requires_grad),
        ndl.Tensor(w2, requires_grad=requires_grad),
    )
    new = nn_epoch(x, y, *given, lr=0.05, batch=batch)
    expected = reference_epoch(x, y, w1, w2, 0.05, batch)
    for tensor, reference in zip(new, expected, strict=True):
        assert tensor.dtype == np.float32
        assert tensor.is_leaf()
        assert list(tensor.inputs) == []
        np.testing.assert_allclose(tensor.numpy(), reference, rtol=2e-4, atol=2e-6)
    for tensor, before in zip(given, (w1, w2), strict=True):
        np.testing.assert_array_equal(tensor.numpy(), before)
        assert tensor.requires_grad is requires_grad


def test_nn_epoch_again_and_again(problem, reference_epoch):
    x, y, w1, w2 = problem
    weights = ndl.Tensor(w1), ndl.Tensor(w2)
    expected = w1, w2
    for _ in range(3):
        weights = nn_epoch(x, y, *weights, lr=0.2, batch=20)
        expected = reference_epoch(x, y, *expected, 0.2, 20)
    np.testing.assert_allclose(weights[0].numpy(), expected[0], rtol=2e-4, atol=2e-6)


def test_nn_epoch_keeps_no_graph(problem):
    x, y, w1, w2 = problem
    weights = ndl.Tensor(w1), ndl.Tensor(w2)
    weights = nn_epoch(x, y, *weights, batch=10)
    gc.collect()
    live = autograd.TENSOR_COUNTER
    for _ in range(20):
        weights = nn_epoch(x, y, *weights, batch=10)
    gc.collect()
    assert live == autograd.TENSOR_COUNTER


def test_the_posts_literal_loop(problem, reference_epoch):
    """The batches require gradients, and after its first step a weight does not."""
    x, y, w1, w2 = problem
    first, second = ndl.Tensor(w1), ndl.Tensor(w2)
    lr, batch = 0.5, 20
    for start in range(0, len(x), batch):
        inputs = ndl.Tensor(x[start : start + batch])
        targets = ndl.Tensor(one_hot(y[start : start + batch], 3))
        loss = softmax_loss(ndl.relu(inputs @ first) @ second, targets)
        loss.backward()
        first = (first - lr * first.grad).detach()
        second = (second - lr * second.grad).detach()
    expected = reference_epoch(x, y, w1, w2, lr, batch)
    np.testing.assert_allclose(first.numpy(), expected[0], rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(second.numpy(), expected[1], rtol=2e-4, atol=2e-6)


def test_descend_needs_a_gradient():
    with pytest.raises(ValueError, match="no gradient; hint: call backward"):
        descend(ndl.ones(2, requires_grad=True), 0.1)


def test_loss_err():
    logits = ndl.Tensor(np.float32([[2, 0, 0], [0, 2, 0], [0, 0, 2], [2, 0, 0]]))
    y = np.array([0, 1, 2, 1], dtype=np.uint8)
    loss, error = loss_err(logits, y)
    assert isinstance(loss, np.ndarray)
    assert loss.shape == ()
    np.testing.assert_allclose(loss, reference_loss(logits.numpy(), y), rtol=1e-6)
    assert type(error) is float
    assert error == 0.25


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"y": np.full(50, 3)}, IndexError, "labels from 0 to 2 expected, got 3"),
        ({"y": np.full(50, -1)}, IndexError, "labels from 0 to 2 expected, got -1"),
        ({"y": np.zeros(50)}, TypeError, "integers expected as labels, got float64"),
        ({"y": np.zeros(49, int)}, ShapeError, r"labels of shape \(50,\) expected, got \(49,\)"),
        ({"y": np.zeros(60, int)}, ShapeError, r"labels of shape \(50,\) expected, got \(60,\)"),
        ({"X": np.zeros((0, 5)), "y": np.zeros(0, int)}, ShapeError, "at least one label expected"),
        ({"batch": 0}, ValueError, "a batch of 1 or more, got 0"),
        ({"batch": -5}, ValueError, "a batch of 1 or more, got -5"),
        ({"X": np.full((50, 5), np.nan)}, FloatingPointError, "expected finite pictures"),
        ({"lr": 1e38}, FloatingPointError, r"a smaller lr than 1e\+38"),
    ],
)
def test_nn_epoch_of_what_cannot_be(changed, error, message, problem):
    x, y, w1, w2 = problem
    given = {"X": x, "y": y, "W1": ndl.Tensor(w1), "W2": ndl.Tensor(w2), "batch": 10, **changed}
    with pytest.raises(error, match=f"^nn_epoch: .*{message}"):
        nn_epoch(**given)
    np.testing.assert_array_equal(given["W1"].numpy(), w1)


def test_loss_err_of_what_cannot_be():
    with pytest.raises(IndexError, match="loss_err: labels from 0 to 2 expected, got -1"):
        loss_err(ndl.zeros(2, 3), np.array([0, -1]))
    with pytest.raises(ShapeError, match=r"loss_err: labels of shape \(2,\) expected, got \(1,\)"):
        loss_err(ndl.zeros(2, 3), np.array([0]))
    with pytest.raises(ShapeError, match="loss_err: at least one label expected"):
        loss_err(ndl.zeros(0, 3), np.zeros(0, int))
