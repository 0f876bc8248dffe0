"""The course's data sets of pictures, in memory and scaled to [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from needle.data.cifar10 import read_cifar10
from needle.data.dataset import Array, Dataset, Indices
from needle.data.idx import read_idx_pair
from needle.data.mnist import scale_pixels

Transforms = Sequence[Callable[[Any], Any]] | None


class _Pictures(Dataset):
    """Pictures with labels. What an index gives is a copy, the caller's to change."""

    def __init__(self, pictures: NDArray[np.float32], labels: Array, transforms: Transforms):
        super().__init__(transforms)
        self._pictures = pictures
        self._labels = labels

    def __getitem__(self, index: Any) -> tuple[Array, Any]:
        pictures, labels = _own(self._pictures[index]), _own(self._labels[index])
        if not self.transforms or not pictures.size:
            return pictures, labels
        if pictures.ndim < self._pictures.ndim:
            return self._transformed(pictures), labels
        return np.stack([self._transformed(picture) for picture in pictures]), labels

    def __len__(self) -> int:
        return len(self._pictures)

    def take(self, indices: Indices) -> tuple[Array, ...]:
        """The samples of those indices, with one selection from the memory of all pictures."""
        return self[indices]

    def _transformed(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return _picture(self.apply_transforms(picture))


def _picture(transformed: Any) -> NDArray[np.float32]:
    """What transforms gave, as a picture; TypeError for anything but numbers, such as None."""
    array = np.asarray(transformed)
    if array.dtype.kind not in "biuf":
        kind = type(transformed).__name__
        raise TypeError(f"transforms: expected an array of numbers as the result, got {kind}")
    return np.ascontiguousarray(array, dtype=np.float32)


def _own(selected: Any) -> Any:
    """A copy where the selection is a view; a selection by indices already is a copy."""
    return selected if selected.base is None else selected.copy()


class MNISTDataset(_Pictures):
    """MNIST, or another set in its format, from two gzip-compressed IDX files.

    A sample is a picture, float32 of shape (28, 28, 1) in [0, 1], and its label, uint8. A slice or
    an array of indices gives pictures (n, 28, 28, 1) and labels (n,). Transforms get one picture at
    a time, (height, width, channels), in the order of the samples.

    Raises DataError if a file is damaged or the two do not belong together.
    """

    def __init__(
        self,
        image_filename: str | PathLike[str],
        label_filename: str | PathLike[str],
        transforms: Transforms = None,
    ) -> None:
        pixels, labels = read_idx_pair(image_filename, label_filename)
        super().__init__(scale_pixels(pixels).reshape(*pixels.shape, 1), labels, transforms)

    @property
    def images(self) -> NDArray[np.float32]:
        """All pictures, without transforms: shape (n, height, width, 1)."""
        return self._pictures

    @property
    def labels(self) -> NDArray[np.uint8]:
        """All labels: shape (n,)."""
        return self._labels


class CIFAR10Dataset(_Pictures):
    """CIFAR-10 from the folder with its pickled batches, 50,000 to train or 10,000 to test.

    A sample is a picture, float32 of shape (3, 32, 32) in [0, 1], and its label, int64. A slice or
    an array of indices gives pictures (n, 3, 32, 32) and labels (n,). `.X` and `.y` are all of
    them, without transforms. Transforms get one picture at a time as (height, width, channels), as
    those of `MNISTDataset` do, and give it back so.

    `needle.data.find_cifar10` finds or downloads the folder. `p` is there for the course's
    signature; nothing depends on it. Raises DataError if a file is missing or damaged.
    """

    def __init__(
        self,
        base_folder: str | PathLike[str],
        train: bool,
        p: float = 0.5,
        transforms: Transforms = None,
    ) -> None:
        pixels, labels = read_cifar10(base_folder, train)
        pictures = pixels.astype(np.float32)
        pictures /= np.float32(255)
        super().__init__(pictures, labels, transforms)

    @property
    def X(self) -> NDArray[np.float32]:
        """All pictures: shape (n, 3, 32, 32)."""
        return self._pictures

    @property
    def y(self) -> NDArray[np.int64]:
        """All labels: shape (n,)."""
        return self._labels

    def _transformed(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        channels_last = picture.transpose(1, 2, 0).copy()
        return _picture(np.moveaxis(_picture(self.apply_transforms(channels_last)), -1, 0))
