"""Instruction set, threads, and what they do not change."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import needle as ndl

RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _same_threads_afterwards() -> Iterator[None]:
    before = ndl.get_num_threads()
    yield
    ndl.set_num_threads(before)


def step(threads: int) -> str:
    """A hash of the gradients of a network that is large enough for threads."""
    ndl.set_num_threads(threads)
    random = np.random.RandomState(0)
    x = ndl.Tensor(random.randn(300, 700).astype("float32"), requires_grad=False)
    w = ndl.Tensor(random.randn(700, 500).astype("float32"))
    v = ndl.Tensor(random.randn(500, 40).astype("float32"))
    loss = ndl.logsumexp(ndl.tanh(x @ w) @ v, axes=1).mean() + ndl.exp(w * 0.1).sum(0).mean()
    loss.backward()
    parts = [t.numpy().tobytes() for t in (loss, w.grad, v.grad)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    expected = step(1)
    for threads in (2, 4, 8, 2):
        assert step(threads) == expected


def test_not_a_number_is_the_same_number_on_any_number_of_threads() -> None:
    # Its sign and payload are left open, as by IEEE.
    random = np.random.RandomState(0)
    a, b = (random.randn(300, 300) for _ in range(2))
    a[::7, ::11], a[3, 5], b[::5, ::13], b[4, 4] = np.nan, np.inf, -np.nan, -0.0
    for dtype in ("float32", "float64"):
        x, y = (ndl.Tensor(array.astype(dtype)) for array in (a, b))
        results = []
        for threads in (1, 4, 2):
            ndl.set_num_threads(threads)
            results.append([t.numpy() for t in (x @ y, x.sum(0), ndl.exp(x) * y, x.max(1))])
        for other in results[1:]:
            for value, expected in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(value, expected)  # takes every NaN for one
                numbers = ~np.isnan(expected)
                signs = np.signbit(value[numbers]), np.signbit(expected[numbers])
                np.testing.assert_array_equal(*signs)


def test_the_number_of_threads_is_checked() -> None:
    ndl.set_num_threads(3)
    assert ndl.get_num_threads() == 3
    for wrong in (0, 257, -1, 2**70):
        with pytest.raises(ValueError, match="expected an integer from 1 to 256"):
            ndl.set_num_threads(wrong)
    for wrong_type in (2.5, True, "2"):
        with pytest.raises(TypeError):
            ndl.set_num_threads(wrong_type)  # type: ignore[arg-type]
    assert ndl.get_num_threads() == 3


def test_the_configuration_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    ndl.set_num_threads(2)
    ndl.show_config()
    shown = capsys.readouterr().out
    assert f"needle {ndl.__version__}, NumPy {np.__version__}" in shown
    assert "threads 2" in shown


SHOW = "import needle; needle.show_config()"


def test_the_environment_sets_the_start(run_python: RunPython) -> None:
    done = run_python(SHOW, NEEDLE_ISA="scalar", NEEDLE_NUM_THREADS="5")
    assert "instruction set scalar, threads 5" in done.stdout


def test_a_wrong_setting_is_a_warning(run_python: RunPython) -> None:
    done = run_python(SHOW, NEEDLE_ISA="neon2", NEEDLE_NUM_THREADS="many")
    assert done.returncode == 0
    assert "NEEDLE_ISA=neon2: expected scalar, avx2 or avx512" in done.stderr
    assert "NEEDLE_NUM_THREADS=many: expected an integer from 1 to 256" in done.stderr


def _child_step(queue: multiprocessing.Queue[str]) -> None:
    queue.put(step(4))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    # The parent's threads exist, and one of its threads is busy with them, when it forks.
    expected = step(4)
    context = multiprocessing.get_context("fork")
    stop = threading.Event()

    def load() -> None:
        x = ndl.Tensor(np.ones((600, 600), "float32"), requires_grad=False)
        while not stop.is_set():
            ndl.exp(x @ x)

    busy = threading.Thread(target=load)
    busy.start()
    try:
        for _ in range(5):
            queue: multiprocessing.Queue[str] = context.Queue()
            child = context.Process(target=_child_step, args=(queue,))
            child.start()
            assert queue.get(timeout=60) == expected
            child.join(timeout=60)
            assert child.exitcode == 0
    finally:
        stop.set()
        busy.join()
