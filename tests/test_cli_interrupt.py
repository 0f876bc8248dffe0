"""Ctrl-C during `needle train mnist`: the exit status, and the weights it leaves behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from needle.apps.training import Settings, Trainer
from needle.data import load_mnist


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another mechanism there")
@pytest.mark.parametrize("mode", [[], ["--lazy"]], ids=["eager", "lazy"])
def test_ctrl_c_writes_the_weights_of_the_last_finished_step(mode, tiny_mnist, tmp_path):
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
    data = load_mnist(tiny_mnist)
    trainer = Trainer(data, Settings(hidden=8, lr=0.01))
    for step in range(steps):
        start = step % trainer.steps_per_epoch * 100
        trainer.step(start, start + 100)
    with np.load(saved) as weights:
        for name, weight in zip(("W1", "W2"), trainer.weights, strict=True):
            np.testing.assert_allclose(weights[name], weight.numpy(), rtol=1e-4, atol=1e-5)
    assert [path.name for path in tmp_path.glob("*weights*")] == ["weights.npz"]
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_interrupt_before_the_first_step_writes_nothing(train, tmp_path, monkeypatch, capsys):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    saved = tmp_path / "w.npz"
    monkeypatch.setattr(Trainer, "step", interrupted)
    assert train("--save", str(saved)) == 130
    assert capsys.readouterr().err == "interrupted after 0 steps\n"
    assert not saved.exists()


def test_interrupt_while_loading(train, monkeypatch, capsys):
    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("needle.cli.train.load_mnist", interrupted)
    assert train() == 130
    assert capsys.readouterr().err.strip() == ""
