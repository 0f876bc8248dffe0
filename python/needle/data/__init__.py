"""Data sets: where they are found, how they are fetched, and readers of their files.

>>> images = load_mnist(find_mnist())  # doctest: +SKIP
>>> images.train_images.shape  # doctest: +SKIP
(60000, 784)
"""

from needle.data.digits import load_digits
from needle.data.errors import DataError, DownloadError
from needle.data.idx import read_idx_images, read_idx_labels, read_idx_pair
from needle.data.images import LabelledImages
from needle.data.mnist import find_mnist, load_mnist

__all__ = [
    "DataError",
    "DownloadError",
    "LabelledImages",
    "find_mnist",
    "load_digits",
    "load_mnist",
    "read_idx_images",
    "read_idx_labels",
    "read_idx_pair",
]
