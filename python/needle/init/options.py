"""Types and helpers that the makers of tensors share."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, SupportsIndex, TypedDict, cast

from needle import _core
from needle._core import Tensor

if TYPE_CHECKING:
    # NumPy imports its `random` when first asked for it: that is not for `import needle` to do.
    from numpy.random import Generator
    from numpy.typing import DTypeLike

    from needle.autograd import Device

    RandomSource = Generator | SupportsIndex | None

__all__ = ["RandomOptions", "Shape", "plain", "sizes"]

Shape = Sequence[SupportsIndex]


class RandomOptions(TypedDict, total=False):
    """The keywords that the weights hand on to `rand` and `randn`."""

    device: Device | None
    dtype: DTypeLike
    requires_grad: bool
    rng: RandomSource


def sizes(shape: tuple[SupportsIndex | Shape, ...]) -> tuple[int, ...]:
    """The sizes in `shape`, which is several integers or one sequence of them."""
    alone = shape[0] if len(shape) == 1 else None
    found = alone if isinstance(alone, Sequence) else cast(Shape, shape)
    # `rand()` of no sizes is a 0-d tensor; anything that is no integer is a TypeError here.
    result = tuple(operator.index(size) for size in found)
    if any(size < 0 for size in result):
        raise ValueError(f"shape: expected lengths of 0 or more, got {result}")
    return result


def plain(who: str, name: str, value: float) -> float:
    """A setting that is no tensor, or only one without a gradient to lose; else TypeError."""
    given: object = value
    if isinstance(given, Tensor) and _core.is_recorded(given):
        raise TypeError(
            f"{who}: {name} is a tensor that requires a gradient, and the numbers would have none\n"
            "hint: compute with the tensor afterwards, as in mean + std * randn(...), or pass its "
            "item()"
        )
    return value
