"""The table as text for people and as Markdown for the README, and the record as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .figures import Comparison, Figure, Unit, compare

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"

_HEADER = ("work", "needle", "beside", "theirs", "ratio", "at most", "")
# Columns of numbers are aligned to the right.
_RIGHT = (False, True, False, True, True, True, False)

_SCALES: Mapping[Unit, Sequence[tuple[float, str]]] = {
    Unit.SECONDS: ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")),
    Unit.BYTES: ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    Unit.RATIO: ((1.0, "x"),),
}


# A ratio that rose by more than this factor is pointed out.
SLOWER = 1.1

_EMPTY: Mapping[str, Sequence[Mapping[str, Any]]] = {"comparisons": ()}


@dataclass(frozen=True, slots=True)
class Run:
    """All that one run found. `doubts` say why its figures are not to be recorded."""

    figures: Sequence[Figure]
    machine: Mapping[str, str | int | float]
    versions: Mapping[str, str]
    doubts: Sequence[str] = ()
    notes: Sequence[str] = ()


def quantity(value: float, unit: Unit) -> str:
    """Three digits and a unit: "1.86 us", "0.31 us", "400 MB"."""
    scales = _SCALES[unit]
    # From a fifth of a unit on, so that 0.29 us stands beside 1.86 us.
    scale, name = next((s for s in scales if value >= 0.2 * s[0]), scales[-1])
    return f"{_digits(value / scale)} {name}"


def _digits(value: float) -> str:
    """At least three significant digits, without an exponent."""
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def _ratio(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else _digits(value)


def cells(figure: Figure, line: Comparison) -> tuple[str, ...]:
    """One line of the table, without its title."""
    bound = line.at_most
    if bound is None:
        at_most = ""
    else:
        at_most = f"{bound:.2f} x" if line.beside else quantity(bound, figure.unit)
    return (
        quantity(line.needle, figure.unit),
        line.beside,
        "" if line.theirs is None else quantity(line.theirs, figure.unit),
        "" if line.ratio is None else _ratio(line.ratio),
        at_most,
        _mark(line),
    )


def _mark(line: Comparison) -> str:
    if line.at_most is None:
        return ""
    return {True: "met", False: "NOT MET", None: "not installed"}[line.met]


def text(run: Run) -> str:
    """The aligned table, with what there is to say about the run."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for figure in run.figures:
        title = figure.title + (" ~" if figure.unsteady else "")
        for line in compare(figure):
            rows.append((title, *cells(figure, line)))
            title = ""
    return "\n".join([*aligned(rows, _RIGHT), "", *remarks(run)])


def aligned(rows: Sequence[tuple[str, ...]], right: Sequence[bool]) -> list[str]:
    """The lines of a table, whose first row is its header; numbers stand to the `right`."""
    header, *body = rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = (*("-" * width for width in widths[:-1]), "")
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in (header, rule, *body)
    ]


def remarks(run: Run) -> list[str]:
    """Machine, versions, notes, and a warning where the figures are not to be recorded."""
    found = [caption(run)]
    found += [f"{figure.key}: {note}" for figure in run.figures for note in figure.notes]
    found += run.notes
    if run.doubts:
        found.append("NOT TO BE RECORDED:")
        found += [f"  {doubt}" for doubt in run.doubts]
    return found


def caption(run: Run) -> str:
    """The machine and the versions, in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    return f"{run.machine['cpu']}, {run.machine['cpus']} CPUs; {versions}."


def markdown(run: Run) -> str:
    """The table of the README, with the command that prints it."""
    lines = [
        "| work | needle | beside | ratio | at most |",
        "|---|--:|:--|--:|--:|",
    ]
    for figure in run.figures:
        title = figure.title
        for line in compare(figure):
            mine, beside, theirs, ratio, at_most, mark = cells(figure, line)
            other = f"{beside} {theirs}".strip()
            bound = at_most if mark in ("", "met") else f"{at_most} ({mark.lower()})"
            lines.append(f"| {title} | {mine} | {other} | {ratio} | {bound} |")
            title = ""
    end = f"Medians of one run of `make bench`: {caption(run)}"
    if run.doubts:
        end += " The machine was busy or the work unsteady: not figures to rely on."
    return "\n".join([*lines, "", end])


def write_markdown(run: Run, path: Path) -> None:
    """Replace what stands between the two markers in `path`; ValueError if they are not there."""
    before, after = around_table(path)
    path.write_text(f"{before}{BEGIN}\n{markdown(run)}\n{END}{after}", encoding="utf-8")


def around_table(path: Path) -> tuple[str, str]:
    """What stands before and after the markers; ValueError if they are not there."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: the lines {BEGIN} and {END} were expected")
    return before, after


def record(run: Run) -> dict[str, object]:
    """All of the run, as plain data."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": dict(run.machine),
        "versions": dict(run.versions),
        "recordable": not run.doubts,
        "doubts": list(run.doubts),
        "notes": list(run.notes),
        "figures": {
            figure.key: {
                "title": figure.title,
                "unit": str(figure.unit),
                "samples": {
                    name: {
                        "median": sample.median,
                        "spread": round(sample.spread, 4),
                        "values": sample.values,
                    }
                    for name, sample in figure.samples.items()
                },
                "comparisons": [
                    {**asdict(line), "ratio": line.ratio, "met": line.met}
                    for line in compare(figure)
                ],
                "notes": list(figure.notes),
            }
            for figure in run.figures
        },
    }


def slower(run: Run, path: Path) -> list[str]:
    """What became slower beside the same peer by more than SLOWER since the record at `path`."""
    old = json.loads(path.read_text(encoding="utf-8"))["figures"]
    found = []
    for figure in run.figures:
        before = {
            line["beside"]: line["ratio"] for line in old.get(figure.key, _EMPTY)["comparisons"]
        }
        for line in compare(figure):
            ratio = before.get(line.beside)
            if ratio and line.ratio and line.ratio > SLOWER * ratio:
                found.append(
                    f"SLOWER: {figure.key} beside {line.beside}: {_ratio(line.ratio)}, "
                    f"{_ratio(ratio)} in {path.name}"
                )
    return found


def write_json(run: Run, path: Path) -> None:
    """Write the record of the run to `path`."""
    path.write_text(json.dumps(record(run), indent=1) + "\n", encoding="utf-8")
