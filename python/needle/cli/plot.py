"""The learning curve as a picture, by matplotlib, which is imported only here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from needle.apps.training import EpochReport
from needle.cli.files import output_file
from needle.files import written_whole


def plot_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Callback of an option that names a picture to write: an error if it cannot be drawn."""
    target = output_file(context, parameter, path)
    if target is not None:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise click.ClickException(
                "--plot needs matplotlib: install needle with the extra 'plot'"
            ) from None
        formats = Figure().canvas.get_supported_filetypes()
        if _format(target) not in formats:
            raise click.BadParameter(
                f"{target.name}: a file name that ends in one of {', '.join(formats)} is expected"
            )
    return target


def draw_curve(path: Path, title: str, reports: Sequence[EpochReport]) -> None:
    """Draw training loss and test error against the epoch."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [report.epoch for report in reports]
    # A figure of its own, without pyplot: no window system, nothing global.
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    loss_axes = figure.add_subplot(title=title, xlabel="epoch", ylabel="training loss")
    loss_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    error_axes = loss_axes.twinx()
    error_axes.set_ylabel("test error, %")
    (loss,) = loss_axes.plot(epochs, [r.loss for r in reports], "o-", color="tab:blue")
    (error,) = error_axes.plot(
        epochs, [100 * r.test_error for r in reports], "s--", color="tab:red"
    )
    loss_axes.set_ylim(bottom=0)
    error_axes.set_ylim(bottom=0)
    loss_axes.legend([loss, error], ["training loss", "test error"])
    with written_whole(path) as file:
        figure.savefig(file, format=_format(path), dpi=150)


def _format(path: Path) -> str:
    return path.suffix.lstrip(".").lower()
