"""What a checkpoint says beside its tensors: every field has a kind and a range."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle.apps.model_files import load_model, resume, save_training
from needle.apps.training import Settings, Trainer
from needle.data import load_mnist
from needle.errors import FileFormatError
from needle.saving.formats import read_arrays, write_arrays

Change = Callable[[dict[str, Any]], Any]


def rewrite(path: Path, change: Change) -> None:
    """Change the text of a good checkpoint."""
    arrays, texts = read_arrays(path)
    tree = json.loads(texts["needle.checkpoint"])
    change(tree)
    write_arrays(path, arrays, {"needle.checkpoint": json.dumps(tree)})


# Each row: a field of the text, and what it must not be.
FIELDS = [
    *(("step", value) for value in (-5, 2**63, True, 1.0, None, "3", [3], float("nan"))),
    *(("epoch", value) for value in (-1, 2**63, False, 0.5, None, {"$int": "-1"})),
    *(("version", value) for value in (True, 1.0, "1", None, 0, [1])),
    *(("extra", value) for value in (None, [], "x", 3)),
]


@pytest.mark.parametrize(("field", "value"), FIELDS, ids=str)
def test_a_field_of_the_wrong_kind_or_range(field: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    ndl.save_checkpoint(path, step=3)
    rewrite(path, lambda tree: tree.update({field: value}))
    with pytest.raises(FileFormatError, match=rf"^{path}: a checkpoint .*expected"):
        ndl.load_checkpoint(path)


@pytest.mark.parametrize("field", ["step", "epoch"])
@pytest.mark.parametrize("value", [-5, 2**63])
def test_a_count_that_no_checkpoint_has_is_not_written(
    field: str, value: int, tmp_path: Path
) -> None:
    message = rf"^save_checkpoint: {field}: expected 0 to 2\*\*63 - 1, got {value}$"
    with pytest.raises(ValueError, match=message):
        ndl.save_checkpoint(tmp_path / "c.npz", **{field: value})
    assert list(tmp_path.iterdir()) == []


# Each row: a value in the place of one that `encode` writes.
ENCODED: dict[str, Any] = {
    "int of a float": {"$int": 3.7},
    "int without end": {"$int": "9" * 5000},
    "float of text": {"$float": "1e5"},
    "tuple of text": {"$tuple": "abc"},
    "dict of text": {"$dict": "ab"},
    "dict of lists": {"$dict": [[[], 1]]},
    "two keys": {"$int": "1", "x": 2},
    "scalar of many": {"$scalar": "extra.many"},
    "a name that is none": {"$array": ["extra.many"]},
    "one array for two": [{"$array": "extra.many"}, {"$array": "extra.many"}],
}


@pytest.mark.parametrize("name", ENCODED)
def test_a_value_that_is_not_as_needle_writes_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    ndl.save_checkpoint(path, extra={"many": np.ones(3)})
    rewrite(path, lambda tree: tree.update(extra={"x": ENCODED[name]}))
    with pytest.raises(FileFormatError, match=r"its state is not as needle writes it"):
        ndl.load_checkpoint(path)


# NumPy reads memory that is not its own for some of these, and dies of it.
def position(tree: dict[str, Any], value: Any) -> None:
    tree["state"]["pos"] = value


GENERATORS: dict[str, tuple[Any, Callable[[dict[str, Any]], Any], str]] = {
    "far behind the table": (np.random.MT19937, lambda s: position(s, 10**9), "pos from 0 to 624"),
    "just behind the table": (np.random.MT19937, lambda s: position(s, 625), "pos from 0 to 624"),
    "before the table": (np.random.MT19937, lambda s: position(s, -1), "pos from 0 to 624"),
    "no position": (np.random.MT19937, lambda s: position(s, 1.0), "pos from 0 to 624"),
    "of the buffer": (np.random.Philox, lambda s: s.update(buffer_pos=-9), "buffer_pos from 0"),
    "kept": (np.random.PCG64, lambda s: s.update(has_uint32=2), "has_uint32 from 0 to 1"),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_is_never_put_outside_of_its_table(name: str, tmp_path: Path) -> None:
    bits, change, message = GENERATORS[name]
    path = tmp_path / "c.npz"
    rng = np.random.Generator(bits(1))
    ndl.save_checkpoint(path, rng=rng)
    rewrite(path, lambda tree: change(tree["rng"]))
    before = repr(rng.bit_generator.state)
    with pytest.raises(FileFormatError, match=f"^rng: the state of this generator .*{message}"):
        ndl.load_checkpoint(path, rng=rng)
    assert repr(rng.bit_generator.state) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: position(state, 10**9), "pos from 0 to 624"),
        (lambda state: state.update(has_gauss=7), "has_gauss from 0 to 1"),
        (lambda state: state.update(gauss={"$float": "nan"}), "a finite gauss, found nan"),
        (lambda state: state.update(gauss="0"), "must be real number"),
    ],
)
def test_the_global_generator_neither(change: Change, message: str, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    ndl.save_checkpoint(path)
    rewrite(path, lambda tree: change(tree["global_rng"]))
    with pytest.raises(FileFormatError, match=f"^global_rng: .*{message}"):
        ndl.load_checkpoint(path)


@pytest.fixture
def run(tiny_mnist: Path, tmp_path: Path, train_steps: Any) -> tuple[Path, Any]:
    """The checkpoint of a training in its second epoch, and its data."""
    data = load_mnist(tiny_mnist)
    trainer = Trainer(data, Settings(hidden=8, epochs=3))
    train_steps(trainer, 5)
    save_training(tmp_path / "run.npz", trainer)
    return tmp_path / "run.npz", data


def report(**fields: Any) -> Change:
    return lambda tree: tree["extra"]["history"][0].update(fields)


def begun(**fields: Any) -> Change:
    return lambda tree: tree["extra"]["begun"].update(fields)


def setting(**fields: Any) -> Change:
    return lambda tree: tree["extra"]["settings"].update(fields)


# Each row: what is changed in the checkpoint of `needle train`, and what is said of it.
TRAININGS: dict[str, tuple[Change, str]] = {
    "steps": (lambda tree: tree.update(step=6), "1 epochs and 5 steps expected"),
    "epochs": (lambda tree: tree.update(epoch=2), "1 epochs and 5 steps expected"),
    "history": (lambda tree: tree["extra"].update(history={}), "a list of epochs expected"),
    "epoch": (report(epoch=2), "epoch 1 expected, found 2"),
    "loss": (report(loss={"$float": "nan"}), "loss: a finite number from 0"),
    "test loss": (report(test_loss="0.1"), "test_loss: a number expected, found str"),
    "error": (report(train_error=1.5), "train_error: a finite number from 0 to 1"),
    "seconds": (report(seconds=-1), "seconds: a finite number from 0"),
    "rate": (report(lr=None), "lr: a number expected, found NoneType"),
    "batches": (begun(batches=4), "batches: at most 3 expected, found 4"),
    "fewer batches": (begun(batches=1), "1 epochs and 4 steps expected"),
    "negative batches": (begun(batches=-1), "batches: expected an integer of at least 0"),
    "wrong": (begun(wrong=10**6), "wrong: at most 200 expected"),
    "sum": (begun(loss={"$float": "inf"}), "loss: a finite number from 0"),
    "order": (
        lambda tree: position(tree["extra"]["begun"]["rng"], 10**9),
        "begun: the state of this generator expected",
    ),
    "no order": (begun(rng=3), "begun: the state of this generator expected"),
    "seed": (setting(seed=0.0), "seed: expected an integer from 0"),
    "shuffle": (setting(shuffle="no"), "shuffle: expected True or False, got str"),
    "hidden": (setting(hidden=10**9), "weights expected for a 30-1000000000-10 ReLU network"),
    "hidden, true": (setting(hidden=True), "hidden: expected an integer of at least 0, got True"),
    "batches without end": (begun(batches=2**62), "expected an integer below 2**62"),
    "epochs of the rate": (setting(epochs=-1), "epochs: expected at least 1"),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_with_a_field_that_cannot_be(name: str, run: tuple[Path, Any]) -> None:
    change, message = TRAININGS[name]
    path, data = run
    rewrite(path, change)
    with pytest.raises(FileFormatError) as caught:
        resume(path, data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 10**9}, "weights expected for a 5000000000-8-10 ReLU network"),
        ({"rows": -1}, "rows: expected at least 1, got -1"),
        ({"columns": "5"}, "columns: expected an integer, got str"),
        ({"hidden": -8}, "hidden: expected an integer of at least 0"),
        ({"model": "mlp-resnet", "rows": 1, "hidden": 10**6}, "MLP-ResNet, found 320 numbers"),
        ({"model": "softmax", "hidden": 0, "classes": 10**9}, "softmax regression, found 320"),
    ],
)
def test_a_network_that_the_file_cannot_hold_is_not_made(
    fields: dict[str, Any], message: str, run: tuple[Path, Any]
) -> None:
    path, _ = run
    rewrite(path, lambda tree: tree["extra"]["architecture"].update(fields))
    with pytest.raises(FileFormatError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: damaged: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", "null", '{"model": "mlp"}', '{"$": 1}'])
def test_a_file_of_weights_with_another_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    write_arrays(path, {"W1": np.ones(3)}, {"needle.model": text})
    with pytest.raises(FileFormatError, match=f"^{path}: damaged: "):
        load_model(path)
