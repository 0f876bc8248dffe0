"""This tree beside another revision of needle: `make bench-against REV=HEAD~1`.

    make bench-against REV=<revision> [ROWS=add,chain] [ROUNDS=12]

Both run the rows of this tree, in two processes that take turns block by block; only `needle`
differs. A slow minute of the machine meets both, so what counts is the ratio, this tree over the
other revision. Each round is a pair of fresh processes, which import fresh copies: where the pages
of an extension module happen to lie in memory can make the same code several percent faster or
slower, for as long as that copy lives, and only other copies show it. A round gives one ratio, the
median over its blocks, and the interval is that of the median over rounds.

How to read the output: a line for each figure has the two medians, the median of the ratios, and
the interval that holds the true one with 95 %. `fell` stands where all of it lies below 0.97. Where
all of it lies above 1.03 the row is measured again: RISEN is only what rises twice, and makes the
command fail; `rose once` is chance. A `fell` may be chance, too: run its row again. Where the
interval only reaches above 1.03, neither a rise is shown nor that there is none: the last lines
count the figures that are surely below. More rounds make an interval narrower, and so does a quiet
machine. FAILED is a row that only this tree cannot run; the command fails then as well.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import machine
from .__main__ import positive, row_names
from .figures import Unit
from .report import aligned, quantity
from .revision import FOLDER, ROOT, RevisionError, build, resolve
from .rows import ROWS
from .turns import FAILED, FIGURES, Message, run_pair

# An interval wholly above the one or below the other says that a figure changed.
ROSE, FELL = 1.03, 0.97

ROUNDS = 12

# It measures the machine, not needle.
OTHERS = ("limits",)

# What the interval of the median holds at least, and the rounds from which on it can.
CONFIDENCE = 0.95
ENOUGH = 6

THIS = "this tree"
RISEN = "RISEN"

# What a process says of a figure: key, title, unit, values.
Values = Mapping[str, Any]

_HEADER = ("figure", "work", "revision", THIS, "ratio", "95 % interval", "")
_RIGHT = (False, False, True, True, True, True, False)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The narrowest pair of order statistics, symmetric, that holds the median with 95 %.

    Whatever the distribution, each value lies below the median with probability 1/2. So the k-th
    smallest of n lies above it with the probability P(B < k) = sum(C(n, i) for i < k) / 2^n, B
    being the heads of n coins, and so, by symmetry, does the k-th largest lie below it: k is the
    greatest for which that is at most 2.5 % (Thompson 1936; Conover, Practical Nonparametric
    Statistics, section 3.2). Below six values there is none, and the whole range is returned.
    """
    ordered = sorted(values)
    count = len(ordered)
    rank, below = 0, 1
    while 2 * below <= (1 - CONFIDENCE) * 2**count:
        rank += 1
        below += math.comb(count, rank)
    rank = max(rank, 1)
    return ordered[rank - 1], ordered[count - rank]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The rounds of one figure: what each of the two needed, and the ratio of this tree to it."""

    row: str
    title: str
    unit: Unit
    old: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def add(self, old: Sequence[float], new: Sequence[float]) -> None:
        """A round, from the values of its blocks, which pair."""
        self.old.append(statistics.median(old))
        self.new.append(statistics.median(new))
        self.ratios.append(statistics.median(map(_ratio, new, old)))

    @property
    def change(self) -> str:
        """ "rose", "fell", or nothing that can be told from chance."""
        low, high = interval(self.ratios)
        return "rose" if low > ROSE else "fell" if high < FELL else ""

    @property
    def few(self) -> bool:
        """Whether there are too few rounds for an interval; what never differs needs none."""
        return len(self.ratios) < ENOUGH and len(set(self.ratios)) > 1

    @property
    def below(self) -> bool:
        """Whether it surely did not rise beyond the limit."""
        return not self.few and interval(self.ratios)[1] <= ROSE

    @property
    def shown(self) -> str:
        """The interval, or the range, which is then called so."""
        low, high = interval(self.ratios)
        return f"{low:.3f} .. {high:.3f}" + (f" (range of {len(self.ratios)})" if self.few else "")


def _ratio(new: float, old: float) -> float:
    """1 where both are zero, as bytes can be."""
    return new / old if old else 1.0 if new == old else math.inf


@dataclass(slots=True)
class Found:
    """All that one run found: figures by key, and what there is to say about rows."""

    figures: dict[str, Pairs] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)
    failed: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, measure, print.

    Returns 0; 1 where a figure has risen, or a row fails with this tree alone; 2 where an option is
    wrong, the other revision cannot be built, or nothing could be compared.
    """
    options = _parse(arguments)
    began = time.perf_counter()
    try:
        commit = resolve(options.revision)
        packages = {options.revision: build(commit), THIS: ROOT / "python"}
    except RevisionError as error:
        print(f"bench-against: {error}", file=sys.stderr)
        return 2
    built = time.perf_counter()
    first = measure(options.rows, packages, options.rounds)
    again = dict.fromkeys(pairs.row for pairs in first.figures.values() if pairs.change == "rose")
    second = measure(list(again), packages, options.rounds)
    print("\n".join([*table(first, second), "", *remarks(first, second)]))
    print(
        f"{options.revision} is {commit[:10]}; {options.rounds} rounds; "
        f"{(time.perf_counter() - built) / 60:.1f} min, after {built - began:.0f} s for the build"
    )
    if not first.figures:
        print("bench-against: nothing was compared", file=sys.stderr)
        return 2
    marks = {mark(key, first, second) for key in first.figures}
    return int(first.failed or second.failed or RISEN in marks)


def measure(rows: Sequence[str], packages: Mapping[str, Path], rounds: int) -> Found:
    """Run the rows one after the other: all rounds of a row, then the next."""
    found = Found()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for row in rows:
        print(f"measuring {row} ...", file=sys.stderr, flush=True)
        watch = machine.Watch()
        figures: dict[str, Pairs] = {}
        with TemporaryDirectory(dir=FOLDER) as folder:
            for number in range(rounds):
                heard = run_round(row, packages, Path(folder), number)
                if any(word != FIGURES for word, _ in heard.values()):
                    _failure(found, row, heard)
                    break
                _append(found, figures, row, *(_by_key(what) for _, what in heard.values()))
            else:
                found.figures |= figures
        # The processes have ended, so what they used counts as ours.
        found.busy[row] = watch.others()
    return found


def run_round(
    row: str, packages: Mapping[str, Path], folder: Path, number: int
) -> dict[str, Message]:
    """How a row ends in two fresh processes, with copies of the packages made in `folder`.

    Whoever is copied second, or starts second, may have it better or worse: in every other round
    all goes the other way round. The copies stay, since the next one would get the same pages.
    """
    names = list(packages)[:: -1 if number % 2 else 1]
    copies = [
        shutil.copytree(
            packages[name],
            folder / f"{number}-{place}",  # as long for both
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for place, name in enumerate(names)
    ]
    heard = dict(zip(names, run_pair(row, copies, seed=number), strict=True))
    return {name: heard[name] for name in packages}


def _by_key(figures: Sequence[Values]) -> dict[str, Values]:
    return {figure["key"]: figure for figure in figures}


def _append(
    found: Found,
    figures: dict[str, Pairs],
    row: str,
    old: Mapping[str, Values],
    new: Mapping[str, Values],
) -> None:
    for key in (*new, *(old.keys() - new.keys())):
        if key in old and key in new:
            one = new[key]
            pairs = figures.setdefault(key, Pairs(row, one["title"], Unit(one["unit"])))
            pairs.add(old[key]["values"], one["values"])
        else:
            only = THIS if key in new else "the other revision"
            found.notes.append(f"not comparable: {key}: only {only} has it")


def _failure(found: Found, row: str, heard: Mapping[str, Message]) -> None:
    reasons = {name: what for name, (word, what) in heard.items() if word == FAILED}
    # What this tree alone cannot do is no matter of speed, but it is worse.
    alone = list(reasons) == [THIS]
    found.failed |= alone
    reason = "; ".join(f"{name}: {what}" for name, what in reasons.items())
    reason = reason or "the two run different blocks"
    found.notes.append(f"{'FAILED' if alone else 'not comparable'}: {row}: {reason}")


def mark(key: str, first: Found, second: Found) -> str:
    """What is said of a figure: what rises has to rise twice."""
    change = first.figures[key].change
    if change == "rose":
        again = second.figures.get(key)
        return RISEN if again and again.change == "rose" else "rose once"
    return change


def table(first: Found, second: Found) -> list[str]:
    """A line for each figure, and what the second measurement found where there was one."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for key, pairs in first.figures.items():
        said = mark(key, first, second)
        if (again := second.figures.get(key)) and pairs.change == "rose":
            said += f"; again {statistics.median(again.ratios):.3f}, {again.shown}"
        rows.append(
            (
                key,
                pairs.title,
                quantity(statistics.median(pairs.old), pairs.unit),
                quantity(statistics.median(pairs.new), pairs.unit),
                f"{statistics.median(pairs.ratios):.3f}",
                pairs.shown,
                said,
            )
        )
    return aligned(rows, _RIGHT)


def remarks(first: Found, second: Found) -> list[str]:
    """What could not be compared, whether the machine was busy, and the sum of it all."""
    lines = list(dict.fromkeys([*first.notes, *second.notes]))
    if note := machine.build_note():
        lines.append(note)
    for found, which in ((first, ""), (second, ", measured again")):
        busy = [row for row, cpus in found.busy.items() if cpus > machine.OTHERS_LIMIT]
        if busy:
            most = max(found.busy.values())
            lines.append(
                f"the machine was busy{which}: other processes used up to {most:.2f} CPUs "
                f"({', '.join(busy)})"
            )
    marks = [mark(key, first, second) for key in first.figures]
    counts = ", ".join(f"{marks.count(said)} {said}" for said in (RISEN, "rose once", "fell"))
    below = sum(pairs.below for pairs in first.figures.values())
    return [*lines, f"{len(marks)} figures: {counts}; {below} surely not above {ROSE}"]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.against",
        description="this tree beside another revision of needle: ratios of paired rounds",
    )
    parser.add_argument("revision", metavar="REV", help="a commit, a branch or a tag")
    parser.add_argument(
        "--rows",
        type=row_names,
        default=[row for row in ROWS if row not in OTHERS],
        metavar="NAME,...",
        help="only these rows",
    )
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help="rounds of each row")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
