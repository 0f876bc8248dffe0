"""Data sets, their files, and batches of them.

>>> images = load_mnist(find_mnist())  # doctest: +SKIP
>>> train = NDArrayDataset(images.train_images, images.train_labels)  # doctest: +SKIP
>>> for x, y in DataLoader(train, batch_size=100, shuffle=True):  # doctest: +SKIP
...     print(x.shape, y.shape)
(100, 784) (100,)
"""

from typing import TYPE_CHECKING

from needle import _names
from needle.data.cifar10 import find_cifar10
from needle.data.collate import Batch
from needle.data.dataset import Dataset, NDArrayDataset, Subset, random_split
from needle.data.digits import load_digits
from needle.data.errors import DataError, DownloadError
from needle.data.idx import read_idx_images, read_idx_labels, read_idx_pair
from needle.data.images import LabelledImages
from needle.data.loader import DataLoader
from needle.data.mnist import find_mnist, load_mnist
from needle.data.rng import sample_rng
from needle.data.transforms import RandomCrop, RandomFlipHorizontal, Transform
from needle.data.vision import CIFAR10Dataset, MNISTDataset

__all__ = [
    "Batch",
    "CIFAR10Dataset",
    "DataError",
    "DataLoader",
    "Dataset",
    "DownloadError",
    "LabelledImages",
    "MNISTDataset",
    "NDArrayDataset",
    "RandomCrop",
    "RandomFlipHorizontal",
    "Subset",
    "Transform",
    "find_cifar10",
    "find_mnist",
    "load_digits",
    "load_mnist",
    "random_split",
    "read_idx_images",
    "read_idx_labels",
    "read_idx_pair",
    "sample_rng",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
