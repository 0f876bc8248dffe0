"""Activation functions: those of `needle.ops`, and variants of them."""

from __future__ import annotations

import math

from needle import ops
from needle.autograd import Tensor
from needle.ops import log_softmax, relu, sigmoid, silu, softmax, softplus, tanh

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


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """`x` times the distribution function of the normal distribution at `x`, elementwise.

    With `approximate="tanh"` it is approximated by tanh, to 0.0005. Hendrycks and Gimpel,
    "Gaussian error linear units (GELUs)", 2016. Raises ValueError for another `approximate`.
    """
    if approximate == "none":
        return ops.gelu(x)
    if approximate != "tanh":
        raise ValueError(f"gelu: approximate expected 'none' or 'tanh', got {approximate!r}")
    # (1 + tanh(u)) / 2 as a sigmoid, which keeps its digits where it is near 0.
    share = sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))
    return ops.chain_product(x, share)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`x` above 0 and `negative_slope * x` elsewhere; so is the derivative."""
    return ops.leaky_relu(x, negative_slope)
