"""`make bench-against` on trivial work: its statistic, its revisions, what it says; not times."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import against, machine, revision, turns
from benchmarks.against import THIS, Found, Pairs, interval
from benchmarks.figures import Unit
from benchmarks.turns import FAILED, FIGURES, STOPPED

# --- the interval -------------------------------------------------------------------------------


# Ranks from tables of the binomial distribution with p = 1/2.
@pytest.mark.parametrize(
    ("count", "rank"),
    [(6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (17, 5), (20, 6), (25, 8), (30, 10)],
)
def test_interval_is_a_pair_of_order_statistics(count: int, rank: int) -> None:
    values = [float(value) for value in range(1, count + 1)]
    assert interval(values[::-1]) == (rank, count + 1 - rank)

    def held(rank: int) -> float:
        return 1 - 2 * sum(math.comb(count, heads) for heads in range(rank)) / 2**count

    assert held(rank) >= 0.95 > held(rank + 1)


def test_interval_of_few_is_their_range_and_says_so() -> None:
    assert interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert interval([2.0]) == (2.0, 2.0)
    assert pairs(1.0, 1.5).shown == "1.000 .. 1.500 (range of 2)"
    assert not pairs(1.0, 1.01).below
    # What is the same in every round has no width, and nothing to say.
    assert pairs(1.0, 1.0).shown == "1.000 .. 1.000"
    assert pairs(1.0, 1.0).below
    assert pairs(*[1.0] * 6, 2.0).shown == "1.000 .. 2.000"


# --- what is said of a figure -------------------------------------------------------------------


def pairs(*ratios: float, row: str = "row") -> Pairs:
    found = Pairs(row, "some work", Unit.SECONDS)
    for ratio in ratios:
        found.add([1.0], [ratio])
    return found


@pytest.mark.parametrize(
    ("ratios", "change"),
    [
        ([1.04] * 6, "rose"),
        ([1.04] * 5 + [1.02], ""),
        ([0.96] * 6, "fell"),
        ([0.96] * 5 + [0.98], ""),
        ([1.03] * 6, ""),
        # Of twelve rounds two may be disturbed on either side.
        ([1.5] * 10 + [0.5] * 2, "rose"),
        ([1.5] * 9 + [0.5] * 3, ""),
    ],
)
def test_a_change_is_an_interval_beyond_the_limit(ratios: list[float], change: str) -> None:
    assert pairs(*ratios).change == change


def test_a_round_is_the_median_of_its_paired_blocks() -> None:
    found = Pairs("row", "some work", Unit.SECONDS)
    # The second pair of blocks fell into a slow moment of the machine.
    found.add([1.0, 3.0, 1.0], [1.1, 3.3, 1.1])
    assert found.ratios == pytest.approx([1.1])
    assert (found.old, found.new) == ([1.0], [1.1])
    found.add([0.0], [0.0])
    found.add([0.0], [1.0])
    assert found.ratios[1:] == [1.0, math.inf]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [(1.1, 1.1, "RISEN"), (1.1, 1.0, "rose once"), (1.0, None, ""), (0.9, None, "fell")],
)
def test_only_what_rises_twice_has_risen(first: float, second: float | None, said: str) -> None:
    again = {} if second is None else {"key": pairs(*[second] * 6)}
    both = Found({"key": pairs(*[first] * 6)}), Found(again)
    assert against.mark("key", *both) == said
    assert said in against.table(*both)[2]


# --- rounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "order"), [(0, ["old", "new"]), (1, ["new", "old"])])
def test_a_round_has_fresh_copies_in_changing_order(
    number: int, order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_pair(row: str, copies: list[Path], seed: int) -> list[turns.Message]:
        assert (row, seed) == ("row", number)
        assert len({len(str(copy)) for copy in copies}) == 1
        for copy in copies:
            assert [path.name for path in (copy / "needle").iterdir()] == ["__init__.py"]
        return [(FIGURES, (copy / "needle" / "__init__.py").read_text()) for copy in copies]

    packages = {name: imitation(tmp_path / name, name) for name in ("old", "new")}
    (packages["old"] / "needle" / "__pycache__").mkdir()
    monkeypatch.setattr(against, "run_pair", run_pair)
    heard = against.run_round("row", packages, tmp_path / "copies", number)
    assert heard == {"old": (FIGURES, "old"), "new": (FIGURES, "new")}
    assert [
        (tmp_path / "copies" / f"{number}-{place}" / "needle" / "__init__.py").read_text()
        for place in (0, 1)
    ] == order


def imitation(folder: Path, source: str) -> Path:
    """A folder with a package of that name."""
    (folder / "needle").mkdir(parents=True)
    (folder / "needle" / "__init__.py").write_text(source)
    return folder


# --- revisions ----------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one old commit, in place of this one."""

    def git(*words: str) -> None:
        who = ("-c", "user.name=a test", "-c", "user.email=a@test")
        subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)

    root = tmp_path / "repository"
    root.mkdir()
    (root / "source.rs").write_text("fn main() {}")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2020-01-01T00:00:00")
    git("init")
    git("add", ".")
    git("commit", "-m", "old")
    monkeypatch.setattr(revision, "ROOT", root)
    monkeypatch.setattr(revision, "FOLDER", tmp_path / "against")
    return root


@pytest.mark.usefixtures("repository")
def test_sources_are_newer_than_what_was_built_before(tmp_path: Path) -> None:
    before = tmp_path / "built"
    before.touch()
    commit = revision.resolve("HEAD")
    assert len(commit) == 40
    revision._export(commit, tmp_path / "copy")
    copy = tmp_path / "copy" / "source.rs"
    assert copy.read_text() == "fn main() {}"
    assert copy.stat().st_mtime >= before.stat().st_mtime


@pytest.mark.usefixtures("repository")
def test_what_is_built_is_used_again() -> None:
    commit = revision.resolve("HEAD")
    package = revision.folder_of(commit) / "package"
    package.mkdir(parents=True)
    assert revision.build(commit) == package


@pytest.mark.usefixtures("repository")
def test_a_revision_that_does_not_build(capfd: pytest.CaptureFixture[str]) -> None:
    commit = revision.resolve("HEAD")
    with pytest.raises(revision.RevisionError, match=f"{commit[:10]} does not build"):
        revision.build(commit)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("name", ["nonsense", ""])
def test_unknown_revision(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert against.main([name]) == 2
    what, reason, hint = capsys.readouterr().err.splitlines()
    assert what == f"bench-against: unknown revision '{name}'"
    assert reason.startswith("git: fatal: ")
    assert hint == "hint: a commit, a branch or a tag, as in 'make bench-against REV=HEAD~1'"


# --- the command --------------------------------------------------------------------------------


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command where rounds end as given: the two messages of each."""
    monkeypatch.setattr(against, "resolve", lambda _name: "0123456789abcdef")
    other = imitation(tmp_path / "other", "")
    monkeypatch.setattr(against, "build", lambda _commit: other)
    monkeypatch.setattr(against, "ROOT", tmp_path)
    monkeypatch.setattr(against, "FOLDER", tmp_path / "copies")
    imitation(tmp_path / "python", "")
    monkeypatch.setattr(machine, "build_note", lambda: None)
    monkeypatch.setattr(machine.Watch, "others", lambda _self: 0.0)

    def run(rounds: Sequence[Sequence[turns.Message]], *options: str) -> tuple[int, str]:
        ends = iter(rounds)
        monkeypatch.setattr(
            against, "run_round", lambda *_: dict(zip(NAMES, next(ends), strict=True))
        )
        code = against.main(["OTHER", "--rounds", "6", "--rows", "add", *options])
        return code, capsys.readouterr().out

    return run


def ended(seconds: float, key: str = "add") -> turns.Message:
    figure = {"key": key, "title": "a + b", "unit": "seconds", "values": [seconds]}
    return FIGURES, [figure]


NAMES = ("OTHER", THIS)
SAME = [ended(1.0), ended(1.0)]
SLOWER = [ended(1.0), ended(1.1)]


def test_nothing_changed(run: Run) -> None:
    code, out = run([SAME] * 6)
    assert code == 0
    assert "add     a + b    1.00 s     1.00 s  1.000  1.000 .. 1.000\n" in out
    assert "1 figures: 0 RISEN, 0 rose once, 0 fell; 1 surely not above 1.03\n" in out
    assert "OTHER is 0123456789; 6 rounds" in out


def test_what_rises_twice_fails_the_command(run: Run) -> None:
    code, out = run([SLOWER] * 12)
    assert code == 1
    assert "1.100 .. 1.100  RISEN; again 1.100, 1.100 .. 1.100\n" in out
    assert "1 figures: 1 RISEN, 0 rose once, 0 fell; 0 surely not above 1.03\n" in out


def test_what_rises_once_does_not(run: Run) -> None:
    code, out = run([SLOWER] * 6 + [SAME] * 6)
    assert code == 0
    assert "1.100 .. 1.100  rose once; again 1.000, 1.000 .. 1.000\n" in out


def test_a_row_that_the_other_revision_lacks(run: Run) -> None:
    lacking = [(FAILED, "AttributeError: no `add`"), (STOPPED, None)]
    code, out = run([lacking, *[[ended(1.0, "chain")] * 2] * 6], "--rows", "add,chain")
    assert code == 0
    assert "not comparable: add: OTHER: AttributeError: no `add`\n" in out
    assert "1 figures:" in out
    # Where there is nothing else, nothing is shown to be no slower.
    assert run([lacking])[0] == 2


def test_a_figure_that_only_one_has(run: Run) -> None:
    more = [ended(1.0), (FIGURES, [*ended(1.0)[1], *ended(1.0, "new")[1]])]
    code, out = run([more] * 6)
    assert code == 0
    assert out.count("not comparable: new: only this tree has it\n") == 1


def test_a_row_that_only_this_tree_cannot_run_fails_the_command(run: Run) -> None:
    rounds = [[(STOPPED, None), (FAILED, "it broke")], *[[ended(1.0, "chain")] * 2] * 6]
    code, out = run(rounds, "--rows", "add,chain")
    assert code == 1
    assert f"FAILED: add: {THIS}: it broke\n" in out


def test_a_busy_machine_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.Watch, "others", lambda _self: 1.5)
    code, out = run([SAME] * 6)
    assert code == 0
    assert "the machine was busy: other processes used up to 1.50 CPUs (add)\n" in out


def test_wrong_options(capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["HEAD", "--rows", "nonsense"], ["HEAD", "--rounds", "0"]):
        with pytest.raises(SystemExit) as ended:
            against.main(options)
        assert ended.value.code == 2
    assert "at least 1 is needed" in capsys.readouterr().err
