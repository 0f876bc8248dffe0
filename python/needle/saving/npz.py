"""The arrays of a `.npz` file: a zip archive of files in NumPy's format.

Whatever the file says of sizes is compared with the file itself before memory is asked for.
"""

from __future__ import annotations

import errno
import math
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from needle.errors import FileFormatError
from needle.files import INFLATION, size_of

# A deflated member that is very short has some bytes besides.
_SLACK = 64

# NumPy itself reads no longer headers.
_LONGEST_HEADER = 10_000
_READ_AT_ONCE = 1 << 20

# NumPy's format, without evaluating what the file says: one entry of the header, which is a dict.
# Python 2 wrote an L behind a long integer.
_ENTRY = (
    r"'(descr|fortran_order|shape)'\s*:\s*"
    r"('[^'\\]*'|\[[^{}\n]*\]|True|False|\((?:\s*\d+L?\s*,)*\s*(?:\d+L?\s*)?\))\s*"
)
_HEADER = re.compile(rf"\{{\s*{_ENTRY},\s*{_ENTRY},\s*{_ENTRY}(?:,\s*)?\}}\s*")


def read_npz(path: Path, file: BinaryIO) -> dict[str, NDArray[Any]]:
    """The arrays by their names. Raises FileFormatError, with file and member, where it is damaged,
    holds something else than arrays, or says that it holds more than it can.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with damage(path), zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        # Those of a sound archive lie one after the other.
        if sum(member.compress_size for member in members) > size_of(file):
            raise ValueError("its members are larger than the file")
        for member in members:
            name = member.filename.removesuffix(".npy")
            with _in_member(member.filename):
                if name in arrays:
                    raise ValueError("a second one of this name")
                arrays[name] = _read_member(archive, member)
    return arrays


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turns whatever a damaged file can cause into a FileFormatError."""
    try:
        yield
    except (FileFormatError, MemoryError):
        raise
    except Exception as error:
        # A place before the beginning of the file is the archive's mistake.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(
            f"{path}: damaged: a complete .npz file was expected ({reason})"
        ) from None


@contextmanager
def _in_member(name: str) -> Iterator[None]:
    """Names the member in what its content raises."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = str(error)
        raise ValueError(reason if name in reason else f"{name}: {reason}") from None


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("stored or deflated data expected, as NumPy writes")
    ratio = 1 if info.compress_type == zipfile.ZIP_STORED else INFLATION
    if info.file_size > info.compress_size * ratio + _SLACK:
        raise ValueError(
            f"{info.compress_size} bytes cannot hold the {info.file_size} that are announced"
        )
    with archive.open(info) as member:
        dtype, fortran, shape, begin = _read_header(member)
        expected = math.prod(shape) * dtype.itemsize
        if begin + expected != info.file_size:
            raise ValueError(
                f"{expected} bytes expected after the header (shape {_shown(shape)}, "
                f"dtype {dtype}), found {info.file_size - begin}"
            )
        content = np.empty(expected, dtype=np.uint8)
        done = 0
        while chunk := member.read(_READ_AT_ONCE):
            content[done : done + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
            done += len(chunk)
        # A member is checked against its checksum once it is read to its end.
        if done != expected:
            raise ValueError(f"{expected} bytes expected after the header, found {done}")
    elements = content.view(dtype)
    return elements.reshape(shape, order="F" if fortran else "C")


def _read_header(member: Any) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """The dtype, whether columns come first, the shape, and where the elements begin."""
    start = member.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8:
        raise ValueError("an array in NumPy's format expected")
    if start[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError(f"version 1 to 3 of NumPy's format expected, found {start[6]}.{start[7]}")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(member.read(width), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of at most {_LONGEST_HEADER} bytes expected, found {length}")
    text = member.read(length).decode("utf-8" if start[6] == 3 else "latin1")
    parsed = _HEADER.fullmatch(text)
    groups = () if parsed is None else parsed.groups()
    entries = dict(zip(groups[::2], groups[1::2], strict=True))
    fortran = entries.get("fortran_order")
    shape = entries.get("shape", "")
    descr = entries.get("descr", "")
    if (
        fortran not in ("True", "False")
        or not shape.startswith("(")
        or not descr.startswith(("'", "["))
        or (shape.count(",") == 0 and shape.strip("( )"))  # (3) is no tuple
    ):
        raise ValueError("its header is not that of an array")
    sizes = tuple(int(size) for size in re.findall(r"\d+", shape))
    return _dtype(descr), fortran == "True", sizes, 8 + width + length


def _dtype(descr: str) -> np.dtype[Any]:
    if descr.startswith("["):
        raise ValueError("an array of numbers expected, found one of records")
    try:
        dtype: np.dtype[Any] = np.dtype(descr.strip("'"))
    except (TypeError, ValueError, SyntaxError):
        raise ValueError(f"{descr:.40} is no dtype") from None
    if dtype.hasobject or dtype.shape or dtype.names:
        raise ValueError(f"an array of numbers expected, found dtype {dtype!s:.40}")
    return dtype


def _shown(shape: tuple[int, ...]) -> str:
    return f"{shape}" if len(str(shape)) <= 80 else f"of {len(shape)} sizes"
