"""Groups of parameters, settings and their errors, and the state that can be saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, optim

MAKERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
    "rmsprop": lambda p: optim.RMSProp(p, lr=0.1, momentum=0.9, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "lion": lambda p: optim.Lion(p, lr=0.1),
}
every_rule = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def tensors() -> list[Any]:
    random = np.random.RandomState(0)
    arrays = [random.standard_normal(shape) for shape in [(3, 4), (4,), ()]]
    return [Tensor(arrays[0], dtype="float32"), Tensor(arrays[1]), Tensor(arrays[2])]


def walk(optimizer: Any, steps: range) -> list[Any]:
    """Steps along gradients of their own; the last parameter has none at first."""
    for step in steps:
        random = np.random.RandomState(step)
        for param in optimizer.params[: 2 if step < 2 else 3]:
            param.grad = Tensor(random.standard_normal(param.shape), dtype=param.dtype)
        optimizer.step()
    return [param.numpy().tobytes() for param in optimizer.params]


@every_rule
@pytest.mark.parametrize("form", ["tensors", "arrays"])
def test_a_loaded_state_goes_on_with_the_same_bits(make: Any, form: str) -> None:
    first = make(tensors())
    walk(first, range(2))
    state = first.state_dict()
    params = [Tensor(param) for param in first.params]
    kept = plain(state)
    expected = walk(first, range(2, 6))
    assert plain(state) == kept, "a state does not change with later steps"
    if form == "arrays":
        names = first._states
        state |= {n: [None if s is None else s.numpy() for s in state[n]] for n in names}
    second = make(params)
    second.lr = 7.0
    second.load_state_dict(state)
    assert second.lr == 0.1
    assert walk(second, range(2, 6)) == expected
    assert plain(second.state_dict()) == plain(first.state_dict())


def plain(state: Any) -> Any:
    """Tensors as lists: what is left is JSON."""

    def default(value: Any) -> Any:
        assert isinstance(value, Tensor)
        return [str(value.dtype), value.tolist()]

    return json.loads(json.dumps(state, default=default))


def test_what_a_state_holds() -> None:
    params = tensors()
    optimizer = optim.Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}], lr=0.1)
    walk(optimizer, range(1))
    state = optimizer.state_dict()
    assert state["optimizer"] == "Adam"
    assert state["t"] == 1
    assert state["m"][2] is None
    assert state["v"][0].shape == (3, 4)
    settings = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    assert state["param_groups"] == [
        {"params": [0], "lr": 0.1, **settings},
        {"params": [1, 2], "lr": 0.5, **settings},
    ]


def _set(key: str, value: Any) -> Callable[[Any], None]:
    return lambda state: state.__setitem__(key, value)


def _set_in_group(key: str, value: Any) -> Callable[[Any], None]:
    return lambda state: state["param_groups"][0].__setitem__(key, value)


WRONG: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (_set("optimizer", "SGD"), ValueError, "state: expected one of Adam, got one of SGD"),
    (lambda s: s.pop("t"), ValueError, "state: expected the keys"),
    (_set("more", 1), ValueError, "state: expected the keys"),
    (_set("t", -1), ValueError, "t: expected an integer of at least 0, got -1"),
    (_set("t", "1"), ValueError, "t: expected an integer of at least 0, got '1'"),
    (_set("t", True), ValueError, "t: expected an integer of at least 0, got True"),
    (_set("param_groups", None), TypeError, "param_groups: expected a list of dicts"),
    (_set("param_groups", [1]), TypeError, "param_groups: expected a list of dicts"),
    (_set("param_groups", [{}]), ValueError, "param_groups: expected groups of the parameters"),
    (lambda s: s.update({0: 1}), ValueError, "state: expected the keys .* got .*'0'"),
    (_set("v", []), ValueError, "v: expected a list with 3 entries"),
    (_set("v", [1.0, None, None]), TypeError, "v: expected tensors, got float at 0"),
    (
        _set("v", [Tensor([1.0]), None, None]),
        ndl.ShapeError,
        r"v: expected shape \(3, 4\) at 0, got \(1,\)",
    ),
    (
        _set("v", [None, Tensor([1.0] * 4, dtype="float32"), None]),
        ndl.DTypeError,
        "v: expected float64 at 1, got float32",
    ),
    (_set("param_groups", []), ValueError, r"param_groups: expected groups .* \[\[0, 1, 2\]\]"),
    (_set_in_group("params", [0, 2, 1]), ValueError, "param_groups: expected groups"),
    (_set_in_group("lr", -1.0), ValueError, "lr: expected a finite number"),
    (_set_in_group("speed", 1.0), TypeError, "speed: Adam has no such setting"),
    (
        lambda s: s["param_groups"][0].pop("beta1"),
        ValueError,
        "param_groups: a group lacks beta1",
    ),
]


@pytest.mark.parametrize(("spoil", "error", "message"), WRONG)
def test_a_wrong_state_changes_nothing(spoil: Any, error: Any, message: str) -> None:
    source = optim.Adam(tensors(), lr=0.3)
    walk(source, range(3))
    state = source.state_dict()
    spoil(state)
    optimizer = optim.Adam(tensors(), lr=0.1)
    walk(optimizer, range(1))
    before = plain(optimizer.state_dict())
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(state)
    assert plain(optimizer.state_dict()) == before


def test_groups_have_their_own_settings() -> None:
    a, b, c = Tensor([1.0]), Tensor([1.0]), Tensor([1.0])
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "weight_decay": 1.0})
    assert optimizer.params == [a, b, c]
    for param in optimizer.params:
        param.grad = Tensor([1.0])
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item(), c.item()], [0.9, 0.5, 0.8])
    assert optimizer.lr == 0.1
    optimizer.param_groups[1]["lr"] = 0.2
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2, 0.1]
    optimizer.lr = 0.25
    assert [group["lr"] for group in optimizer.param_groups] == [0.25] * 3


p = Tensor([1.0])
INVALID: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: optim.SGD([]), ValueError, "params: expected at least one parameter"),
    (lambda: optim.SGD(iter([])), ValueError, "params: expected at least one parameter"),
    (lambda: optim.SGD([{"params": []}]), ValueError, "params: expected at least one parameter"),
    (lambda: optim.SGD([{"lr": 1.0}]), ValueError, "params: a group needs the key 'params'"),
    (lambda: optim.SGD(p), TypeError, "params: expected a list of tensors, got a Tensor"),
    (lambda: optim.SGD({"params": [p]}), TypeError, "expected a list of tensors, got a dict"),
    (lambda: optim.SGD([p, 2]), TypeError, "params: expected tensors, got int at 1"),
    (lambda: optim.SGD([p, {"params": p}]), TypeError, "params: expected tensors, got dict at 1"),
    (lambda: optim.SGD([p, p]), ValueError, "params: a parameter is there twice"),
    (lambda: optim.SGD([{"params": p}, {"params": p}]), ValueError, "is there twice"),
    (lambda: optim.SGD([{"params": p, "rate": 1}]), TypeError, "rate: SGD has no such setting"),
    (lambda: optim.SGD([p], lr=-0.1), ValueError, "lr: expected a finite number of at least 0"),
    (lambda: optim.SGD([p], lr=float("nan")), ValueError, "lr: expected a finite number"),
    (lambda: optim.SGD([p], lr="fast"), TypeError, "lr: expected a number, got str"),
    (lambda: optim.SGD([p], momentum=1.0), ValueError, r"momentum: expected a number in \[0, 1\)"),
    (lambda: optim.SGD([p], dampening=2.0), ValueError, "dampening: expected None or a number"),
    (lambda: optim.SGD([p], nesterov=1), TypeError, "nesterov: expected True or False, got int"),
    (lambda: optim.SGD([{"params": p, "lr": -1}]), ValueError, "lr: expected a finite number"),
    (lambda: optim.Adam([p], beta1=1.0), ValueError, r"beta1: expected a number in \[0, 1\)"),
    (lambda: optim.Adam([p], beta2=-0.1), ValueError, r"beta2: expected a number in \[0, 1\)"),
    (lambda: optim.Adam([p], eps=-1.0), ValueError, "eps: expected a finite number"),
    (lambda: optim.AdamW([p], weight_decay=-1.0), ValueError, "weight_decay: expected a finite"),
    (lambda: optim.RMSProp([p], alpha=1.0), ValueError, "alpha: expected a number"),
    (lambda: optim.Adagrad([p], lr=-1.0), ValueError, "lr: expected a finite number"),
    (lambda: optim.Lion([p], beta2=1.5), ValueError, "beta2: expected a number"),
]


@pytest.mark.parametrize(("make", "error", "message"), INVALID)
def test_wrong_arguments(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_setting_is_checked_when_it_is_set() -> None:
    optimizer = optim.Adam([p])
    with pytest.raises(ValueError, match="lr: expected a finite number of at least 0, got -1"):
        optimizer.lr = -1
    assert optimizer.lr == 0.01
    optimizer.lr = np.float32(0.5)  # type: ignore[assignment]
    assert type(optimizer.lr) is float


def test_a_wrong_group_is_not_added() -> None:
    other = Tensor([2.0])
    optimizer = optim.SGD([p])
    for group in ({"params": [other, p]}, {"params": [other], "lr": -1.0}):
        with pytest.raises(ValueError, match=r"twice|lr: expected"):
            optimizer.add_param_group(group)
    assert optimizer.params == [p]
    assert len(optimizer.param_groups) == 1


def test_the_base_class_is_open() -> None:
    class Sign(optim.Optimizer):
        def step(self) -> None:
            for param in self.params:
                if param.grad is not None:
                    param.data = param.data - ndl.ops.sign(param.grad.data)

    with pytest.raises(NotImplementedError):
        optim.Optimizer([p]).step()
    q = Tensor([1.0])
    optimizer = Sign([q])
    q.grad = Tensor([5.0])
    optimizer.step()
    assert q.tolist() == [0.0]
    assert optimizer.state_dict() == {"optimizer": "Sign", "param_groups": [{"params": [0]}]}
