"""Readers of gzip-compressed IDX files, the format in which MNIST is published.

An IDX file is a big-endian header (a magic number that encodes the element type and the number
of dimensions, then one 32-bit size for each dimension) followed by the bare elements.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from needle.data.errors import DataError

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
    content = _read_gzip(path)
    ndim = magic & 0xFF
    header = 4 * (1 + ndim)
    # The magic number comes first: a wrong kind of file is the likelier cause than a short one.
    found = content[:4]
    if found != magic.to_bytes(4, "big"):
        shown = f"0x{found.hex()}" if found else "an empty file"
        raise DataError(f"{path}: magic number 0x{magic:08x} ({kind}) expected, found {shown}")
    if len(content) < header:
        raise DataError(f"{path}: header of {header} bytes expected, found {len(content)}")
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    # Python integers: a forged header cannot overflow this product.
    expected = 1
    for size in shape:
        expected *= size
    if len(content) - header != expected:
        sizes = " x ".join(str(size) for size in shape)
        raise DataError(
            f"{path}: {expected} bytes of {kind} expected after the header ({sizes}), "
            f"found {len(content) - header}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _read_gzip(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as stream:
            return stream.read()
    except EOFError:
        raise DataError(f"{path}: truncated: a complete gzip file was expected") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise DataError(f"{path}: damaged: a gzip file was expected ({reason})") from None
