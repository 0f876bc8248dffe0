"""What a checkpoint says of the epochs of its training, checked."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from needle.apps.training import Begun, EpochReport
from needle.optim.settings import natural
from needle.saving.generators import check_global_state


def read_history(stated: Any) -> list[EpochReport]:
    """The reports of the finished epochs, numbered from 1.

    Raises TypeError or ValueError, naming the field, for anything else.
    """
    if not isinstance(stated, list):
        raise TypeError(f"a list of epochs expected, found {type(stated).__name__}")
    history = [EpochReport(**report) for report in stated]
    for number, report in enumerate(history, start=1):
        if natural("epoch", report.epoch) != number:
            raise ValueError(f"epoch {number} expected, found {report.epoch}")
        for name, value in dataclasses.asdict(report).items():
            if name == "test_loss":
                # Of pictures that nobody learnt from: it may be infinite, and is nan then.
                _number(name, value)
            elif name != "epoch":
                _between(name, value, 1 if name.endswith("_error") else math.inf)
    return history


def read_begun(stated: Any, batches: int) -> Begun | None:
    """The epoch under way, of so many batches, or None. Raises as `read_history`."""
    if stated is None:
        return None
    begun = Begun(**stated)
    for name, most in (("batches", batches), ("examples", math.inf), ("wrong", begun.examples)):
        if natural(name, getattr(begun, name)) > most:
            raise ValueError(f"{name}: at most {most} expected, found {getattr(begun, name)}")
    for name in ("lr", "loss", "seconds"):
        _between(name, getattr(begun, name), math.inf)
    check_global_state("begun", begun.rng)
    return begun


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: a number expected, found {type(value).__name__}")
    return value


def _between(name: str, value: Any, most: float) -> None:
    """A finite number from 0 to `most`."""
    if not 0 <= _number(name, value) <= most or math.isinf(value):
        raise ValueError(f"{name}: a finite number from 0 to {most} expected, found {value!r:.40}")
