"""The computations of layers and losses as functions, without parameters of their own.

Tensors are of any float dtype, and results have the promoted one. In shapes `...` stands for any
number of leading axes.
"""

from typing import TYPE_CHECKING

from needle import _names
from needle.nn.functional.activations import (
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from needle.nn.functional.layers import dropout, embedding, flatten, linear
from needle.nn.functional.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
)
from needle.nn.functional.normalisation import batch_norm, layer_norm, rms_norm

__all__ = [
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "embedding",
    "flatten",
    "gelu",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mse_loss",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
