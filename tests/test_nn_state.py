"""State dicts: round trips, strictness, and that nothing changes before all is checked."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn, optim
from needle.errors import DTypeError, ShapeError
from needle.nn import Module, Parameter


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))


NAMES = [
    "modules.0.weight",
    "modules.0.bias",
    "modules.1.weight",
    "modules.1.bias",
    "modules.1.running_mean",
    "modules.1.running_var",
    "modules.2.weight",
]
X = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32)


class Tied(Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(2, 2, bias=False)
        self.b = nn.Linear(2, 2, bias=False)
        self.b.weight = self.a.weight
        self.again = self.a


def values(module: Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_names_and_values() -> None:
    net = network()
    state = net.state_dict()
    assert list(state) == NAMES
    for value in state.values():
        assert type(value) is Tensor
        assert value.is_leaf()
        assert value.requires_grad is False
    np.testing.assert_array_equal(state["modules.0.bias"].numpy(), net[0].bias.numpy())
    assert Module().state_dict() == {}


def test_a_state_dict_is_a_snapshot() -> None:
    net = network()
    state = net.state_dict()
    before = {name: np.array(value.numpy()) for name, value in state.items()}
    optimizer = optim.SGD(net.parameters(), lr=0.5)
    net(Tensor(X, requires_grad=False))[0].sum().backward()
    optimizer.step()
    net[0].weight.cached_data[:] = 7
    net[2].weight.data = Tensor(np.zeros((4, 2), np.float32))
    assert same({name: value.numpy() for name, value in state.items()}, before)
    assert not same(values(net), before)
    # And the other way round.
    weight = net[0].weight.numpy().copy()
    net.state_dict()["modules.0.weight"].cached_data[:] = 3
    np.testing.assert_array_equal(net[0].weight.numpy(), weight)


@pytest.mark.parametrize("as_arrays", [False, True])
def test_round_trip(as_arrays: bool) -> None:
    source, target = network(), network()
    source(Tensor(X))
    state: dict[str, Any] = dict(source.state_dict())
    if as_arrays:
        state = {name: value.numpy().copy() for name, value in state.items()}
    held = [*target.parameters(), *(buffer for _, buffer in target.named_buffers())]
    target.parameters()[0].grad = Tensor(np.ones((3, 4), np.float32))
    keys = target.load_state_dict(state)
    assert keys == ([], [])
    assert same(values(target), values(source))
    now = [*target.parameters(), *(buffer for _, buffer in target.named_buffers())]
    assert all(a is b for a, b in zip(held, now, strict=True))
    assert all(type(p) is Parameter and p.requires_grad for p in target.parameters())
    assert target.parameters()[0].grad is not None
    np.testing.assert_array_equal(
        source.eval()(Tensor(X)).numpy(), target.eval()(Tensor(X)).numpy()
    )
    # A copy: neither side sees what happens to the other.
    before = values(target)
    for value in state.values():
        array = value if as_arrays else value.cached_data
        array[...] = 9
    assert same(values(target), before)
    target[0].weight.cached_data[:] = 5
    assert np.all(np.asarray(state["modules.0.weight"]) == 9)


def test_not_strict() -> None:
    source, target = network().state_dict(), network()
    before = values(target)
    del source["modules.1.running_var"], source["modules.0.weight"]
    source["head.weight"] = Tensor([1.0])
    keys = target.load_state_dict(source, strict=False)
    assert keys.missing_keys == ["modules.0.weight", "modules.1.running_var"]
    assert keys.unexpected_keys == ["head.weight"]
    now = values(target)
    for name in now:
        expected = before[name] if name in keys.missing_keys else source[name].numpy()
        np.testing.assert_array_equal(now[name], expected)


def changed(name: str, value: Any) -> dict[str, Any]:
    return {**network().state_dict(), name: value}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in network().state_dict().items() if name not in names}


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (
        without("modules.1.bias", "modules.2.weight"),
        ValueError,
        "expected the names of the module, got missing modules.1.bias, modules.2.weight",
    ),
    (
        {**without("modules.1.bias"), "extra": Tensor([1.0]), "more": Tensor([1.0])},
        ValueError,
        "expected the names of the module, got missing modules.1.bias; unexpected extra, more",
    ),
    (
        changed("modules.2.weight", Tensor(np.zeros((2, 4), np.float32))),
        ShapeError,
        "'modules.2.weight' expected shape (4, 2), got (2, 4)",
    ),
    (
        changed("modules.2.weight", np.zeros((4, 2))),
        DTypeError,
        "'modules.2.weight' expected float32, got float64",
    ),
    (
        changed("modules.2.weight", [[0.0] * 2] * 4),
        TypeError,
        "'modules.2.weight' expected a Tensor or array, got list",
    ),
    ([1, 2], TypeError, "expected a dict, got list"),
    (
        {**without(), 0: Tensor([1.0])},
        ValueError,
        "expected the names of the module, got unexpected 0",
    ),
]


@pytest.mark.parametrize(("state", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors_change_nothing(state: Any, kind: type[Exception], message: str) -> None:
    net = network()
    before = values(net)
    for strict in (True, False):
        if not strict and "names of the module" in message:
            continue
        with pytest.raises(kind, match=f"^load_state_dict: {re.escape(message)}$"):
            net.load_state_dict(state, strict=strict)
        assert same(values(net), before)


def test_shared_parameters() -> None:
    source, target = Tied(), Tied()
    state = source.state_dict()
    assert list(state) == ["a.weight", "b.weight", "again.weight"]
    assert state["a.weight"] is state["b.weight"] is state["again.weight"]
    target.load_state_dict(state)
    np.testing.assert_array_equal(target.b.weight.numpy(), source.a.weight.numpy())
    assert target.b.weight is target.a.weight
    # One of the names is enough.
    again = Tied()
    keys = again.load_state_dict({"b.weight": state["b.weight"]})
    assert keys == ([], [])
    np.testing.assert_array_equal(again.a.weight.numpy(), source.a.weight.numpy())
    before = values(again)
    state["b.weight"] = Tensor(np.ones((2, 2), np.float32))
    with pytest.raises(
        ValueError,
        match=r"^load_state_dict: 'a.weight' and 'b.weight' are one tensor, expected equal values$",
    ):
        again.load_state_dict(state)
    assert same(values(again), before)


def test_shared_values_may_be_nan() -> None:
    net = Tied()
    net.a.weight.data = Tensor(np.full((2, 2), np.nan, np.float32))
    fresh = Tied()
    fresh.load_state_dict(net.state_dict())
    assert np.isnan(fresh.b.weight.numpy()).all()


def test_names_that_are_not_unique() -> None:
    net = Module()
    net.table = {"1": Parameter([1.0]), 1: Parameter([2.0])}
    with pytest.raises(
        ValueError, match=r"^state_dict: expected different names, got 'table.1' twice$"
    ):
        net.state_dict()


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_buffers_of_other_dtypes(dtype: str) -> None:
    net, twin = Module(), Module()
    for module, start in ((net, 3), (twin, 0)):
        module.register_buffer("steps", Tensor(start, dtype=dtype, requires_grad=False))
    twin.load_state_dict(net.state_dict())
    assert twin.steps.item() == 3
    assert twin.steps.dtype == dtype


def test_in_lazy_mode() -> None:
    with ndl.lazy():
        net = network()
        net(Tensor(X))
        state = {name: value * 2 for name, value in net.state_dict().items()}
        twin = network()
        twin.load_state_dict(state)
        np.testing.assert_array_equal(twin[0].weight.numpy(), 2 * net[0].weight.numpy())
