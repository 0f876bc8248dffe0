"""`needle train mnist`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from needle.apps.model_files import resume as resume_training
from needle.apps.settings import LEARNING_RATES, MODELS, OPTIMIZERS, SCHEDULES
from needle.apps.training import Settings, Trainer, settings_for
from needle.cli.files import output_file, require_different, tensor_file
from needle.cli.options import FILE, MODEL_FILE, data_options, finite, load
from needle.cli.plot import plot_file
from needle.cli.progress import on_terminal
from needle.cli.session import Outputs, train_to_the_end

DEFAULTS = Settings()
RESNET = MODELS["mlp-resnet"]


@click.group(invoke_without_command=True)
@click.pass_context
def train(context: click.Context) -> None:
    """Train a network on a data set."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _other_for_resnet(name: str) -> str:
    return f"{getattr(DEFAULTS, name)}; mlp-resnet: {RESNET[name]}"


# Settings have no default here: it depends on the model, or is what a checkpoint says.
@train.command(context_settings={"show_default": True})
@click.option(
    "--model",
    type=click.Choice(list(MODELS)),
    show_default=DEFAULTS.model,
    help="mlp: two linear layers; mlp-resnet: three residual blocks; softmax: one linear layer.",
)
@click.option(
    "--hidden",
    type=click.IntRange(min=1),
    show_default=str(DEFAULTS.hidden),
    help="Hidden units; softmax has none.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    show_default=_other_for_resnet("epochs"),
    help="Epochs, in all.",
)
@click.option(
    "--optimizer",
    type=click.Choice(list(OPTIMIZERS)),
    show_default=_other_for_resnet("optimizer"),
    help="How the weights are changed.",
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    show_default=", ".join(f"{name} {rate:g}" for name, rate in LEARNING_RATES.items())
    + f"; mlp-resnet: {RESNET['lr']:g}",
    callback=finite,
    help="Learning rate, with a schedule the largest one.",
)
@click.option(
    "--schedule",
    type=click.Choice(list(SCHEDULES)),
    show_default=_other_for_resnet("schedule"),
    help="How the learning rate changes from step to step.",
)
@click.option(
    "--weight-decay",
    type=click.FloatRange(min=0),
    show_default=_other_for_resnet("weight_decay"),
    callback=finite,
    help="Weight decay.",
)
@click.option(
    "--batch", type=click.IntRange(min=1), show_default=str(DEFAULTS.batch), help="Batch size."
)
@click.option(
    "--shuffle/--no-shuffle",
    default=None,
    show_default="no-shuffle; mlp-resnet: shuffle",
    help="Whether each epoch has an order of its own.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**32 - 1),
    show_default=str(DEFAULTS.seed),
    help="Seed of all random numbers.",
)
@click.option("--lazy", is_flag=True, default=None, help="Compute in lazy mode.")
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    help="Stop when so many epochs brought no better test error.",
)
@data_options
@click.option("--save", type=FILE, callback=tensor_file, help="Write the model at the end.")
@click.option(
    "--checkpoint",
    type=FILE,
    callback=tensor_file,
    help="Write all that --resume needs, after each epoch and on Ctrl-C. With --resume it is by "
    "default the same file.",
)
@click.option(
    "--resume",
    type=MODEL_FILE,
    callback=tensor_file,
    help="Continue the run of this checkpoint, with its settings.",
)
@click.option(
    "--log", type=FILE, callback=output_file, help="Write a line of JSON about each epoch."
)
@click.option("--plot", type=FILE, callback=plot_file, help="Draw the learning curve, as .png.")
@click.option("--no-progress", is_flag=True, help="No progress bar on a terminal either.")
def mnist(
    patience: int | None,
    data: Path | None,
    dataset: str,
    save: Path | None,
    checkpoint: Path | None,
    resume: Path | None,
    log: Path | None,
    plot: Path | None,
    no_progress: bool,
    **settings: Any,
) -> int:
    """Train a network on handwritten digits.

    Files of models and checkpoints are .npz or .safetensors. Ctrl-C, and SIGTERM, write both after
    the step under way, and exit with status 130, or 143.
    """
    checkpoint = checkpoint or resume
    files = {"--save": save, "--checkpoint": checkpoint, "--log": log, "--plot": plot}
    require_different(files)
    require_different({**files, "--checkpoint": None, "--resume": resume})
    given = {name: value for name, value in settings.items() if value is not None}
    if given.get("model") == "softmax" and "hidden" in given:
        raise click.UsageError("--hidden does not go with --model softmax: it has no hidden units")
    bar = on_terminal() and not no_progress
    images = load(dataset, data, bar)
    trainer = (
        Trainer(images, settings_for(**given))
        if resume is None
        else resume_training(resume, images, given)
    )
    click.echo(
        f"{images.name} from {images.origin}: {len(images.train_labels)} training and "
        f"{len(images.test_labels)} test images of {images.rows} x {images.columns}"
    )
    return train_to_the_end(trainer, Outputs(save, checkpoint, log, plot), patience, bar)
