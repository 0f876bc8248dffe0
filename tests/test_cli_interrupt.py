"""Ctrl-C during `needle train mnist`: the exit status, and the weights it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import _command
from needle.apps.training import Settings, Trainer
from needle.cli.interrupt import Interrupted
from needle.data import load_mnist

posix = pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another mechanism there")


@posix
@pytest.mark.parametrize("mode", [[], ["--lazy"]], ids=["eager", "lazy"])
def test_ctrl_c_writes_the_weights_of_the_last_finished_step(
    mode, tiny_mnist, tmp_path, train_steps
):
    saved = tmp_path / "weights.npz"
    command = [sys.executable, "-m", "needle", "train", "mnist", "--data", str(tiny_mnist)]
    options = ["--hidden", "8", "--lr", "0.01", "--epochs", "1000000", "--save", str(saved), *mode]
    # A shell's background job ignores SIGINT and hands that on: here it is as on a terminal.
    with subprocess.Popen(
        command + options,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 3/"):
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert re.fullmatch(r"interrupted after \d+ steps", errors.strip())
    written = re.search(r"^weights after (\d+) steps written to ", output, re.MULTILINE)
    assert written is not None
    steps = int(written[1])
    assert steps >= 9
    # Exactly the weights after that many whole steps: neither is half a step ahead.
    settings = Settings(hidden=8, lr=0.01, epochs=1000000, lazy=bool(mode))
    trainer = Trainer(load_mnist(tiny_mnist), settings)
    train_steps(trainer, steps)
    weights = ndl.load(saved)
    for name, weight in trainer.model.state_dict().items():
        np.testing.assert_array_equal(weights[name].numpy(), weight.numpy())
    assert [path.name for path in tmp_path.glob("*weights*")] == ["weights.npz"]
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_the_step_under_way_is_finished(train, ctrl_c, tmp_path, capsys):
    files = tmp_path / "w.npz", tmp_path / "run.npz"
    before = signal.getsignal(signal.SIGINT)
    ctrl_c(2)
    assert train("--save", str(files[0]), "--checkpoint", str(files[1])) == 130
    output = capsys.readouterr()
    assert output.err == "interrupted after 2 steps\n"
    assert output.out.splitlines()[-2:] == [
        f"checkpoint after 2 steps written to {files[1]}",
        f"weights after 2 steps written to {files[0]}",
    ]
    assert ndl.load_checkpoint(files[1], rng=False).step == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_second_ctrl_c_ends_at_once_and_writes_nothing(train, tmp_path, monkeypatch, capsys):
    def interrupted(self: Trainer, *_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second one did nothing")

    saved = tmp_path / "w.npz"
    monkeypatch.setattr(Trainer, "_step", interrupted)
    assert train("--save", str(saved)) == 130
    assert capsys.readouterr().err.strip() == ""
    assert not saved.exists()


def test_interrupt_before_the_first_step_writes_nothing(train, tmp_path, monkeypatch, capsys):
    def interrupted(self: Trainer) -> None:
        signal.raise_signal(signal.SIGINT)
        raise Interrupted(signal.SIGINT)

    saved = tmp_path / "w.npz"
    monkeypatch.setattr(Trainer, "_batches", interrupted)
    assert train("--save", str(saved), "--checkpoint", str(saved.with_name("c.npz"))) == 130
    assert capsys.readouterr().err == "interrupted after 0 steps\n"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_job_in_the_background_goes_on_ignoring_ctrl_c(train, ctrl_c):
    ctrl_c(2)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert train() == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_interrupt_while_loading(train, monkeypatch, capsys):
    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("needle.cli.options.load_mnist", interrupted)
    assert train() == 130
    assert capsys.readouterr().err.strip() == ""


def test_interrupt_while_the_command_is_imported(run_python):
    code = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "needle.apps.training":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
from needle.cli import main
main(["--version"])
"""
    done = run_python(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# As a sitecustomize.py it runs before the program. When a module of that name is looked for, or the
# interpreter shuts down, it says so, and the signal arrives.
ARRIVES = """
import atexit, os, signal, sys

place, number = os.environ["PLACE"], int(os.environ["NUMBER"])

def arrive():
    os.kill(os.getpid(), number)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == place:
            sys.meta_path.remove(self)
            arrive()

class AtTheVeryEnd:
    def __del__(self):
        arrive()

if place == "atexit":
    atexit.register(arrive)
elif place == "teardown":
    sys.kept = AtTheVeryEnd()
else:
    sys.meta_path.insert(0, Finder())
"""

# The first of our imports, those of libraries, those of the command, and the end.
PLACES = [
    *("needle.autograd", "needle._core", "numpy", "numpy.linalg", "click", "needle.cli.commands"),
    *("needle.apps.training", "needle.data.vision", "atexit"),
]
SCRIPT = """
import re, sys
from needle.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Starts the command, by its script or as a module, and sends it a signal at that place."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(ARRIVES)
    (tmp_path / "needle").write_text(SCRIPT)
    program = {"script": [str(tmp_path / "needle")], "module": ["-m", "needle"]}

    def run(how: str, place: str, number: int, **options: Any) -> Any:
        packages = [str(tmp_path / "site"), *filter(None, sys.path)]
        return subprocess.run(
            [sys.executable, *program[how], *options.pop("arguments", ["--version"])],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(packages),
                "PLACE": place,
                "NUMBER": str(int(number)),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=options.pop(
                "preexec_fn", lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
            ),
        )

    return run


@posix
@pytest.mark.parametrize("how", ["script", "module"])
@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_at_any_moment_is_silent(how, place, start):
    done = start(how, place, signal.SIGINT)
    assert done.stderr == ""
    assert done.returncode == 130
    # At the end everything is done.
    assert done.stdout.startswith("needle, version ") == (place == "atexit")


@posix
@pytest.mark.parametrize("how", ["script", "module"])
@pytest.mark.parametrize("place", ["needle.autograd", "needle.cli.commands", "atexit"])
def test_so_is_the_request_to_end(how, place, start):
    done = start(how, place, signal.SIGTERM)
    assert (done.returncode, done.stderr) == (143, "")


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_so_is_either_while_the_command_works(number, start):
    pytest.importorskip("sklearn")
    arguments = ["train", "mnist", "--dataset", "digits"]
    done = start("script", "sklearn.datasets", number, arguments=arguments)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_python_itself_ends_as_it_may(number, start):
    # Python has given the signals back to the system by then.
    done = start("module", "teardown", number)
    assert done.returncode in (0, 128 + number, -number)
    assert done.stderr == ""


@posix
def test_a_job_in_the_background_is_imported_to_the_end(start):
    done = start(
        "module",
        "numpy",
        signal.SIGINT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_a_program_that_imports_needle_gets_its_own_exceptions(run_python):
    code = """
import signal
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
import needle, needle.cli
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert needle.cli.run(["--version"]) == 0
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("mine")
"""
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("mine\n")


@pytest.mark.parametrize(
    ("started", "program", "expected"),
    [
        (["python", "/bin/needle", "train"], "/bin/needle", True),
        (["python", "-I", "/bin/needle.exe"], "/bin/needle.exe", True),
        (["python", "-X", "importtime", "-m", "needle", "eval"], "-m", True),
        (["python", "-Im", "needle"], "-m", True),
        (["python", "-mneedle"], "-m", True),
        (["python", "-m", "pytest", "needle"], "-m", False),
        (["python", "needle/train.py"], "needle/train.py", False),
        (["python", "-c", "from multiprocessing.spawn import spawn_main"], "/bin/needle", False),
        (["python"], "", False),
    ],
)
def test_which_process_is_the_command(started, program, expected):
    assert _command._is_command(started, program) is expected


@posix
@pytest.mark.parametrize("twice", [False, True])
def test_a_request_to_end_is_like_ctrl_c(twice, tiny_mnist, tmp_path):
    saved = tmp_path / "run.npz"
    command = [sys.executable, "-m", "needle", "train", "mnist", "--data", str(tiny_mnist)]
    options = ["--hidden", "8", "--lr", "0.01", "--epochs", "1000000", "--save", str(saved)]
    with subprocess.Popen(
        command + options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 3/"):
                break
        if twice:
            # Both at once: it is stopped while they are sent.
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode in ((130, 143) if twice else (143,))
    assert re.fullmatch(r"interrupted after \d+ steps", errors.strip())
    assert re.search(r"^weights after \d+ steps written to ", output, re.MULTILINE)
    assert list(ndl.load(saved)) == ["W1", "W2"]
