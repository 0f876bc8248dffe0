"""Transforms: what happens to a picture of shape (height, width, channels) before it is a sample.

Any callable from array to array will do. What is random draws from `sample_rng()`, in a fixed
number of calls for each picture, so that a seed fixes a whole epoch.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from needle.data.rng import sample_rng


class Transform:
    """Base of transforms: subclasses define `__call__`, from a picture to a picture."""

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The transformed picture; `x` is left as it is."""
        raise NotImplementedError


class RandomFlipHorizontal(Transform):
    """Mirrors left and right (axis 1) with probability `p`: one `rand()` for each picture.

    Raises ValueError if `p` is not in [0, 1].
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomFlipHorizontal: p: expected a probability, got {p}")
        self.p = p

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The picture, shape (H, W, C) or (H, W), or its mirror image."""
        return np.flip(x, axis=1) if sample_rng().rand() < self.p else x


class RandomCrop(Transform):
    """Shifts a picture by up to `padding` pixels along axes 0 and 1; what comes in is 0.

    It is the window of the picture's own size, at a random place of the picture with `padding`
    zeros on each side. One `randint(-padding, padding + 1, size=2)` for each picture.
    Raises ValueError for a negative padding, TypeError if it is no integer.
    """

    def __init__(self, padding: int = 3) -> None:
        self.padding = operator.index(padding)
        if self.padding < 0:
            raise ValueError(f"RandomCrop: padding: expected 0 or more, got {padding}")

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """A shifted picture of the same shape, (H, W, C) or (H, W), and dtype."""
        p = self.padding
        down, right = sample_rng().randint(-p, p + 1, size=2)
        height, width = x.shape[:2]
        padded = np.zeros((height + 2 * p, width + 2 * p, *x.shape[2:]), dtype=x.dtype)
        padded[p : p + height, p : p + width] = x
        return padded[p + down : p + down + height, p + right : p + right + width]
