"""Lion."""

from __future__ import annotations

from needle import _core
from needle._core import Tensor
from needle.optim.optimizer import Group, Optimizer, Params
from needle.optim.settings import Setting, at_least_zero, below_one


class Lion(Optimizer):
    """Lion (Chen et al. 2023): `p = p - lr (sign(beta1 m + (1 - beta1) g) + weight_decay p)`,
    then `m = beta2 m + (1 - beta2) g`.

    `g` is the gradient. Every element moves by `lr`, so rates are smaller than Adam's, about a
    tenth. `.m` maps each parameter to its mean.
    """

    lr = Setting(at_least_zero)
    beta1 = Setting(below_one)
    beta2 = Setting(below_one)
    weight_decay = Setting(at_least_zero)
    m: dict[Tensor, Tensor]
    _states = ("m",)

    def __init__(
        self,
        params: Params,
        lr: float = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay)

    def _step_group(self, group: Group, *, only_check: bool) -> None:
        _core.lion_step(
            group["params"],
            self.m,
            lr=group["lr"],
            beta1=group["beta1"],
            beta2=group["beta2"],
            weight_decay=group["weight_decay"],
            only_check=only_check,
        )
