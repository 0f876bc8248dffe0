"""`needle train mnist`: the options, the lines it prints, and what it writes."""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path

import click
import numpy as np

import needle as ndl
from needle.apps.training import EpochReport, Settings, Trainer
from needle.cli.files import output_file
from needle.cli.plot import draw_curve, plot_file
from needle.data import DownloadError, LabelledImages, find_mnist, load_digits, load_mnist
from needle.files import written_whole

DEFAULTS = Settings()
FILE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group(invoke_without_command=True)
@click.pass_context
def train(context: click.Context) -> None:
    """Train a network on a data set."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Callback of an option: `FloatRange` lets infinity and nan pass."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number")
    return value


@train.command(context_settings={"show_default": True})
@click.option("--hidden", type=click.IntRange(min=1), default=DEFAULTS.hidden, help="Hidden units.")
@click.option("--epochs", type=click.IntRange(min=1), default=DEFAULTS.epochs, help="Epochs.")
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULTS.lr,
    callback=finite,
    help="Learning rate.",
)
@click.option("--batch", type=click.IntRange(min=1), default=DEFAULTS.batch, help="Batch size.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**32 - 1),
    default=DEFAULTS.seed,
    help="Seed of the initial weights.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="Folder with the four files of MNIST; else NEEDLE_DATA, else the cache folder, into "
    "which they are downloaded.",
)
@click.option(
    "--dataset",
    type=click.Choice(["auto", "mnist", "digits"]),
    default="auto",
    help="auto: MNIST, or the 8 x 8 digits of scikit-learn where MNIST cannot be had.",
)
@click.option("--lazy", is_flag=True, help="Compute in lazy mode.")
@click.option("--save", type=FILE, callback=output_file, help="Write the weights, as .npz.")
@click.option("--plot", type=FILE, callback=plot_file, help="Draw the learning curve, as .png.")
@click.option("--no-progress", is_flag=True, help="No progress bar on a terminal either.")
def mnist(
    hidden: int,
    epochs: int,
    lr: float,
    batch: int,
    seed: int,
    data: Path | None,
    dataset: str,
    lazy: bool,
    save: Path | None,
    plot: Path | None,
    no_progress: bool,
) -> int:
    """Train a two-layer ReLU network on handwritten digits by plain SGD.

    Ctrl-C writes the weights of the last finished step to --save and exits with status 130.
    """
    if data is not None and dataset == "digits":
        raise click.UsageError("--data is a folder with MNIST: it does not go with digits")
    if save is not None and save == plot:
        raise click.UsageError("--save and --plot name the same file")
    bar = sys.stderr.isatty() and not no_progress
    images = load(dataset, data, bar)
    click.echo(
        f"{images.name} from {images.origin}: {len(images.train_labels)} training and "
        f"{len(images.test_labels)} test images of {images.rows} x {images.columns}"
    )
    settings = Settings(hidden=hidden, epochs=epochs, lr=lr, batch=batch, seed=seed)
    trainer = Trainer(images, settings)
    click.echo(
        f"{images.features}-{hidden}-{images.classes} ReLU network, softmax loss, "
        f"SGD lr {lr:g}, batch {batch}, seed {seed}{', lazy' if lazy else ''}"
    )
    try:
        with ndl.lazy() if lazy else contextlib.nullcontext():
            reports = [train_epoch(trainer, number, bar) for number in range(1, epochs + 1)]
        if save is not None:
            save_weights(save, trainer)
    except KeyboardInterrupt:
        return interrupted(trainer, save)
    if plot is not None:
        draw_curve(plot, f"{images.features}-{hidden}-{images.classes} on {images.name}", reports)
        click.echo(f"learning curve written to {plot}")
    click.echo(test_error(reports[-1]))
    return 0


def load(dataset: str, folder: Path | None, progress: bool) -> LabelledImages:
    """The images to train on; one line on stderr where the digits stand in for MNIST."""
    if dataset == "digits":
        return load_digits()
    try:
        return load_mnist(find_mnist(folder, progress=progress))
    except DownloadError as error:
        if dataset == "mnist":
            raise
        click.echo(f"no MNIST: {error}; training on the 8 x 8 digits instead", err=True)
        return load_digits()


def train_epoch(trainer: Trainer, number: int, bar: bool) -> EpochReport:
    """Train for one epoch and print its line, on a terminal with a progress bar meanwhile."""
    label = f"epoch {number}/{trainer.settings.epochs}"
    if bar:
        from tqdm import tqdm

        with tqdm(
            total=trainer.steps_per_epoch, desc=label, unit="batch", leave=False, file=sys.stderr
        ) as progress:
            report = trainer.epoch(number, on_step=lambda loss: progress.update())
    else:
        report = trainer.epoch(number)
    click.echo(f"{label}  loss {report.loss:.4f}  {test_error(report)}  {report.seconds:.2f} s")
    return report


def test_error(report: EpochReport) -> str:
    """The test error in the words that scripts look for."""
    return f"test error {100 * report.test_error:.2f} %"


def save_weights(path: Path, trainer: Trainer) -> None:
    """Write the weights as the arrays W1 and W2 of one .npz file, and say so."""
    first, second = trainer.weights
    with written_whole(path) as file:
        np.savez(file, W1=first.numpy(), W2=second.numpy())
    click.echo(f"weights after {trainer.steps} steps written to {path}")


def interrupted(trainer: Trainer, save: Path | None) -> int:
    """What Ctrl-C leaves behind, and the exit status."""
    click.echo(f"interrupted after {trainer.steps} steps", err=True)
    if save is not None and trainer.steps:
        save_weights(save, trainer)
    return 130
