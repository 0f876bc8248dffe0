"""Optimisers: objects that change parameters along their gradients.

A step over all parameters of a group is one call into the core. Gradients are never changed, a
parameter without one is skipped, as is one that requires none. What was handed out before a step
keeps its values, pending gradients too: a step writes into a parameter's memory only where nobody
else holds it. A `backward()` through what was recorded before it is a GradError.

Learning rates over time stand in `needle.optim.schedules`.
"""

from typing import TYPE_CHECKING

from needle import _names
from needle.optim.adagrad import Adagrad
from needle.optim.adam import Adam, AdamW
from needle.optim.clipping import clip_grad_norm, clip_grad_value
from needle.optim.lion import Lion
from needle.optim.optimizer import Optimizer
from needle.optim.rmsprop import RMSProp
from needle.optim.sgd import SGD

if TYPE_CHECKING:
    from needle.optim import schedules
    from needle.optim.lbfgs import LBFGS


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

if not TYPE_CHECKING:
    # Imported when first asked for: not every program needs them.
    __getattr__, __dir__ = _names.attributes(
        __name__,
        __all__,
        {"LBFGS": "needle.optim.lbfgs:LBFGS", "schedules": "needle.optim.schedules"},
    )
