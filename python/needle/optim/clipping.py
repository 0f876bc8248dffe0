"""Clipping of gradients: they are replaced, never changed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from needle import _core, ops
from needle._core import Tensor
from needle.errors import ShapeError
from needle.optim.params import tensors
from needle.optim.settings import at_least_zero, number


def clip_grad_norm(
    params: Tensor | Iterable[Tensor], max_norm: float, *, error_if_nonfinite: bool = False
) -> float:
    """Scale the gradients of `params` down together if their common L2 norm is above `max_norm`
    (Pascanu, Mikolov and Bengio 2013).

    Returns the norm before, 0.0 where no parameter has a gradient. It is computed in float64,
    without squares that overflow or vanish: it is right wherever it is a number of float64. A
    parameter that is given twice counts once, one that requires no gradient does not count.

    Raises ValueError for a negative `max_norm` (infinity is allowed, and only measures) and, with
    `error_if_nonfinite`, for a norm that is infinite or NaN; without, an infinite norm leaves
    zeros and NaN, and NaN changes nothing. TypeError for what is no tensor, such as a module.
    """
    limit = number("max_norm", max_norm)
    if not limit >= 0.0:
        raise ValueError(f"max_norm: expected a number of at least 0, got {max_norm}")
    found = _with_gradient(params)
    norm = _core.global_norm([grad for _, grad in found])
    if error_if_nonfinite and not math.isfinite(norm):
        raise ValueError(f"clip_grad_norm: the norm of the gradients is {norm}")
    if norm > limit:
        left = norm
        while 0.0 < limit < left * 2.0**-100 and math.isfinite(left):
            # In several steps: float32 has few digits for factors as small as this, or none.
            found = [(param, grad * 2.0**-64) for param, grad in found]
            left *= 2.0**-64
        for param, grad in found:
            param.grad = grad * (limit / left)
    return norm


def clip_grad_value(params: Tensor | Iterable[Tensor], value: float) -> None:
    """Move every element of the gradients of `params` into `[-value, value]`, but for those of
    parameters that require no gradient.

    Raises ValueError for a negative `value`, TypeError for what is no tensor, such as a module.
    """
    limit = at_least_zero("value", value)
    found = _with_gradient(params)
    clipped = [ops.maximum(ops.minimum(grad, limit), -limit) for _, grad in found]
    for (param, _), grad in zip(found, clipped, strict=True):
        param.grad = grad


def _with_gradient(params: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Each parameter that has a gradient, once, with the gradient's values. ShapeError, before any
    is changed, where the data was replaced by some of another shape since.

    A frozen one may have a gradient too, pending; no step asks for it.
    """
    training = [param for param in dict.fromkeys(tensors(params)) if param.requires_grad]
    found = [(param, param.grad.data) for param in training if param.grad is not None]
    for param, grad in found:
        if grad.shape != param.shape:
            raise ShapeError(
                f"clip: a gradient has shape {grad.shape}, its parameter {param.shape}\n"
                "hint: the data was replaced since the gradient was computed"
            )
    return found
