"""Flatten, linear, embedding and dropout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from needle import init
from needle.autograd import Tensor
from needle.errors import ShapeError
from needle.nn.functional.ids import checked_ids

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
    product = x @ weight
    if bias is None:
        return product
    if x.ndim == 1 and bias.ndim == 2:
        # A row would give a single sample an axis that it does not have.
        bias = bias.reshape((-1,))
    return product + bias


def embedding(ids: Tensor | ArrayLike, weight: Tensor) -> Tensor:
    """The rows of `weight`, (n, d), for `ids` of any shape S and any numeric dtype: S + (d,).

    Raises IndexError for an id that is not an integer from 0 to n - 1.
    """
    count = weight.shape[0]
    return init.one_hot(count, checked_ids("embedding", ids, count), dtype=weight.dtype) @ weight


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
