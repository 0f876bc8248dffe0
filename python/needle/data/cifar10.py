"""Finds CIFAR-10 and reads its files: 50,000 training and 10,000 test pictures of 32 x 32.

The set is A. Krizhevsky's, "Learning multiple layers of features from tiny images" (2009), in the
archive "for Python": six pickled batches, which are read without running code from them.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from needle.data.download import CIFAR10, CIFAR10_MIRRORS, fetch
from needle.data.errors import DataError
from needle.data.unpickle import read_pickle
from needle.files import opened, written_whole

# A folder with the six files; it comes before the user's cache folder.
DATA_VARIABLE = "NEEDLE_CIFAR10"

TRAIN_FILES = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST_FILES = ("test_batch",)
# The name of the folder in the archive.
FOLDER = "cifar-10-batches-py"

_SHAPE = (3, 32, 32)
_CLASSES = 10

# Twice what the archive holds.
_MOST_UNPACKED = 1 << 29


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
            CIFAR10,
            cache,
            CIFAR10_MIRRORS if mirrors is None else mirrors,
            progress=progress,
        )
        for archive in CIFAR10:
            unpack(cache / archive, root)
            (cache / archive).unlink()
    return root


def unpack(archive: Path, root: Path) -> None:
    """Write the six batches of the archive into the folder `root`, and nothing else.

    The names of the files are ours, so no path in the archive leads elsewhere.
    Raises DataError if the archive is damaged or lacks a batch.
    """
    root.mkdir(parents=True, exist_ok=True)
    wanted = {f"{FOLDER}/{name}": name for name in TRAIN_FILES + TEST_FILES}
    with opened(archive) as file:
        try:
            # As a stream: nothing in the archive can point to another place in it.
            with tarfile.open(fileobj=cast("BinaryIO", _Inflated(file)), mode="r|") as tar:
                for member in tar:
                    name = wanted.pop(member.name, None)
                    if name is not None:
                        _unpack_one(tar, member, root / name)
        except DataError as error:
            raise DataError(f"{archive}: {error}") from None
        except Exception as error:
            if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
                raise
            reason = " ".join(str(error).split())
            raise DataError(f"{archive}: damaged: a .tar.gz file was expected ({reason})") from None
    if wanted:
        missing = ", ".join(wanted)
        raise DataError(f"{archive}: a CIFAR-10 archive expected, it lacks {missing}")


def _unpack_one(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    stored = tar.extractfile(member) if member.isreg() else None
    if stored is None:
        raise DataError(f"a file {member.name} expected, found no file")
    with stored, written_whole(target) as file:
        shutil.copyfileobj(stored, file)
        if file.tell() != member.size:
            raise EOFError(f"{member.name} is cut off")


class _Inflated:
    """What a .gz file holds, up to the bytes that the archive has, and some more."""

    def __init__(self, file: BinaryIO) -> None:
        self._stream = gzip.GzipFile(fileobj=file, mode="rb")
        self._left = _MOST_UNPACKED

    def read(self, size: int) -> bytes:
        """The next bytes; DataError where there are too many."""
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"at most {_MOST_UNPACKED} bytes expected in the archive, found more")
        return content


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
