"""Finds MNIST and loads it: 60,000 training and 10,000 test pictures of 28 x 28."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from needle.data.download import MNIST, fetch, mnist_mirrors
from needle.data.errors import DataError
from needle.data.idx import read_idx_pair
from needle.data.images import LabelledImages

# A folder with the four files; it comes before the user's cache folder.
DATA_VARIABLE = "NEEDLE_DATA"

MNIST_FILES = tuple(MNIST)
_CLASSES = 10


def find_mnist(
    folder: str | PathLike[str] | None = None,
    *,
    cache: Path | None = None,
    mirrors: Sequence[str] | None = None,
    progress: bool = False,
) -> Path:
    """The folder that holds the four files of MNIST.

    The first of these that is given decides: `folder`, the environment variable NEEDLE_DATA, the
    cache folder (`cache`, by default the user's). Only the cache folder is ever written to: what
    it lacks is downloaded from `mirrors`, by default `mnist_mirrors()`, with a progress bar on
    stderr if `progress`.

    Raises DataError if a folder that was named lacks a file, DownloadError (a DataError) if the
    cache folder lacks one that no mirror serves.
    """
    named = folder or os.environ.get(DATA_VARIABLE)
    if named:
        return _complete(Path(named))
    if cache is None:
        import pooch  # brings an HTTP library: only when it is needed

        cache = Path(pooch.os_cache("needle")) / "mnist"
    if not all((cache / name).exists() for name in MNIST_FILES):
        fetch(MNIST, cache, mnist_mirrors() if mirrors is None else mirrors, progress=progress)
    return cache


def load_mnist(folder: str | PathLike[str]) -> LabelledImages:
    """Load the four files of `folder`, pixels scaled from 0..255 to float32 in [0, 1].

    Raises DataError if a file is missing or damaged, or if the files disagree with each other.
    """
    root = _complete(Path(folder))
    train_images, train_labels = _load_pair(root, "train")
    test_images, test_labels = _load_pair(root, "t10k")
    rows, columns = train_images.shape[1:]
    if test_images.shape[1:] != (rows, columns):
        found = " x ".join(str(size) for size in test_images.shape[1:])
        raise DataError(
            f"{root / 't10k-images-idx3-ubyte.gz'}: images of {found}, expected {rows} x {columns} "
            f"as in train-images-idx3-ubyte.gz"
        )
    return LabelledImages(
        name="MNIST",
        origin=str(root),
        rows=rows,
        columns=columns,
        train_images=scale_pixels(train_images),
        train_labels=train_labels,
        test_images=scale_pixels(test_images),
        test_labels=test_labels,
        classes=_CLASSES,
    )


def scale_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flatten (n, rows, columns) bytes to (n, rows * columns) float32 in [0, 1]."""
    flat = images.reshape(len(images), images.shape[1] * images.shape[2]).astype(np.float32)
    flat /= np.float32(255)
    return flat


def _load_pair(root: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    image_file = root / f"{part}-images-idx3-ubyte.gz"
    label_file = root / f"{part}-labels-idx1-ubyte.gz"
    images, labels = read_idx_pair(image_file, label_file)
    if not images.size:
        shape = " x ".join(str(size) for size in images.shape)
        raise DataError(f"{image_file}: at least one picture expected, found {shape}")
    if labels.max() >= _CLASSES:
        raise DataError(f"{label_file}: labels 0 to {_CLASSES - 1} expected, found {labels.max()}")
    return images, labels


def _complete(folder: Path) -> Path:
    """`folder` itself; DataError if it is not a folder with the four files."""
    if not folder.is_dir():
        raise DataError(f"{folder}: a folder with the files of MNIST expected, there is none")
    missing = [name for name in MNIST_FILES if not (folder / name).exists()]
    if missing:
        raise DataError(f"{folder}: {', '.join(MNIST_FILES)} expected, missing: {_and(missing)}")
    return folder


def _and(names: Sequence[str]) -> str:
    return "all of them" if len(names) == len(MNIST_FILES) else ", ".join(names)
