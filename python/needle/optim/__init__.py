"""Optimisers: objects that change parameters along their gradients.

A step over all parameters of a group is one call into the core. Gradients are never changed, a
parameter without one is skipped, and what was recorded or handed out before a step keeps the
values it has seen: a step writes into a parameter's memory only where nobody else holds it.

Learning rates over time stand in `needle.optim.schedules`.
"""

from needle.optim import schedules
from needle.optim.adagrad import Adagrad
from needle.optim.adam import Adam, AdamW
from needle.optim.clipping import clip_grad_norm, clip_grad_value
from needle.optim.lbfgs import LBFGS
from needle.optim.lion import Lion
from needle.optim.optimizer import Optimizer
from needle.optim.rmsprop import RMSProp
from needle.optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Optimizer",
    "RMSProp",
    "clip_grad_norm",
    "clip_grad_value",
    "schedules",
]
