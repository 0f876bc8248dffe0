"""Adam and AdamW."""

from __future__ import annotations

from typing import ClassVar

from needle import _core
from needle._core import Tensor
from needle.optim.optimizer import Group, Optimizer, Params
from needle.optim.settings import Setting, at_least_zero, below_one


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015) with bias correction; the decay is added to the gradient.

    With `g` the gradient plus `weight_decay` times the parameter it is
    `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`, and
    `p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)`.

    `.t` counts the steps, `.m` and `.v` map each parameter to the means of its gradient and of
    the gradient's square. Where a mean of squares is larger than its dtype can hold, `.v` has
    minus its root instead (it is never negative itself), so gradients of any size make a step.
    """

    lr = Setting(at_least_zero)
    beta1 = Setting(below_one)
    beta2 = Setting(below_one)
    eps = Setting(at_least_zero)
    weight_decay = Setting(at_least_zero)
    m: dict[Tensor, Tensor]
    v: dict[Tensor, Tensor]
    _states = ("m", "v")
    _counters = ("t",)
    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay
        )
        self.t = 0

    def step(self) -> None:
        """Change every parameter that has a gradient. If an error is raised, none is changed."""
        super().step()
        self.t += 1

    def _step_group(self, group: Group, *, only_check: bool) -> None:
        _core.adam_step(
            group["params"],
            self.m,
            self.v,
            t=self.t + 1,
            lr=group["lr"],
            beta1=group["beta1"],
            beta2=group["beta2"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=self._decoupled,
            only_check=only_check,
        )


class AdamW(Adam):
    """Adam with decoupled decay (Loshchilov and Hutter 2019): `lr weight_decay p` is subtracted
    from the parameter, and the means are of the bare gradient.
    """

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, beta1, beta2, eps, weight_decay)
