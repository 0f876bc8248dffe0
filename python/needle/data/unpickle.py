"""Reads pickled arrays of bytes and numbers without running anything that the file names.

A pickle is a program for a machine with a stack. Python's own machine can call any function that
the program names and set any attribute. This one has the few instructions that a dict of arrays,
lists, numbers and strings is written with, and the only names that it knows are those of NumPy's
arrays and of Python's bytes. `pickletools`, which only lists instructions, tells them apart.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from needle.data.errors import DataError
from needle.files import opened, size_of

# Eight times a file of CIFAR-10, and twenty times its instructions.
_MOST_BYTES = 1 << 28
_MOST_INSTRUCTIONS = 1 << 20

# The dtypes of the arrays that may be there, as NumPy pickles their names.
_DTYPES = {name: np.dtype(name) for name in ("b1", "u1", "i1", "u2", "i2", "i4", "i8", "f4", "f8")}


def read_pickle(path: Path, names: Sequence[str]) -> list[Any]:
    """What stands under these names in the dict that was pickled into this file, or None.

    Arrays, lists, tuples, dicts, numbers, bytes and strings can. What is in a list may be anything
    that the file can say, and the same list may be in it more than once: go no deeper.

    Raises DataError where the file is no pickle, is damaged, is larger than such files are, or
    names anything but arrays; OSError where it cannot be read.
    """
    with opened(path) as file:
        if size_of(file) > _MOST_BYTES:
            raise DataError(f"{path}: at most {_MOST_BYTES} bytes expected, found {size_of(file)}")
        try:
            content = _Machine(size_of(file)).run(file)
            if not isinstance(content, dict):
                kind = type(content).__name__.lstrip("_").lower()
                raise DataError(f"a dict expected, found {kind}")
            # Only these: one array may stand under a million names.
            found = (content.get(name.encode()) for name in names)
            return [item.checked() if isinstance(item, _Array) else item for item in found]
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        except (OSError, MemoryError):
            raise
        except Exception as error:
            # Damage can show as any exception at all: the bytes are a program.
            raise DataError(
                f"{path}: damaged: a pickle of arrays was expected ({type(error).__name__})"
            ) from None


@dataclass(frozen=True, slots=True)
class _Name:
    """A function or class that the file names, one of `_NAMES`."""

    kind: str


@dataclass(slots=True)
class _Dtype:
    """What the file says of a dtype."""

    name: Any
    state: Any = None

    def checked(self) -> np.dtype[Any]:
        name = _bytes(self.name).decode("ascii")
        order = _bytes(self.state[1]).decode("ascii") if self.state else "|"
        if name not in _DTYPES or order not in ("|", "<", ">", "="):
            raise DataError(f"an array of numbers was expected, found dtype {name!r:.40}")
        dtype: np.dtype[Any] = _DTYPES[name].newbyteorder(order)  # type: ignore[arg-type]
        return dtype


@dataclass(slots=True)
class _Array:
    """What the file says of an array: the state (version, shape, dtype, Fortran order, bytes)."""

    state: Any = None

    def checked(self) -> NDArray[Any]:
        _, shape, dtype, fortran, content = self.state
        if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _Dtype):
            raise DataError("an array of numbers was expected, found one of objects")
        if not all(type(size) is int and size >= 0 for size in shape):
            raise DataError("an array of numbers was expected, found one without a shape")
        flat = np.frombuffer(content, dtype=dtype.checked())
        # A copy: writable, and in the machine's byte order.
        array = flat.reshape(tuple(shape), order="F" if fortran else "C")
        return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


# Python 2 and protocol 2 wrote the first two and the last; newer ones write the others.
_NAMES = {
    "numpy.core.multiarray _reconstruct": _Name("array"),
    "numpy dtype": _Name("dtype"),
    "numpy._core.multiarray _reconstruct": _Name("array"),
    "numpy.core.numeric _frombuffer": _Name("array of buffer"),
    "numpy._core.numeric _frombuffer": _Name("array of buffer"),
    # Only ever an argument: the class of the array.
    "numpy ndarray": _Name("class"),
    "_codecs encode": _Name("encode"),
}

_MARK = object()

# Instructions that put their argument on the stack.
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """Carries out the instructions of a file of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget = size

    def run(self, file: BinaryIO) -> Any:
        """What is on the stack at the end. Raises DataError, or anything else where the file is
        damaged."""
        for count, (code, argument, _) in enumerate(pickletools.genops(file)):
            if count >= _MOST_INSTRUCTIONS:
                raise DataError(f"at most {_MOST_INSTRUCTIONS} instructions expected, found more")
            if code.name == "STOP":
                break
            self._step(code.name, argument)
        (result,) = self.stack
        return result

    def _step(self, code: str, argument: Any) -> None:
        stack, memo = self.stack, self.memo
        if code in _VALUES:
            stack.append(argument)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code]())
        elif code in ("BINSTRING", "SHORT_BINSTRING"):
            stack.append(argument.encode("latin-1"))  # of Python 2
        elif code in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif code == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif code in _TUPLES:
            stack.append(tuple(stack.pop() for _ in range(_TUPLES[code]))[::-1])
        elif code == "TUPLE":
            stack.append(tuple(self._marked()))
        elif code in ("APPEND", "APPENDS"):
            items = [stack.pop()] if code == "APPEND" else self._marked()
            _of_kind(stack[-1], list).extend(items)
        elif code in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if code == "SETITEM" else self._marked()
            # Only strings for keys: the hash of nested tuples can take for ever.
            keys = map(_bytes, items[::2])
            _of_kind(stack[-1], dict).update(zip(keys, items[1::2], strict=True))
        elif code == "GLOBAL":
            stack.append(_named(argument))
        elif code == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            stack.append(_named(f"{_of_kind(module, str)} {_of_kind(name, str)}"))
        elif code == "REDUCE":
            arguments = stack.pop()
            stack.append(self._call(stack.pop(), *_of_kind(arguments, tuple)))
        elif code == "BUILD":
            state = _of_kind(stack.pop(), tuple)
            if not isinstance(stack[-1], _Array | _Dtype):
                raise DataError("an array made by NumPy was expected")
            stack[-1].state = state
        elif code not in ("PROTO", "FRAME"):
            raise DataError(f"nothing but arrays was expected, found the instruction {code}")

    def _marked(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _call(self, function: Any, *arguments: Any) -> Any:
        kind = function.kind if isinstance(function, _Name) else None
        if kind == "array":
            return _Array()
        if kind == "dtype":
            return _Dtype(arguments[0])
        if kind == "array of buffer":
            content, dtype, shape, order = arguments
            return _Array((1, shape, dtype, order == "F", content))
        if kind == "encode":
            text = _of_kind(arguments[0], str)
            # All of them together are shorter than the file, unless one is encoded again and again.
            self.budget -= len(text)
            if self.budget < 0:
                raise DataError("the bytes of arrays were expected once each, found them again")
            return text.encode("latin-1")
        raise DataError("an array made by NumPy was expected")


def _named(name: str) -> _Name:
    try:
        return _NAMES[name]
    except KeyError:
        shown = f"{name.replace(' ', '.')!s:.80}"
        raise DataError(f"it names {shown}, expected nothing but arrays") from None


def _of_kind(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected")
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("latin-1")
    return bytes(_of_kind(value, bytes))
