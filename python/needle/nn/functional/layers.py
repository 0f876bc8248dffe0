"""Flatten, linear, embedding and dropout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from needle import init, ops
from needle.autograd import Tensor
from needle.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from needle.init.options import RandomSource

__all__ = ["dropout", "embedding", "flatten", "linear"]


def flatten(x: Tensor) -> Tensor:
    """(n, ...) as (n, k): all axes but the first become one.

    Raises ShapeError where there is no axis.
    """
    shape = x.shape
    if not shape:
        raise ShapeError("flatten: expected at least 1 dimension, got shape ()")
    return x.reshape((shape[0], math.prod(shape[1:])))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight + bias`: (..., i) by (i, o) gives (..., o). The bias is (o,) or (1, o).

    Raises ShapeError where the shapes do not fit.
    """
    if bias is not None:
        return ops.linear(x, weight, bias)
    shape, expected = x.shape, weight.shape
    if len(expected) != 2:
        raise ShapeError(f"linear: expected a weight of two dimensions, got {expected}")
    if shape[-1:] != expected[:1]:
        raise ShapeError(
            f"linear: expected (..., {expected[0]}) for a weight of {expected}, got {shape}"
        )
    return x @ weight


def embedding(ids: Tensor | ArrayLike, weight: Tensor) -> Tensor:
    """The rows of `weight`, (n, d), for `ids` of any shape S and any numeric dtype: S + (d,).

    Raises IndexError for an id that is not an integer from 0 to n - 1, TypeError for ids that are
    no numbers.
    """
    array = ids.numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"embedding: expected numbers as ids, got dtype {array.dtype}")
    count = weight.shape[0]
    fits = (array >= 0) & (array < count)
    if array.dtype.kind == "f":
        fits &= array == np.floor(array)
    if not fits.all():
        wrong = array[~fits].flat[0]
        raise IndexError(f"embedding: expected integers from 0 to {count - 1}, got {wrong}")
    return ops.take(weight, array)


def dropout(x: Tensor, p: float = 0.5, training: bool = True, rng: RandomSource = None) -> Tensor:
    """In training, every element is 0 with probability `p` and else divided by `1 - p`, so that
    its expectation stays; otherwise `x` itself.

    The mask is one draw of `needle.init.randb`. Srivastava et al., "Dropout: a simple way to
    prevent neural networks from overfitting", JMLR 2014. Raises ValueError for `p` outside 0 to 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: expected p from 0 to 1, got {p}")
    if not training:
        return x
    kept = init.randb(*x.shape, p=1 - p, dtype=x.dtype, rng=rng)
    # Scaled before it meets `x`: then one operation is recorded, not two.
    return x * (kept / (1 - p) if p < 1 else kept * 0)
