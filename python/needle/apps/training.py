"""Trains a classifier of labelled images, an epoch at a time, and can be interrupted anywhere.

>>> from needle.data import find_mnist, load_mnist
>>> trainer = Trainer(load_mnist(find_mnist()), settings_for(model="softmax"))  # doctest: +SKIP
>>> for report in trainer.run():  # doctest: +SKIP
...     print(report.epoch, report.test_error)
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from needle import _names
from needle._core import Tensor
from needle.apps.classifiers import Architecture, logits_of, score
from needle.apps.settings import Settings, make_optimizer, make_schedule, settings_for
from needle.data import Batch, DataLoader, LabelledImages, NDArrayDataset
from needle.modes import lazy
from needle.nn.functional import cross_entropy

__all__ = ["EpochReport", "Settings", "Trainer", "settings_for"]


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch.

    `loss` is the mean over the training pictures and `train_error` the fraction of wrong answers,
    both while the network learnt; `test_loss` and `test_error` are those of the finished epoch.
    `lr` is the learning rate of its first step, `seconds` the time of training alone.
    """

    epoch: int
    loss: float
    train_error: float
    test_loss: float
    test_error: float
    lr: float
    seconds: float
    examples_per_second: float


@dataclass(slots=True)
class Begun:
    """An epoch that has begun: sums over its `batches` finished batches.

    `rng` is the state of NumPy's global generator before the order of the pictures was drawn.
    """

    rng: dict[str, Any]
    lr: float
    batches: int = 0
    examples: int = 0
    loss: float = 0.0
    wrong: int = 0
    seconds: float = 0.0


class Trainer:
    """A classifier, its optimiser and schedule, and what is done of their run.

    The same data and settings give the same weights, to the last bit. Making a trainer seeds
    NumPy's global generator, from which weights, orders and dropout are drawn.

    `steps` counts the finished steps, `history` has the reports of the finished epochs, `begun` is
    the epoch under way, if any. `schedule` is None where the rate is constant.
    """

    def __init__(self, data: LabelledImages, settings: Settings | None = None) -> None:
        self.data = data
        self.settings = settings = settings or Settings()
        self.architecture = Architecture(
            settings.model, data.rows, data.columns, settings.hidden, data.classes
        )
        np.random.seed(settings.seed)
        self.model = self.architecture.build()
        self._loader = DataLoader(
            NDArrayDataset(data.train_images, data.train_labels), settings.batch, settings.shuffle
        )
        self.optimizer = make_optimizer(settings, self.model.parameters())
        self.schedule = make_schedule(
            settings, self.optimizer, settings.epochs * self.steps_per_epoch
        )
        self.steps = 0
        self.history: list[EpochReport] = []
        self.begun: Begun | None = None

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches; a last partial one counts."""
        return len(self._loader)

    def run(self, on_step: Callable[[Begun], object] | None = None) -> Iterator[EpochReport]:
        """Train for the epochs of the settings that are not done yet, with a report after each."""
        while len(self.history) < self.settings.epochs:
            yield self.epoch(on_step)

    def epoch(self, on_step: Callable[[Begun], object] | None = None) -> EpochReport:
        """Train on every batch once, or on those that are left of an epoch that has begun; then
        measure test loss and test error.

        `on_step` is called after each finished step. An exception that it raises ends the call
        between two steps; the next call goes on from there.

        FloatingPointError as soon as the loss is not finite any more, before weights change.
        """
        with lazy() if self.settings.lazy else contextlib.nullcontext():
            begun, batches = self._batches()
            self.model.train()
            done = begun.seconds
            begin = time.perf_counter()
            for batch in batches:
                self._step(begun, batch)
                begun.seconds = done + (time.perf_counter() - begin)
                if on_step is not None:
                    on_step(begun)
            test = score(logits_of(self.model, self.data.test_images), self.data.test_labels)
        report = EpochReport(
            epoch=len(self.history) + 1,
            loss=begun.loss / begun.examples,
            train_error=begun.wrong / begun.examples,
            test_loss=test.loss,
            test_error=test.error,
            lr=begun.lr,
            seconds=begun.seconds,
            examples_per_second=begun.examples / begun.seconds,
        )
        self.history.append(report)
        self.begun = None
        return report

    def _batches(self) -> tuple[Begun, Iterator[Batch]]:
        """The epoch under way, or a new one, and its batches that are left."""
        now = np.random.get_state(legacy=False)
        if self.begun is None:
            self.begun = Begun(rng=now, lr=self.optimizer.param_groups[0]["lr"])
            return self.begun, iter(self._loader)
        np.random.set_state(self.begun.rng)
        batches = iter(self._loader)
        np.random.set_state(now)
        return self.begun, itertools.islice(batches, self.begun.batches, None)

    def _step(self, begun: Begun, batch: Batch) -> None:
        images, labels = batch
        logits: Tensor = self.model(images)
        loss = cross_entropy(logits, labels)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} in step {self.steps + 1}: try a smaller learning rate "
                f"than {self.settings.lr:g}"
            )
        self.optimizer.reset_grad()
        loss.backward()
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        count = len(images)
        self.steps += 1
        begun.batches += 1
        begun.examples += count
        # A last partial batch counts by its size.
        begun.loss += value * count
        begun.wrong += int(np.count_nonzero(logits.numpy().argmax(axis=1) != labels.numpy()))


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
