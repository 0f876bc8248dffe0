"""State dicts: the values of a module's parameters and buffers, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from needle.autograd import Tensor
from needle.errors import DTypeError, ShapeError

__all__ = ["StateKeys", "load", "snapshot"]


class StateKeys(NamedTuple):
    """Names in a module that a state dict lacks, and names in it that the module lacks."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def snapshot(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """A copy of every tensor; one that comes twice is copied once."""
    state: dict[str, Tensor] = {}
    copies: dict[int, Tensor] = {}
    for name, tensor in tensors:
        if name in state:
            raise ValueError(f"state_dict: expected different names, got {name!r} twice")
        if id(tensor) not in copies:
            copies[id(tensor)] = Tensor(tensor.numpy(), requires_grad=False)
        state[name] = copies[id(tensor)]
    return state


def load(
    tensors: Iterable[tuple[str, Tensor]],
    state: Mapping[str, Tensor | NDArray[Any]],
    strict: bool,
) -> StateKeys:
    """Checks `state` against the tensors, then copies its values into them."""
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: expected a dict, got {type(state).__name__}")
    named = list(tensors)
    keys = _keys(named, state)
    if strict and (keys.missing_keys or keys.unexpected_keys):
        lists = zip(("missing", "unexpected"), keys, strict=True)
        wrong = "; ".join(f"{what} {', '.join(map(str, names))}" for what, names in lists if names)
        raise ValueError(f"load_state_dict: expected the names of the module, got {wrong}")
    found: dict[int, tuple[str, Tensor, NDArray[Any]]] = {}
    for name, tensor in named:
        if name not in state:
            continue
        value = _checked(name, tensor, state[name])
        first, _, other = found.setdefault(id(tensor), (name, tensor, value))
        if first != name and not np.array_equal(other, value, equal_nan=value.dtype.kind == "f"):
            raise ValueError(
                f"load_state_dict: {first!r} and {name!r} are one tensor, expected equal values"
            )
    copies = [(tensor, Tensor(value)) for _, tensor, value in found.values()]
    for tensor, copy in copies:
        tensor.data = copy
    return keys


def _keys(named: list[tuple[str, Tensor]], state: Mapping[str, Any]) -> StateKeys:
    names = {name for name, _ in named}
    # By identity: a tensor with two names has its value if the dict has either.
    present = {id(tensor) for name, tensor in named if name in state}
    return StateKeys(
        missing_keys=[name for name, tensor in named if id(tensor) not in present],
        unexpected_keys=[name for name in state if name not in names],
    )


def _checked(name: str, tensor: Tensor, value: object) -> NDArray[Any]:
    """The array of a value that suits the tensor."""
    if not isinstance(value, (Tensor, np.ndarray)):
        kind = type(value).__name__
        raise TypeError(f"load_state_dict: {name!r} expected a Tensor or array, got {kind}")
    if value.shape != tensor.shape:
        raise ShapeError(
            f"load_state_dict: {name!r} expected shape {tensor.shape}, got {value.shape}"
        )
    if value.dtype != tensor.dtype:
        raise DTypeError(f"load_state_dict: {name!r} expected {tensor.dtype}, got {value.dtype}")
    return value.numpy() if isinstance(value, Tensor) else value
