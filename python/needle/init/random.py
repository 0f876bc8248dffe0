"""Random tensors, from NumPy's global generator or from one that the caller names."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from needle.autograd import Tensor
from needle.init.options import Shape, plain, sizes

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from needle.autograd import Device
    from needle.init.options import RandomSource

__all__ = ["generator", "rand", "randb", "randn"]


def generator(rng: RandomSource) -> np.random.Generator | None:
    """The generator that `rng` stands for: itself, a new one for a seed, or None for NumPy's
    global one. Raises TypeError for anything else, ValueError for a negative seed.
    """
    if rng is None or isinstance(rng, np.random.Generator):
        return rng
    try:
        seed = operator.index(rng)
    except TypeError:
        name = type(rng).__name__
        raise TypeError(
            f"rng: expected a numpy.random.Generator, an integer seed or None, got {name}"
        ) from None
    if seed < 0:
        raise ValueError(f"rng: expected a seed of 0 or more, got {seed}")
    return np.random.default_rng(seed)


def _uniform(shape: tuple[int, ...], rng: RandomSource) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers from [0, 1) in float64, in a single draw."""
    source = generator(rng)
    # Of no sizes the global generator gives a number, not an array.
    return np.asarray(np.random.rand(*shape) if source is None else source.random(shape))


def rand(
    *shape: SupportsIndex | Shape,
    low: float = 0.0,
    high: float = 1.0,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
    rng: RandomSource = None,
) -> Tensor:
    """Numbers drawn evenly from [low, high), of the given shape, by default float32.

    Raises TypeError or ValueError for a shape, dtype or `rng` that cannot be, ValueError for a
    `low` above `high`, and for bounds that are not finite.
    """
    width = plain("rand", "high", high) - plain("rand", "low", low)
    if not 0 <= width < math.inf:
        raise ValueError(f"rand: expected finite bounds with low <= high, got {low} and {high}")
    array = _uniform(sizes(shape), rng) * width + low
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randn(
    *shape: SupportsIndex | Shape,
    mean: float = 0.0,
    std: float = 1.0,
    device: Device | None = None,
    dtype: DTypeLike = "float32",
    requires_grad: bool = False,
    rng: RandomSource = None,
) -> Tensor:
    """Numbers drawn from the normal distribution with this mean and standard deviation.

    Raises ValueError for a `std` below 0.
    """
    plain("randn", "mean", mean)
    if not plain("randn", "std", std) >= 0:
        raise ValueError(f"randn: expected a std of 0 or more, got {std}")
    size, source = sizes(shape), generator(rng)
    drawn = np.random.randn(*size) if source is None else source.standard_normal(size)
    array = drawn * std + mean
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randb(
    *shape: SupportsIndex | Shape,
    p: float = 0.5,
    device: Device | None = None,
    dtype: DTypeLike = "bool",
    requires_grad: bool = False,
    rng: RandomSource = None,
) -> Tensor:
    """True with probability `p`, else False; of dtype bool unless another one is asked for.

    Raises ValueError for `p` outside 0 to 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"randb: expected p from 0 to 1, got {p}")
    array = _uniform(sizes(shape), rng) <= p
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)
