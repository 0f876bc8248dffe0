"""What a classifier of small pictures is trained and tested on, wherever it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from needle.data.errors import DataError


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Flattened pictures in [0, 1] with their classes, split into training and test.

    `name` says what they are, `origin` where they were found.
    Images are float32 of shape (count, rows * columns), labels uint8 of shape (count,).

    Raises DataError, naming the part, for an empty one, for sizes or counts that do not fit, for
    a label that is no class, and for NaN or infinity in a picture.
    """

    name: str
    origin: str
    rows: int
    columns: int
    train_images: NDArray[np.float32]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.uint8]
    classes: int = 10

    def __post_init__(self) -> None:
        for part, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            self._check(f"{self.name} from {self.origin}: {part} part", images, labels)

    def _check(self, part: str, images: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        expected = (len(labels), self.features)
        if not all(expected):
            raise DataError(f"{part}: at least one picture expected, found shape {images.shape}")
        if images.shape != expected:
            raise DataError(f"{part}: pictures of shape {expected} expected, found {images.shape}")
        if labels.min() < 0 or labels.max() >= self.classes:
            wrong = labels[(labels < 0) | (labels >= self.classes)][0]
            raise DataError(f"{part}: labels 0 to {self.classes - 1} expected, found {wrong}")
        # One pass without a copy: a sum of pixels is finite if all of them are.
        if not math.isfinite(images.sum()):
            place = tuple(np.argwhere(~np.isfinite(images))[0].tolist())
            raise DataError(f"{part}: finite pixels expected, found {images[place]} at {place}")

    @property
    def features(self) -> int:
        """The number of values in one flattened picture."""
        return self.rows * self.columns
