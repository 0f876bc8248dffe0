"""DataLoader with workers: the same batches, the same errors, and nothing left behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from needle.data import DataLoader, Dataset, NDArrayDataset, sample_rng

KINDS = ("thread", "process")
STARTS = [
    method for method in ("fork", "spawn") if method in multiprocessing.get_all_start_methods()
]


class Noisy(Dataset):
    """Samples with random numbers in them, some of which take longer than others."""

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int) -> tuple[int, float]:
        time.sleep(0.002 * (index % 3 == 0))
        return index, sample_rng().rand()


class Failing(Noisy):
    """Raises, dies or hangs at sample 9."""

    def __init__(self, fail: Callable[[], Any]) -> None:
        super().__init__()
        self.fail = fail

    def __getitem__(self, index: int) -> Any:
        return self.fail() if index == 9 else index


def break_down() -> None:
    raise LookupError("sample 9 is torn")


class Unpicklable(Exception):
    """As exceptions often are: the arguments of `__init__` are not `args`."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name} number {number}")


def break_oddly() -> None:
    raise Unpicklable("sample", 9)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    time.sleep(60)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert multiprocessing.active_children() == []
    assert threading.active_count() == before


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sets how processes begin."""
    if request.param not in STARTS:
        pytest.skip(f"no {request.param} here")
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def values(loader: DataLoader) -> list[list[Any]]:
    return [[field.tolist() for field in batch] for batch in loader]


@pytest.mark.parametrize(
    ("start", "workers", "prefetch"),
    [("fork", 1, 1), ("fork", 3, 2), ("fork", 40, 1), ("spawn", 2, 2)],
    indirect=["start"],
)
def test_results_do_not_depend_on_the_workers(start: None, workers: int, prefetch: int) -> None:
    passes = []
    for count, kind in ((1, "thread"), (workers, "thread"), (workers, "process")):
        np.random.seed(4)
        loader = DataLoader(
            Noisy(), 4, shuffle=True, workers=count, worker_kind=kind, prefetch=prefetch
        )
        passes.append([*values(loader), *values(loader), np.random.rand()])
    assert passes[0] == passes[1] == passes[2]
    # The order is the one without workers, and a second pass draws other numbers.
    np.random.seed(4)
    alone = values(DataLoader(Noisy(), 4, shuffle=True))
    assert [batch[0] for batch in passes[0][:6]] == [batch[0] for batch in alone]
    numbers = [number for batch in passes[0][:12] for number in batch[1]]
    assert len(set(numbers)) == 46


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_collate_and_more_workers_than_batches(kind: str) -> None:
    x = np.arange(12.0).reshape(6, 2)
    options = {"workers": 5, "worker_kind": kind}
    np.testing.assert_array_equal(
        np.concatenate([b.numpy() for (b,) in DataLoader(NDArrayDataset(x), 4, **options)]), x
    )
    (batch,) = DataLoader(list(x), 6, collate=lambda rows: (sum(rows), len(rows)), **options)
    assert [field.tolist() for field in batch] == [[30.0, 36.0], 6]


class GlobalNoise(Noisy):
    def __getitem__(self, index: int) -> tuple[float, float]:
        return np.random.rand(), random.random()


def test_processes_serve_transforms_that_use_the_global_generators() -> None:
    found = []
    for workers in (1, 3):
        np.random.seed(0)
        found.append(values(DataLoader(GlobalNoise(), 4, workers=workers, worker_kind="process")))
    assert found[0] == found[1]
    assert len({number for batch in found[0] for number in batch[0]}) == 23
    assert len({number for batch in found[0] for number in batch[1]}) == 23


class Counting(Noisy):
    """Counts the samples that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def __getitem__(self, index: int) -> int:
        self.asked += 1
        return index


def test_prefetch_bounds_what_is_made_ahead() -> None:
    dataset = Counting()
    iterator = iter(DataLoader(dataset, 1, workers=1, prefetch=3))
    assert dataset.asked == 0
    next(iterator)
    deadline = time.monotonic() + 10
    while dataset.asked < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert dataset.asked == 4
    iterator.close()


@pytest.mark.parametrize("start", STARTS, indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_comes_with_the_traceback_of_the_worker(start: None, kind: str) -> None:
    iterator = iter(DataLoader(Failing(break_down), 2, workers=2, worker_kind=kind))
    assert [batch.tolist() for (batch,) in islice(iterator, 4)] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    with pytest.raises(LookupError, match="sample 9 is torn") as caught:
        next(iterator)
    assert "in break_down" in "".join(traceback.format_exception(caught.value))
    # The iterator is alive in the traceback; what it began is not.
    assert multiprocessing.active_children() == []


def test_an_exception_that_cannot_be_sent_is_told() -> None:
    with pytest.raises(RuntimeError, match="Unpicklable: sample number 9") as caught:
        list(DataLoader(Failing(break_oddly), 2, workers=2, worker_kind="process"))
    assert "in break_oddly" in str(caught.value.__cause__)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"worker process \d+ died, exit code -9"):
        list(DataLoader(Failing(die), 2, workers=2, worker_kind="process"))


def test_a_dataset_that_cannot_be_sent_is_an_error() -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
            list(DataLoader(Failing(lambda: None), 2, workers=2, worker_kind="process"))
    finally:
        multiprocessing.set_start_method(before, force=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leave", ["break", "raise", "close", "drop", "unstarted"])
def test_leaving_early_ends_the_workers(kind: str, leave: str) -> None:
    loader = DataLoader(Noisy(), 2, workers=2, worker_kind=kind)
    iterator = iter(loader)
    if leave == "break":
        for _ in loader:
            break
    elif leave == "raise":
        with contextlib.suppress(ZeroDivisionError):
            for _ in loader:
                raise ZeroDivisionError
    elif leave != "unstarted":
        assert len(list(islice(iterator, 2))) == 2
    if leave == "close":
        iterator.close()
    del iterator
    assert multiprocessing.active_children() == []
    # And the loader can be used again.
    assert len(values(loader)) == 12


def test_a_process_that_hangs_is_ended() -> None:
    loader = DataLoader(Failing(hang), 3, workers=2, worker_kind="process", prefetch=4)
    for _ in loader:
        break
    assert multiprocessing.active_children() == []


def test_two_loaders_at_once() -> None:
    options = {"workers": 2, "worker_kind": "process"}
    outer, inner = (DataLoader(NDArrayDataset(np.arange(8)), 4, **options) for _ in range(2))
    pairs = [(a[0].tolist(), b[0].tolist()) for a in outer for b in inner]
    assert pairs == [
        (a, b) for a in ([0, 1, 2, 3], [4, 5, 6, 7]) for b in ([0, 1, 2, 3], [4, 5, 6, 7])
    ]


# A program that trains for ever and says which processes and batches there are.
ENDLESS = """
import multiprocessing, sys, time
from needle.data import DataLoader, Dataset

class Slow(Dataset):
    def __len__(self):
        return 1000

    def __getitem__(self, index):
        time.sleep(0.01)
        return index

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    loader = iter(DataLoader(Slow(), 2, workers=2, worker_kind=sys.argv[1]))
    for _ in range(6):  # until each worker has made a batch
        next(loader)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    if sys.argv[3] == "interrupt":
        for batch in loader:
            pass
    elif sys.argv[3] == "raise":
        raise SystemExit("enough")
"""


def gone(pid: int) -> bool:
    """Whether there is no such process, or only its entry in the table."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by way of /proc")
@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        *[("thread", "fork", end) for end in ("interrupt", "raise", "nothing")],
        *[("process", "fork", end) for end in ("interrupt", "raise", "nothing", "kill")],
        *[("process", "spawn", end) for end in ("interrupt", "kill")],
    ],
)
def test_a_program_leaves_no_process_behind(
    tmp_path: Path, kind: str, start: str, end: str
) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS, encoding="utf-8")
    what = "interrupt" if end == "kill" else end
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "endless.py"), kind, start, what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        children = [int(pid) for pid in process.stdout.readline().split()]
        assert len(children) == (2 if kind == "process" else 0)
        if end == "interrupt":
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        elif end == "kill":
            process.kill()
        _, errors = process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while not all(map(gone, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(map(gone, children))
    if end == "interrupt":
        assert errors.count("Traceback") == 1
        assert errors.strip().endswith("KeyboardInterrupt")
    elif end != "kill":
        assert errors.strip() == ("enough" if end == "raise" else "")
