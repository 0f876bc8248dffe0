"""Options and checks that several commands share, and the images that they ask for."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from needle.data import DownloadError, LabelledImages, find_mnist, load_digits, load_mnist

FILE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
MODEL_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

F = TypeVar("F", bound=Callable[..., Any])


def finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Callback of an option: `FloatRange` lets infinity and nan pass."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number")
    return value


def data_options(command: F) -> F:
    """Adds the options that `load` takes."""
    dataset = click.option(
        "--dataset",
        type=click.Choice(["auto", "mnist", "digits"]),
        default="auto",
        help="auto: MNIST, or the 8 x 8 digits of scikit-learn where MNIST cannot be had.",
    )
    data = click.option(
        "--data",
        type=FOLDER,
        help="Folder with the four files of MNIST; else NEEDLE_DATA, else the cache folder, into "
        "which they are downloaded.",
    )
    return data(dataset(command))


def load(dataset: str, folder: Path | None, progress: bool) -> LabelledImages:
    """The images of these options; one line on stderr where the digits stand in for MNIST."""
    if folder is not None and dataset == "digits":
        raise click.UsageError("--data is a folder with MNIST: it does not go with digits")
    if dataset == "digits":
        return load_digits()
    try:
        return load_mnist(find_mnist(folder, progress=progress))
    except DownloadError as error:
        if dataset == "mnist":
            raise
        click.echo(f"no MNIST: {error}; taking the 8 x 8 digits instead", err=True)
        return load_digits()
