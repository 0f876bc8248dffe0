"""Makers of tensors: constants, random numbers, and the initial weights of networks.

Random numbers come from NumPy's global generator, one call for each tensor, so that
`numpy.random.seed` makes a program repeatable. Every random function also takes `rng`: a
`numpy.random.Generator`, or an integer that seeds a new one, from which it draws instead. Numbers
are drawn and scaled in float64 and then cast; a cast to a narrower dtype may round a number just
below `high` up to it.

A shape is several integers, or one tuple or list of them. Every function takes

- `device`: where the tensor lives, by default `needle.default_device()`;
- `dtype`: by default float32;
- `requires_grad`: by default False.

All raise ValueError for a negative length or seed, DTypeError, a TypeError, for a dtype that needle
does not have, and TypeError for anything else that is not of the kind that is wanted.
"""

from typing import TYPE_CHECKING

from needle import _names
from needle.init.constants import constant, one_hot, ones, ones_like, zeros, zeros_like
from needle.init.random import rand, randb, randn
from needle.init.weights import kaiming_normal, kaiming_uniform, xavier_normal, xavier_uniform

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

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
