"""Numbers of classes and of rows, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from needle.autograd import Tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["checked_ids"]


def checked_ids(op: str, ids: Tensor | ArrayLike, count: int) -> NDArray[Any]:
    """`ids` of any numeric dtype as an array. IndexError, in the name of `op`, if one of them is
    not an integer from 0 to `count - 1`.
    """
    array = ids.numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{op}: expected numbers as ids, got dtype {array.dtype}")
    fits = (array >= 0) & (array < count)
    if array.dtype.kind == "f":
        fits &= array == np.floor(array)
    if not fits.all():
        wrong = array[~fits].flat[0]
        raise IndexError(f"{op}: expected integers from 0 to {count - 1}, got {wrong}")
    return array
