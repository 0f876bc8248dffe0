"""How samples become a batch: fields are stacked into arrays, and arrays become tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from needle import _core
from needle._core import Tensor, from_numpy
from needle.errors import ShapeError

Array = NDArray[Any]


class Batch(tuple[Tensor, ...]):
    """The tensors of a batch, one for each field of a sample.

    A tuple, but for `==` and `!=`: two batches are equal if they hold the same tensor objects. A
    tuple of its own kind would compare the elements of the tensors, and have no single answer.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple):
            return NotImplemented
        return len(self) == len(other) and all(a is b for a, b in zip(self, other, strict=True))

    def __ne__(self, other: object) -> bool:
        if not isinstance(other, tuple):
            return NotImplemented
        return not self == other

    # Tensors are hashed by identity, so equal batches have equal hashes.
    __hash__ = tuple.__hash__


def as_batch(arrays: Iterable[Array]) -> Batch:
    """Tensors on the memory of these arrays, that require no gradient."""
    return Batch(map(from_numpy, arrays))


def stack_samples(samples: Sequence[Any]) -> tuple[Array, ...]:
    """Stack the fields of samples, which are tuples, lists or single fields, along a new axis 0.

    A field is an array, a tensor or a number. Raises ShapeError if the samples do not fit
    together, TypeError if a field is nothing that a tensor can hold.
    """
    rows = [tuple(s) if isinstance(s, tuple | list) else (s,) for s in samples]
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        counts = " and ".join(map(str, sorted(lengths)))
        raise ShapeError(f"batch: expected samples with one number of fields, got {counts}")
    return tuple(_stack(i, column) for i, column in enumerate(zip(*rows, strict=True)))


def values_of(field: Any) -> Array:
    """A field as an array. Warns with GraphCutWarning of the result of an op through which a
    gradient would flow: a batch requires none.
    """
    if not isinstance(field, Tensor):
        return np.asarray(field)
    if not field.is_leaf() and _core.is_recorded(field):
        from needle._numpy import announce  # most programs never need it

        announce(for_others=True)
    return field.numpy()


def own_arrays(collated: Any) -> tuple[Array, ...]:
    """What a user's `collate` returned, an array or several, as arrays of our own.

    They are copied: `collate` may use its memory again.
    """
    fields = collated if isinstance(collated, tuple | list) else (collated,)
    return tuple(_numeric(i, np.array(values_of(field))) for i, field in enumerate(fields))


def _stack(position: int, values: Sequence[Any]) -> Array:
    # Tensors become views of their memory here, before NumPy looks at them as sequences.
    arrays = [values_of(value) for value in values]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        first, second, *_ = sorted(shapes)
        raise ShapeError(
            f"batch: expected samples of one shape, got {first} and {second} in field {position} "
            "(a collate function can pad them)"
        )
    return _numeric(position, np.stack(arrays))


def _numeric(position: int, array: Array) -> Array:
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"batch: expected arrays or numbers, got dtype {array.dtype} in field {position}"
        )
    return array
