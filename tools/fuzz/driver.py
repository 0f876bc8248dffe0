"""Starts workers, watches them, and says which case a failure came from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.fuzz.case import create_log, read_log

ROOT = Path(__file__).resolve().parents[2]
# Seconds that a worker may take to import what it needs.
START = 120.0
# How many cases a worker runs before it makes place for a fresh process.
SLICE = 150


@dataclass
class Plan:
    """What is to be run."""

    families: list[str]
    seed: int
    workers: int
    deadline: float
    """Seconds that a case may take before it counts as hanging."""
    memory: int
    seconds: float | None = None
    """For how long; None for `cases` of each family instead."""
    cases: range = range(0)


@dataclass
class Failure:
    """A case that failed."""

    family: str
    cases: str
    kind: str
    text: str
    notes: list[str]


@dataclass
class Report:
    """What came of it all."""

    counts: Counter[str] = field(default_factory=Counter)
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[Failure] = field(default_factory=list)


class _Worker:
    """One process on its slice."""

    def __init__(self, folder: Path, plan: Plan, family: str, cases: range) -> None:
        self.family, self.cases, self._deadline = family, cases, plan.deadline
        self._log, self._out, self._err = (folder / name for name in ("log", "out", "err"))
        create_log(self._log)
        settings = {
            "family": family,
            "seed": plan.seed,
            "start": cases.start,
            "stop": cases.stop,
            "log": str(self._log),
            "memory": plan.memory,
        }
        # The place of a panic is said without it, and what the case did is known.
        environment = {**os.environ, "RUST_BACKTRACE": "0"}
        command = [sys.executable, "-m", "tools.fuzz.worker", json.dumps(settings)]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=ROOT,
                env=environment,
            )
        self._seen: tuple[int | None, list[str]] = (None, [])
        self._since = time.monotonic()
        self._hangs = False

    def is_done(self) -> bool:
        """Whether the process has ended; one that hangs is ended."""
        if self._process.poll() is not None:
            return True
        seen, now = read_log(self._log), time.monotonic()
        limit = START if seen[0] is None else self._deadline
        if seen[0] != self._seen[0]:
            self._seen, self._since = seen, now
        elif now - self._since > limit and not self._hangs:
            self._hangs = True
            # The handler of this signal prints where each thread is.
            self._process.send_signal(signal.SIGABRT)
        elif self._hangs and now - self._since > limit + 10:
            self._process.kill()
        return False

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()

    def read(self, report: Report) -> range:
        """Puts what was found into the report; the cases that are still to be run."""
        outcomes = None
        for line in self._out.read_text(errors="replace").splitlines():
            if not line.startswith("{"):
                continue
            found = json.loads(line)
            if "outcomes" in found:
                outcomes = found["outcomes"]
                continue
            cases = found.get("cases", str(found["index"]))
            notes = found.get("notes", [])
            self._add(report, cases, found["kind"], found["text"], notes)
        if outcomes is not None:
            report.outcomes[self.family].update(outcomes)
            report.counts[self.family] += len(self.cases)
            return range(0)
        index, notes = read_log(self._log)
        code = self._process.returncode
        kind = "hang" if self._hangs else f"exit status {code}"
        if code < 0 and not self._hangs:
            kind = signal.Signals(-code).name
        errors = self._err.read_text(errors="replace")[-3000:]
        if index is None:
            self._add(report, "none", kind, f"before the first case\n{errors}", [])
            return range(0)
        self._add(report, str(index), kind, errors, notes)
        report.counts[self.family] += index + 1 - self.cases.start
        return range(index + 1, self.cases.stop)

    def _add(self, report: Report, cases: str, kind: str, text: str, notes: list[str]) -> None:
        report.failures.append(Failure(self.family, cases, kind, text, notes))


def run(plan: Plan, most_failures: int) -> Report:
    """Runs the plan, and stops early after so many failures."""
    report = Report()
    end = None if plan.seconds is None else time.monotonic() + plan.seconds
    todo = _slices(plan)
    again: deque[tuple[str, range]] = deque()
    working: dict[Path, _Worker] = {}
    with tempfile.TemporaryDirectory(prefix="needle-fuzz-") as folder:
        places = [Path(folder) / str(i) for i in range(plan.workers)]
        for place in places:
            place.mkdir()
        try:
            while True:
                late = end is not None and time.monotonic() > end
                enough = late or len(report.failures) >= most_failures
                for place in places:
                    if place not in working and not enough:
                        following = again.popleft() if again else next(todo, None)
                        if following is not None:
                            working[place] = _Worker(place, plan, *following)
                if not working:
                    return report
                for place, worker in list(working.items()):
                    if worker.is_done():
                        del working[place]
                        if rest := worker.read(report):
                            again.append((worker.family, rest))
                time.sleep(0.02)
        finally:
            for worker in working.values():
                worker.stop()


def _slices(plan: Plan) -> Iterator[tuple[str, range]]:
    """Slices of all families in turn: of the cases named, or without end."""
    starts = iter(plan.cases[::SLICE]) if plan.seconds is None else iter(range(0, 10**9, SLICE))
    for start in starts:
        stop = start + SLICE if plan.seconds is not None else min(plan.cases.stop, start + SLICE)
        for family in plan.families:
            yield family, range(start, stop)
