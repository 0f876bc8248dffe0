"""The processes of `make bench-against`: whose turn it is, and what each of them measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import needle

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import turns
from benchmarks.child import run_python
from benchmarks.figures import Figure, Unit
from benchmarks.timing import Contestant, Sample, compete
from benchmarks.turns import BLOCKS, DONE, FAILED, FIGURES, GO, ON, READY, STOP, STOPPED, InTurns

PACKAGE = Path(needle.__file__ or "").parents[1]


# --- turns --------------------------------------------------------------------------------------


class Fake:
    """A process that wants so many blocks, and writes down what it is told."""

    def __init__(self, name: str, log: list[str], blocks: int, end: str = FIGURES) -> None:
        self.name, self.log, self.end = name, log, end
        self.words = [READY, DONE] * blocks

    def say(self, word: str, what: object = None) -> None:
        self.log.append(f"{self.name} {word}")
        if word == STOP:
            self.words, self.end = [], STOPPED

    def hear(self) -> turns.Message:
        return (self.words.pop(0), None) if self.words else (self.end, self.name)


def test_blocks_alternate_and_both_go_on_together() -> None:
    log: list[str] = []
    heard = turns.take_turns([Fake("a", log, 3), Fake("b", log, 3)])
    assert heard == [(FIGURES, "a"), (FIGURES, "b")]
    assert " ".join(entry[0] for entry in log if entry.endswith(GO)) == "a b b a a b"
    # Nobody prepares its next block while the other's runs.
    said = [entry.split()[1] for entry in log]
    assert said == [GO, GO, ON, ON] * 3


def test_where_one_ends_the_other_is_stopped() -> None:
    log: list[str] = []
    heard = turns.take_turns([Fake("a", log, 1, FAILED), Fake("b", log, 3)])
    assert heard == [(FAILED, "a"), (STOPPED, "b")]
    assert log[-1] == f"b {STOP}"


class Script:
    """The other end of a process's line: it says what it is told to say."""

    def __init__(self, *words: str) -> None:
        self.words, self.said = list(words), list[str]()

    def say(self, word: str, what: object = None) -> None:
        self.said.append(word)

    def hear(self) -> turns.Message:
        return self.words.pop(0), None


def test_a_process_runs_blocks_of_needle_alone_and_only_when_told() -> None:
    line = Script(*[GO, ON] * 3)
    plan = InTurns(2, 0.0, line=line)
    values = iter([9.0, 1.0, 5.0])  # a warm-up, and two blocks although they differ
    names = ("needle", "needle: a part", "NumPy")
    samples = compete(
        [Contestant("NumPy", lambda: {"": 0.0}), Contestant("needle", lambda: {"": next(values)})],
        plan,
    )
    assert samples[""] == {"needle": Sample((1.0, 5.0))}
    assert line.said == [READY, DONE] * 3
    assert line.words == []
    everyone = [Contestant(name, dict) for name in names]
    assert [one.name for one in plan.among(everyone)] == list(names[:2])
    with pytest.raises(LookupError, match="needle does not take part"):
        plan.among(everyone[2:])


def test_a_process_says_when_its_block_failed_or_is_not_wanted() -> None:
    def wrong() -> dict[str, float]:
        raise ArithmeticError("it is wrong")

    line = Script(GO, ON, STOP)
    plan = InTurns(2, 0.0, line=line)
    with pytest.raises(ArithmeticError):
        plan.turn(wrong)
    assert line.said == [READY, DONE]
    with pytest.raises(turns.Stopped):
        plan.turn(dict)


def test_long_work_runs_fewer_blocks() -> None:
    plan = InTurns(BLOCKS, 0.1, line=Script())
    assert [plan.at_most(rounds).rounds for rounds in (3, 5, 7, 9, 30)] == [1, 2, 3, 5, 5]
    assert plan.at_most(3).without_threads() == InTurns(1, 0.0, line=plan.line)


def test_a_ratio_counts_by_what_needle_itself_needed() -> None:
    share, own = Sample((0.1,)), Sample((2.0,))
    ratio = {"needle": share}
    assert turns.values_of([Figure("mean", "a mean", ratio, unit=Unit.RATIO)]) == []
    (found,) = turns.values_of([Figure("share", "a share", ratio, unit=Unit.RATIO, own=own)])
    assert found == {
        "key": "share",
        "title": "a share, in seconds",
        "unit": "seconds",
        "values": [2.0],
    }


# --- real processes -----------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "count"), [("add", BLOCKS), ("size", 1)])
def test_two_processes_with_the_same_needle(row: str, count: int) -> None:
    for word, figures in turns.run_pair(row, [PACKAGE, PACKAGE], 1):
        assert word == FIGURES, figures
        assert all(len(figure["values"]) == count for figure in figures)
        assert all(value > 0 for figure in figures for value in figure["values"])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ImportError('no such thing')", "ImportError: no such thing"),
        ("import os; os._exit(3)", "the process ended with 3"),
        (f"__path__ = [{str(PACKAGE / 'needle')!r}]", "needle._core comes from "),
    ],
)
def test_a_revision_that_cannot_run_the_row(tmp_path: Path, source: str, reason: str) -> None:
    package = imitation(tmp_path, source)
    (word, what), other = turns.run_pair("add", [package, PACKAGE], 0)
    assert (word, other[0]) == (FAILED, STOPPED)
    assert str(what).startswith(reason)


def test_children_import_the_needle_of_their_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(imitation(tmp_path, "")))
    assert run_python("-c", "import needle; print(needle.__file__)").startswith(str(tmp_path))


def imitation(folder: Path, source: str) -> Path:
    """A folder with a package of that name."""
    (folder / "needle").mkdir(parents=True)
    (folder / "needle" / "__init__.py").write_text(source)
    return folder
