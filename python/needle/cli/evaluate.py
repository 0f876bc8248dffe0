"""`needle eval`: how good a trained model is on the test pictures."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from needle.apps.classifiers import logits_of, score
from needle.apps.model_files import load_model
from needle.cli.options import MODEL_FILE, data_options, load
from needle.cli.progress import on_terminal


@click.command(name="eval", context_settings={"show_default": True})
@click.argument("file", type=MODEL_FILE)
@data_options
@click.option("--confusion", is_flag=True, help="Print how often which class got which answer.")
def evaluate(file: Path, data: Path | None, dataset: str, confusion: bool) -> None:
    """Measure a trained model on the test pictures.

    FILE is what `needle train` wrote, by --save or by --checkpoint.
    """
    model, network = load_model(file)
    images = load(dataset, data, on_terminal())
    wanted = (network.rows, network.columns, network.classes)
    if (images.rows, images.columns, images.classes) != wanted:
        raise click.ClickException(
            f"{file}: a model of pictures of {images.rows} x {images.columns} in "
            f"{images.classes} classes expected, as {images.name} has, "
            f"found {network.rows} x {network.columns} in {network.classes}"
        )
    logits = logits_of(model, images.test_images)
    loss, error = score(logits, images.test_labels)
    click.echo(f"{network} from {file}")
    click.echo(f"{images.name} from {images.origin}: {len(logits)} test images")
    click.echo(f"test loss {loss:.4f}  test error {100 * error:.2f} %")
    if confusion:
        click.echo(table(images.test_labels, logits.argmax(axis=1), network.classes))


def table(labels: NDArray[np.integer], answers: NDArray[np.integer], classes: int) -> str:
    """A row for each class, with the number of its pictures that got each answer."""
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (labels, answers), 1)
    width = max(len(str(counts.max())), len(str(classes - 1))) + 2
    lines = ["class" + "".join(f"{answer:>{width}}" for answer in range(classes)) + "  <- answer"]
    for label, row in enumerate(counts.tolist()):
        lines.append(f"{label:>5}" + "".join(f"{count:>{width}}" for count in row))
    return "\n".join(lines)
