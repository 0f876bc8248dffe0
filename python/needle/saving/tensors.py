"""`save` and `load`: named tensors, such as the state of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from needle._core import Tensor, from_numpy
from needle.errors import DTypeError, FileFormatError
from needle.saving.formats import read_arrays, write_arrays


def save(path: str | PathLike[str], tensors: Mapping[str, Any]) -> None:
    """Write named tensors to a file that ends in `.safetensors` or `.npz`.

    >>> needle.save("weights.safetensors", model.state_dict())  # doctest: +SKIP

    `tensors` maps names to tensors, NumPy arrays, or further such dicts, whose names are joined
    with dots: `{"layer": {"weight": w}}` is saved as `layer.weight`. The file is replaced in one
    step: if anything goes wrong, the one that was there is intact.

    Raises TypeError for anything else in the dict, DTypeError for a dtype that needle does not
    have, ValueError for another suffix or for two tensors of one name.
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(f"save: expected a dict of tensors, got {type(tensors).__name__}")
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in _flat(tensors, ""):
        if name in arrays:
            raise ValueError(f"save: two tensors have the name {name}")
        arrays[name] = as_array(value, f"save: {name}")
    write_arrays(path, arrays, {})


def load(path: str | PathLike[str]) -> dict[str, Tensor]:
    """The tensors in a file that ends in `.safetensors` or `.npz`, by their names.

    >>> model.load_state_dict(needle.load("weights.safetensors"))  # doctest: +SKIP

    The dict is flat, with dots in the names, as the state of a model is. The tensors have the
    dtypes of the file, and require no gradient. No code from the file is run.

    Raises FileFormatError, a ValueError, if the file is damaged, incomplete, of another kind, or
    has elements of a dtype that needle does not have; OSError if it cannot be read.
    """
    arrays, _ = read_arrays(path)
    return {name: as_tensor(array, f"{path}: {name}") for name, array in arrays.items()}


def as_array(value: Any, place: str) -> NDArray[Any]:
    """The array to write for a tensor, an array or a NumPy scalar; `place` begins an error."""
    if isinstance(value, Tensor):
        return np.asarray(value.numpy(), order="C")
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"{place}: expected a tensor or an array, got {type(value).__name__}")
    try:
        # By way of a tensor: it has one of needle's dtypes, in the machine's byte order.
        return np.asarray(from_numpy(np.asarray(value)).numpy(), order="C")
    except DTypeError:
        raise DTypeError(f"{place}: needle has no dtype {value.dtype}") from None


def as_tensor(array: NDArray[Any], place: str) -> Tensor:
    """A tensor with the values of an array that was read; `place` begins an error."""
    try:
        return Tensor(array, requires_grad=False)
    except DTypeError:
        raise FileFormatError(f"{place}: needle has no dtype {array.dtype}") from None


def _flat(tensors: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tensors.items():
        if not isinstance(key, str) or not key:
            raise TypeError(f"save: expected names that are not empty, got {key!r}")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
