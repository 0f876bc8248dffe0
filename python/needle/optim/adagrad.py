"""Adagrad."""

from __future__ import annotations

from needle import _core
from needle._core import Tensor
from needle.optim.optimizer import Group, Optimizer, Params
from needle.optim.settings import Setting, at_least_zero


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer 2011): `s = s + g^2`, `p = p - lr g / (sqrt(s) + eps)`.

    `g` is the gradient plus `weight_decay` times the parameter. `s` begins with
    `initial_accumulator`; `.s` maps each parameter to it. Where a sum of squares is larger than
    its dtype can hold, `.s` has minus its root instead.
    """

    lr = Setting(at_least_zero)
    eps = Setting(at_least_zero)
    weight_decay = Setting(at_least_zero)
    initial_accumulator = Setting(at_least_zero)
    s: dict[Tensor, Tensor]
    _states = ("s",)

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        initial_accumulator: float = 0.0,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            eps=eps,
            weight_decay=weight_decay,
            initial_accumulator=initial_accumulator,
        )

    def _step_group(self, group: Group, *, only_check: bool) -> None:
        _core.adagrad_step(
            group["params"],
            self.s,
            lr=group["lr"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            start=group["initial_accumulator"],
            only_check=only_check,
        )
