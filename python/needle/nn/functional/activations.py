"""Activation functions: those of `needle.ops`, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from needle import init, ops
from needle.autograd import Tensor, TensorOp
from needle.ops import log_softmax, relu, sigmoid, softmax, tanh

__all__ = [
    "gelu",
    "leaky_relu",
    "log_softmax",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]


class _Erf(TensorOp):
    """The error function, elementwise."""

    def compute(self, a: Any) -> Any:
        return np.vectorize(math.erf, otypes=[a.dtype])(a)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        return out_grad * ops.exp(-(a * a)) * (2 / math.sqrt(math.pi))


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """`x` times the distribution function of the normal distribution at `x`, elementwise.

    With `approximate="tanh"` it is approximated by tanh, to 0.0005. Hendrycks and Gimpel,
    "Gaussian error linear units (GELUs)", 2016. Raises ValueError for another `approximate`.
    """
    if approximate == "tanh":
        return x * (0.5 + 0.5 * tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if approximate != "none":
        raise ValueError(f"gelu: approximate expected 'none' or 'tanh', got {approximate!r}")
    return x * (0.5 + 0.5 * _Erf()(x * math.sqrt(0.5)))


def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`, elementwise."""
    return x * sigmoid(x)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`x` above 0 and `negative_slope * x` elsewhere; so is the derivative."""
    return ops.where(x > 0, x, x * negative_slope)


def softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`, elementwise, without overflow."""
    return ops.logsumexp(ops.stack([x, init.zeros_like(x)]), axes=0)
