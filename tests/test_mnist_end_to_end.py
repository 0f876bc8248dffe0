"""The main job on the real MNIST, as a user runs it: the console command, five epochs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from needle.apps.simple_ml import loss_err, nn_epoch
from needle.apps.training import Settings, Trainer
from needle.cli import run
from needle.data import load_mnist


def train(folder: Path, saved: Path, *options: str) -> dict[str, np.ndarray]:
    status = run(["train", "mnist", "--data", str(folder), "--save", str(saved), *options])
    assert status == 0
    return {name: weight.numpy() for name, weight in ndl.load(saved).items()}


def test_five_epochs_by_the_command_twice(mnist_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NEEDLE_DATA", str(mnist_folder))
    saved = tmp_path / "first.npz"
    assert run(["train", "mnist", "--dataset", "mnist", "--save", str(saved)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "60000 training and 10000 test images of 28 x 28" in lines[0]
    assert lines[1].startswith("784-100-10 ReLU network, softmax loss, SGD lr 0.2, batch 100")
    errors = [float(re.search(r"test error (\d+\.\d\d) %", line)[1]) for line in lines[2:7]]
    assert [line.split()[1] for line in lines[2:7]] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert lines[-1] == f"test error {errors[-1]:.2f} %"
    assert errors[-1] <= 4.0
    assert errors[0] > errors[-1]

    again = train(mnist_folder, tmp_path / "second.npz")
    first = ndl.load(saved)
    for name in ("W1", "W2"):
        np.testing.assert_array_equal(first[name].numpy(), again[name])
    # And the saved weights are those of the network that was measured.
    mnist = load_mnist(mnist_folder)
    logits = np.maximum(mnist.test_images @ again["W1"], 0) @ again["W2"]
    wrong = np.mean(logits.argmax(axis=1) != mnist.test_labels)
    assert 100 * wrong == pytest.approx(errors[-1], abs=0.02)


def test_another_seed_gives_other_weights(mnist_folder, tmp_path):
    one = train(mnist_folder, tmp_path / "one.npz", "--epochs", "1", "--seed", "1")
    two = train(mnist_folder, tmp_path / "two.npz", "--epochs", "1", "--seed", "2")
    assert not np.array_equal(one["W1"], two["W1"])


def test_ten_epochs_of_the_residual_network(mnist_folder, tmp_path, capsys):
    """By the defaults of the command: at most 2.2 % of the test images wrong."""
    saved = tmp_path / "resnet.safetensors"
    train(mnist_folder, saved, "--model", "mlp-resnet")
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("epoch 10/10") for line in lines)
    assert float(re.fullmatch(r"test error (\d+\.\d\d) %", lines[-1])[1]) <= 2.2
    assert run(["eval", str(saved), "--data", str(mnist_folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(lines[-1])


def test_lazy_mode_trains_alike(mnist_folder, tmp_path):
    eager = train(mnist_folder, tmp_path / "eager.npz", "--epochs", "1")
    lazy = train(mnist_folder, tmp_path / "lazy.npz", "--epochs", "1", "--lazy")
    for name in ("W1", "W2"):
        assert np.linalg.norm(eager[name]) == pytest.approx(np.linalg.norm(lazy[name]), rel=1e-5)
        np.testing.assert_allclose(eager[name], lazy[name], rtol=1e-3, atol=1e-4)


def test_nn_epoch_against_float64_by_hand(mnist_folder, reference_epoch):
    """600 steps in float32 stay with a float64 reference: norms to 1e-5, loss and error to 1e-4."""
    mnist = load_mnist(mnist_folder)
    weights = Trainer(mnist, Settings()).model.parameters()
    start = [weight.numpy().astype(np.float64) for weight in weights]
    expected = reference_epoch(mnist.train_images, mnist.train_labels, *start, 0.2, 100)
    weights = nn_epoch(mnist.train_images, mnist.train_labels, *weights, lr=0.2, batch=100)
    for weight, reference in zip(weights, expected, strict=True):
        norm = np.linalg.norm(weight.numpy().astype(np.float64))
        assert norm == pytest.approx(np.linalg.norm(reference), rel=1e-5)

    logits = np.maximum(mnist.train_images @ expected[0], 0) @ expected[1]
    at_label = logits[np.arange(60000), mnist.train_labels]
    loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - at_label)
    wrong = np.mean(logits.argmax(axis=1) != mnist.train_labels)
    first, second = (weight.detach() for weight in weights)
    found = loss_err(ndl.relu(ndl.Tensor(mnist.train_images) @ first) @ second, mnist.train_labels)
    np.testing.assert_allclose(found, (loss, wrong), rtol=1e-4, atol=1e-4)
