"""Ctrl-C during `needle train mnist`: the exit status, and the weights it leaves behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from needle.apps.training import Settings, Trainer
from needle.cli.interrupt import Interrupted
from needle.data import load_mnist


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another mechanism there")
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
        raise Interrupted

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
