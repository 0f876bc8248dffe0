"""The two-layer network of the course posts: MNIST reader, softmax loss, one epoch of SGD."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from needle import _names, ops
from needle.autograd import Tensor
from needle.data.idx import read_idx_pair
from needle.data.mnist import scale_pixels
from needle.errors import ShapeError

__all__ = ["loss_err", "nn_epoch", "parse_mnist", "softmax_loss"]


def parse_mnist(
    image_filename: str | PathLike[str], label_filename: str | PathLike[str]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Read gzip-compressed IDX images and their labels.

    Returns the images, float32 of shape (n, rows * columns) with values in [0, 1], and the
    labels, uint8 of shape (n,). Raises `needle.data.DataError`, in one line that names the file,
    if a file is damaged or if the two do not have the same count.
    """
    images, labels = read_idx_pair(image_filename, label_filename)
    return scale_pixels(images), labels.copy()


def softmax_loss(Z: Tensor, y_one_hot: Tensor) -> Tensor:
    """The mean over the batch of log(sum(exp(Z))) - Z[label], a tensor of shape ().

    `Z` holds the logits, (batch, classes); `y_one_hot` is 1 at the label of each row and 0
    elsewhere, of the same shape. Written out as in the posts: logits above 88 overflow float32.
    """
    # The two terms meet in each row, where they are of like size, and not as two large sums.
    log_sum_exp = ops.log(ops.summation(ops.exp(Z), axes=(1,)))
    at_label = ops.summation(Z * y_one_hot, axes=(1,))
    return ops.summation(log_sum_exp - at_label) / Z.shape[0]


def nn_epoch(
    X: NDArray[np.float32],
    y: NDArray[np.integer],
    W1: Tensor,
    W2: Tensor,
    lr: float = 0.1,
    batch: int = 100,
) -> tuple[Tensor, Tensor]:
    """One epoch of SGD on the network relu(X @ W1) @ W2 with the softmax loss.

    `X` is (n, features), `y` the n class numbers, `W1` (features, hidden), `W2` (hidden, classes).
    Batches are taken in order and without shuffling; a last partial one is used as well.
    Returns the new W1 and W2: leaves that require gradients. The given ones stay as they are,
    whether or not they require gradients.

    Raises ShapeError or ValueError if data or batch are empty or do not fit together, IndexError
    for a label that is no class number, FloatingPointError if the new weights are not finite.
    """
    if batch < 1:
        raise ValueError(f"nn_epoch: expected a batch of 1 or more, got {batch}")
    first, second = Tensor(W1, requires_grad=True), Tensor(W2, requires_grad=True)
    classes = second.shape[1]
    _check_labels("nn_epoch", y, len(X), classes)
    for start in range(0, len(X), batch):
        inputs = Tensor(X[start : start + batch], requires_grad=False)
        targets = Tensor(
            _one_hot(y[start : start + batch], classes), dtype=second.dtype, requires_grad=False
        )
        softmax_loss(ops.relu(inputs @ first) @ second, targets).backward()
        first, second = descend(first, lr), descend(second, lr)
    if not all(np.isfinite(weight.numpy()).all() for weight in (first, second)):
        raise FloatingPointError(
            f"nn_epoch: the weights are not finite any more: expected finite pictures and "
            f"weights, and a smaller lr than {lr:g}"
        )
    return first, second


def descend(weight: Tensor, lr: float) -> Tensor:
    """The weight after one step of gradient descent: a new leaf that requires a gradient."""
    gradient = weight.grad
    if gradient is None:
        raise ValueError("descend: the weight has no gradient; hint: call backward() first")
    # `.data` leaves the graph: without it, each step would keep all the steps before it.
    return Tensor(weight.data - lr * gradient.data, requires_grad=True)


def loss_err(h: Tensor, y: NDArray[np.integer]) -> tuple[NDArray[np.floating], float]:
    """The softmax loss of the logits `h` (a 0-d array), and the fraction of wrong answers.

    Raises as `nn_epoch` for labels that do not fit.
    """
    _check_labels("loss_err", y, h.shape[0], h.shape[-1])
    loss = softmax_loss(h, Tensor(_one_hot(y, h.shape[-1]), requires_grad=False))
    return loss.numpy(), float(np.mean(h.numpy().argmax(axis=1) != y))


def _check_labels(user: str, y: NDArray[np.integer], count: int, classes: int) -> None:
    """That there are so many labels, at least one, and that they are class numbers."""
    labels = np.asarray(y)
    if labels.shape != (count,):
        raise ShapeError(f"{user}: labels of shape ({count},) expected, got {labels.shape}")
    if not count:
        raise ShapeError(f"{user}: at least one label expected, got none")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{user}: integers expected as labels, got {labels.dtype}")
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise IndexError(f"{user}: labels from 0 to {classes - 1} expected, got {wrong[0]}")


def _one_hot(y: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """float64 as in the course, so that the loss of float32 logits is formed in float64."""
    one_hot = np.zeros((len(y), classes))
    one_hot[np.arange(len(y)), y] = 1
    return one_hot


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
