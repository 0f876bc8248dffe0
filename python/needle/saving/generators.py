"""States of NumPy's random generators, checked: NumPy believes what they say.

A generator whose position lies outside of its table reads memory that is not its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from needle.errors import FileFormatError

Rng = np.random.Generator | np.random.RandomState

# The largest values of the fields that say where a generator stands, or that something is kept.
_LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "has_gauss": 1}


class Part(NamedTuple):
    """Something with a state: how to get it and how to set it."""

    get: Callable[[], Any]
    set: Callable[[Any], object]


def random_parts(user: str, rng: Rng | Literal[False] | None) -> dict[str, Part]:
    """NumPy's global generator and `rng`, if there is one; with False neither.

    Setting a state raises FileFormatError if it is none of that generator.
    """
    if rng is False:
        return {}
    parts = {
        "global_rng": _part(
            "global_rng", lambda: np.random.get_state(legacy=False), np.random.set_state
        ),
    }
    if isinstance(rng, np.random.RandomState):
        generator = rng
        parts["rng"] = _part("rng", lambda: generator.get_state(legacy=False), generator.set_state)
    elif isinstance(rng, np.random.Generator):
        bits = rng.bit_generator
        parts["rng"] = _part("rng", lambda: bits.state, lambda state: setattr(bits, "state", state))
    elif rng is not None:
        raise TypeError(
            f"{user}: rng: expected a numpy.random.Generator, a RandomState, None or False, "
            f"got {type(rng).__name__}"
        )
    return parts


def check_global_state(name: str, state: Any) -> None:
    """Raise FileFormatError if this is no state that NumPy's global generator can take."""
    _part(name, lambda: None, np.random.RandomState().set_state).set(state)


def _part(name: str, get: Callable[[], Any], set: Callable[[Any], object]) -> Part:
    def checked(state: Any) -> None:
        try:
            _check(state)
            set(state)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # NumPy's own words may be no more than the key that it misses.
            raise FileFormatError(
                f"{name}: the state of this generator expected ({error})"
            ) from None

    return Part(get, checked)


def _check(state: Any) -> None:
    if not isinstance(state, Mapping):
        raise TypeError(f"a dict, found {type(state).__name__}")
    for part in (state, state.get("state")):
        for field, value in part.items() if isinstance(part, Mapping) else ():
            if field not in _LARGEST:
                continue
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or not 0 <= value <= _LARGEST[field]:
                raise ValueError(f"{field} from 0 to {_LARGEST[field]}, found {value!r:.40}")
    if not math.isfinite(state.get("gauss", 0.0)):
        raise ValueError(f"a finite gauss, found {state['gauss']}")
