"""Reads pickled arrays of bytes and numbers without running anything that the file names.

A pickle can call any function that it names. Here the only names are those that NumPy's arrays and
Python's bytes need, and they stand for functions of this module: these write down what the file
says, and it is checked before an array is made of it. No code of NumPy sees what is not checked.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from needle.data.errors import DataError

# The dtypes of the arrays that may be there, as NumPy pickles their names.
_DTYPES = {name: np.dtype(name) for name in ("b1", "u1", "i1", "u2", "i2", "i4", "i8", "f4", "f8")}


def read_pickle(path: Path) -> Any:
    """The object that was pickled into this file, made of plain containers, numbers and arrays.

    Strings of Python 2 are bytes. Raises DataError where the file is no pickle, is damaged, or
    names anything but arrays; OSError where it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _plain(_Unpickler(file, encoding="bytes").load())
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        except OSError:
            raise
        except Exception as error:
            # Damage can show as any exception at all: the bytes are a program.
            raise DataError(
                f"{path}: damaged: a pickle of arrays was expected ({type(error).__name__})"
            ) from None


@dataclass(slots=True)
class _Dtype:
    """What the file says of a dtype."""

    name: Any
    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def checked(self) -> np.dtype[Any]:
        name = self.name.decode("ascii") if isinstance(self.name, bytes) else self.name
        order: Any = self.state[1] if self.state else "|"
        order = order.decode("ascii") if isinstance(order, bytes) else order
        if name not in _DTYPES or order not in ("|", "<", ">", "="):
            raise DataError(f"an array of numbers was expected, found dtype {name!r}")
        dtype: np.dtype[Any] = _DTYPES[name].newbyteorder(order)
        return dtype


@dataclass(slots=True)
class _Array:
    """What the file says of an array: the state (version, shape, dtype, Fortran order, bytes)."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def checked(self) -> NDArray[Any]:
        _, shape, dtype, fortran, content = self.state
        if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _Dtype):
            raise DataError("an array of numbers was expected, found one of objects")
        flat = np.frombuffer(bytes(content), dtype=dtype.checked())
        # A copy: writable, and in the machine's byte order.
        array = flat.reshape(tuple(shape), order="F" if fortran else "C")
        return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def _array(*_: Any) -> _Array:
    return _Array()


def _array_of_buffer(content: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> _Array:
    return _Array((1, shape, dtype, order == "F", content))


def _dtype(name: Any, *_: Any) -> _Dtype:
    return _Dtype(name)


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin-1")


def _no_call(*_: Any) -> None:
    raise DataError("an array made by NumPy was expected")


# Python 2 and protocol 2 wrote the first two and the last; newer ones write the others.
_NAMES: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy", "dtype"): _dtype,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
    # Only ever an argument: the class of the array.
    ("numpy", "ndarray"): _no_call,
    ("_codecs", "encode"): _encoded,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise DataError(f"it names {module}.{name}, expected nothing but arrays") from None


def _plain(value: Any) -> Any:
    """The value with arrays in the places of what the file says of them."""
    if isinstance(value, _Array):
        return value.checked()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    if value is None or isinstance(value, bool | int | float | bytes | str):
        return value
    raise DataError(f"numbers, bytes and arrays were expected, found {type(value).__name__}")
