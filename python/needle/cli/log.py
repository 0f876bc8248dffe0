"""The log of a training: a file of lines, each a JSON object about one epoch."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

from needle.apps.training import EpochReport
from needle.files import naming, written_whole


def begin_log(path: Path, done: Sequence[EpochReport]) -> None:
    """Begin the log of a run with the epochs that are `done` already.

    A run that is continued knows them all: what the file lacks, has cut off or has of a later
    epoch, because the process was killed or an older checkpoint is resumed, is put right.
    """
    with written_whole(path) as file:
        file.writelines(_line(report).encode() for report in done)


def append_log(path: Path, report: EpochReport) -> None:
    """Add the line of one epoch."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(_line(report))


def _line(report: EpochReport) -> str:
    # JSON has no infinity and no nan.
    values = {
        name: value if math.isfinite(value) else None
        for name, value in dataclasses.asdict(report).items()
    }
    return json.dumps(values) + "\n"
