"""A measured figure, the bounds it has to keep, and the lines that follow from the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .peers import NEEDLE
from .timing import SPREAD_LIMIT, Sample


class Unit(StrEnum):
    """What the values of a figure count; less is better in each."""

    SECONDS = "seconds"
    BYTES = "bytes"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Bound:
    """At most this many times the best of `beside`; without any, at most this in the unit."""

    at_most: float
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured, for needle and for its peers.

    `key` names it in records and stays the same for good; `title` is for people.
    A peer in `samples` that no bound names is shown without one. Where `samples` are ratios, `own`
    is what needle itself needed, if that can be said.
    """

    key: str
    title: str
    samples: Mapping[str, Sample]
    bounds: Sequence[Bound] = ()
    unit: Unit = Unit.SECONDS
    notes: Sequence[str] = ()
    own: Sample | None = None

    @property
    def unsteady(self) -> list[str]:
        """The contestants whose rounds differ by more than SPREAD_LIMIT."""
        return [name for name, sample in self.samples.items() if sample.spread > SPREAD_LIMIT]


@dataclass(frozen=True, slots=True)
class Comparison:
    """needle beside one peer, the best of several, or (beside is "") an absolute limit."""

    beside: str
    needle: float
    theirs: float | None = None
    at_most: float | None = None
    # False too where one of the peers that the bound names is missing.
    complete: bool = True

    @property
    def ratio(self) -> float | None:
        """needle's value over theirs."""
        return self.needle / self.theirs if self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None without a bound, or if that cannot be said."""
        value = self.ratio if self.beside else self.needle
        if self.at_most is None or value is None or not self.complete:
            return None
        return value <= self.at_most


def compare(figure: Figure) -> list[Comparison]:
    """The lines of a figure: its bounds in their order, then its other peers."""
    needle = figure.samples[NEEDLE].median
    lines = [_against(figure, bound, needle) for bound in figure.bounds]
    bounded = {name for bound in figure.bounds for name in bound.beside}
    lines += [
        Comparison(name, needle, sample.median)
        for name, sample in figure.samples.items()
        if name != NEEDLE and name not in bounded
    ]
    return lines or [Comparison("", needle)]


def _against(figure: Figure, bound: Bound, needle: float) -> Comparison:
    if not bound.beside:
        return Comparison("", needle, at_most=bound.at_most)
    there = {name: figure.samples[name].median for name in bound.beside if name in figure.samples}
    if not there:
        return Comparison(" or ".join(bound.beside), needle, None, bound.at_most, complete=False)
    best = min(there, key=lambda name: there[name])
    label = best if len(bound.beside) == 1 else f"{best} (best of {len(there)})"
    complete = len(there) == len(bound.beside)
    return Comparison(label, needle, there[best], bound.at_most, complete)
