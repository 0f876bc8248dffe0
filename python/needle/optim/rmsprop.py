"""RMSProp."""

from __future__ import annotations

from needle import _core
from needle._core import Tensor
from needle.optim.optimizer import Group, Optimizer, Params
from needle.optim.settings import Setting, at_least_zero, below_one, flag


class RMSProp(Optimizer):
    """RMSProp (Tieleman and Hinton 2012): `v = alpha v + (1 - alpha) g^2`,
    `p = p - lr g / (sqrt(v) + eps)`.

    `g` is the gradient plus `weight_decay` times the parameter. If `centered` (Graves 2013), the
    square of `a`, the mean of `g`, is subtracted from `v` under the root. With momentum the step
    is `u = momentum u + g / (sqrt(v) + eps)`, `p = p - lr u`.

    `.v` maps each parameter to the mean of squares, `.a` and `.u` to `a` and `u` where they are
    in use. Where a mean of squares is larger than its dtype can hold, `.v` has minus its root
    instead.
    """

    lr = Setting(at_least_zero)
    alpha = Setting(below_one)
    eps = Setting(at_least_zero)
    momentum = Setting(below_one)
    weight_decay = Setting(at_least_zero)
    centered = Setting(flag)
    v: dict[Tensor, Tensor]
    a: dict[Tensor, Tensor]
    u: dict[Tensor, Tensor]
    _states = ("v", "a", "u")

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            momentum=momentum,
            weight_decay=weight_decay,
            centered=centered,
        )

    def _step_group(self, group: Group, *, only_check: bool) -> None:
        _core.rmsprop_step(
            group["params"],
            self.v,
            self.a,
            self.u,
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            momentum=group["momentum"],
            weight_decay=group["weight_decay"],
            centered=group["centered"],
            only_check=only_check,
        )
