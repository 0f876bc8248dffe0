"""What a classifier of small pictures is trained and tested on, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Flattened pictures in [0, 1] with their classes, split into training and test.

    `name` says what they are, `origin` where they were found.
    Images are float32 of shape (count, rows * columns), labels uint8 of shape (count,).
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

    @property
    def features(self) -> int:
        """The number of values in one flattened picture."""
        return self.rows * self.columns
