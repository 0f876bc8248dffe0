"""Nested parameters and the flat vector that they lie in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from needle._core import Tensor, TensorTuple, from_numpy

Vector = NDArray[np.float64]


class Structure:
    """How the leaves of `example` lie in one vector, and what stood there.

    Raises TypeError for what is no real number, array or tensor, ValueError where there is
    no number at all.
    """

    def __init__(self, example: Any, name: str) -> None:
        self._example = example
        self._is_leaf = _is_leaf(example)
        arrays = [_array(leaf, name) for leaf in _leaves(example)]
        self.shapes = [array.shape for array in arrays]
        self.sizes = [array.size for array in arrays]
        if sum(self.sizes) == 0:
            raise ValueError(f"{name}: expected at least one number")
        # The only copy of the start.
        self.start: Vector = np.concatenate([array.ravel() for array in arrays], dtype=np.float64)

    def tensors(self, vector: Vector, *, requires_grad: bool) -> list[Tensor]:
        """The leaves, on the memory of the vector."""
        if len(self.shapes) == 1:
            return [from_numpy(vector.reshape(self.shapes[0]), requires_grad=requires_grad)]
        return [from_numpy(part, requires_grad=requires_grad) for part in self._parts(vector)]

    def vector(self, tensors: Sequence[Tensor | None]) -> Vector:
        """A new vector of the values of all leaves, zeros where there is none."""
        if len(tensors) == 1 and (only := tensors[0]) is not None:
            return np.array(only.numpy(), dtype=np.float64).reshape(-1)
        pairs = zip(tensors, self.sizes, strict=True)
        parts = [np.zeros(size) if t is None else t.numpy().ravel() for t, size in pairs]
        return np.concatenate(parts, dtype=np.float64)

    def build(self, leaves: Sequence[Any]) -> Any:
        """The structure, with these leaves."""
        return leaves[0] if self._is_leaf else _filled(self._example, iter(leaves))

    def restore(self, vector: Vector) -> Any:
        """The structure, with leaves of the kind that stood there."""
        kinds = _leaves(self._example)
        parts = self._parts(np.array(vector, dtype=np.float64))
        return self.build([_like(kind, part) for kind, part in zip(kinds, parts, strict=True)])

    def _parts(self, vector: Vector) -> list[Vector]:
        parts, end = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            begin, end = end, end + size
            parts.append(vector[begin:end].reshape(shape))
        return parts


def outputs(value: Any, name: str) -> list[Tensor]:
    """The tensors of a nested result, left to right; raises TypeError for anything else."""
    found = list(_leaves(value.tuple() if isinstance(value, TensorTuple) else value))
    for leaf in found:
        if not isinstance(leaf, Tensor):
            kind = type(leaf).__name__
            raise TypeError(f"{name}: expected the function to return tensors, got {kind}")
    return found


def _is_leaf(value: Any) -> bool:
    """Whether it is one array; plain numbers in lists are."""
    if isinstance(value, Mapping):
        return False
    return not isinstance(value, list | tuple) or _is_numbers(value)


def _is_numbers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(_is_numbers(item) for item in value)
    return isinstance(value, Real) and not isinstance(value, bool)


def _leaves(value: Any) -> Iterator[Any]:
    if _is_leaf(value):
        yield value
        return
    for item in value.values() if isinstance(value, Mapping) else value:
        yield from _leaves(item)


def _filled(example: Any, leaves: Iterator[Any]) -> Any:
    if _is_leaf(example):
        return next(leaves)
    if isinstance(example, Mapping):
        return {key: _filled(item, leaves) for key, item in example.items()}
    items = [_filled(item, leaves) for item in example]
    if hasattr(example, "_fields"):  # a named tuple
        return type(example)(*items)
    return tuple(items) if isinstance(example, tuple) else items


def _array(leaf: Any, name: str) -> NDArray[Any]:
    if isinstance(leaf, Tensor):
        array = leaf.numpy()
    elif isinstance(leaf, np.ndarray | np.generic) or _is_numbers(leaf):
        array = np.asarray(leaf)
    else:
        # Whatever else can be made a tensor: a pandas Series, an array.array, a range.
        try:
            array = Tensor(leaf, requires_grad=False).numpy()
        except TypeError as error:
            kind = type(leaf).__name__
            message = f"{name}: expected arrays, tensors or numbers, got {kind}"
            raise TypeError(message) from error
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected real numbers, got {array.dtype}")
    return array


def _like(kind: Any, values: Vector) -> Any:
    if isinstance(kind, Tensor):
        return Tensor(values, requires_grad=False)
    return float(values) if isinstance(kind, Real) else values
