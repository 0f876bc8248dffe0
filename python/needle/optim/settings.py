"""Settings of optimisers: numbers that each group of parameters has, and what they may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Setting(Generic[T]):
    """An attribute that stands in every group: reading gives that of the first group, setting
    sets it in all of them.

    `check(name, value)` gives the value as it is kept. It raises TypeError or ValueError.
    """

    def __init__(self, check: Callable[[str, Any], T]) -> None:
        self._check = check
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, optimizer: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, optimizer: Any, owner: type) -> T: ...
    def __get__(self, optimizer: Any, owner: type) -> Setting[T] | T:
        if optimizer is None:
            return self
        value: T = optimizer.param_groups[0][self.name]
        return value

    def __set__(self, optimizer: Any, value: T) -> None:
        checked = self.check(value)
        for group in optimizer.param_groups:
            group[self.name] = checked

    def check(self, value: Any) -> T:
        """The value as it is kept; raises TypeError or ValueError for one that is not allowed."""
        return self._check(self.name, value)


def number(name: str, value: Any) -> float:
    """A real number, as a float."""
    if not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    return float(value)


def at_least_zero(name: str, value: Any) -> float:
    """A finite number from 0 on."""
    checked = number(name, value)
    if not 0.0 <= checked < math.inf:
        raise ValueError(f"{name}: expected a finite number of at least 0, got {value}")
    return checked


def below_one(name: str, value: Any) -> float:
    """A number from 0 to below 1."""
    checked = number(name, value)
    if not 0.0 <= checked < 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1), got {value}")
    return checked


def optional_part(name: str, value: Any) -> float | None:
    """None, or a number from 0 to 1."""
    if value is None:
        return None
    checked = number(name, value)
    if not 0.0 <= checked <= 1.0:
        raise ValueError(f"{name}: expected None or a number in [0, 1], got {value}")
    return checked


def flag(name: str, value: Any) -> bool:
    """A truth value."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {type(value).__name__}")
    return value


def count(name: str, value: Any) -> int:
    """An integer from 1 on."""
    if not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}")
    return int(value)


def natural(name: str, value: Any) -> int:
    """An integer from 0 on that can be counted on: what counts may have 64 bits."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ValueError(f"{name}: expected an integer of at least 0, got {value!r}")
    if int(value) >= 2**62:
        raise ValueError(f"{name}: expected an integer below 2**62, got {value}")
    return int(value)


def check_state(state: Any, kind: str, owner: object, names: set[str]) -> None:
    """Raise TypeError for what is no dict, ValueError for one with other keys than `kind` and
    `names`, or whose `kind` is not the class of `owner`.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a dict, got {type(state).__name__}")
    expected = {kind, *names}
    if set(state) != expected:
        found = sorted(map(str, state))
        raise ValueError(f"state: expected the keys {sorted(expected)}, got {found}")
    if state[kind] != type(owner).__name__:
        raise ValueError(f"state: expected one of {type(owner).__name__}, got one of {state[kind]}")
