"""Losses as modules: called with predictions and targets, they give one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from needle.autograd import Tensor
from needle.nn import functional as F
from needle.nn.functional.losses import checked_reduction
from needle.nn.module import Module

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["BCEWithLogitsLoss", "HuberLoss", "L1Loss", "MSELoss", "SoftmaxLoss"]


class SoftmaxLoss(Module):
    """The mean over the batch of `logsumexp(logits) - logits[class]`, a tensor of shape ().

    Logits are (n, k), `y` holds n class numbers of any numeric dtype. IndexError for a class
    that is not from 0 to k - 1, ValueError for one that is not whole, ShapeError for other shapes.
    """

    def forward(self, logits: Tensor, y: Tensor | ArrayLike) -> Tensor:
        return F.cross_entropy(logits, y)


class _ReducedLoss(Module):
    """A loss with a `reduction`: "mean" over all elements, "sum" or "none"."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = checked_reduction(reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class MSELoss(_ReducedLoss):
    """`(input - target)^2`, for an input and a target of one shape.

    `reduction` is "mean" over all elements or "sum", which give a tensor of shape (), or "none",
    which gives the loss of each element. Raises ValueError for another one; called, it raises
    ShapeError for two shapes: nothing is broadcast.
    """

    def forward(self, input: Tensor, target: Tensor | ArrayLike) -> Tensor:
        return F.mse_loss(input, target, self.reduction)


class L1Loss(_ReducedLoss):
    """`|input - target|`, for an input and a target of one shape; the derivative is 0 where they
    are equal. `reduction` and errors as for `MSELoss`.
    """

    def forward(self, input: Tensor, target: Tensor | ArrayLike) -> Tensor:
        return F.l1_loss(input, target, self.reduction)


class HuberLoss(_ReducedLoss):
    """`d^2 / 2` where `d = |input - target|` is at most `delta`, and `delta (d - delta / 2)` above
    (Huber 1964); for an input and a target of one shape.

    `reduction` and errors as for `MSELoss`. Raises ValueError for a `delta` that is not above 0.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: expected delta above 0, got {delta}")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor | ArrayLike) -> Tensor:
        return F.huber_loss(input, target, self.delta, self.reduction)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, delta={self.delta}"


class BCEWithLogitsLoss(_ReducedLoss):
    """The binary cross-entropy `-t log(p) - (1 - t) log(1 - p)` of `p = sigmoid(logits)` and
    targets `t` from 0 to 1, of the logits' shape; it does not overflow.

    `reduction` and errors as for `MSELoss`.
    """

    def forward(self, logits: Tensor, target: Tensor | ArrayLike) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, target, self.reduction)
