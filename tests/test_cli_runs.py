"""Runs of `needle train mnist` that stop and go on, their logs, and the use of their files."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import needle as ndl
from needle.apps.classifiers import logits_of
from needle.apps.model_files import load_model, save_model
from needle.apps.settings import MODELS
from needle.apps.training import Settings, Trainer, settings_for
from needle.cli import run
from needle.data import load_mnist


@pytest.fixture
def mnist(tiny_mnist):
    """Runs `needle train mnist` on the imitation; its exit status."""
    return lambda *arguments: run(["train", "mnist", "--data", str(tiny_mnist), *arguments])


def error_of(capsys):
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert "epoch 1/" not in output.out
    return line.removeprefix("needle: error: ")


def log_of(path):
    """The lines of a log, without the times."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    timed = ("seconds", "examples_per_second")
    return [{name: v for name, v in line.items() if name not in timed} for line in lines]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("step", [4, 6])
def test_a_run_in_two_parts_is_the_run_in_one(model, step, mnist, ctrl_c, tmp_path, capsys):
    options = ["--model", model, "--epochs", "4", "--schedule", "cosine", "--shuffle"]
    whole, parts, log = tmp_path / "whole.npz", tmp_path / "parts.npz", tmp_path / "whole.jsonl"
    assert mnist(*options, "--save", str(whole), "--log", str(log)) == 0
    lines = capsys.readouterr().out.splitlines()
    checkpoint, part_log = tmp_path / "run.safetensors", tmp_path / "parts.jsonl"
    logged = ["--log", str(part_log)]
    ctrl_c(step)
    assert mnist(*options, "--checkpoint", str(checkpoint), *logged) == 130
    assert capsys.readouterr().err == f"interrupted after {step} steps\n"
    assert mnist("--resume", str(checkpoint), "--save", str(parts), *logged) == 0
    resumed = capsys.readouterr().out.splitlines()
    assert resumed[1] == lines[1]
    # The test error of the epoch under way is not measured yet, even after its last step.
    assert resumed[2] == f"continued after {step} steps, 1 of 4 epochs"
    assert resumed[-1] == lines[-1]
    one, two = ndl.load(whole), ndl.load(parts)
    for name, weight in one.items():
        np.testing.assert_array_equal(weight.numpy(), two[name].numpy())
    assert log_of(log) == log_of(part_log)
    # By default the checkpoint that was resumed is the one that is written.
    assert ndl.load_checkpoint(checkpoint, rng=False).epoch == 4
    # What a process that was killed after its last epoch did not write any more.
    again = tmp_path / "again.npz"
    assert mnist("--resume", str(checkpoint), "--save", str(again), *logged) == 0
    assert again.read_bytes() == parts.read_bytes()
    assert log_of(log) == log_of(part_log)
    assert capsys.readouterr().out.splitlines()[-1] == lines[-1]


def test_checkpoint_of_each_epoch(mnist, tmp_path, monkeypatch, capsys):
    """A process that is killed in its third epoch leaves the second."""
    path, log = tmp_path / "run.npz", tmp_path / "run.jsonl"
    batches = Trainer._batches

    def killed(self):
        if len(self.history) == 2:
            raise MemoryError
        return batches(self)

    monkeypatch.setattr(Trainer, "_batches", killed)
    assert mnist("--checkpoint", str(path), "--log", str(log)) == 1
    checkpoint = ndl.load_checkpoint(path, rng=False)
    assert (checkpoint.epoch, checkpoint.step) == (2, 6)
    assert [line["epoch"] for line in log_of(log)] == [1, 2]


def test_lines_of_the_log(mnist, tmp_path):
    log = tmp_path / "run.jsonl"
    log.write_text("of an older run\n")
    assert mnist("--epochs", "2", "--log", str(log)) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    names = "epoch loss train_error test_loss test_error lr seconds examples_per_second"
    assert [list(line) for line in lines] == [names.split()] * 2
    assert [line["epoch"] for line in lines] == [1, 2]
    for line in lines:
        assert line["lr"] == 0.2
        assert 0 < line["loss"] < 5
        assert 0 <= line["test_error"] <= 1
        assert line["examples_per_second"] == pytest.approx(250 / line["seconds"])


LATER = '{"epoch": 1}\n{"epoch": 2}\n{"epoch": 3}\n'


@pytest.mark.parametrize("left", [None, "", '{"epoch": 1, "lo', '{"epoch": 1}\n{"epo', LATER])
def test_a_log_that_is_not_the_checkpoint_s_is_put_right(left, mnist, tmp_path):
    path, whole, log = tmp_path / "run.npz", tmp_path / "whole.jsonl", tmp_path / "run.jsonl"
    assert mnist("--epochs", "3", "--log", str(whole)) == 0
    assert mnist("--epochs", "2", "--checkpoint", str(path)) == 0
    if left is not None:
        log.write_text(left)
    assert mnist("--resume", str(path), "--epochs", "3", "--log", str(log)) == 0
    assert log_of(log) == log_of(whole)


def test_infinity_is_null_in_the_log(tiny_mnist, tmp_path):
    from needle.cli.log import append_log

    trainer = Trainer(load_mnist(tiny_mnist), Settings(hidden=8, epochs=1))
    append_log(tmp_path / "log", replace(trainer.epoch(), test_loss=float("inf")))
    assert log_of(tmp_path / "log")[0]["test_loss"] is None


def test_early_stopping(mnist, tiny_mnist, tmp_path, capsys):
    log = tmp_path / "run.jsonl"
    options = ["--epochs", "100", "--patience", "3", "--log", str(log)]
    assert mnist(*options) == 0
    errors = [line["test_error"] for line in log_of(log)]
    assert 4 <= len(errors) < 100
    best = len(errors) - 3
    assert min(errors[best:]) >= errors[best - 1] == min(errors)
    assert all(min(errors[k : k + 3]) < min(errors[:k]) for k in range(1, best))
    assert (
        capsys.readouterr().out.splitlines()[-2]
        == f"stopped: no better test error {100 * min(errors):.2f} % after epoch {best}"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "softmax"], "model mlp expected as the run began, got softmax"),
        (["--model", "mlp-resnet"], "model mlp expected as the run began, got mlp-resnet"),
        (["--hidden", "9"], "hidden 8 expected as the run began, got 9"),
        (["--lr", "0.3"], "lr 0.2 expected as the run began, got 0.3"),
        (["--batch", "10"], "batch 100 expected as the run began, got 10"),
        (["--optimizer", "adam"], "optimizer sgd expected as the run began, got adam"),
        (["--lazy"], "lazy False expected as the run began, got True"),
        (["--shuffle"], "shuffle False expected as the run began, got True"),
        (["--dataset", "digits"], "data expected as the run began with, MNIST, 250 pictures"),
    ],
)
def test_resuming_with_something_else(arguments, message, tiny_mnist, tmp_path, capsys):
    path = tmp_path / "run.npz"
    data = ["--data", str(tiny_mnist)]
    train = ["train", "mnist", "--hidden", "8", "--epochs", "1", *data]
    assert run([*train, "--checkpoint", str(path)]) == 0
    capsys.readouterr()
    before = path.read_bytes()
    if "digits" in arguments:
        pytest.importorskip("sklearn")
        data = []
    resumed = ["train", "mnist", "--resume", str(path), "--epochs", "2", *data]
    assert run([*resumed, *arguments]) == 1
    assert error_of(capsys).startswith(f"{path}: {message}")
    assert path.read_bytes() == before


def test_damaged_checkpoint(mnist, tmp_path, capsys):
    path = tmp_path / "run.npz"
    assert mnist("--epochs", "1", "--checkpoint", str(path)) == 0
    capsys.readouterr()
    path.write_bytes(path.read_bytes()[:-300])
    assert mnist("--resume", str(path)) == 1
    assert error_of(capsys).startswith(f"{path}: damaged: a complete .npz file was expected")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("option", ["--save", "--checkpoint"])
def test_eval_needs_only_the_file(model, option, mnist, tiny_mnist, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    assert mnist("--model", model, "--epochs", "2", option, str(path)) == 0
    trained = capsys.readouterr().out.splitlines()
    assert run(["eval", str(path), "--data", str(tiny_mnist), "--confusion"]) == 0
    lines = capsys.readouterr().out.splitlines()
    network = trained[1].split(",")[0]
    assert lines[:2] == [f"{network} from {path}", f"MNIST from {tiny_mnist}: 60 test images"]
    assert re.fullmatch(rf"test loss \d+\.\d{{4}}  {trained[-1]}", lines[2])
    # The table: a row for each class, and the right answers in the diagonal.
    counts = np.array([[int(word) for word in line.split()] for line in lines[4:]])
    labels = load_mnist(tiny_mnist).test_labels
    np.testing.assert_array_equal(counts[:, 0], np.arange(10))
    np.testing.assert_array_equal(counts[:, 1:].sum(axis=1), np.bincount(labels, minlength=10))
    wrong = 1 - np.trace(counts[:, 1:]) / 60
    assert f"test error {100 * wrong:.2f} %" == trained[-1]


def test_eval_of_other_files(mnist, tiny_mnist, tmp_path, capsys):
    pytest.importorskip("sklearn")
    path = tmp_path / "w.npz"
    trainer = Trainer(load_mnist(tiny_mnist), settings_for(model="softmax"))
    save_model(path, trainer.model, trainer.architecture)
    assert run(["eval", str(path), "--dataset", "digits"]) == 1
    expected = "a model of pictures of 8 x 8 in 10 classes expected, as digits has, found 6 x 5"
    assert error_of(capsys).startswith(f"{path}: {expected}")
    state = trainer.model.state_dict()
    lacking = replace(trainer.architecture, model="mlp", hidden=3)
    save_model(path, trainer.model, lacking)
    assert run(["eval", str(path), "--data", str(tiny_mnist)]) == 1
    assert "missing W1, W2; unexpected weight, bias" in error_of(capsys)
    ndl.save(path, state)
    assert run(["eval", str(path), "--data", str(tiny_mnist)]) == 1
    assert error_of(capsys).endswith("a checkpoint was expected, found a file of tensors")
    assert run(["eval", str(tmp_path / "nowhere.npz")]) == 2
    assert "does not exist" in error_of(capsys)


def test_predict(mnist, tiny_mnist, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "w.npz"
    assert mnist("--model", "mlp-resnet", "--epochs", "3", "--save", str(path)) == 0
    capsys.readouterr()
    data = load_mnist(tiny_mnist)
    # A black border, so that they are taken as they are.
    pictures = data.test_images[:3].reshape(3, 6, 5).copy()
    pictures[:, [0, -1]] = pictures[:, :, [0, -1]] = 0
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for picture, file in zip(pictures, files, strict=True):
        image.fromarray((picture * 255).round().astype(np.uint8)).save(file)
    assert run(["predict", str(path), *map(str, files)]) == 0
    lines = capsys.readouterr().out.splitlines()
    logits = logits_of(load_model(path)[0], pictures.reshape(3, 30)).astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for line, file, row in zip(lines, files, shares, strict=True):
        listed = "  ".join(f"{label}: {share:.3f}" for label, share in enumerate(row))
        assert line == f"{file}: {row.argmax()}  ({listed})"
    files[1].write_bytes(b"no picture")
    assert run(["predict", str(path), *map(str, files)]) == 1
    assert error_of(capsys) == f"{files[1]}: a picture expected, its format is not known"
    assert run(["predict", str(path)]) == 2
    assert error_of(capsys) == f"expected a picture after {path}"


def test_predict_takes_the_model_of_the_folder(mnist, tmp_path, capsys, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    image.fromarray(np.eye(6, 5, dtype=np.uint8) * 255).save("digit.png")
    assert run(["predict", "digit.png"]) == 1
    assert "weights.npz" in error_of(capsys)
    assert mnist("--epochs", "1", "--save", "weights.npz") == 0
    capsys.readouterr()
    assert run(["predict", "digit.png"]) == 0
    assert capsys.readouterr().out.startswith("digit.png: ")
