"""A training as the command runs it: what it prints, and what it writes when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from needle.apps.model_files import save_model, save_training
from needle.apps.training import Begun, EpochReport, Trainer
from needle.cli.interrupt import Interrupted, between_steps
from needle.cli.log import append_log, begin_log
from needle.cli.plot import draw_curve
from needle.cli.progress import Progress


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files to write, where they are asked for."""

    save: Path | None = None
    checkpoint: Path | None = None
    log: Path | None = None
    plot: Path | None = None


def train_to_the_end(trainer: Trainer, outputs: Outputs, patience: int | None, bar: bool) -> int:
    """Train, print a line for each epoch, write the files; the exit status."""
    click.echo(describe(trainer))
    if trainer.steps:
        done, epochs = len(trainer.history), trainer.settings.epochs
        click.echo(f"continued after {trainer.steps} steps, {done} of {epochs} epochs")
    if outputs.log is not None:
        begin_log(outputs.log, trainer.history)
    try:
        with Progress(trainer, bar) as progress, between_steps() as check:

            def on_step(begun: Begun) -> None:
                progress.step(begun)
                check()

            while not _finished(trainer, patience):
                report = trainer.epoch(on_step)
                progress.echo(epoch_line(report, trainer.settings.epochs))
                if outputs.checkpoint is not None:
                    save_training(outputs.checkpoint, trainer)
                if outputs.log is not None:
                    append_log(outputs.log, report)
                check()
    except Interrupted as interrupted:
        click.echo(f"interrupted after {trainer.steps} steps", err=True)
        _write(trainer, outputs)
        return interrupted.status
    best = min(trainer.history, key=lambda report: report.test_error)
    if len(trainer.history) < trainer.settings.epochs:
        click.echo(f"stopped: no better {test_error(best)} after epoch {best.epoch}")
    _write(trainer, outputs)
    if outputs.plot is not None:
        title = f"{trainer.architecture} on {trainer.data.name}"
        draw_curve(outputs.plot, title, trainer.history)
        click.echo(f"learning curve written to {outputs.plot}")
    click.echo(test_error(trainer.history[-1]))
    return 0


def describe(trainer: Trainer) -> str:
    """The network and its training in one line."""
    settings = trainer.settings
    names = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSProp"}
    parts = [
        str(trainer.architecture),
        "softmax loss",
        f"{names.get(settings.optimizer, settings.optimizer.title())} lr {settings.lr:g}",
        f"weight decay {settings.weight_decay:g}" if settings.weight_decay else "",
        f"{settings.schedule} schedule" if settings.schedule != "constant" else "",
        f"batch {settings.batch}{' shuffled' if settings.shuffle else ''}",
        f"seed {settings.seed}",
        "lazy" if settings.lazy else "",
    ]
    return ", ".join(filter(None, parts))


def epoch_line(report: EpochReport, epochs: int) -> str:
    """What is printed about an epoch."""
    label = f"epoch {report.epoch}/{epochs}"
    return f"{label}  loss {report.loss:.4f}  {test_error(report)}  {report.seconds:.2f} s"


def test_error(report: EpochReport) -> str:
    """The test error in the words that scripts look for."""
    return f"test error {100 * report.test_error:.2f} %"


def _finished(trainer: Trainer, patience: int | None) -> bool:
    """All epochs are done, or the last `patience` of them brought no better test error."""
    history = trainer.history
    if len(history) >= trainer.settings.epochs:
        return True
    if patience is None or len(history) <= patience:
        return False
    errors = [report.test_error for report in history]
    return min(errors[-patience:]) >= min(errors[:-patience])


def _write(trainer: Trainer, outputs: Outputs) -> None:
    """Write weights and checkpoint after the last finished step, if there was one."""
    if not trainer.steps:
        return
    if outputs.checkpoint is not None:
        save_training(outputs.checkpoint, trainer)
        click.echo(f"checkpoint after {trainer.steps} steps written to {outputs.checkpoint}")
    if outputs.save is not None:
        save_model(outputs.save, trainer.model, trainer.architecture)
        click.echo(f"weights after {trainer.steps} steps written to {outputs.save}")
