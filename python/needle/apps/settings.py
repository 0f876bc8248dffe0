"""What decides the result of a training run, together with the data: names and numbers, checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from needle import optim
from needle._core import Tensor
from needle.optim import schedules
from needle.optim.optimizer import Optimizer
from needle.optim.schedules import Schedule
from needle.optim.settings import at_least_zero, count, flag


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run, by default those of the course's two-layer network.

    `hidden` is the number of hidden units, 0 for a model without. `lr` is the learning rate that
    the schedule begins with, or for "one-cycle" the largest one. With `shuffle` each epoch has an
    order of its own; without, it is the order of the data. `lazy` computes in lazy mode.

    Raises ValueError or TypeError, naming the setting, for one that cannot be.
    """

    model: str = "mlp"
    hidden: int = 100
    epochs: int = 5
    batch: int = 100
    seed: int = 0
    optimizer: str = "sgd"
    lr: float = 0.2
    weight_decay: float = 0.0
    schedule: str = "constant"
    shuffle: bool = False
    lazy: bool = False

    def __post_init__(self) -> None:
        _one_of("model", self.model, MODELS)
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        count("epochs", self.epochs)
        count("batch", self.batch)
        if self.model != "softmax":
            count("hidden", self.hidden)
        elif self.hidden:
            raise ValueError(f"hidden: softmax has no hidden units, got {self.hidden}")
        if self.model == "mlp-resnet" and self.hidden < 2:
            raise ValueError("hidden: mlp-resnet halves them, expected at least 2, got 1")
        _seed(self.seed)
        at_least_zero("weight_decay", self.weight_decay)
        if not at_least_zero("lr", self.lr):
            raise ValueError(f"lr: expected a number above 0, got {self.lr}")
        flag("shuffle", self.shuffle)
        flag("lazy", self.lazy)


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSProp,
    "adagrad": optim.Adagrad,
    "lion": optim.Lion,
}

# The rates that suit batches of 100, where none is asked for.
LEARNING_RATES: Mapping[str, float] = {
    "sgd": 0.2,
    "adam": 0.003,
    "adamw": 0.003,
    "rmsprop": 0.003,
    "adagrad": 0.02,
    "lion": 0.001,
}

SCHEDULES: Mapping[str, Callable[[Optimizer, int], Schedule | None]] = {
    "constant": lambda optimizer, steps: None,
    "cosine": lambda optimizer, steps: schedules.CosineLR(optimizer, steps),
    "one-cycle": lambda optimizer, steps: schedules.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], steps
    ),
}

# What differs from the defaults of `Settings`. Those of mlp-resnet were found by trying.
MODELS: Mapping[str, Mapping[str, Any]] = {
    "mlp": {},
    "mlp-resnet": {
        "epochs": 10,
        "optimizer": "adamw",
        "lr": 0.01,
        "weight_decay": 0.1,
        "schedule": "one-cycle",
        "shuffle": True,
    },
    "softmax": {"hidden": 0},
}


def settings_for(**given: Any) -> Settings:
    """The settings that are given, and for the others what suits the model and the optimiser.

    Raises as `Settings`.
    """
    own = dict(MODELS.get(given.get("model", "mlp"), {}))
    if given.get("optimizer", own.get("optimizer", "sgd")) != own.get("optimizer", "sgd"):
        # Rate and decay were chosen for another one. `Settings` knows which names there are.
        own["lr"] = LEARNING_RATES.get(given["optimizer"], 1.0)
        own["weight_decay"] = 0.0
    return Settings(**{**own, **given})


def make_optimizer(settings: Settings, parameters: Sequence[Tensor]) -> Optimizer:
    """The optimiser of these settings."""
    make = OPTIMIZERS[settings.optimizer]
    return make(parameters, lr=settings.lr, weight_decay=settings.weight_decay)


def make_schedule(settings: Settings, optimizer: Optimizer, steps: int) -> Schedule | None:
    """The schedule of these settings for that many steps; None where the rate is constant."""
    return SCHEDULES[settings.schedule](optimizer, steps)


def _seed(value: Any) -> None:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not 0 <= value < 2**32:
        raise ValueError(f"seed: expected an integer from 0 to 2**32 - 1, got {value!r}")


def _one_of(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
