"""Two processes measure the same row with two needles, and take turns block by block.

Each is `python -m benchmarks.turns`, with the needle of one folder, and runs the row's own code;
only needle takes part. Before a block it says READY and waits for GO, after it DONE, and waits for
ON. GO comes only when both wait, so whatever lies between blocks disturbs none: no two blocks run
at the same time, nor does one run while the other process prepares its work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from .figures import Figure, Unit
from .peers import NEEDLE
from .revision import ROOT
from .timing import ROUNDS, Block, Contestant, Plan

READY, GO, DONE, ON, STOP = "ready", "go", "done", "on", "stop"
# How a process ends: with figures, with the reason why there are none, or because of the other.
FIGURES, FAILED, STOPPED = "figures", "failed", "stopped"

# What a process runs of each figure after a warm-up; rows that take long run less.
BLOCKS = 5

# The idle threads of needle's pool spin for 50 us; nobody else has any here.
_SETTLE = 0.01

Message = tuple[str, Any]


class Speaker(Protocol):
    """One end of a conversation."""

    def say(self, word: str, what: object = None) -> None:
        """Send a message."""

    def hear(self) -> Message:
        """Wait for a message."""


class Line:
    """A conversation by lines of JSON. When the other end is gone, it hears the empty word."""

    def __init__(self, reader: IO[str], writer: IO[str]) -> None:
        self._reader, self._writer = reader, writer

    def say(self, word: str, what: object = None) -> None:
        """Send a message."""
        print(json.dumps([word, what]), file=self._writer, flush=True)

    def hear(self) -> Message:
        """Wait for a message."""
        line = self._reader.readline()
        word, what = json.loads(line) if line else ("", None)
        return word, what


# --- the one who lets them run ------------------------------------------------------------------


def run_pair(row: str, packages: Sequence[Path], seed: int) -> list[Message]:
    """How a row ends in two fresh processes, in the order of their packages."""
    with ExitStack() as stack:
        return take_turns([stack.enter_context(Worker(row, path, seed)) for path in packages])


def take_turns(workers: Sequence[Speaker]) -> list[Message]:
    """Let them run, A, B, B, A, ..., until one of them ends; how each of them ended."""
    order = list(workers)
    while True:
        heard = [worker.hear() for worker in workers]
        if any(word != READY for word, _ in heard):
            break
        for worker in order:
            worker.say(GO)
            worker.hear()
        for worker in workers:
            worker.say(ON)
        order.reverse()
    for number, (worker, (word, _)) in enumerate(zip(workers, heard, strict=True)):
        if word == READY:
            worker.say(STOP)
            heard[number] = worker.hear()
    return heard


class Worker:
    """A process that measures a row with the needle that lies in a folder."""

    def __init__(self, row: str, package: Path, seed: int) -> None:
        path = [str(package), str(ROOT), os.environ.get("PYTHONPATH", "")]
        # Children inherit all of it.
        environment = {
            **os.environ,
            # Before site-packages, where the editable install stands.
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            # NumPy and SciPy are not measured here, and idle threads of their pool would spin.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            # The same for both: the order of a set is no difference between revisions.
            "PYTHONHASHSEED": str(seed),
            # A fresh copy has no compiled sources, and the row `import` is not about compiling.
            "PYTHONDONTWRITEBYTECODE": "",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.turns", row, str(package)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._line = Line(self._process.stdout, self._process.stdin)

    def say(self, word: str, what: object = None) -> None:
        """Send a message; if the process is gone, `hear` tells."""
        with suppress(OSError):
            self._line.say(word, what)

    def hear(self) -> Message:
        """What the process says, FAILED where it has ended."""
        word, what = self._line.hear()
        return (word, what) if word else (FAILED, f"the process ended with {self._process.wait()}")

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind:
            self._process.kill()
        self._process.communicate()


# --- the process itself -------------------------------------------------------------------------


class Stopped(Exception):
    """The other process has ended."""


@dataclass(frozen=True, slots=True)
class InTurns(Plan):
    """needle alone, in exactly as many blocks as the other process, and each of them on demand."""

    line: Speaker = field(kw_only=True)

    def at_most(self, rounds: int) -> Plan:
        """Fewer blocks for work that takes long, in proportion."""
        return replace(self, rounds=min(self.rounds, max(1, BLOCKS * rounds // ROUNDS)))

    @property
    def most(self) -> int:
        """As many as planned, so that blocks pair."""
        return self.rounds

    def among(self, contestants: Sequence[Contestant]) -> Sequence[Contestant]:
        """needle's own; LookupError where there is none."""
        ours = [one for one in contestants if one.name.split(":")[0] == NEEDLE]
        if not ours:
            raise LookupError("needle does not take part in it")
        return ours

    def turn(self, block: Block) -> Mapping[str, float]:
        """Wait, let the block run, and wait until the other has run its own."""
        self.line.say(READY)
        if self.line.hear()[0] != GO:
            raise Stopped
        try:
            # Not super(): a class with slots is another one than its methods know.
            return Plan.turn(self, block)
        finally:
            self.line.say(DONE)
            self.line.hear()


def values_of(figures: Sequence[Figure]) -> list[dict[str, object]]:
    """What needle needed, by figure; what is but a ratio to something else says nothing here."""
    found: list[dict[str, object]] = []
    for figure in figures:
        sample, unit = figure.samples[NEEDLE], figure.unit
        title = figure.title
        if unit is Unit.RATIO:
            if figure.own is None:
                continue
            sample, unit, title = figure.own, Unit.SECONDS, f"{title}, in seconds"
        found.append(
            {"key": figure.key, "title": title, "unit": unit, "values": list(sample.values)}
        )
    return found


def measure(row: str, package: Path, plan: InTurns) -> Message:
    """How the row ends with the needle of this package, which must be the one that is imported."""
    try:
        import needle
        from needle import _core

        for module in (needle, _core):
            found = Path(module.__file__ or "").resolve()
            if not found.is_relative_to(package.resolve()):
                return FAILED, f"{module.__name__} comes from {found}, not from {package}"
        from .rows import ROWS

        return FIGURES, values_of(ROWS[row](plan))
    except Stopped:
        return STOPPED, "the other one has ended"
    except Exception as error:
        return FAILED, f"{type(error).__name__}: {error}"


def main() -> None:
    """Measure the row that the first argument names, with the package of the second."""
    row, package = sys.argv[1:]
    line = Line(os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w"))
    # Whatever the work or a child reads or prints is no part of the conversation.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    for peer in ("torch", "jax"):
        sys.modules[peer] = None  # type: ignore[assignment]  # not to be imported
    line.say(*measure(row, Path(package), InTurns(BLOCKS, _SETTLE, line=line)))


if __name__ == "__main__":
    main()
