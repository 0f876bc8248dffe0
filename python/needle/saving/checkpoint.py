"""Checkpoints: all that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal, Protocol

import numpy as np

from needle._core import Tensor, from_numpy
from needle.errors import FileFormatError
from needle.saving.encoding import decode, encode
from needle.saving.formats import read_arrays, write_arrays
from needle.saving.generators import Part, Rng, random_parts

# The text in the file that holds everything but the arrays, and the version of its structure.
_TEXT = "needle.checkpoint"
_VERSION = 1

# One more than the largest count of steps and epochs.
_COUNTS = 2**63


class Stateful(Protocol):
    """A model, an optimiser, a schedule: what gives its state and takes it back.

    A state is a dict of tensors, arrays, numbers, texts and None, in lists, tuples and dicts.
    """

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Any, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says of itself: the steps and epochs done, and what else was put in."""

    step: int
    epoch: int
    extra: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: str | PathLike[str],
    *,
    model: Stateful | None = None,
    optimizer: Stateful | None = None,
    schedule: Stateful | None = None,
    rng: Rng | Literal[False] | None = None,
    step: int = 0,
    epoch: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write one file, `.safetensors` or `.npz`, from which `load_checkpoint` goes on.

    It holds the states of those of `model`, `optimizer` and `schedule` that are given, the counts,
    `extra` (what a state may hold), and the state of NumPy's global random generator, beside that
    of the generator `rng` if there is one; with `rng=False` neither. The file is replaced in one
    step: if the process is killed meanwhile, the last good one stays.

    Raises TypeError if a state holds what cannot be written, and if an argument is of the wrong
    kind; ValueError for another suffix, and for a count below 0.
    """
    parts = _stateful("save_checkpoint", model, optimizer, schedule)
    counts = {"step": operator.index(step), "epoch": operator.index(epoch)}
    for name, count in counts.items():
        if not 0 <= count < _COUNTS:
            raise ValueError(f"save_checkpoint: {name}: expected 0 to 2**63 - 1, got {count}")
    content = {
        "version": _VERSION,
        **counts,
        "extra": dict(extra or {}),
        **{name: part.state_dict() for name, part in parts.items()},
        **{name: part.get() for name, part in random_parts("save_checkpoint", rng).items()},
    }
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = {name: encode(value, name, arrays) for name, value in content.items()}
    write_arrays(path, arrays, {_TEXT: json.dumps(tree, allow_nan=False)})


def load_checkpoint(
    path: str | PathLike[str],
    *,
    model: Stateful | None = None,
    optimizer: Stateful | None = None,
    schedule: Stateful | None = None,
    rng: Rng | Literal[False] | None = None,
) -> Checkpoint:
    """Put the states in a file back into the objects that are given, and return its counts.

    NumPy's global generator is set too, if its state is in the file, and so is `rng`, if one is
    given; with `rng=False` neither. From there the training continues bit for bit. If anything
    fails, everything is as it was before. No code from the file is run.

    Raises FileFormatError, a ValueError, if the file is damaged, is no checkpoint, or lacks the
    state of an object that is given; and what an object raises that does not take its state.
    """
    content = read_content(path)
    parts = {
        name: Part(part.state_dict, part.load_state_dict)
        for name, part in _stateful("load_checkpoint", model, optimizer, schedule).items()
    }
    random = random_parts("load_checkpoint", rng)
    if "global_rng" not in content:
        random.pop("global_rng", None)
    parts |= random
    for name in parts:
        if name not in content:
            raise FileFormatError(f"{path}: it holds no state of {name}, expected one")
    _set_all([(part, content[name]) for name, part in parts.items()])
    return Checkpoint(content["step"], content["epoch"], content["extra"])


def _set_all(states: list[tuple[Part, Any]]) -> None:
    """Set the states; if one cannot be, those that were begun get back what they had before."""
    before = [_copy(part.get()) for part, _ in states]
    begun: list[tuple[Part, Any]] = []
    try:
        for (part, state), old in zip(states, before, strict=True):
            begun.append((part, old))
            part.set(state)
    except BaseException as error:
        for part, old in begun:
            try:
                part.set(old)
            except Exception as second:
                error.add_note(f"and its state before could not be restored: {second}")
        raise


def _copy(state: Any) -> Any:
    """The state on memory of its own, which nothing that is done to the object changes."""
    if isinstance(state, Tensor):
        return from_numpy(state.numpy().copy())
    if isinstance(state, np.ndarray):
        return state.copy()
    if isinstance(state, Mapping):
        return {key: _copy(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        copies = [_copy(value) for value in state]
        return copies if isinstance(state, list) else tuple(copies)
    return state


def read_content(path: str | PathLike[str]) -> dict[str, Any]:
    """Everything in the file, decoded and with the right kinds at the top."""
    arrays, texts = read_arrays(path)
    if _TEXT not in texts:
        raise FileFormatError(f"{path}: a checkpoint was expected, found a file of tensors")
    try:
        tree = json.loads(texts[_TEXT])
        version = tree["version"]
        if type(version) is not int or version != _VERSION:
            raise FileFormatError(
                f"a checkpoint of version {_VERSION} expected, found {version!r:.40}"
            )
        content: dict[str, Any] = decode(tree, arrays)
        for name, kind in (("step", int), ("epoch", int), ("extra", dict)):
            # Not `isinstance`: True is an int.
            if type(content[name]) is not kind:
                raise FileFormatError(f"a checkpoint expected, {name} is {content[name]!r:.40}")
        for name in ("step", "epoch"):
            if not 0 <= content[name] < _COUNTS:
                raise FileFormatError(f"a checkpoint expected, {name} is {content[name]}")
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise FileFormatError(f"{path}: a checkpoint was expected, its text is damaged") from None
    return content


def _stateful(user: str, *given: Stateful | None) -> dict[str, Stateful]:
    parts: dict[str, Stateful] = {}
    for name, part in zip(("model", "optimizer", "schedule"), given, strict=True):
        if part is None:
            continue
        if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
            raise TypeError(
                f"{user}: {name}: expected an object with state_dict and load_state_dict, "
                f"got {type(part).__name__}"
            )
        parts[name] = part
    return parts
