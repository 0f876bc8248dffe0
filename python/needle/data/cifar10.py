"""Finds CIFAR-10 and reads its files: 50,000 training and 10,000 test pictures of 32 x 32.

The set is A. Krizhevsky's, "Learning multiple layers of features from tiny images" (2009), in the
archive "for Python": six pickled batches, which are read without running code from them.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from needle.data.download import CIFAR10_MIRRORS, CIFAR10_SHA256, fetch
from needle.data.errors import DataError
from needle.data.unpickle import read_pickle
from needle.files import written_whole

# A folder with the six files; it comes before the user's cache folder.
DATA_VARIABLE = "NEEDLE_CIFAR10"

TRAIN_FILES = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST_FILES = ("test_batch",)
# The name of the folder in the archive.
FOLDER = "cifar-10-batches-py"

_SHAPE = (3, 32, 32)
_CLASSES = 10


def find_cifar10(
    folder: str | PathLike[str] | None = None,
    *,
    cache: Path | None = None,
    mirrors: Sequence[str] | None = None,
    progress: bool = False,
) -> Path:
    """The folder that holds the six batches of CIFAR-10.

    The first of these that is given decides: `folder`, the environment variable NEEDLE_CIFAR10,
    the cache folder (`cache`, by default the user's). Only the cache folder is ever written to: if
    it lacks a batch, the archive (170 MB) is downloaded from `mirrors`, by default the publisher's
    server, with a progress bar on stderr if `progress`.

    Raises DataError if a folder that was named lacks a batch, DownloadError (a DataError) if no
    mirror serves the archive.
    """
    named = folder or os.environ.get(DATA_VARIABLE)
    if named:
        root = Path(named)
        _require(root, TRAIN_FILES + TEST_FILES)
        return root
    if cache is None:
        import pooch  # brings an HTTP library: only when it is needed

        cache = Path(pooch.os_cache("needle")) / "cifar10"
    root = cache / FOLDER
    if not all((root / name).exists() for name in TRAIN_FILES + TEST_FILES):
        fetch(
            CIFAR10_SHA256,
            cache,
            CIFAR10_MIRRORS if mirrors is None else mirrors,
            progress=progress,
        )
        for archive in CIFAR10_SHA256:
            unpack(cache / archive, root)
            (cache / archive).unlink()
    return root


def unpack(archive: Path, root: Path) -> None:
    """Write the six batches of the archive into the folder `root`, and nothing else.

    The names of the files are ours, so no path in the archive leads elsewhere.
    Raises DataError if the archive is damaged or lacks a batch.
    """
    root.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for name in TRAIN_FILES + TEST_FILES:
                stored = tar.extractfile(f"{FOLDER}/{name}")
                if stored is None:
                    raise DataError(f"{archive}: a file {FOLDER}/{name} expected, found no file")
                with stored, written_whole(root / name) as file:
                    file.write(stored.read())
    except KeyError as error:
        raise DataError(f"{archive}: a CIFAR-10 archive expected: {error.args[0]}") from None
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{archive}: damaged: a .tar.gz file was expected ({error})") from None


def read_cifar10(
    folder: str | PathLike[str], train: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the training or the test part: uint8 of shape (n, 3, 32, 32), int64 of shape (n,).

    Raises DataError if a file is missing, damaged, or not a batch of CIFAR-10.
    """
    root = Path(folder)
    names = TRAIN_FILES if train else TEST_FILES
    _require(root, names)
    parts = [_read_batch(root / name) for name in names]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    pixels, labels = read_pickle(path, ("data", "labels"))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or not pixels.size:
        raise DataError(f"{path}: an array of bytes under 'data' expected, found none")
    if pixels.shape[1:] != (np.prod(_SHAPE),):
        raise DataError(f"{path}: pictures of 3072 bytes expected, found shape {pixels.shape}")
    if not isinstance(labels, list | np.ndarray) or len(labels) != len(pixels):
        raise DataError(f"{path}: {len(pixels)} labels expected, as there are pictures")
    for label in labels:
        whole = isinstance(label, int | np.integer) and not isinstance(label, bool)
        if not whole or not 0 <= label < _CLASSES:
            # Only numbers are shown: what else is there may be endless.
            shown = label if whole else type(label).__name__
            raise DataError(f"{path}: labels 0 to {_CLASSES - 1} expected, found {shown}")
    return pixels.reshape(-1, *_SHAPE), np.asarray(labels, dtype=np.int64)


def _require(root: Path, names: Sequence[str]) -> None:
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise DataError(f"{root}: {', '.join(names)} expected, missing: {', '.join(missing)}")
