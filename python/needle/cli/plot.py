"""The learning curve as a picture, by matplotlib, which is imported only here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from needle import _optional
from needle.apps.training import EpochReport
from needle.cli.files import output_file
from needle.files import written_whole


def plot_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Callback of an option that names a picture to write: an error if it cannot be drawn."""
    target = output_file(context, parameter, path)
    if target is not None:
        try:
            figure = _optional.load("matplotlib.figure", "--plot needs")
        except ModuleNotFoundError as error:
            raise click.ClickException(str(error)) from None
        formats = figure.Figure().canvas.get_supported_filetypes()
        if _format(target) not in formats:
            raise click.BadParameter(
                f"{target.name}: a file name that ends in one of {', '.join(formats)} is expected"
            )
    return target


def draw_curve(path: Path, title: str, reports: Sequence[EpochReport]) -> None:
    """Draw loss and error of training and test against the epoch, one above the other."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [report.epoch for report in reports]
    # A figure of its own, without pyplot: no window system, nothing global.
    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    figure.suptitle(title)
    for axes, label, curves in (
        (above, "softmax loss", [[r.loss, r.test_loss] for r in reports]),
        (below, "error, %", [[100 * r.train_error, 100 * r.test_error] for r in reports]),
    ):
        training, test = zip(*curves, strict=True)
        axes.plot(epochs, training, "o-", color="tab:blue", label="training (while it learns)")
        axes.plot(epochs, test, "s--", color="tab:red", label="test")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    above.legend()
    with written_whole(path) as file:
        figure.savefig(file, format=_format(path), dpi=150)


def _format(path: Path) -> str:
    return path.suffix.lstrip(".").lower()
