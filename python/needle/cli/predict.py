"""`needle predict`: what a trained model says of pictures in files."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from needle._core import from_numpy
from needle.apps.classifiers import logits_of
from needle.apps.model_files import load_model
from needle.cli.options import MODEL_FILE
from needle.data.picture import read_picture
from needle.ops import softmax

MODEL_SUFFIXES = (".npz", ".safetensors")
DEFAULT_FILE = Path("weights.npz")


@click.command()
@click.argument("files", nargs=-1, required=True, type=MODEL_FILE, metavar="[FILE] PICTURE...")
def predict(files: tuple[Path, ...]) -> None:
    """Print the class and the probabilities of each picture.

    FILE is what `needle train` wrote, by --save or by --checkpoint: a name in .npz or .safetensors,
    and where it is left out weights.npz in the current folder. A picture is one digit, dark on
    light or light on dark, in any format and size that Pillow reads. It is brought to the form of
    MNIST's: grey, white on black, cut out, scaled to 20/28 of the size and centred by its mass. One
    that has the model's size and a black border is taken as it is.
    """
    named = files[0].suffix.lower() in MODEL_SUFFIXES
    file, pictures = (files[0], files[1:]) if named else (DEFAULT_FILE, files)
    if not pictures:
        raise click.UsageError(f"expected a picture after {file}")
    model, network = load_model(file)
    images = np.stack([read_picture(path, network.rows, network.columns) for path in pictures])
    logits = from_numpy(logits_of(model, images.reshape(len(images), -1)))
    for path, row in zip(pictures, softmax(logits).tolist(), strict=True):
        shares = "  ".join(f"{label}: {share:.3f}" for label, share in enumerate(row))
        click.echo(f"{path}: {int(np.argmax(row))}  ({shares})")
