"""Shared fixtures: the real MNIST, a small imitation of it, mirrors, and a fence around the
network.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

Array = NDArray[Any]
ReferenceEpoch = Callable[[Array, Array, Array, Array, float, int], tuple[Array, Array]]
RunPython = Callable[..., subprocess.CompletedProcess[str]]
WriteIdx = Callable[[Path, NDArray[np.uint8]], Path]


@pytest.fixture
def run_python() -> RunPython:
    """Runs code in a Python of its own, with more environment."""

    def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture(autouse=True)
def _fence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reaches a real mirror or the user's cache folder; a local server is no proxy's."""
    monkeypatch.setenv("NEEDLE_MNIST_MIRRORS", "http://127.0.0.1:9/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def mnist_folder() -> Path:
    """The folder with the real MNIST: in CI it must be there, elsewhere the test skips."""
    folder = os.environ.get("NEEDLE_DATA")
    if folder and all((Path(folder) / name).exists() for name in MNIST_FILES):
        return Path(folder)
    message = f"NEEDLE_DATA={folder or ''}: no folder with the four files of MNIST"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(message)
    pytest.fail(message)


@pytest.fixture
def write_idx() -> WriteIdx:
    """Writes an array of bytes as a gzip-compressed IDX file."""

    def write(path: Path, array: NDArray[np.uint8]) -> Path:
        header = struct.pack(f">{1 + array.ndim}I", 0x0800 | array.ndim, *array.shape)
        path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))
        return path

    return write


@pytest.fixture
def tiny_mnist(tmp_path: Path, write_idx: WriteIdx) -> Path:
    """A folder like MNIST's with 250 + 60 pictures of 6 x 5 that a small network can learn."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    random = np.random.RandomState(7)
    prototypes = random.randint(0, 200, size=(10, 6, 5))
    for part, count in (("train", 250), ("t10k", 60)):
        labels = random.randint(0, 10, size=count).astype(np.uint8)
        noise = random.randint(0, 56, size=(count, 6, 5))
        images = (prototypes[labels] + noise).astype(np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture
def train(tiny_mnist: Path) -> Callable[..., int]:
    """Runs `needle train mnist` on the imitation, with further arguments; its exit status."""
    from needle.cli import run

    small = ["--data", str(tiny_mnist), "--hidden", "8", "--epochs", "2", "--lr", "0.1"]
    return lambda *arguments: run(["train", "mnist", *small, *arguments])


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Presses Ctrl-C in the midst of that step of a training, counted from now."""
    from needle.apps.training import Trainer

    def press(number: int) -> None:
        step, count = Trainer._step, 0

        def interrupted(self: Trainer, *arguments: Any) -> None:
            nonlocal count
            count += 1
            if count == number:
                signal.raise_signal(signal.SIGINT)
            step(self, *arguments)

        monkeypatch.setattr(Trainer, "_step", interrupted)

    return press


@pytest.fixture
def train_steps() -> Callable[[Any, int], None]:
    """Trains by so many steps, counted from the beginning, and stops there."""

    class EnoughError(Exception):
        pass

    def train(trainer: Any, steps: int) -> None:
        def on_step(_: object) -> None:
            if trainer.steps == steps:
                raise EnoughError

        with pytest.raises(EnoughError):
            list(trainer.run(on_step))

    return train


@pytest.fixture
def reference_epoch() -> ReferenceEpoch:
    """One epoch of SGD on relu(x @ w1) @ w2, with gradients worked out on paper, in float64."""

    def epoch(
        x: Array, y: Array, w1: Array, w2: Array, lr: float, batch: int
    ) -> tuple[Array, Array]:
        w1, w2 = w1.astype(np.float64), w2.astype(np.float64)
        for start in range(0, len(x), batch):
            inputs = x[start : start + batch].astype(np.float64)
            before = inputs @ w1
            hidden = np.maximum(before, 0)
            exp = np.exp(hidden @ w2)
            slope = exp / exp.sum(axis=1, keepdims=True)
            slope -= np.eye(w2.shape[1])[y[start : start + batch]]
            slope /= len(inputs)
            step1, step2 = inputs.T @ ((slope @ w2.T) * (before > 0)), hidden.T @ slope
            w1, w2 = w1 - lr * step1, w2 - lr * step2
        return w1, w2

    return epoch


class Mirror:
    """A server that serves `files`, remembers what was asked, and may hang up half way, or do
    something else: `answers` gets the handler of a request.
    """

    def __init__(self) -> None:
        self.files = {"one.gz": b"the first file" * 1000, "two.gz": b"the second file"}
        self.asked: list[str] = []
        self.hangs_up = False
        self.answers: Callable[[Any], None] | None = None
        self.stopped = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                mirror.asked.append(name)
                if mirror.answers is not None:
                    with contextlib.suppress(ConnectionError):
                        mirror.answers(self)
                    return
                content = mirror.files.get(name)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if mirror.hangs_up else content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/mnist"
        # A short poll: shutdown() waits for it.
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    yield mirror
    mirror.stop()


@pytest.fixture
def second_mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    yield mirror
    mirror.stop()
