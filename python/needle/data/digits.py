"""The handwritten digits that scikit-learn ships: real data where there is no MNIST.

1,797 pictures of 8 x 8, the test part of the "Optical Recognition of Handwritten Digits" set of
the UCI repository (Alpaydin and Kaynak, 1998).
"""

from __future__ import annotations

import numpy as np

from needle import _optional
from needle.data.errors import DataError
from needle.data.images import LabelledImages

_TEST_COUNT = 360
# The largest value of a pixel: each counts the ink in a block of 4 x 4 dots.
_INK = np.float32(16)


def load_digits() -> LabelledImages:
    """Load the digits, scaled to [0, 1]: 1,437 to train and 360 to test, always the same ones.

    The pictures stand in the order of their writers, so the split is made by a fixed permutation.
    Raises DataError if scikit-learn is not installed.
    """
    try:
        datasets = _optional.load("sklearn.datasets", "the 8 x 8 digits need")
    except ModuleNotFoundError as error:
        raise DataError(str(error)) from None
    pixels, labels = datasets.load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(pixels))
    images = (pixels[order] / _INK).astype(np.float32)
    classes = labels[order].astype(np.uint8)
    return LabelledImages(
        name="digits",
        origin="scikit-learn",
        rows=8,
        columns=8,
        train_images=images[:-_TEST_COUNT],
        train_labels=classes[:-_TEST_COUNT],
        test_images=images[-_TEST_COUNT:],
        test_labels=classes[-_TEST_COUNT:],
    )
