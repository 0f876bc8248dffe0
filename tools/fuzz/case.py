"""One case: its random numbers, what it is doing, and what may come of it."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tools.fuzz.allowed import ALLOWED, ANYWHERE

# What a log holds: more than any case says; what comes after is cut off.
LOG_BYTES = 1 << 16


class WrongError(Exception):
    """A result that is not the right one."""


class Log:
    """The number of the case that runs and its notes, in a file that outlives the process."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), LOG_BYTES)
        self._end, self._last = 0, ""

    def begin(self, index: int) -> None:
        """Forgets the notes of the case before."""
        self._end, self._last = 0, ""
        self.add(str(index))

    def add(self, text: str) -> None:
        """One more line, unless it is the last one again."""
        if text == self._last:
            return
        self._last = text
        line = text.replace("\0", "\\0").encode(errors="replace") + b"\n\0"
        start, end = self._end, self._end + len(line)
        if end <= LOG_BYTES:
            self._end = end - 1  # the next line replaces the end
            self._map[start:end] = line

    def notes(self) -> list[str]:
        """The notes of the case so far."""
        return _parsed(self._map[:])[1]


def create_log(path: Path) -> None:
    """An empty log."""
    path.write_bytes(bytes(LOG_BYTES))


def read_log(path: Path) -> tuple[int | None, list[str]]:
    """The number of the case and its notes, or None where none began."""
    return _parsed(path.read_bytes())


def _parsed(log: bytes) -> tuple[int | None, list[str]]:
    content = log.partition(b"\0")[0].decode(errors="replace")
    number, *notes = content.splitlines() or [""]
    return (int(number) if number.isdecimal() else None), notes


class Case:
    """What a family gets: `random`, and ways to say what it does."""

    def __init__(self, family: str, seed: int, index: int, log: Log | None) -> None:
        name = int.from_bytes(family.encode(), "big") % 2**32
        self.random = np.random.default_rng([seed, name, index])
        self.index = index
        self.log = log
        self.outcomes: Counter[str] = Counter()
        self._allowed = (*ANYWHERE, *ALLOWED[family])

    def note(self, text: str) -> None:
        """Says what comes next, before it is done."""
        if self.log is not None:
            self.log.add(text)

    def chance(self, p: float) -> bool:
        """True with probability `p`."""
        return bool(self.random.random() < p)

    def choice(self, items: Any) -> Any:
        """One of a sequence, unchanged (NumPy's own would convert it)."""
        return items[int(self.random.integers(len(items)))]

    def integer(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return int(self.random.integers(low, high + 1))

    def attempt(self, text: str, act: Callable[[], Any]) -> Any:
        """What `act` gives; None where it raises what the family allows."""
        self.note(text)
        try:
            result = act()
        except self._allowed as error:
            self.outcomes[type(error).__name__] += 1
            return None
        self.outcomes["ok"] += 1
        return result

    def check(self, right: bool, text: str) -> None:
        """Raises WrongError where something does not hold."""
        if not right:
            raise WrongError(text)

    def check_close(self, got: Any, expected: Any, tolerance: float, what: str) -> None:
        """Raises WrongError where arrays differ by more than `tolerance`.

        The tolerance is relative to the element, and to the largest element that is finite.
        """
        got, expected = np.asarray(got), np.asarray(expected)
        self.check(got.shape == expected.shape, f"{what}: {got.shape}, expected {expected.shape}")
        if not got.size:
            return
        if expected.dtype.kind in "biu":
            self.check(np.array_equal(got, expected), f"{what}: {got!r}, expected {expected!r}")
            return
        finite = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
        right = abs(got - expected) <= tolerance * (finite + np.abs(expected))
        right &= np.isfinite(expected)  # an infinite tolerance would let anything pass
        right |= (got == expected) | ((got != got) & (expected != expected))
        if not right.all():
            at = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(~right)))
            pair = f"{np.atleast_1d(got)[at]!r}, expected {np.atleast_1d(expected)[at]!r}"
            raise WrongError(f"{what}: {pair} at {at} of {expected.shape}")
