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
from needle.apps.classifiers import Architecture
from needle.apps.settings import Settings
from needle.apps.training import Begun, EpochReport, Trainer
from needle.data import LabelledImages
from needle.errors import FileFormatError
from needle.saving.checkpoint import load_checkpoint, save_checkpoint
from needle.saving.formats import read_arrays, write_arrays

# The text in a file of weights that says what network they belong to.
_TEXT = "needle.model"

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
        except ValueError:
            raise FileFormatError(f"{path}: damaged: the text {_TEXT} is no JSON") from None
        model, architecture = _build(path, stated)
        try:
            model.load_state_dict(arrays)
        except (ValueError, TypeError) as error:
            raise FileFormatError(f"{path}: {error}") from None
        return model, architecture
    extra = _extra(path)
    model, architecture = _build(path, extra.get("architecture"))
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
    extra = _extra(path)
    settings = _settings(path, extra, given or {})
    mine, theirs = _fingerprint(data), extra.get("data")
    if mine != theirs:
        raise ValueError(f"{path}: data expected as the run began with, {theirs}, got {mine}")
    trainer = Trainer(data, settings)
    try:
        trainer.history = [EpochReport(**report) for report in extra["history"]]
        trainer.begun = None if extra["begun"] is None else Begun(**extra["begun"])
    except (KeyError, TypeError):
        raise FileFormatError(f"{path}: damaged: its reports are not complete") from None
    trainer.steps = _load(
        path, model=trainer.model, optimizer=trainer.optimizer, schedule=trainer.schedule, rng=None
    )
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


def _build(path: Path, stated: Any) -> tuple[nn.Module, Architecture]:
    """The network that the file says it holds; NumPy's global generator stays as it is."""
    try:
        architecture = Architecture(**stated)
        random = np.random.get_state()
        try:
            return architecture.build(), architecture
        finally:
            np.random.set_state(random)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise FileFormatError(f"{path}: damaged: a network expected ({error})") from None


def _extra(path: Path) -> dict[str, Any]:
    """What the checkpoint says beside the states."""
    extra = load_checkpoint(path, rng=False).extra
    if "architecture" not in extra:
        raise FileFormatError(f"{path}: a model of `needle train` expected, found another file")
    return extra


def _load(path: Path, rng: Any = False, **parts: Any) -> int:
    """Load the states of those parts; the number of steps."""
    try:
        return load_checkpoint(path, rng=rng, **parts).step
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
