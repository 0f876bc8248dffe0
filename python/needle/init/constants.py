"""Tensors without randomness: one number everywhere, and one-hot rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from needle.autograd import Tensor
from needle.init.options import Shape, plain, sizes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from needle.autograd import Device

__all__ = ["constant", "one_hot", "ones", "ones_like", "zeros", "zeros_like"]


def constant(
    *shape: SupportsIndex | Shape,
    c: float = 1.0,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Every element is `c`. Raises TypeError where it is no real number, and for a tensor whose
    gradient would be lost.
    """
    value = np.asarray(plain("constant", "c", c))
    if value.ndim or value.dtype.kind not in "biuf":
        raise TypeError(f"constant: expected a number, got {type(c).__name__}")
    array = np.full(sizes(shape), c, dtype=dtype)
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def ones(
    *shape: SupportsIndex | Shape,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Every element is 1."""
    return constant(*shape, c=1.0, device=device, dtype=dtype, requires_grad=requires_grad)


def zeros(
    *shape: SupportsIndex | Shape,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Every element is 0."""
    return constant(*shape, c=0.0, device=device, dtype=dtype, requires_grad=requires_grad)


def ones_like(
    array: Tensor, *, device: Device | None = None, requires_grad: bool = False
) -> Tensor:
    """Ones in the shape and dtype of `array`, on its device unless another one is given."""
    return _constant_like("ones_like", array, 1.0, device, requires_grad)


def zeros_like(
    array: Tensor, *, device: Device | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and dtype of `array`, on its device unless another one is given."""
    return _constant_like("zeros_like", array, 0.0, device, requires_grad)


def one_hot(
    n: int,
    i: Tensor | ArrayLike,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """One row of `n` zeros for each class number in `i`, with a 1 in the place of the class.

    `i` may have any shape S and any numeric dtype (it is cast to int32); the result has shape
    S + (n,). IndexError for a class that is not in 0..n-1, TypeError for what is no number.
    """
    found = np.asarray(i.numpy() if isinstance(i, Tensor) else i)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"one_hot: expected numbers as classes, got dtype {found.dtype}")
    # Before the cast, which would bring numbers that are too large into the range. NaN fails, too.
    wrong = found[~((found >= 0) & (found < n))]
    if wrong.size:
        raise IndexError(f"one_hot: class {wrong[0]} is out of range for {n} classes")
    classes = found.astype(np.int32)
    rows = np.zeros((classes.size, n), dtype=dtype)
    rows[np.arange(classes.size), classes.ravel()] = 1
    array = rows.reshape(*classes.shape, n)
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def _constant_like(
    name: str, array: Tensor, c: float, device: Device | None, requires_grad: bool
) -> Tensor:
    if not isinstance(array, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(array).__name__}")
    device = array.device if device is None else device
    return constant(array.shape, c=c, device=device, dtype=array.dtype, requires_grad=requires_grad)
