"""Trains a two-layer ReLU network on labelled images by plain SGD, a step or an epoch at a time.

>>> from needle.data import find_mnist, load_mnist
>>> trainer = Trainer(load_mnist(find_mnist()), Settings(epochs=2))  # doctest: +SKIP
>>> for report in trainer.run():  # doctest: +SKIP
...     print(report.epoch, report.test_error)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import needle as ndl
from needle import init, ops
from needle.apps.simple_ml import descend, softmax_loss
from needle.autograd import Tensor
from needle.data import LabelledImages


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the result of a training run, together with the data."""

    hidden: int = 100
    epochs: int = 5
    lr: float = 0.2
    batch: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch: mean training loss, fraction of wrong test answers, training time."""

    epoch: int
    loss: float
    test_error: float
    seconds: float


class Trainer:
    """The network relu(x @ W1) @ W2, without biases, and its training.

    `weights` is the pair (W1, W2) after the last of the `steps` finished steps; an interrupt at
    any moment (KeyboardInterrupt) finds weights and count that belong together.

    The same data and settings give the same weights. Making a trainer seeds NumPy's global
    generator, from which `needle.init` draws.
    """

    def __init__(self, data: LabelledImages, settings: Settings | None = None) -> None:
        self.data = data
        self.settings = settings or Settings()
        self._targets = np.eye(data.classes, dtype=np.float32)[data.train_labels]
        hidden = self.settings.hidden
        np.random.seed(self.settings.seed)
        self._progress: tuple[int, tuple[Tensor, Tensor]] = (
            0,
            (
                init.randn(data.features, hidden, std=hidden**-0.5, requires_grad=True),
                init.randn(hidden, data.classes, std=data.classes**-0.5, requires_grad=True),
            ),
        )

    @property
    def steps(self) -> int:
        """The number of finished steps."""
        return self._progress[0]

    @property
    def weights(self) -> tuple[Tensor, Tensor]:
        """W1 of shape (features, hidden) and W2 of shape (hidden, classes)."""
        return self._progress[1]

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches; a last partial one counts."""
        return math.ceil(len(self.data.train_labels) / self.settings.batch)

    def run(self, on_step: Callable[[float], object] | None = None) -> Iterator[EpochReport]:
        """Train for `settings.epochs` epochs, with a report after each.

        `on_step` is called with the loss of each finished step.
        """
        for epoch in range(1, self.settings.epochs + 1):
            yield self.epoch(epoch, on_step)

    def epoch(self, number: int, on_step: Callable[[float], object] | None = None) -> EpochReport:
        """Train on every batch once, in order, then measure the test error.

        FloatingPointError as soon as the loss is not finite any more.
        """
        size = self.settings.batch
        count = len(self.data.train_labels)
        total = 0.0
        begin = time.perf_counter()
        for start in range(0, count, size):
            loss = self.step(start, start + size)
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in step {self.steps}: try a smaller learning rate "
                    f"than {self.settings.lr:g}"
                )
            # A last partial batch counts by its size.
            total += loss * min(size, count - start)
            if on_step is not None:
                on_step(loss)
        seconds = time.perf_counter() - begin
        return EpochReport(number, total / count, self.test_error(), seconds)

    def step(self, start: int, stop: int) -> float:
        """Train on the images [start, stop); their loss before the step."""
        first, second = self.weights
        inputs = ndl.from_numpy(self.data.train_images[start:stop])
        targets = ndl.from_numpy(self._targets[start:stop])
        loss = softmax_loss(ops.relu(inputs @ first) @ second, targets)
        loss.backward()
        value = float(loss.numpy())
        lr = self.settings.lr
        # One assignment: an interrupt comes before or after it.
        self._progress = self.steps + 1, (descend(first, lr), descend(second, lr))
        return value

    def test_error(self) -> float:
        """The fraction of test images that the network answers wrongly."""
        # `.data` keeps the weights' graph out of it: nothing is recorded.
        first, second = (weight.data for weight in self.weights)
        logits = ops.relu(ndl.from_numpy(self.data.test_images) @ first) @ second
        answers = logits.numpy().argmax(axis=1)
        return float(np.mean(answers != self.data.test_labels))
