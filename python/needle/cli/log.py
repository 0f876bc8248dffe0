"""The log of a training: a file of lines, each a JSON object about one epoch."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

from needle.apps.training import EpochReport


def begin_log(path: Path, done: Sequence[EpochReport]) -> None:
    """Prepare the log of a run whose epochs `done` are finished already.

    A new run has a new file. One that is continued appends to its file; epochs that were finished
    but not written any more are added, and a line that was cut off is brought to an end.
    """
    if not done:
        path.write_text("", encoding="utf-8")
        return
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    last = max(map(_epoch_of, old.splitlines()), default=0)
    with path.open("a", encoding="utf-8") as file:
        if old and not old.endswith("\n"):
            file.write("\n")
        file.writelines(_line(report) for report in done if report.epoch > last)


def append_log(path: Path, report: EpochReport) -> None:
    """Add the line of one epoch."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_line(report))


def _line(report: EpochReport) -> str:
    # JSON has no infinity and no nan.
    values = {
        name: value if math.isfinite(value) else None
        for name, value in dataclasses.asdict(report).items()
    }
    return json.dumps(values) + "\n"


def _epoch_of(line: str) -> int:
    """The epoch that a line is about; 0 for one that is not whole."""
    try:
        epoch = json.loads(line)["epoch"]
    except (ValueError, TypeError, KeyError):
        return 0
    return epoch if isinstance(epoch, int) else 0
