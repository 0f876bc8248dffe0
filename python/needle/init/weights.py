"""Initial weights of networks, scaled so that signals neither vanish nor explode.

References:

- X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
  networks", AISTATS 2010 (Xavier initialisation).
- K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level
  performance on ImageNet classification", ICCV 2015 (Kaiming initialisation).

A layer without inputs or outputs has no weights: a fan of 0 gives an empty tensor. All raise
ValueError for a negative one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Unpack

from needle.init.options import RandomOptions, Shape, plain
from needle.init.random import rand, randn

if TYPE_CHECKING:
    from needle.autograd import Tensor

__all__ = ["kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform"]


def xavier_uniform(
    fan_in: int, fan_out: int, gain: float = 1.0, **options: Unpack[RandomOptions]
) -> Tensor:
    """(fan_in, fan_out) numbers from [-a, a), a = gain * sqrt(6 / (fan_in + fan_out)).

    Glorot and Bengio 2010, equation 16.
    """
    bound = plain("xavier_uniform", "gain", gain) * math.sqrt(6.0 / _fan(fan_in + fan_out))
    return rand(fan_in, fan_out, low=-bound, high=bound, **options)


def xavier_normal(
    fan_in: int, fan_out: int, gain: float = 1.0, **options: Unpack[RandomOptions]
) -> Tensor:
    """(fan_in, fan_out) normal numbers, std = gain * sqrt(2 / (fan_in + fan_out)).

    Glorot and Bengio 2010, equation 12.
    """
    std = plain("xavier_normal", "gain", gain) * math.sqrt(2.0 / _fan(fan_in + fan_out))
    return randn(fan_in, fan_out, std=std, **options)


def kaiming_uniform(
    fan_in: int,
    fan_out: int,
    shape: Shape | str | None = None,
    nonlinearity: str = "relu",
    **options: Unpack[RandomOptions],
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
    bound = _relu_gain(nonlinearity) * math.sqrt(3.0 / _fan(fan_in))
    sizes = (fan_in, fan_out) if shape is None else shape
    return rand(sizes, low=-bound, high=bound, **options)


def kaiming_normal(
    fan_in: int,
    fan_out: int,
    nonlinearity: str = "relu",
    **options: Unpack[RandomOptions],
) -> Tensor:
    """(fan_in, fan_out) normal numbers, std = sqrt(2) / sqrt(fan_in), in front of a ReLU.

    He et al. 2015, equation 10. AssertionError for any nonlinearity but "relu".
    """
    std = _relu_gain(nonlinearity) / math.sqrt(_fan(fan_in))
    return randn(fan_in, fan_out, std=std, **options)


def _fan(count: int) -> int:
    """The divisor of a variance: `count` connections, or 1 where there is nothing to divide."""
    if count < 0:
        raise ValueError(f"fan: expected 0 or more, got {count}")
    return max(count, 1)


def _relu_gain(nonlinearity: str) -> float:
    """The square root of 2: a ReLU halves the second moment of what passes through it."""
    # Raised by hand, because `python -O` removes assert statements.
    if nonlinearity != "relu":
        raise AssertionError(f"only the nonlinearity 'relu' is supported, not {nonlinearity!r}")
    return math.sqrt(2.0)
