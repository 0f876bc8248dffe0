"""An error changes nothing: what raised it can be mended, and training goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn, optim
from needle.optim import schedules

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: optim.SGD(p, momentum=0.9),
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
    "RMSProp": lambda p: optim.RMSProp(p, momentum=0.5, centered=True),
    "Adagrad": optim.Adagrad,
    "Lion": optim.Lion,
}


class FailsError(Exception):
    pass


class Fails(ndl.TensorOp):
    """An op whose value cannot be had, which shows when it is asked for."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        raise FailsError

    def infer(self, x: Any) -> Any:
        return x


def uncomputed() -> Tensor:
    with ndl.lazy():
        return Fails()(Tensor([1.0], requires_grad=False))


def give(param: Tensor, grad: Tensor) -> None:
    param.grad = grad


# What is wrong with the second of two parameters, and what that raises.
SPOILERS: dict[str, tuple[Callable[[], Tensor], Callable[[Tensor], None], type[Exception]]] = {
    "a gradient that cannot be computed": (
        lambda: Tensor([1.0]),
        lambda p: give(p, uncomputed()),
        FailsError,
    ),
    "integers": (lambda: Tensor([1]), lambda p: give(p, Tensor([1])), ndl.DTypeError),
    "another shape since": (
        lambda: Tensor([1.0]),
        lambda p: (give(p, Tensor([1.0])), setattr(p, "data", Tensor([1.0, 2.0])))[0],
        ndl.ShapeError,
    ),
}


@pytest.mark.parametrize("form", ["one group", "two groups", "three groups"])
@pytest.mark.parametrize("spoiler", SPOILERS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_changes_all_parameters_or_none(name: str, spoiler: str, form: str) -> None:
    make, spoil, kind = SPOILERS[spoiler]
    good, bad, last = Tensor([1.0]), make(), Tensor([2.0])
    forms: dict[str, list[Any]] = {
        "one group": [good, bad, last],
        "two groups": [{"params": [good]}, {"params": [bad, last]}],
        "three groups": [{"params": p} for p in (good, bad, last)],
    }
    optimizer = OPTIMIZERS[name](forms[form])
    give(good, Tensor([1.0])), give(last, Tensor([1.0]))
    optimizer.step()  # `bad` has no gradient yet
    before = repr(optimizer.state_dict()), good.tolist(), last.tolist()
    spoil(bad)
    for _ in range(2):
        with pytest.raises(kind):
            optimizer.step()
        assert (repr(optimizer.state_dict()), good.tolist(), last.tolist()) == before
    bad.grad = None
    optimizer.step()
    assert good.tolist() != before[1]
    assert last.tolist() != before[2]


def test_settings_that_were_broken_by_hand() -> None:
    a, b = Tensor([1.0]), Tensor([1.0])
    optimizer = optim.SGD([{"params": a}, {"params": b}])
    optimizer.param_groups[1]["lr"] = "fast"
    give(a, Tensor([1.0])), give(b, Tensor([1.0]))
    with pytest.raises(TypeError):
        optimizer.step()
    assert (a.tolist(), b.tolist()) == ([1.0], [1.0])


def test_a_group_that_cannot_be_added_is_not() -> None:
    p, q = Tensor([1.0]), Tensor([1.0])
    optimizer = optim.Adam([p])
    before = optimizer.state_dict()
    wrong: list[tuple[Any, type[Exception], str]] = [
        ({"params": [q, p]}, ValueError, "a parameter is there twice"),
        ({"params": [q, q]}, ValueError, "a parameter is there twice"),
        ({"params": [q], "lr": -1.0}, ValueError, "lr: expected a finite number"),
        ({"params": [q], "rate": 1.0}, TypeError, "rate: Adam has no such setting"),
        ({"params": []}, ValueError, "expected at least one parameter"),
        ({"params": [q, None]}, TypeError, "expected tensors, got NoneType at 1"),
        ({"lr": 1.0}, ValueError, "a group needs the key 'params'"),
        ([q], TypeError, "group: expected a dict, got list"),
        (nn.Linear(1, 1), TypeError, "group: expected a dict, got Linear"),
    ]
    for group, kind, message in wrong:
        with pytest.raises(kind, match=message):
            optimizer.add_param_group(group)
        assert optimizer.state_dict() == before
        assert optimizer.params == [p]
    optimizer.add_param_group({"params": q, "lr": 0.5})
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.5]


# The schedule, and the rates of a group that was there from the start (base 1) and of one that
# came after two steps (base 0.5), before each step from there on.
LATER: dict[str, tuple[Callable[[Any], Any], list[float], list[float]]] = {
    "step": (
        lambda o: schedules.StepLR(o, 2, 0.5),
        [0.5, 0.5, 0.25, 0.25],
        [0.5, 0.5, 0.25, 0.25],
    ),
    "every step": (
        lambda o: schedules.StepLR(o, 1, 0.5),
        [0.25, 0.125, 0.0625],
        [0.5, 0.25, 0.125],
    ),
    "cosine": (
        lambda o: schedules.CosineLR(o, 4),
        [0.5, (1 + math.cos(0.75 * math.pi)) / 2, 0, 0, 0],
        [0.5 * (1 + math.cos(i * math.pi / 4)) / 2 for i in range(5)],
    ),
    "lambda": (
        lambda o: schedules.LambdaLR(o, lambda t: 1 / (1 + t)),
        [1 / 3, 1 / 4, 1 / 5],
        [0.5, 0.25, 0.5 / 3],
    ),
    "lambdas": (lambda o: schedules.LambdaLR(o, [lambda t: 1 / (1 + t)]), [1 / 3, 0.25], [0.5] * 2),
    # Up from a fourth to the top at step 2, down to a fourth of the start at step 9.
    "one cycle": (
        lambda o: schedules.OneCycleLR(o, 2.0, 10, div_factor=4, final_div_factor=5),
        [2.0, 0.1 + 1.9 * (1 + math.cos(math.pi / 7)) / 2],
        [0.5, 1.25],
    ),
    "one cycle of each": (
        lambda o: schedules.OneCycleLR(o, [2.0], 10, div_factor=4, final_div_factor=5),
        [2.0, 0.1 + 1.9 * (1 + math.cos(math.pi / 7)) / 2],
        [0.5, (0.125 + 0.5) / 2],
    ),
}


@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize("name", LATER)
def test_a_group_that_is_added_later_goes_on_from_its_own_rate(name: str, reload: bool) -> None:
    make, first, second = LATER[name]
    optimizer = optim.SGD([Tensor([1.0])], lr=1.0)
    schedule = make(optimizer)
    schedule.step(), schedule.step()
    optimizer.add_param_group({"params": [Tensor([1.0])], "lr": 0.5})
    if reload:
        states = json.loads(json.dumps([optimizer.state_dict(), schedule.state_dict()]))
        optimizer = optim.SGD([Tensor([1.0])], lr=1.0)
        schedule = make(optimizer)
        optimizer.add_param_group({"params": [Tensor([1.0])], "lr": 0.25})
        optimizer.load_state_dict(states[0])
        schedule.load_state_dict(states[1])
        assert json.loads(json.dumps(schedule.state_dict())) == states[1]
    found = []
    for _ in first:
        found.append([group["lr"] for group in optimizer.param_groups])
        schedule.step()
    assert found == [pytest.approx(pair) for pair in zip(first, second, strict=True)]


def test_a_plateau_reduces_a_group_that_is_added_later() -> None:
    optimizer = optim.SGD([Tensor([1.0])], lr=1.0)
    schedule = schedules.ReduceOnPlateau(optimizer, patience=0, factor=0.5)
    schedule.step(1.0), schedule.step(1.0)
    optimizer.add_param_group({"params": [Tensor([1.0])], "lr": 1.0})
    assert schedule.last_lr == [0.5, 1.0]
    schedule.step(1.0)
    assert schedule.last_lr == [0.25, 0.5]
    state = schedule.state_dict()
    schedule.load_state_dict(state)
    assert schedule.state_dict() == state


def test_a_schedule_whose_function_raises_stays_where_it_is() -> None:
    works = [True]

    def function(steps: int) -> float:
        if not works[0]:
            raise FailsError
        return 1 / (1 + steps)

    params = [{"params": [Tensor([1.0])], "lr": lr} for lr in (1.0, 2.0)]
    schedule = schedules.LambdaLR(optim.SGD(params), [lambda t: 1.0 + t, function])
    schedule.step()
    before = schedule.state_dict()
    works[0] = False
    for _ in range(3):
        with pytest.raises(FailsError):
            schedule.step()
        assert schedule.state_dict() == before
    works[0] = True
    schedule.step()
    assert schedule.last_lr == pytest.approx([3.0, 2 / 3])


@pytest.mark.parametrize("metric", ["low", None, Tensor([1.0, 2.0]), [1.0]])
def test_a_plateau_with_a_wrong_metric_stays_where_it_is(metric: Any) -> None:
    schedule = schedules.ReduceOnPlateau(optim.SGD([Tensor([1.0])]), patience=0)
    schedule.step(1.0)
    before = schedule.state_dict()
    with pytest.raises((TypeError, ValueError)):
        schedule.step(metric)
    assert schedule.state_dict() == before


def test_a_group_that_was_taken_away() -> None:
    optimizer = optim.SGD([{"params": Tensor([1.0])}, {"params": Tensor([1.0])}], lr=1.0)
    schedule = schedules.StepLR(optimizer, 1)
    removed = optimizer.param_groups.pop()
    with pytest.raises(ValueError, match="step: expected 2 groups in the optimiser, got 1"):
        schedule.step()
    optimizer.param_groups.append(removed)
    schedule.step()
    assert schedule.last_lr == pytest.approx([0.1, 0.1])


def test_states_of_clocks_are_checked() -> None:
    schedule = schedules.StepLR(optim.SGD([Tensor([1.0])]), 1)
    state = schedule.state_dict()
    for starts, kind, message in [
        (None, TypeError, "starts: expected a list of integers, got NoneType"),
        ([0, 0], ValueError, "starts: expected 1 starts, got 2"),
        ([1], ValueError, r"starts: expected at most 0, the steps, got \[1\]"),
        ([-1], ValueError, "starts: expected an integer of at least 0"),
    ]:
        with pytest.raises(kind, match=message):
            schedule.load_state_dict({**state, "starts": starts})
        assert schedule.state_dict() == state


@pytest.mark.parametrize(
    "make",
    [
        lambda o: schedules.StepLR(o, 1),
        lambda o: schedules.CosineLR(o, 5),
        lambda o: schedules.OneCycleLR(o, 1.0, 5),
        lambda o: schedules.LambdaLR(o, lambda t: 1.0),
        schedules.ReduceOnPlateau,
    ],
)
def test_a_schedule_needs_an_optimiser(make: Any) -> None:
    with pytest.raises(TypeError, match="optimizer: expected an Optimizer, got Linear"):
        make(nn.Linear(1, 1))


@pytest.mark.parametrize("stale", [1, 2, 4])
def test_accumulating_changes_all_gradients_or_none(stale: int) -> None:
    x, y, z = Tensor([1.0]), Tensor(np.ones(stale)), Tensor([3.0])
    (x * y * z).sum().backward()
    before = [t.grad.tolist() for t in (x, y, z)]
    y.data = Tensor([1.0, 2.0, 3.0])  # its gradient is of the data before
    with pytest.raises(ndl.ShapeError, match=rf"so far has shape \({stale},\), the new one \(3,"):
        (x * y * z).sum().backward(accumulate=True)
    assert [t.grad.tolist() for t in (x, y, z)] == before
    y.grad = None
    (x * y * z).sum().backward(accumulate=True)
    assert [t.grad.tolist() for t in (x, y, z)] == [[3.0 * stale + 18], [3.0] * 3, [stale + 6.0]]


def test_clipping_changes_all_gradients_or_none() -> None:
    a, b = Tensor([1.0]), Tensor([1.0])
    give(a, Tensor([5.0])), give(b, uncomputed())
    for clip in (optim.clip_grad_norm, optim.clip_grad_value):
        with pytest.raises(FailsError):
            clip([a, b], 1.0)
        assert a.grad.tolist() == [5.0]


def test_a_state_dict_that_does_not_fit_changes_no_parameter() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    before = {name: t.tolist() for name, t in model.state_dict().items()}
    good = {name: Tensor(t.numpy() + 1) for name, t in model.state_dict().items()}
    last = next(reversed(good))
    wrong: list[dict[str, Any]] = [
        {**good, last: Tensor(np.zeros((7, 7), np.float32))},
        {**good, last: Tensor(np.zeros(good[last].shape, np.float64))},
        {**good, last: "text"},
        {**good, "more": good[last]},
        {name: t for name, t in good.items() if name != last},
    ]
    for state in wrong:
        with pytest.raises((ValueError, TypeError)):
            model.load_state_dict(state)
        assert {name: t.tolist() for name, t in model.state_dict().items()} == before


def test_modules_that_cannot_be_taken_are_not() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    before = model.modules
    with pytest.raises(TypeError, match="Sequential: expected modules or functions, got the class"):
        model.modules = [nn.Linear(2, 3), nn.ReLU]
    assert tuple(model.modules) == tuple(before)


LAYER = nn.Linear(2, 3)


def names() -> Iterator[Any]:
    yield from LAYER.named_parameters()


HINTS: dict[str, tuple[Any, str, str]] = {
    "module": (LAYER, "the module Linear", "give it model.parameters()"),
    "container": (nn.Sequential(LAYER), "the module Sequential", "give it model.parameters()"),
    "list of modules": ([LAYER], "the module Linear at 0", "give it model.parameters()"),
    "named parameters": (names(), "tuple at 0", "give it model.parameters(), without the names"),
    "state dict": (LAYER.state_dict(), "a dict", "give it list(d.values()) of a dict d"),
    "keys": (list(LAYER.state_dict()), "str at 0", "a dict gives its keys; give it list(d"),
    "list of lists": ([LAYER.parameters()] * 2, "list at 0", "one flat list, as in [*a, *b]"),
    "set": (set(LAYER.parameters()), "a set", "a set has no order; give it a list"),
    "array": (np.ones(3), "a ndarray", "make a needle.Tensor of the array"),
    "arrays": ([np.ones(3)], "ndarray at 0", "make a needle.Tensor of the array"),
    "number": (3, "int", ""),
    "None": (None, "NoneType", ""),
    "method": (LAYER.parameters, "method", ""),
    "class": (nn.Linear, "type", ""),
}
TAKERS: dict[str, Callable[[Any], Any]] = {
    **OPTIMIZERS,
    "LBFGS": optim.LBFGS,
    "a group": lambda p: optim.SGD([{"params": p}]),
    "a later group": lambda p: optim.SGD([Tensor([1.0])]).add_param_group({"params": p}),
    "clip_grad_norm": lambda p: optim.clip_grad_norm(p, 1.0),
    "clip_grad_value": lambda p: optim.clip_grad_value(p, 1.0),
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("name", [name for name in HINTS if name != "named parameters"])
def test_what_is_no_list_of_tensors(name: str, taker: str) -> None:
    given, got, hint = HINTS[name]
    with pytest.raises(TypeError) as error:
        TAKERS[taker](given)
    text = str(error.value)
    assert text.startswith("params: expected ")
    assert f"got {got}" in text
    assert f"\nhint: {hint}" in text if hint else "hint" not in text


def test_named_parameters_have_a_hint() -> None:
    _, got, hint = HINTS["named parameters"]
    with pytest.raises(TypeError, match=got) as error:
        optim.SGD(names())
    assert str(error.value).endswith(f"\nhint: {hint}")


def test_a_group_alone() -> None:
    with pytest.raises(TypeError, match=r"got a dict\nhint: groups stand in a list, \[\{'params'"):
        optim.SGD({"params": LAYER.parameters()})  # type: ignore[arg-type]


def test_generators_and_tuples_are_fine() -> None:
    for given in (
        iter(LAYER.parameters()),
        tuple(LAYER.parameters()),
        (p for p in [Tensor([1.0])]),
    ):
        assert optim.SGD(given).params
    assert len(optim.SGD(iter([{"params": LAYER.parameters()}])).param_groups) == 1
    assert optim.clip_grad_norm(iter(LAYER.parameters()), 1.0) == 0.0
    optim.clip_grad_value(Tensor([1.0]), 1.0)
    optim.clip_grad_value([], 1.0)


def test_an_error_of_the_iteration_is_its_own() -> None:
    def fails() -> Iterator[Tensor]:
        yield Tensor([1.0])
        raise TypeError("of the generator")

    with pytest.raises(TypeError, match=r"^of the generator$"):
        optim.SGD(fails())
