"""Networks: modules, layers, normalisation, losses.

>>> from needle import nn
>>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
>>> len(model.parameters())
4

A network is a Module that holds others; `needle.nn.functional` has the same computations as
functions. Initial weights come from `needle.init`, and so from NumPy's global generator: a layer
draws its weight and then its bias, and modules draw in the order in which they are made.
"""

from typing import TYPE_CHECKING

from needle import _names
from needle.nn import functional
from needle.nn.activations import GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Tanh
from needle.nn.containers import Residual, Sequential
from needle.nn.layers import Dropout, Embedding, Flatten, Identity, Linear
from needle.nn.losses import BCEWithLogitsLoss, HuberLoss, L1Loss, MSELoss, SoftmaxLoss
from needle.nn.module import Module
from needle.nn.normalisation import BatchNorm1d, LayerNorm, LayerNorm1d, RMSNorm
from needle.nn.parameter import Parameter

__all__ = [
    "GELU",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "Dropout",
    "Embedding",
    "Flatten",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LayerNorm",
    "LayerNorm1d",
    "LeakyReLU",
    "Linear",
    "MSELoss",
    "Module",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SoftmaxLoss",
    "Tanh",
    "functional",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
