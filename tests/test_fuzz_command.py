"""`python -m tools.fuzz` can fail: each planted fault is found, and named by its case."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tools.fuzz.allowed import ALLOWED
from tools.fuzz.case import Case, Log, WrongError, create_log, read_log
from tools.fuzz.families import FAMILIES, HIDDEN

ROOT = Path(__file__).parents[1]


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.fuzz", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_every_planted_fault_is_found() -> None:
    done = fuzz("--family", "planted", "--cases", "0:8", "--deadline", "8", "--workers", "1")
    found = dict(re.findall(r"^FAILED planted (\d+): (.+)$", done.stdout, re.MULTILINE))
    assert done.returncode == 1
    assert found == {
        "1": "SIGSEGV",
        "2": "panic",
        "3": "exception",
        "4": "wrong value",
        "5": "leak",
        "7": "hang",
    }, done.stdout + done.stderr
    # What it did, where it was, and how to do it again.
    assert "reads address 0" in done.stdout
    assert "in _signal" in done.stdout
    assert "--family planted --seed 0 --cases 1\n" in done.stdout
    assert "8 cases, 6 failed, seed 0" in done.stdout


def test_memory_that_is_not_given_back_is_found() -> None:
    done = fuzz("--family", "planted", "--cases", "6")
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("only glibc counts its bytes")
    assert done.returncode == 1
    assert "FAILED planted 6:7: leak\n    memory grew over repeats" in done.stdout, done.stdout


def test_what_is_right_passes_and_is_counted() -> None:
    done = fuzz("--family", "planted", "--cases", "0", "--seed", "3")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^planted +1 +0  ok \d+$", done.stdout, re.MULTILINE)
    assert "1 cases, 0 failed, seed 3" in done.stdout


def test_every_family_says_what_it_may_raise() -> None:
    assert set(ALLOWED) == set(FAMILIES)
    assert set(HIDDEN) == {"planted"}


def test_a_case_is_made_again_by_its_numbers(tmp_path: Path) -> None:
    notes = []
    for _ in range(2):
        path = tmp_path / "log"
        create_log(path)
        log = Log(path)
        for index in (3, 4):
            log.begin(index)
            FAMILIES["state"](Case("state", 7, index, log))
        number, found = read_log(path)
        assert number == 4
        notes.append(found)
    assert notes[0] == notes[1]
    assert notes[0]


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.1]),
        ([1.0], [np.nan]),
        ([np.nan], [1.0]),
        ([np.inf], [-np.inf]),
        ([1.0], [np.inf]),
        ([1.0], [[1.0]]),
        ([1], [2]),
        ([True], [False]),
    ],
)
def test_another_value_is_wrong(got: list[float], expected: list[float]) -> None:
    case = Case("values", 0, 0, None)
    with np.errstate(all="ignore"), pytest.raises(WrongError, match="value: "):
        case.check_close(np.array(got), np.array(expected), 1e-3, "value")


def test_equal_values_are_right() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.0, 1e300])
    with np.errstate(all="ignore"):
        Case("values", 0, 0, None).check_close(values, values.copy(), 1e-12, "value")
