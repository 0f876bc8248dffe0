"""Readers of gzip-compressed IDX files, the format in which MNIST is published.

An IDX file is a big-endian header (a magic number that encodes the element type and the number
of dimensions, then one 32-bit size for each dimension) followed by the bare elements.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from needle.data.errors import DataError
from needle.files import INFLATION, opened, size_of

# The third byte is the element type (8: unsigned byte), the fourth the number of dimensions.
IMAGES_MAGIC = 0x00000803
LABELS_MAGIC = 0x00000801


def read_idx_images(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Read an image file: a read-only uint8 array of shape (count, rows, columns).

    Raises DataError where the content is wrong, OSError where the file cannot be read.
    """
    return _read_idx(Path(path), IMAGES_MAGIC, "images")


def read_idx_labels(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Read a label file: a read-only uint8 array of shape (count,).

    Raises DataError where the content is wrong, OSError where the file cannot be read.
    """
    return _read_idx(Path(path), LABELS_MAGIC, "labels")


def read_idx_pair(
    images: str | PathLike[str], labels: str | PathLike[str]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read images, and the labels that belong to them: shapes (count, rows, columns), (count,).

    Raises DataError where one file is wrong or where the two do not have the same count.
    """
    pixels = read_idx_images(images)
    classes = read_idx_labels(labels)
    if len(pixels) != len(classes):
        raise DataError(
            f"{labels}: {len(classes)} labels, expected {len(pixels)} as there are images "
            f"in {Path(images).name}"
        )
    return pixels, classes


def _read_idx(path: Path, magic: int, kind: str) -> NDArray[np.uint8]:
    with opened(path) as file, _gzip_of(path, file) as stream:
        ndim = magic & 0xFF
        size = 4 * (1 + ndim)
        header = stream.read(size)
        # The magic number comes first: a wrong kind of file is the likelier cause than a short one.
        found = header[:4]
        if found != magic.to_bytes(4, "big"):
            shown = f"0x{found.hex()}" if found else "an empty file"
            raise DataError(f"{path}: magic number 0x{magic:08x} ({kind}) expected, found {shown}")
        if len(header) < size:
            raise DataError(f"{path}: header of {size} bytes expected, found {len(header)}")
        shape = struct.unpack_from(f">{ndim}I", header, 4)
        # Python integers: a forged header cannot overflow this product.
        expected = math.prod(shape)
        sizes = " x ".join(str(size) for size in shape)
        promised = f"{path}: {expected} bytes of {kind} expected after the header ({sizes}), found"
        if expected > INFLATION * size_of(file):
            raise DataError(f"{promised} a file of {size_of(file)} bytes")
        content = stream.read(expected)
        if len(content) < expected:
            raise DataError(f"{promised} {len(content)}")
        # Only at the end is the checksum compared.
        if stream.read(1):
            raise DataError(f"{promised} more")
    try:
        return np.frombuffer(content, dtype=np.uint8).reshape(shape)
    except ValueError:  # nothing, of sizes whose product overflows
        raise DataError(f"{path}: sizes of an array of {kind} expected, found {sizes}") from None


@contextmanager
def _gzip_of(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """What is compressed in a file; damage that shows while it is read is a DataError."""
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            yield cast("BinaryIO", stream)
    except EOFError:
        raise DataError(f"{path}: truncated: a complete gzip file was expected") from None
    except (gzip.BadGzipFile, zlib.error, struct.error) as error:
        reason = str(error).rstrip(".")
        raise DataError(f"{path}: damaged: a gzip file was expected ({reason})") from None
