"""Optimisers: objects that change parameters along their gradients.

A step over all parameters is one call into the core. Gradients are never changed, a parameter
without one is skipped, and what was recorded before a step keeps the values it has seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from needle import _core
from needle._core import Tensor

__all__ = ["SGD", "Adam", "Optimizer"]


class Optimizer:
    """What optimisers share: the list of parameters.

    Raises TypeError for a parameter that is not a Tensor.
    """

    def __init__(self, params: Iterable[Tensor]) -> None:
        self.params = list(params)
        for i, param in enumerate(self.params):
            if not isinstance(param, Tensor):
                raise TypeError(f"params: expected tensors, got {type(param).__name__} at {i}")

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        raise NotImplementedError

    def reset_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for param in self.params:
            param.grad = None

    def _states(self, found: dict[Tensor, Tensor]) -> list[Tensor | None]:
        return [found.get(param) for param in self.params]

    def _keep(self, found: dict[Tensor, Tensor], states: list[Tensor | None]) -> None:
        pairs = zip(self.params, states, strict=True)
        found.update((param, state) for param, state in pairs if state is not None)


class SGD(Optimizer):
    """Gradient descent with momentum: `u = m u + (1 - m) g`, `p = p - lr u`.

    `g` is the gradient plus `weight_decay` times the parameter. `.u` maps each parameter to its
    velocity.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params)
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.u: dict[Tensor, Tensor] = {}

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        velocities = self._states(self.u)
        _core.sgd_step(
            self.params,
            velocities,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
        self._keep(self.u, velocities)

    def clip_grad_norm(self, max_norm: float = 0.25) -> None:
        """Scale all gradients down together if their common L2 norm is above `max_norm`."""
        grads: list[Any] = [param.grad for param in self.params if param.grad is not None]
        norm = sum(float((grad.data * grad.data).sum().item()) for grad in grads) ** 0.5
        if norm > max_norm:
            for param in self.params:
                if param.grad is not None:
                    param.grad = param.grad.data * (max_norm / norm)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015) with bias correction; the decay is added to the gradient.

    `.t` counts the steps, `.m` and `.v` map each parameter to the means of its gradient and of
    the gradient's square.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params)
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self.weight_decay = weight_decay
        self.t = 0
        self.m: dict[Tensor, Tensor] = {}
        self.v: dict[Tensor, Tensor] = {}

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        means, squares = self._states(self.m), self._states(self.v)
        _core.adam_step(
            self.params,
            means,
            squares,
            t=self.t + 1,
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            weight_decay=self.weight_decay,
        )
        self.t += 1
        self._keep(self.m, means)
        self._keep(self.v, squares)
