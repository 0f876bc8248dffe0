"""Makers of tensors: constants, random numbers, and the initial weights of networks.

All randomness comes from NumPy's global generator, one call for each tensor, so that
`numpy.random.seed` makes a program repeatable. Random numbers are drawn and scaled in float64
and then cast; a cast to a narrower dtype may round a number just below `high` up to it.

A shape is several integers, or one tuple or list of them. Every function takes

- `device`: where the tensor lives, by default `needle.default_device()`;
- `dtype`: by default float32;
- `requires_grad`: by default False.

References:

- X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
  networks", AISTATS 2010 (Xavier initialisation).
- K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level
  performance on ImageNet classification", ICCV 2015 (Kaiming initialisation).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, SupportsIndex, TypedDict, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from needle.autograd import Tensor

if TYPE_CHECKING:
    from needle.autograd import Device

__all__ = [
    "constant",
    "kaiming_normal",
    "kaiming_uniform",
    "one_hot",
    "ones",
    "ones_like",
    "rand",
    "randb",
    "randn",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
    "zeros_like",
]

Shape = Sequence[SupportsIndex]


class TensorOptions(TypedDict, total=False):
    """The keywords that every function here hands on to the tensor it makes."""

    device: Device | None
    dtype: DTypeLike
    requires_grad: bool


def rand(
    *shape: SupportsIndex | Shape,
    low: float = 0.0,
    high: float = 1.0,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn evenly from [low, high)."""
    array = np.random.rand(*_sizes(shape)) * (high - low) + low
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randn(
    *shape: SupportsIndex | Shape,
    mean: float = 0.0,
    std: float = 1.0,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn from the normal distribution with this mean and standard deviation."""
    array = np.random.randn(*_sizes(shape)) * std + mean
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randb(
    *shape: SupportsIndex | Shape,
    p: float = 0.5,
    device: Device | None = None,
    dtype: DTypeLike = "bool",
    requires_grad: bool = False,
) -> Tensor:
    """True with probability `p`, else False; of dtype bool unless another one is asked for."""
    array = np.random.rand(*_sizes(shape)) <= p
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def constant(
    *shape: SupportsIndex | Shape,
    c: float = 1.0,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Every element is `c`."""
    array = np.full(_sizes(shape), c, dtype=dtype)
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
    device = array.device if device is None else device
    return ones(*array.shape, device=device, dtype=array.dtype, requires_grad=requires_grad)


def zeros_like(
    array: Tensor, *, device: Device | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and dtype of `array`, on its device unless another one is given."""
    device = array.device if device is None else device
    return zeros(*array.shape, device=device, dtype=array.dtype, requires_grad=requires_grad)


def one_hot(
    n: int,
    i: Tensor | ArrayLike,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """One row of `n` zeros for each class number in `i`, with a 1 in the place of the class.

    `i` may have any shape S and any numeric dtype (it is cast to int32); the result has shape
    S + (n,). IndexError for a class that is not in 0..n-1.
    """
    classes = np.asarray(i.numpy() if isinstance(i, Tensor) else i).astype(np.int32)
    wrong = classes[(classes < 0) | (classes >= n)]
    if wrong.size:
        raise IndexError(f"one_hot: class {wrong[0]} is out of range for {n} classes")
    array = np.zeros((*classes.shape, n), dtype=dtype)
    np.put_along_axis(array, classes[..., np.newaxis], 1, axis=-1)
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def xavier_uniform(
    fan_in: int, fan_out: int, gain: float = 1.0, **options: Unpack[TensorOptions]
) -> Tensor:
    """(fan_in, fan_out) numbers from [-a, a), a = gain * sqrt(6 / (fan_in + fan_out)).

    Glorot and Bengio 2010, equation 16.
    """
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return rand(fan_in, fan_out, low=-bound, high=bound, **options)


def xavier_normal(
    fan_in: int, fan_out: int, gain: float = 1.0, **options: Unpack[TensorOptions]
) -> Tensor:
    """(fan_in, fan_out) normal numbers, std = gain * sqrt(2 / (fan_in + fan_out)).

    Glorot and Bengio 2010, equation 12.
    """
    std = gain * math.sqrt(2.0 / (fan_in + fan_out))
    return randn(fan_in, fan_out, std=std, **options)


def kaiming_uniform(
    fan_in: int,
    fan_out: int,
    shape: Shape | str | None = None,
    nonlinearity: str = "relu",
    **options: Unpack[TensorOptions],
) -> Tensor:
    """Numbers from [-a, a), a = sqrt(2) * sqrt(3 / fan_in), for weights in front of a ReLU.

    The result has the given shape, by default (fan_in, fan_out). For a kernel of k x k the
    caller gives fan_in = k * k * channels. A text in third place is the nonlinearity.
    He et al. 2015, equation 10, as the bound of an even distribution of that variance.
    AssertionError for any nonlinearity but "relu".
    """
    if isinstance(shape, str):
        nonlinearity = shape
        shape = None
    bound = _relu_gain(nonlinearity) * math.sqrt(3.0 / fan_in)
    sizes = (fan_in, fan_out) if shape is None else shape
    return rand(sizes, low=-bound, high=bound, **options)


def kaiming_normal(
    fan_in: int,
    fan_out: int,
    nonlinearity: str = "relu",
    **options: Unpack[TensorOptions],
) -> Tensor:
    """(fan_in, fan_out) normal numbers, std = sqrt(2) / sqrt(fan_in), in front of a ReLU.

    He et al. 2015, equation 10. AssertionError for any nonlinearity but "relu".
    """
    std = _relu_gain(nonlinearity) / math.sqrt(fan_in)
    return randn(fan_in, fan_out, std=std, **options)


def _relu_gain(nonlinearity: str) -> float:
    """The square root of 2: a ReLU halves the second moment of what passes through it."""
    # Raised by hand, because `python -O` removes assert statements.
    if nonlinearity != "relu":
        raise AssertionError(f"only the nonlinearity 'relu' is supported, not {nonlinearity!r}")
    return math.sqrt(2.0)


def _sizes(shape: tuple[SupportsIndex | Shape, ...]) -> tuple[int, ...]:
    """The sizes in `shape`, which is several integers or one sequence of them."""
    alone = shape[0] if len(shape) == 1 else None
    sizes = alone if isinstance(alone, Sequence) else cast(Shape, shape)
    # `rand()` of no sizes is a 0-d tensor; anything that is no integer is a TypeError here.
    return tuple(operator.index(size) for size in sizes)
