"""The training part of MNIST, and the network's weights before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from needle.data import DataError, find_mnist, load_mnist

BATCH = 100
RATE = 0.2
_CLASSES = 10

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Problem:
    """What every contestant starts from; none of them writes into it."""

    images: Floats
    labels: NDArray[np.uint8]
    targets: Floats
    first: Floats
    second: Floats
    note: str

    @property
    def starts(self) -> range:
        """Where the batches begin."""
        return range(0, len(self.images), BATCH)


def problem(hidden: int = 100) -> Problem:
    """The real MNIST where its files are (NEEDLE_DATA, cache), else noise of the same shape."""
    try:
        # No mirrors: a measurement downloads nothing.
        data = load_mnist(find_mnist(mirrors=()))
    except DataError as error:
        return synthetic(60_000, 784, hidden, f"synthetic data of MNIST's shape ({error})")
    return _problem(data.train_images, data.train_labels, hidden, "the real MNIST")


def synthetic(count: int, features: int, hidden: int, note: str = "synthetic data") -> Problem:
    """Noise around one picture for each class."""
    random = np.random.default_rng(0)
    labels = random.integers(0, _CLASSES, count).astype(np.uint8)
    pictures = random.random((_CLASSES, features), dtype=np.float32)
    images = 0.3 * random.random((count, features), dtype=np.float32)
    images += 0.3 * pictures[labels]
    return _problem(images, labels, hidden, note)


def _problem(images: Floats, labels: NDArray[np.uint8], hidden: int, note: str) -> Problem:
    random = np.random.default_rng(1)
    features = images.shape[1]
    first = random.standard_normal((features, hidden), dtype=np.float32) / np.sqrt(
        np.float32(hidden)
    )
    second = random.standard_normal((hidden, _CLASSES), dtype=np.float32) / np.sqrt(
        np.float32(_CLASSES)
    )
    targets = np.eye(_CLASSES, dtype=np.float32)[labels]
    return Problem(images, labels, targets, first, second, note)
