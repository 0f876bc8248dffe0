"""What is given to optimisers and to clipping as parameters: tensors, in an order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from needle._core import Tensor


def tensors(params: Any) -> list[Tensor]:
    """The tensors that `params` gives, in order; one tensor stands for itself.

    Raises TypeError, with what to write, for anything else.
    """
    if isinstance(params, Tensor):
        return [params]
    if hint := _hint(params):
        kind = _kind(params) if _is_module(params) else f"a {_kind(params)}"
        raise TypeError(f"params: expected a list of tensors, got {kind}\nhint: {hint}")
    try:
        listed: list[Any] = list(params)
    except TypeError:
        if hasattr(type(params), "__iter__"):
            raise  # of the iteration
        message = f"params: expected a list of tensors, got {_kind(params)}"
        raise TypeError(message) from None
    for i, param in enumerate(listed):
        if not isinstance(param, Tensor):
            hint = _hint(param) or _hint_of_item(param)
            raise TypeError(
                f"params: expected tensors, got {_kind(param)} at {i}"
                + (f"\nhint: {hint}" if hint else "")
            )
    return listed


def _hint(params: object) -> str:
    """What to write instead, for what is easily given where a list of tensors belongs."""
    if _is_module(params):
        return "give it model.parameters()"
    if isinstance(params, Mapping):
        if "params" in params:
            return "groups stand in a list, [{'params': ...}]"
        return "give it list(d.values()) of a dict d"
    if isinstance(params, set | frozenset):
        return "a set has no order; give it a list"
    if isinstance(params, np.ndarray):
        return "make a needle.Tensor of the array, and compute the loss from that"
    return ""


def _hint_of_item(param: object) -> str:
    if isinstance(param, tuple) and len(param) == 2 and isinstance(param[0], str):
        return "give it model.parameters(), without the names"
    if isinstance(param, str):
        return "a dict gives its keys; give it list(d.values())"
    return "one flat list, as in [*a, *b]" if isinstance(param, list | tuple) else ""


def _is_module(params: object) -> bool:
    # Not by its class: `needle.nn` is imported by those who use it.
    return not isinstance(params, type) and callable(getattr(params, "parameters", None))


def _kind(params: object) -> str:
    kind = type(params).__name__
    return f"the module {kind}" if _is_module(params) else kind
