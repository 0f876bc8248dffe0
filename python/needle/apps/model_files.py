"""Files of trained models, which say what network they hold, and checkpoints of their training.

Both are `.safetensors` or `.npz`. A file of weights holds the state dict of the model, so that
`needle.load` reads it too; a checkpoint holds all that `resume` needs. `load_model` takes either.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from needle import nn
from needle._core import Tensor
from needle.apps.classifiers import Architecture
from needle.apps.reports import read_begun, read_history
from needle.apps.settings import Settings
from needle.apps.training import Trainer
from needle.data import LabelledImages
from needle.errors import FileFormatError
from needle.saving.checkpoint import load_checkpoint, read_content, save_checkpoint
from needle.saving.formats import read_arrays, write_arrays

# The text in a file of weights that says what network they belong to.
_TEXT = "needle.model"

# Weights that memory may be asked for without a look at the file: a few megabytes.
_SMALL = 1 << 20

Path = str | PathLike[str]


def save_model(path: Path, model: nn.Module, architecture: Architecture) -> None:
    """Write the weights and the architecture, whole or not at all.

    Raises ValueError for another suffix than .safetensors and .npz.
    """
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    write_arrays(path, arrays, {_TEXT: json.dumps(dataclasses.asdict(architecture))})


def load_model(path: Path) -> tuple[nn.Module, Architecture]:
    """The model in a file of `save_model` or in a checkpoint, and its architecture.

    Raises FileFormatError, in one line that names the file, if it is damaged or something else, or
    if a weight is not finite.
    """
    model, architecture = _read_model(path)
    for name, tensor in model.state_dict().items():
        if not np.isfinite(tensor.numpy()).all():
            raise FileFormatError(f"{path}: finite weights expected, {name} has NaN or infinity")
    return model, architecture


def _read_model(path: Path) -> tuple[nn.Module, Architecture]:
    arrays, texts = read_arrays(path)
    if _TEXT in texts:
        try:
            stated = json.loads(texts[_TEXT])
        except (ValueError, RecursionError):
            raise FileFormatError(f"{path}: damaged: the text {_TEXT} is no JSON") from None
        held = sum(array.size for array in arrays.values())
        model, architecture = _build(path, stated, held)
        try:
            model.load_state_dict(arrays)
        except (ValueError, TypeError) as error:
            raise FileFormatError(f"{path}: {error}") from None
        return model, architecture
    content = _content(path)
    model, architecture = _build(path, content["extra"]["architecture"], _held(content))
    _load(path, model=model)
    return model, architecture


def save_training(path: Path, trainer: Trainer) -> None:
    """Write a checkpoint from which `resume` goes on, between any two steps."""
    begun = trainer.begun
    save_checkpoint(
        path,
        model=trainer.model,
        optimizer=trainer.optimizer,
        schedule=trainer.schedule,
        step=trainer.steps,
        epoch=len(trainer.history),
        extra={
            "architecture": dataclasses.asdict(trainer.architecture),
            "settings": dataclasses.asdict(trainer.settings),
            "data": _fingerprint(trainer.data),
            "history": [dataclasses.asdict(report) for report in trainer.history],
            "begun": None if begun is None else dataclasses.asdict(begun),
        },
    )


def resume(path: Path, data: LabelledImages, given: Mapping[str, Any] | None = None) -> Trainer:
    """The trainer of a checkpoint: it goes on as if it had never stopped, to the last bit.

    `given` are settings that are asked for. They must be those of the checkpoint, but for
    `epochs` where the schedule is "constant". NumPy's global generator is set.

    Raises FileFormatError if the file is no such checkpoint, ValueError, naming what was expected,
    if it was made with other settings or other data.
    """
    content = _content(path)
    extra = content["extra"]
    settings = _settings(path, extra, given or {})
    mine, theirs = _fingerprint(data), extra.get("data")
    if mine != theirs:
        raise ValueError(f"{path}: data expected as the run began with, {theirs}, got {mine}")
    # Before anything is made of sizes that the file says.
    try:
        network = Architecture(
            settings.model, data.rows, data.columns, settings.hidden, data.classes
        )
    except ValueError as error:
        raise FileFormatError(f"{path}: damaged: a network expected ({error})") from None
    _require_weights(path, network, _held(content))
    trainer = Trainer(data, settings)
    try:
        trainer.history = read_history(extra["history"])
        trainer.begun = read_begun(extra["begun"], trainer.steps_per_epoch)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: damaged: its reports are not complete ({error})") from None
    epochs = len(trainer.history)
    steps = epochs * trainer.steps_per_epoch + (trainer.begun.batches if trainer.begun else 0)
    if (content["epoch"], content["step"]) != (epochs, steps):
        raise FileFormatError(
            f"{path}: damaged: {epochs} epochs and {steps} steps expected as it reports, "
            f"found {content['epoch']} and {content['step']}"
        )
    _load(
        path, model=trainer.model, optimizer=trainer.optimizer, schedule=trainer.schedule, rng=None
    )
    trainer.steps = steps
    return trainer


def _settings(path: Path, extra: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    try:
        settings = Settings(**extra["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: damaged: its settings are not complete ({error})") from None
    own = dataclasses.asdict(settings)
    for name, value in given.items():
        if own[name] == value or (name == "epochs" and settings.schedule == "constant"):
            continue
        why = f" (schedule {settings.schedule})" if name == "epochs" else ""
        raise ValueError(f"{path}: {name} {own[name]} expected as the run began{why}, got {value}")
    return dataclasses.replace(settings, **given)


def _build(path: Path, stated: Any, held: int) -> tuple[nn.Module, Architecture]:
    """The network that the file says it holds, for which it has so many numbers.

    NumPy's global generator stays as it is.
    """
    try:
        architecture = Architecture(**stated)
        _require_weights(path, architecture, held)
        random = np.random.get_state()
        try:
            return architecture.build(), architecture
        finally:
            np.random.set_state(random)
    except FileFormatError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise FileFormatError(f"{path}: damaged: a network expected ({error})") from None


def _require_weights(path: Path, network: Architecture, held: int) -> None:
    """FileFormatError where the network has more weights than the file has numbers, and is large.

    A small one may be made: its state says better what is missing.
    """
    if network.least_weights > max(held, _SMALL):
        raise FileFormatError(
            f"{path}: damaged: {network.least_weights} weights expected for a {network}, "
            f"found {held} numbers"
        )


def _held(content: Mapping[str, Any]) -> int:
    """The number of numbers in the state of the model."""
    state = content.get("model")
    values = state.values() if isinstance(state, Mapping) else ()
    return sum(value.size for value in values if isinstance(value, Tensor))


def _content(path: Path) -> dict[str, Any]:
    """All that is in a checkpoint of a training."""
    content = read_content(path)
    if "architecture" not in content["extra"]:
        raise FileFormatError(f"{path}: a model of `needle train` expected, found another file")
    return content


def _load(path: Path, rng: Any = False, **parts: Any) -> None:
    """Load the states of those parts."""
    try:
        load_checkpoint(path, rng=rng, **parts)
    except FileFormatError:
        raise
    except (ValueError, TypeError) as error:
        raise FileFormatError(f"{path}: {error}") from None


def _fingerprint(data: LabelledImages) -> str:
    """A line that tells data sets apart: sizes, and a checksum of a part of the pictures."""
    labels = np.ascontiguousarray(data.train_labels).tobytes()
    pictures = np.ascontiguousarray(data.train_images[::100]).tobytes()
    checksum = zlib.crc32(pictures, zlib.crc32(labels))
    return (
        f"{data.name}, {len(data.train_labels)} pictures of {data.rows} x {data.columns} "
        f"in {data.classes} classes, checksum {checksum:08x}"
    )
