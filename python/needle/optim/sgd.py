"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from needle import _core
from needle._core import Tensor
from needle.optim.optimizer import Group, Optimizer, Params
from needle.optim.settings import Setting, at_least_zero, below_one, flag, optional_part


class SGD(Optimizer):
    """Gradient descent with momentum: `u = m u + (1 - d) g`, `p = p - lr u`.

    `g` is the gradient plus `weight_decay` times the parameter, `m` the momentum, `d` the
    dampening. `d` is `m` unless you say otherwise, so that `u` is a mean of gradients;
    `dampening=0` gives PyTorch's form, a sum. With `nesterov` the step looks ahead along the
    velocity: `p = p - lr (m u + (1 - d) g)`, with the new `u` (Sutskever et al. 2013, in the form
    of PyTorch and Keras). Without momentum `p = p - lr g`.

    `.u` maps each parameter to its velocity, zeros before its first step.
    """

    lr = Setting(at_least_zero)
    momentum = Setting(below_one)
    weight_decay = Setting(at_least_zero)
    dampening = Setting(optional_part)
    nesterov = Setting(flag)
    u: dict[Tensor, Tensor]
    _states = ("u",)

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        dampening: float | None = None,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            dampening=dampening,
            nesterov=nesterov,
        )

    def _step_group(self, group: Group, *, only_check: bool) -> None:
        momentum, dampening = group["momentum"], group["dampening"]
        _core.sgd_step(
            group["params"],
            self.u,
            lr=group["lr"],
            momentum=momentum,
            dampening=momentum if dampening is None else dampening,
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            only_check=only_check,
        )
