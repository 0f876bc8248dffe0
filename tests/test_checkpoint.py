"""Checkpoints: a training that goes on bit for bit, and loads that change all or nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle.errors import FileFormatError
from needle.saving import Checkpoint, load_checkpoint, save_checkpoint
from needle.saving.formats import read_arrays, write_arrays

SUFFIXES = ("safetensors", "npz")

each_format = pytest.mark.parametrize("suffix", SUFFIXES)


class Model:
    """Two weights and a count, with the protocol of modules."""

    def __init__(self, seed: int = 0, width: int = 3) -> None:
        random = np.random.RandomState(seed)
        self.weights = [
            ndl.Tensor(random.randn(4, width), dtype="float32"),
            ndl.Tensor(random.randn(width, 1), dtype="float32"),
        ]
        self.seen = 0

    def loss(self, x: ndl.Tensor) -> ndl.Tensor:
        self.seen += len(x)
        return ((ndl.tanh(x @ self.weights[0]) @ self.weights[1]) ** 2).mean()

    def state_dict(self) -> dict[str, Any]:
        return {"layer.0": self.weights[0], "layer.1": self.weights[1], "seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        # Change after change, as it should not be: what fails late has to be undone.
        self.seen = state["seen"]
        for i, weight in enumerate(self.weights):
            loaded = state[f"layer.{i}"]
            if loaded.shape != weight.shape:
                raise ndl.ShapeError(f"layer.{i}: {loaded.shape} for {weight.shape}")
            weight.data = loaded


class Momentum:
    """An optimiser with state in arrays, under integer keys, and one that counts."""

    def __init__(self, model: Model, lr: float = 0.1) -> None:
        self.model, self.lr, self.t = model, lr, 0
        self.u: dict[int, np.ndarray] = {}

    def step(self) -> None:
        self.t += 1
        for i, weight in enumerate(self.model.weights):
            self.u[i] = 0.9 * self.u.get(i, np.float32(0)) + weight.grad.numpy()
            weight.data = ndl.Tensor(weight.numpy() - np.float32(self.lr) * self.u[i])

    def state_dict(self) -> dict[str, Any]:
        return {"groups": [{"lr": self.lr, "betas": (0.9, 0.1)}], "t": self.t, "state": self.u}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.t = state["t"]
        self.lr = state["groups"][0]["lr"]
        self.u = dict(state["state"])


class Decay:
    """A schedule."""

    def __init__(self, optimizer: Momentum) -> None:
        self.optimizer, self.epochs = optimizer, 0

    def step(self) -> None:
        self.epochs += 1
        self.optimizer.lr *= 0.7

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "best": float("inf")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epochs = state["epochs"]


class Training:
    """A model, its optimiser and schedule, and shuffled noisy data from two generators."""

    def __init__(self, seed: int) -> None:
        np.random.seed(seed)
        self.model = Model(seed)
        self.optimizer = Momentum(self.model)
        self.schedule = Decay(self.optimizer)
        self.rng = np.random.default_rng(seed)
        self.losses: list[float] = []

    def parts(self) -> dict[str, Any]:
        names = ("model", "optimizer", "schedule", "rng")
        return {name: getattr(self, name) for name in names}

    def run(self, epochs: int) -> None:
        data = ndl.data.NDArrayDataset(np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4))
        loader = ndl.data.DataLoader(data, 4, shuffle=True, rng=self.rng)
        for _ in range(epochs):
            for (x,) in loader:
                loss = self.model.loss(x + np.random.randn(*x.shape).astype(np.float32))
                loss.backward()
                self.optimizer.step()
                self.losses.append(loss.item())
            self.schedule.step()


def plain(state: Any) -> Any:
    """A state as something that can be compared, with every bit in it."""
    if isinstance(state, ndl.Tensor | np.ndarray | np.generic):
        array = state.numpy() if isinstance(state, ndl.Tensor) else np.asarray(state)
        return type(state).__name__, array.dtype.str, array.shape, array.tobytes()
    if isinstance(state, Mapping):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(plain, state))
    return repr(state)


def everything(training: Training) -> Any:
    states = [part.state_dict() for name, part in training.parts().items() if name != "rng"]
    return plain([*states, training.rng.bit_generator.state, np.random.get_state(legacy=False)])


@each_format
def test_a_training_goes_on_bit_for_bit(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"c.{suffix}"
    straight = Training(1)
    straight.run(2)
    save_checkpoint(path, **straight.parts(), step=6, epoch=2, extra={"note": "half", "best": 0.1})
    done = len(straight.losses)
    straight.run(3)

    again = Training(2)
    again.run(1)
    found = load_checkpoint(path, **again.parts())
    assert found == Checkpoint(step=6, epoch=2, extra={"note": "half", "best": 0.1})
    again.losses.clear()
    again.run(3)
    assert again.losses == straight.losses[done:]
    assert everything(again) == everything(straight)


VALUES: dict[str, Any] = {
    "nothing": None,
    "flags": [True, False],
    "integers": [0, -1, 2**63 - 1, -(2**63), 2**64, 10**40],
    "floats": [0.1, -0.0, 1e-320, 1.7976931348623157e308, float("inf"), float("-inf")],
    "nan": float("nan"),
    "text": ["", "Größe", "\0\n", "$tensor"],
    "tuples": ((1, (2,)), [3, ()]),
    "keys": {1: "a", "1": "b", None: "c", False: "d", (2, 3): "e", 0.5: "f"},
    "dollar": {"$tensor": "x", "$": {}},
    "dots": {"a.b": np.ones(1), "a": {"b": np.zeros(1)}},
    "numpy": [np.float32(0.1), np.float64(0.1), np.int8(3), np.bool_(True), np.uint64(2**64 - 1)],
    "arrays": {"0-d": np.array(3), "empty": np.zeros((0, 2)), "F": np.asfortranarray(np.eye(3))},
    "tensor": ndl.Tensor([1.5], requires_grad=False),
}


@each_format
@pytest.mark.parametrize("name", VALUES)
def test_every_kind_of_value_comes_back(suffix: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"c.{suffix}"
    save_checkpoint(path, extra={name: VALUES[name]})
    assert plain(load_checkpoint(path).extra) == plain({name: VALUES[name]})


@each_format
@pytest.mark.parametrize(
    "bits", [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64]
)
def test_every_generator_comes_back(suffix: str, bits: Any, tmp_path: Path) -> None:
    path = tmp_path / f"c.{suffix}"
    rng, other = (np.random.Generator(bits(seed)) for seed in (1, 2))
    rng.standard_normal(5)
    save_checkpoint(path, rng=rng)
    load_checkpoint(path, rng=other)
    assert rng.random(10).tolist() == other.random(10).tolist()


@each_format
def test_the_global_generator(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"c.{suffix}"
    np.random.seed(1)
    np.random.randn()  # one more is kept for the next call: it is part of the state
    save_checkpoint(path)
    expected = np.random.randn(5).tolist()
    load_checkpoint(path)
    assert np.random.randn(5).tolist() == expected
    load_checkpoint(path, rng=False)
    assert np.random.randn(5).tolist() != expected
    old = np.random.RandomState(5)
    save_checkpoint(path, rng=old)
    expected = old.rand(3).tolist()
    load_checkpoint(path, rng=old)
    assert old.rand(3).tolist() == expected
    save_checkpoint(path, rng=False)
    before = np.random.get_state()[1].tolist()
    load_checkpoint(path)
    assert np.random.get_state()[1].tolist() == before


def test_parts_are_optional(tmp_path: Path) -> None:
    training, model = Training(1), Model(9)
    training.run(1)
    save_checkpoint(tmp_path / "c.npz", **training.parts())
    load_checkpoint(tmp_path / "c.npz", model=model, rng=False)
    assert plain(model.state_dict()) == plain(training.model.state_dict())
    # A checkpoint is a file of tensors, too.
    loaded = ndl.load(tmp_path / "c.npz")
    np.testing.assert_array_equal(loaded["model.layer.0"].numpy(), model.weights[0].numpy())


def refusing(part: str, error: BaseException) -> Callable[[Training], None]:
    """Makes a part raise at the end of `load_state_dict`, the first time."""

    def change(training: Training) -> None:
        target = getattr(training, part)
        load, calls = target.load_state_dict, []

        def load_state_dict(state: Any) -> None:
            load(state)
            calls.append(state)
            if len(calls) == 1:
                raise error

        target.load_state_dict = load_state_dict

    return change


def wider(training: Training) -> None:
    training.model.weights[1] = ndl.Tensor(np.ones((3, 2)), dtype="float32")


def other_bits(training: Training) -> None:
    training.rng = np.random.Generator(np.random.Philox(1))


@each_format
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (wider, ndl.ShapeError),
        (refusing("model", RuntimeError("late")), RuntimeError),
        (refusing("optimizer", KeyError("late")), KeyError),
        (refusing("schedule", ValueError("late")), ValueError),
        (refusing("schedule", KeyboardInterrupt()), KeyboardInterrupt),
        (other_bits, ValueError),
    ],
    ids=["shape", "model", "optimizer", "schedule", "interrupt", "generator"],
)
def test_a_failed_load_changes_nothing(
    suffix: str, change: Callable[[Training], None], kind: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / f"c.{suffix}"
    saved = Training(1)
    saved.run(2)
    save_checkpoint(path, **saved.parts())
    training = Training(2)
    training.run(1)
    change(training)
    before = copy.deepcopy(everything(training))
    with pytest.raises(kind):
        load_checkpoint(path, **training.parts())
    assert everything(training) == before


def rewritten(change: Callable[[dict[str, Any], dict[str, np.ndarray]], Any]) -> Any:
    """Changes the text, or the arrays, of a good checkpoint."""

    def spoil(path: Path) -> None:
        arrays, texts = read_arrays(path)
        tree = json.loads(texts["needle.checkpoint"])
        tree = change(tree, arrays) or tree
        text = tree if isinstance(tree, str) else json.dumps(tree)
        write_arrays(path, arrays, {"needle.checkpoint": text})

    return spoil


SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "only tensors": (
        lambda path: ndl.save(path, {"x": ndl.Tensor([1.0])}),
        "a checkpoint was expected, found a file of tensors",
    ),
    "no JSON": (rewritten(lambda tree, arrays: "{"), "a checkpoint was expected, its text is da"),
    "a list": (rewritten(lambda tree, arrays: [1]), "a checkpoint was expected, its text is dam"),
    "later version": (
        rewritten(lambda tree, arrays: tree.update(version=2)),
        "a checkpoint of version 1 expected, found 2",
    ),
    "no step": (rewritten(lambda tree, arrays: tree.pop("step") and None), "a checkpoint was exp"),
    "step text": (
        rewritten(lambda tree, arrays: tree.update(step="3")),
        "a checkpoint expected, step is '3'",
    ),
    "missing array": (
        rewritten(lambda tree, arrays: arrays.pop("model.layer.1") is None),
        "its state is not as needle writes it: {'$tensor': 'model.layer.1'}",
    ),
    "unknown kind": (
        rewritten(lambda tree, arrays: tree["model"].update(seen={"$code": "1"})),
        "its state is not as needle writes it: {'$code': '1'}",
    ),
    "too deep": (
        rewritten(lambda tree, arrays: "[" * 100_000),
        "a checkpoint was expected, its text is damaged",
    ),
    "a long one": (
        rewritten(lambda tree, arrays: tree["extra"].update(x={"$code": "1" * 100_000})),
        "its state is not as needle writes it: {'$code': '1111",
    ),
    "no model": (
        rewritten(lambda tree, arrays: tree.pop("model") is None),
        "it holds no state of model, expected one",
    ),
    "no generator": (
        rewritten(lambda tree, arrays: tree.pop("rng") is None),
        "it holds no state of rng, expected one",
    ),
}


@each_format
@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_checkpoint_is_named_and_changes_nothing(
    suffix: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / f"c.{suffix}"
    training = Training(1)
    save_checkpoint(path, **training.parts(), step=3)
    spoil, message = SPOILED[name]
    spoil(path)
    training.run(1)
    before = everything(training)
    with pytest.raises(FileFormatError) as caught:
        load_checkpoint(path, **training.parts())
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)
    assert everything(training) == before


@pytest.mark.parametrize("part", ["global_rng", "rng"])
@pytest.mark.parametrize("change", [{}, {"bit_generator": "Dice"}, {"state": {"a": 1}}], ids=str)
def test_a_generator_that_is_spoiled(part: str, change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    training = Training(1)
    save_checkpoint(path, **training.parts())

    def spoil(tree: Any, arrays: Any) -> None:
        tree[part] = {**tree[part], **change} if change else {}

    rewritten(spoil)(path)
    training.run(1)
    before = everything(training)
    with pytest.raises(FileFormatError, match=f"^{part}: the state of this generator expected"):
        load_checkpoint(path, **training.parts())
    assert everything(training) == before


class Holding(Model):
    """A model with something in its state that no file can hold."""

    def state_dict(self) -> dict[str, Any]:
        return {"layers": [{"hook": print}]}


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"model": Holding()}, TypeError, "model.layers.0.hook: expected tensors, numbers, texts, got"),
    ({"model": [1]}, TypeError, "model: expected an object with state_dict and load_state_dict"),
    ({"rng": 3}, TypeError, "rng: expected a numpy.random.Generator, a RandomState, None or False"),
    ({"step": 1.5}, TypeError, "float"),
    ({"extra": {"x": {1, 2}}}, TypeError, "extra.x: expected tensors, numbers, texts, got set"),
    ({"extra": {"x": np.ones(1, complex)}}, TypeError, "extra.x: needle has no dtype complex128"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), REFUSED)
def test_refused_and_the_old_file_stays(
    arguments: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, step=7)
    with pytest.raises(kind) as caught:
        save_checkpoint(path, **arguments)
    assert message in str(caught.value)
    assert load_checkpoint(path).step == 7
    assert list(tmp_path.iterdir()) == [path]
