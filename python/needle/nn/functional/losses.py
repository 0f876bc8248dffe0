"""Losses: how far predictions are from targets, as one number.

`reduction` is `"mean"` over all elements, `"sum"`, or `"none"` for a loss of each element. Targets
are tensors, or what one can be made of. Where prediction and target have one shape, nothing is
broadcast: (n, 1) against (n,) is an error, and not n * n differences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from needle import ops
from needle.autograd import Tensor
from needle.errors import ShapeError
from needle.ops import cross_entropy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "REDUCTIONS",
    "binary_cross_entropy_with_logits",
    "checked_reduction",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
]

REDUCTIONS = ("mean", "sum", "none")


def binary_cross_entropy_with_logits(
    logits: Tensor, target: Tensor | ArrayLike, reduction: str = "mean"
) -> Tensor:
    """`-t log(p) - (1 - t) log(1 - p)` with `p = sigmoid(logits)` and targets `t` from 0 to 1, of
    the logits' shape: `ops.logistic_loss`, which neither overflows nor cancels in either tail.

    `reduction` is "mean", "sum" or "none"; ValueError for another one, ShapeError for two shapes.
    """
    target = _like("binary_cross_entropy_with_logits", logits, target)
    return _reduced(ops.logistic_loss(logits, target), reduction)


def mse_loss(input: Tensor, target: Tensor | ArrayLike, reduction: str = "mean") -> Tensor:
    """`(input - target)^2`, for an input and a target of one shape.

    `reduction` is "mean" over all elements or "sum", with a result of shape (), or "none". Raises
    ValueError for another one, ShapeError for two shapes: nothing is broadcast.
    """
    difference = input - _like("mse_loss", input, target)
    return _reduced(difference * difference, reduction)


def l1_loss(input: Tensor, target: Tensor | ArrayLike, reduction: str = "mean") -> Tensor:
    """`|input - target|`, for an input and a target of one shape; the derivative is 0 where they
    are equal.

    `reduction` is "mean", "sum" or "none"; ValueError for another one, ShapeError for two shapes.
    """
    return _reduced(ops.abs(input - _like("l1_loss", input, target)), reduction)


def huber_loss(
    input: Tensor, target: Tensor | ArrayLike, delta: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """`d^2 / 2` where `d = |input - target|` is at most `delta`, and `delta (d - delta / 2)` above.

    Huber, "Robust estimation of a location parameter", 1964. `reduction` is "mean", "sum" or
    "none". Raises ValueError for another one and for a `delta` that is not above 0, ShapeError for
    two shapes.
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: expected delta above 0, got {delta}")
    difference = input - _like("huber_loss", input, target)
    # All cases in one: the clipped difference c, times d - c / 2. With a magnitude instead, the
    # second derivative at 0 would be that of a kink.
    clipped = ops.maximum(ops.minimum(difference, delta), -delta)
    return _reduced(clipped * (difference - 0.5 * clipped), reduction)


def checked_reduction(reduction: str) -> str:
    """`reduction`, or ValueError for an unknown one."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    checked_reduction(reduction)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def _tensor(target: Tensor | ArrayLike) -> Tensor:
    return target if isinstance(target, Tensor) else Tensor(target, requires_grad=False)


def _like(op: str, input: Tensor, target: Tensor | ArrayLike) -> Tensor:
    target = _tensor(target)
    if target.shape != input.shape:
        raise ShapeError(
            f"{op}: expected a target of the input's shape {input.shape}, got {target.shape}"
        )
    return target
