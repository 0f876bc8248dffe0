"""The progress bar of a training, by tqdm, and lines printed above it."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from needle.apps.training import Begun, Trainer

if TYPE_CHECKING:
    from tqdm import tqdm

# Fits in 80 columns, where the usual one would lose the error.
FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left{postfix}"


def on_terminal() -> bool:
    """Whether stderr, on which bars are drawn, is there and is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


class Progress:
    """On a terminal a bar over the whole run: loss and error of the epoch so far, images per
    second, time left. Elsewhere nothing.

    `echo` prints a line, and leaves the bar in order.
    """

    def __init__(self, trainer: Trainer, shown: bool) -> None:
        self._trainer = trainer
        self._each = len(trainer.data.train_labels)
        self._bar: tqdm[Any] | None = None
        if shown:
            from tqdm import tqdm

            self._bar = tqdm(
                desc=self._label(),
                total=trainer.settings.epochs * self._each,
                initial=len(trainer.history) * self._each,
                unit=" images",
                unit_scale=True,
                leave=False,
                bar_format=FORMAT,
                file=sys.stderr,
            )

    def step(self, begun: Begun) -> None:
        """Show how far the training is."""
        if self._bar is None:
            return
        done = len(self._trainer.history) * self._each + begun.examples
        # True a few times a second, where the bar drew itself: only then is there text to renew.
        if self._bar.update(done - self._bar.n):
            loss, error = begun.loss / begun.examples, begun.wrong / begun.examples
            self._bar.set_description_str(self._label(), refresh=False)
            self._bar.set_postfix_str(f"loss {loss:.4f}, error {100 * error:.2f} %")

    def echo(self, line: str) -> None:
        """Print a line to stdout."""
        if self._bar is not None:
            self._bar.clear()
        click.echo(line)
        if self._bar is not None:
            self._bar.refresh()

    def _label(self) -> str:
        return f"epoch {len(self._trainer.history) + 1}/{self._trainer.settings.epochs}"

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
