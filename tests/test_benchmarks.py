"""The harness of benchmarks/ on trivial work: what it computes, prints and writes, not times."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import __main__ as command
from benchmarks import machine, peers, report, rows
from benchmarks.figures import Bound, Figure, Unit, compare
from benchmarks.rows import ROWS
from benchmarks.rows.million import million
from benchmarks.rows.mnist import BY_HAND, mnist, posts
from benchmarks.rows.mnist_data import problem, synthetic
from benchmarks.rows.package import size
from benchmarks.timing import Contestant, Plan, Repeated, Sample, compete

QUICK = Plan(rounds=2, settle=0.0)
MACHINE = {"cpu": "a test", "cpus": 2}


def sample(*values: float) -> Sample:
    return Sample(values)


def figure(*bounds: Bound, unit: Unit = Unit.SECONDS, **medians: float) -> Figure:
    samples = {name: sample(median) for name, median in medians.items()}
    return Figure("key", "some work", samples, bounds, unit)


# --- timing -------------------------------------------------------------------------------------


def test_sample_is_median_and_distance_of_quartiles() -> None:
    steady = sample(4.0, 1.0, 2.0, 3.0, 5.0)
    assert steady.median == 3.0
    assert steady.spread == pytest.approx((4 - 2) / 3)
    assert sample(7.0).spread == 0.0
    # One disturbed round of nine changes neither.
    assert sample(*[1.0] * 8, 50.0).spread == 0.0


def test_contestants_take_turns_in_changing_order() -> None:
    turns: list[str] = []

    def contestant(name: str) -> Contestant:
        def block() -> dict[str, float]:
            turns.append(name)
            return {"": 1.0}

        return Contestant(name, block)

    samples = compete([contestant("a"), contestant("b")], Plan(rounds=3, settle=0.0))[""]
    # A warm-up each, then the rounds.
    assert "".join(turns) == "ab" + "ab" + "ba" + "ab"
    assert list(samples) == ["a", "b"]
    assert samples["a"].values == (1.0, 1.0, 1.0)


def test_unsteady_work_gets_more_rounds_but_not_for_ever() -> None:
    def unsteady() -> Iterator[float]:
        while True:
            yield from (1.0, 2.0)

    values = unsteady()
    samples = compete([Contestant("a", lambda: {"": next(values)})], Plan(rounds=4, settle=0.0))
    assert len(samples[""]["a"].values) == 8


def test_parts_of_a_block_are_kept_apart() -> None:
    parts = compete([Contestant("a", lambda: {"x": 1.0, "y": 2.0})], QUICK)
    assert parts["x"]["a"].median == 1.0
    assert parts["y"]["a"].median == 2.0


def test_repeated_fills_the_time_and_divides_by_the_number() -> None:
    block = Repeated("a + b", {"a": 1, "b": 2}, at_least=1e-3)
    seconds = block()[""]
    assert block.number > 100
    assert 0 < seconds < 1e-3
    slow = Repeated(lambda: sum(range(100_000)), at_least=1e-6)
    slow()
    assert slow.number == 1


# --- figures ------------------------------------------------------------------------------------


def test_ratio_and_bound() -> None:
    (line,) = compare(figure(Bound(0.5, ("NumPy",)), needle=1.0, NumPy=4.0))
    assert (line.ratio, line.met) == (0.25, True)
    (line,) = compare(figure(Bound(0.2, ("NumPy",)), needle=1.0, NumPy=4.0))
    assert line.met is False


def test_best_of_several_is_the_fastest() -> None:
    bound = Bound(1.0, ("NumPy", "PyTorch"))
    (line,) = compare(figure(bound, needle=3.0, NumPy=4.0, PyTorch=2.0))
    assert line.beside == "PyTorch (best of 2)"
    assert (line.ratio, line.met) == (1.5, False)
    # Without one of them nothing can be said about the bound.
    (line,) = compare(figure(bound, needle=3.0, NumPy=4.0))
    assert (line.ratio, line.met) == (0.75, None)


def test_bounds_come_first_then_other_peers() -> None:
    lines = compare(figure(Bound(0.5, ("JAX",)), needle=1.0, NumPy=4.0, JAX=2.0))
    assert [(line.beside, line.at_most) for line in lines] == [("JAX", 0.5), ("NumPy", None)]


def test_missing_peer_and_no_peer() -> None:
    (line,) = compare(figure(Bound(0.5, ("PyTorch",)), needle=1.0))
    assert (line.beside, line.ratio, line.met) == ("PyTorch", None, None)
    (line,) = compare(figure(needle=1.0))
    assert (line.beside, line.ratio, line.met) == ("", None, None)


@pytest.mark.parametrize(("value", "met"), [(2.9, True), (3.1, False)])
def test_absolute_bound(value: float, met: bool) -> None:
    (line,) = compare(figure(Bound(3.0), needle=value))
    assert (line.beside, line.met) == ("", met)


# --- report -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.29e-6, Unit.SECONDS, "0.29 us"),
        (1.86e-6, Unit.SECONDS, "1.86 us"),
        (43e-9, Unit.SECONDS, "43.0 ns"),
        (0.106, Unit.SECONDS, "106 ms"),
        (2.5, Unit.SECONDS, "2.50 s"),
        (400e6, Unit.BYTES, "0.40 GB"),
        (4.5e6, Unit.BYTES, "4.50 MB"),
        (0.0, Unit.SECONDS, "0.00 ns"),
    ],
)
def test_quantities(value: float, unit: Unit, shown: str) -> None:
    assert report.quantity(value, unit) == shown


def run_of(*figures: Figure, doubts: tuple[str, ...] = ()) -> report.Run:
    return report.Run(figures, MACHINE, {"needle": "0.1.0"}, doubts)


def test_text_is_an_aligned_table() -> None:
    table = report.text(
        run_of(
            figure(Bound(0.5, ("NumPy",)), needle=1e-6, NumPy=4e-6),
            figure(Bound(0.1, ("NumPy",)), needle=1e-6, NumPy=4e-6),
            figure(Bound(1e9), unit=Unit.BYTES, needle=2e9),
            figure(Bound(0.1, ("JAX",)), needle=1.0),
        )
    ).splitlines()
    assert table[0].split() == ["work", "needle", "beside", "theirs", "ratio", "at", "most"]
    assert " ".join(table[2].split()) == "some work 1.00 us NumPy 4.00 us 0.25 0.50 x met"
    assert table[3].endswith("0.25   0.10 x  NOT MET")
    assert " ".join(table[4].split()) == "some work 2.00 GB 1.00 GB NOT MET"
    assert table[5].endswith("0.10 x  not installed")
    ends = {line.index(" x ") for line in table[2:6] if " x " in line}
    assert len(ends) == 1


def test_doubts_are_said() -> None:
    shown = report.text(run_of(figure(needle=1.0), doubts=("others used 1.60 CPUs",)))
    assert shown.endswith("NOT TO BE RECORDED:\n  others used 1.60 CPUs")
    assert "NOT TO BE" not in report.text(run_of(figure(needle=1.0)))


def test_markdown_replaces_what_stands_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    run = run_of(figure(Bound(0.2, ("NumPy",)), needle=1e-6, NumPy=4e-6))
    report.write_markdown(run, readme)
    once = readme.read_text()
    assert once.startswith("before\n<!-- bench -->\n| work |")
    assert once.endswith("\n<!-- /bench -->\nafter\n")
    assert "| some work | 1.00 us | NumPy 4.00 us | 0.25 | 0.20 x (not met) |" in once
    assert "old" not in once
    report.write_markdown(run, readme)
    assert readme.read_text() == once


def test_markdown_without_markers_is_an_error(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here")
    with pytest.raises(ValueError, match=r"README\.md: the lines <!-- bench --> and"):
        report.write_markdown(run_of(), readme)
    assert command.main(["--markdown", str(readme)]) == 2
    assert readme.read_text() == "nothing here"


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def trivial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row without work, one that fails, and a quiet machine."""

    def good(_plan: Plan) -> list[Figure]:
        """nothing at all"""
        return [figure(Bound(0.5, ("NumPy",)), needle=1.0, NumPy=4.0)]

    def bad(_plan: Plan) -> list[Figure]:
        """a failure"""
        raise ArithmeticError("it is wrong")

    monkeypatch.setattr(command, "ROWS", {"good": good, "bad": bad})
    monkeypatch.setattr(machine, "build_note", lambda: None)
    monkeypatch.setattr(machine, "quiet", lambda: 0.0)
    monkeypatch.setattr(machine.Watch, "others", lambda _self: 0.0)


@pytest.mark.usefixtures("trivial")
def test_command_writes_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "bench.json"
    assert command.main(["--rows", "good", "--json", str(target)]) == 0
    assert "some work" in capsys.readouterr().out
    record = json.loads(target.read_text())
    assert record["recordable"] is True
    assert record["versions"]["needle"]
    (line,) = record["figures"]["key"]["comparisons"]
    assert (line["ratio"], line["at_most"], line["met"]) == (0.25, 0.5, True)
    assert record["figures"]["key"]["samples"]["NumPy"] == {
        "median": 4.0,
        "spread": 0.0,
        "values": [4.0],
    }


@pytest.mark.usefixtures("trivial")
def test_command_goes_on_after_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--rows", "bad,good"]) == 1
    out = capsys.readouterr().out
    assert "bad: FAILED with ArithmeticError: it is wrong" in out
    assert "some work" in out


@pytest.mark.usefixtures("trivial")
def test_busy_machine_prints_but_writes_only_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine.Watch, "others", lambda _self: 1.5)
    target = tmp_path / "bench.json"
    assert command.main(["--rows", "good", "--json", str(target)]) == 3
    captured = capsys.readouterr()
    assert "other processes used up to 1.50 CPUs (good)" in captured.out
    assert "not written" in captured.err
    assert not target.exists()
    assert command.main(["--rows", "good", "--json", str(target), "--even-if-busy"]) == 0
    assert json.loads(target.read_text())["recordable"] is False


@pytest.mark.usefixtures("trivial")
def test_wide_spread_is_a_doubt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = Figure("wide", "wide work", {"needle": sample(1.0, 2.0, 3.0)})
    monkeypatch.setattr(command, "ROWS", {"wide": lambda _plan: [wide]})
    assert command.main([]) == 0
    out = capsys.readouterr().out
    assert "wide work ~" in out
    assert "~ wide: spread over 15% (needle 50%)" in out


def test_unknown_row(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--rows", "nonsense"])
    assert "nonsense: not among add, chain" in capsys.readouterr().err


def test_every_row_says_what_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(ROWS)
    assert all(len(line.split()) > 3 for line in lines)


# --- rows ---------------------------------------------------------------------------------------


def test_a_row_that_cannot_be_imported_says_why_when_it_runs() -> None:
    row = rows._row("nowhere.nothing")
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        row(QUICK)
    assert not any("cannot be imported" in str(row.__doc__) for row in ROWS.values())


def test_mnist_contestants_do_the_same_maths() -> None:
    """The rows raise where the losses differ; here on a network that takes no time."""
    data = synthetic(300, features=20, hidden=8)
    (epoch,) = mnist(QUICK, data)
    assert {"needle", BY_HAND} <= set(epoch.samples)
    (loop,) = posts(QUICK, data)
    assert "needle" in loop.samples


def test_synthetic_data_stand_in_for_missing_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDLE_DATA", str(tmp_path))
    data = problem(hidden=4)
    assert data.images.shape == (60_000, 784)
    assert data.first.shape == (784, 4)
    assert data.note.startswith("synthetic data of MNIST's shape (")


def test_long_chain_reports_time_and_memory() -> None:
    seconds, memory = million(Plan(rounds=1, settle=0.0), nodes=1000)
    assert seconds.samples["needle"].median > 0
    assert 1e6 < memory.samples["needle"].median < 1e9
    assert memory.unit is Unit.BYTES


def test_size_of_the_package() -> None:
    extension, wheel = size(QUICK)
    assert 0 < wheel.samples["needle"].median < extension.samples["needle"].median


def test_missing_peer_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    peers._load.cache_clear()
    try:
        assert peers.torch() is None
    finally:
        peers._load.cache_clear()


def test_what_became_slower_is_pointed_out(tmp_path: Path) -> None:
    def run(needle: float) -> report.Run:
        return report.Run([figure(needle=needle, NumPy=1.0)], MACHINE, {})

    record = tmp_path / "record.json"
    report.write_json(run(1.0), record)
    assert report.slower(run(1.09), record) == []
    assert report.slower(run(1.2), record) == [
        "SLOWER: key beside NumPy: 1.20, 1.00 in record.json"
    ]
    # A figure that the record does not know is no news.
    other = Figure("other", "other work", {"needle": sample(2.0), "NumPy": sample(1.0)})
    assert report.slower(report.Run([other], MACHINE, {}), record) == []
