"""The training loop of the applications: its steps, its reports, its settings, and going on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from needle.apps.classifiers import Architecture, logits_of, score
from needle.apps.model_files import load_model, resume, save_model, save_training
from needle.apps.settings import LEARNING_RATES, MODELS, OPTIMIZERS, SCHEDULES
from needle.apps.training import Settings, Trainer, settings_for
from needle.data import DataError, LabelledImages, load_mnist
from needle.errors import FileFormatError


@pytest.fixture
def data(tiny_mnist) -> LabelledImages:
    return load_mnist(tiny_mnist)


def weights_of(trainer):
    return {name: tensor.numpy() for name, tensor in trainer.model.state_dict().items()}


def assert_same_run(one, other):
    """The same weights, to the bit, and the same reports but for the times."""
    for name, weight in weights_of(one).items():
        np.testing.assert_array_equal(weight, weights_of(other)[name], err_msg=name)
    untimed = [
        [replace(report, seconds=0, examples_per_second=0) for report in trainer.history]
        for trainer in (one, other)
    ]
    assert untimed[0] == untimed[1]


def test_two_layers_take_the_steps_worked_out_by_hand(data, reference_epoch):
    trainer = Trainer(data, Settings(hidden=8, epochs=2, lr=0.1, batch=100, seed=3))
    assert trainer.steps_per_epoch == 3
    start = [weight.numpy().copy() for weight in trainer.model.parameters()]
    np.random.seed(3)
    np.testing.assert_array_equal(start[0], (np.random.randn(30, 8) / 8**0.5).astype(np.float32))
    sums: list[float] = []
    reports = list(trainer.run(on_step=lambda begun: sums.append(begun.loss)))
    assert trainer.steps == len(sums) == 6
    assert [report.epoch for report in reports] == [1, 2]
    # The mean over the pictures, of which the last batch has only fifty.
    assert reports[1].loss == sums[5] / 250
    assert sums[4] - sums[3] > 1.5 * (sums[5] - sums[4])
    expected = start
    for _ in range(2):
        expected = reference_epoch(data.train_images, data.train_labels, *expected, 0.1, 100)
    for weight, reference in zip(trainer.model.parameters(), expected, strict=True):
        np.testing.assert_allclose(weight.numpy(), reference, rtol=1e-4, atol=1e-5)
    logits = np.maximum(data.test_images @ expected[0], 0) @ expected[1]
    assert reports[1].test_error == np.mean(logits.argmax(axis=1) != data.test_labels)
    at_label = logits[np.arange(60), data.test_labels]
    loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - at_label)
    assert reports[1].test_loss == pytest.approx(loss, rel=1e-4)
    assert reports[1].lr == 0.1


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_and_repeats_itself(model, data):
    settings = settings_for(model=model, batch=50, epochs=25, seed=5)
    one = Trainer(data, settings)
    first = list(one.run())
    two = Trainer(data, settings)
    list(two.run())
    assert_same_run(one, two)
    assert first[-1].test_error < 0.1
    assert first[-1].train_error < first[0].train_error
    assert first[-1].examples_per_second == pytest.approx(250 / first[-1].seconds)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_learns_at_its_own_rate(optimizer, data):
    settings = settings_for(model="mlp-resnet", optimizer=optimizer, batch=25, hidden=20, epochs=20)
    assert settings.lr == (0.01 if optimizer == "adamw" else LEARNING_RATES[optimizer])
    reports = list(Trainer(data, settings).run())
    assert reports[-1].test_error < 0.2


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_of_a_schedule(schedule, data):
    settings = settings_for(model="softmax", schedule=schedule, epochs=4, lr=0.5)
    rates = [report.lr for report in Trainer(data, settings).run()]
    expected = {
        "constant": [0.5] * 4,
        "cosine": [0.25 * (1 + np.cos(np.pi * k / 4)) for k in range(4)],
        "one-cycle": [0.02, None, None, None],
    }[schedule]
    for rate, value in zip(rates, expected, strict=True):
        assert value is None or rate == pytest.approx(value)
    assert max(rates) <= 0.5


def test_shuffled_epochs_have_orders_of_their_own(data):
    trainer = Trainer(data, Settings(hidden=8, shuffle=True, epochs=2))
    orders = []
    for _ in trainer.run():
        orders.append(np.concatenate(trainer._loader.ordering))
    assert not np.array_equal(*orders)
    assert np.array_equal(np.sort(orders[0]), np.arange(250))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("steps", [3, 4, 9, 14])
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_resumed_run_is_the_run_that_never_stopped(
    model, steps, suffix, data, tmp_path, train_steps
):
    settings = settings_for(model=model, epochs=5, seed=2, schedule="one-cycle", shuffle=True)
    whole = Trainer(data, settings)
    list(whole.run())
    stopped = Trainer(data, settings)
    train_steps(stopped, steps)
    path = tmp_path / f"run.{suffix}"
    save_training(path, stopped)
    np.random.seed(99)  # nothing depends on what was drawn since
    resumed = resume(path, data)
    assert resumed.steps == steps
    assert (resumed.begun is None) == (stopped.begun is None)
    list(resumed.run())
    assert_same_run(whole, resumed)
    # And so does the trainer that was stopped, from the very state.
    resume(path, data)
    list(stopped.run())
    assert_same_run(whole, stopped)


def test_between_epochs_nothing_has_begun(data, tmp_path):
    settings = settings_for(model="mlp-resnet", hidden=8, epochs=4)
    whole, first = Trainer(data, settings), None
    list(whole.run())
    first = Trainer(data, settings)
    first.epoch()
    save_training(tmp_path / "run.npz", first)
    resumed = resume(tmp_path / "run.npz", data)
    assert (resumed.begun, len(resumed.history)) == (None, 1)
    list(resumed.run())
    assert_same_run(whole, resumed)


def test_more_epochs_at_a_constant_rate(data, tmp_path):
    whole = Trainer(data, Settings(hidden=8, epochs=4))
    list(whole.run())
    short = Trainer(data, Settings(hidden=8, epochs=2))
    list(short.run())
    save_training(tmp_path / "run.npz", short)
    longer = resume(tmp_path / "run.npz", data, {"epochs": 4})
    list(longer.run())
    assert_same_run(whole, longer)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "softmax"}, "model mlp-resnet expected as the run began, got softmax"),
        ({"hidden": 9}, "hidden 8 expected as the run began, got 9"),
        ({"lr": 0.5}, "lr 0.01 expected as the run began, got 0.5"),
        ({"seed": 1}, "seed 0 expected as the run began, got 1"),
        ({"epochs": 9}, r"epochs 2 expected as the run began \(schedule one-cycle\), got 9"),
    ],
)
def test_a_run_goes_on_with_its_settings_only(given, message, data, tmp_path):
    path = tmp_path / "run.npz"
    save_training(path, Trainer(data, settings_for(model="mlp-resnet", hidden=8, epochs=2)))
    assert resume(path, data, {"hidden": 8, "model": "mlp-resnet"}).steps == 0
    with pytest.raises(ValueError, match=rf"run\.npz: {message}"):
        resume(path, data, given)


def test_a_run_goes_on_with_its_data_only(data, tmp_path):
    path = tmp_path / "run.npz"
    save_training(path, Trainer(data, Settings(hidden=8)))
    other = replace(data, train_labels=data.train_labels[::-1].copy())
    with pytest.raises(ValueError, match=r"MNIST, 250 pictures of 6 x 5 in 10 classes, checksum"):
        resume(path, other)


@pytest.mark.parametrize("model", MODELS)
def test_a_file_says_what_model_it_holds(model, data, tmp_path):
    trainer = Trainer(data, settings_for(model=model, epochs=1))
    list(trainer.run())
    paths = tmp_path / "w.safetensors", tmp_path / "run.npz"
    save_model(paths[0], trainer.model, trainer.architecture)
    save_training(paths[1], trainer)
    expected = logits_of(trainer.model, data.test_images)
    state = np.random.get_state()[1].copy()
    for path in paths:
        loaded, architecture = load_model(path)
        assert architecture == trainer.architecture
        np.testing.assert_array_equal(logits_of(loaded, data.test_images), expected)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_files_of_something_else(data, tmp_path):
    path = tmp_path / "w.npz"
    trainer = Trainer(data, Settings(hidden=8))
    network = trainer.architecture
    save_model(path, Trainer(data, settings_for(model="softmax")).model, network)
    with pytest.raises(FileFormatError, match=r"w\.npz: load_state_dict: .* missing W1, W2"):
        load_model(path)
    save_model(path, trainer.model, replace(network, hidden=9))
    with pytest.raises(FileFormatError, match=r"w\.npz: .*'W1' expected shape \(30, 9\), got"):
        load_model(path)
    save_model(path, trainer.model, replace(network, model="cnn"))
    with pytest.raises(FileFormatError, match=r"w\.npz: damaged: .* got 'cnn'"):
        load_model(path)
    save_model(path, trainer.model, replace(network, hidden=0))
    with pytest.raises(FileFormatError, match=r"w\.npz: damaged: a network expected"):
        load_model(path)
    trainer.model.W1.data *= np.float32(np.nan)
    save_model(path, trainer.model, network)
    with pytest.raises(FileFormatError, match=r"w\.npz: finite weights expected, W1 has NaN"):
        load_model(path)
    np.savez(path, W1=np.zeros((30, 8)))
    for read in (load_model, lambda path: resume(path, data)):
        with pytest.raises(FileFormatError, match=r"w\.npz: a checkpoint was expected, found a"):
            read(path)


@pytest.mark.parametrize("lost", ["settings", "history", "begun", "data"])
def test_a_checkpoint_without_a_part(lost, data, tmp_path, monkeypatch):
    from needle.apps import model_files
    from needle.saving import save_checkpoint

    def without(path, *, extra, **parts):
        del extra[lost]
        save_checkpoint(path, extra=extra, **parts)

    monkeypatch.setattr(model_files, "save_checkpoint", without)
    save_training(tmp_path / "run.npz", Trainer(data, Settings(hidden=8)))
    with pytest.raises(ValueError, match=r"run\.npz: (damaged|data expected)"):
        resume(tmp_path / "run.npz", data)


def test_loss_that_is_not_finite_leaves_the_last_weights(data):
    trainer = Trainer(data, Settings(lr=1e30))
    with pytest.raises(FloatingPointError, match=r"in step \d: try a smaller learning rate than"):
        list(trainer.run())
    assert trainer.steps >= 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "cnn"}, "model: expected one of mlp, mlp-resnet, softmax, got 'cnn'"),
        ({"optimizer": "newton"}, "optimizer: expected one of sgd, .*, got 'newton'"),
        ({"schedule": "steps"}, "schedule: expected one of constant, .*, got 'steps'"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch": 0}, "batch: expected at least 1, got 0"),
        ({"batch": 1.5}, "batch: expected an integer, got float"),
        ({"hidden": 0}, "hidden: expected at least 1, got 0"),
        (
            {"model": "mlp-resnet", "hidden": 1},
            "hidden: mlp-resnet halves them, expected",
        ),
        ({"model": "softmax", "hidden": 5}, "hidden: softmax has no hidden units, got 5"),
        ({"seed": -1}, "seed: expected an integer from 0 to 2\\*\\*32 - 1, got -1"),
        ({"lr": 0.0}, "lr: expected a number above 0, got 0.0"),
        ({"lr": float("nan")}, "lr: expected a finite number of at least 0, got nan"),
        ({"weight_decay": -1.0}, "weight_decay: expected a finite number of at least 0, got -1"),
    ],
)
def test_settings_that_cannot_be(given, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        settings_for(**given)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_labels": np.full(250, 10)}, "training part: labels 0 to 9 expected, found 10"),
        ({"test_labels": np.full(60, -1)}, "test part: labels 0 to 9 expected, found -1"),
        ({"train_images": np.full((250, 30), np.nan)}, r"found nan at \(0, 0\)"),
        ({"test_images": np.full((60, 30), np.inf)}, r"test part: finite pixels expected, found i"),
        ({"train_images": np.zeros((249, 30))}, r"pictures of shape \(250, 30\) expected, found"),
        ({"test_images": np.zeros((60, 28))}, r"shape \(60, 30\) expected, found \(60, 28\)"),
        (
            {"train_images": np.zeros((0, 30)), "train_labels": np.zeros(0, dtype=np.uint8)},
            r"training part: at least one picture expected, found shape \(0, 30\)",
        ),
    ],
)
def test_data_that_cannot_be(changed, message, data):
    with pytest.raises(DataError, match=message):
        replace(data, **changed)


def test_score_is_over_all_pictures():
    network = Architecture("softmax", 5, 6, 0, 10)
    model = network.build()
    random = np.random.RandomState(0)
    images = random.rand(2300, 30).astype(np.float32)
    labels = random.randint(10, size=2300).astype(np.uint8)
    logits = logits_of(model, images)
    expected = images @ model.weight.numpy() + model.bias.numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    loss, error = score(logits, labels)
    at_label = expected[np.arange(2300), labels]
    assert loss == pytest.approx(np.mean(np.log(np.exp(expected).sum(axis=1)) - at_label), rel=1e-5)
    assert error == np.mean(expected.argmax(axis=1) != labels)
    assert str(network) == "30-10 softmax regression"
