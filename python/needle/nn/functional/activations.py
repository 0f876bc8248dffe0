"""Activation functions: those of `needle.ops`, and what is made of them."""

from __future__ import annotations

import math

from needle import init, ops
from needle.autograd import Tensor
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


def gelu(x: Tensor, approximate: str = "tanh") -> Tensor:
    """`x` times the normal distribution function of `x`, elementwise, approximated by tanh.

    Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", 2016.
    """
    return x * (0.5 + 0.5 * tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`, elementwise."""
    return x * sigmoid(x)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`x` above 0 and `negative_slope * x` elsewhere; so is the derivative."""
    return ops.where(x > 0, x, x * negative_slope)


def softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`, elementwise, without overflow."""
    return ops.logsumexp(ops.stack([x, init.zeros_like(x)]), axes=0)
