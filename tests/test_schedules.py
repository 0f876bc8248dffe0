"""Learning rates over time, beside tables worked out from their formulas."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from needle import Tensor, optim
from needle.optim import schedules


def optimizer(*lrs: float) -> optim.SGD:
    return optim.SGD([{"params": [Tensor([1.0])], "lr": lr} for lr in lrs or (1.0,)])


def rates(schedule: Any, steps: int) -> list[float]:
    """The rate of the first group before each of the steps."""
    found = []
    for _ in range(steps):
        found.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.step()
    return found


HALF = (1 + math.cos(math.pi / 4)) / 2

TABLE: list[tuple[str, Callable[[Any], Any], list[float]]] = [
    ("step", lambda o: schedules.StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
    ("cosine", lambda o: schedules.CosineLR(o, 4), [1, HALF, 0.5, 1 - HALF, 0, 0, 0]),
    (
        "cosine to a rate",
        lambda o: schedules.CosineLR(o, 2, min_lr=0.2),
        [1, 0.6, 0.2, 0.2],
    ),
    (
        "warm-up",
        lambda o: schedules.CosineLR(o, 7, warmup_steps=3),
        [0.25, 0.5, 0.75, 1, HALF, 0.5, 1 - HALF, 0, 0],
    ),
    # Rises to step 0.3 * 10 - 1 = 2 and falls to step 9, as PyTorch's.
    (
        "one cycle",
        lambda o: schedules.OneCycleLR(o, 2.0, 10, div_factor=4, final_div_factor=5),
        [
            0.5,
            1.25,
            *(0.1 + 1.9 * (1 + math.cos(math.pi * i / 7)) / 2 for i in range(8)),
            0.1,
            0.1,
        ],
    ),
    (
        "only down",
        lambda o: schedules.OneCycleLR(o, 2.0, 3, pct_start=0.0, final_div_factor=1.0),
        [2.0, (2.0 + 0.08) / 2, 0.08, 0.08],
    ),
    ("lambda", lambda o: schedules.LambdaLR(o, lambda t: 1 / (1 + t)), [1, 1 / 2, 1 / 3, 1 / 4]),
]


@pytest.mark.parametrize(("make", "expected"), [t[1:] for t in TABLE], ids=[t[0] for t in TABLE])
def test_a_schedule_is_its_formula(make: Any, expected: list[float]) -> None:
    assert rates(make(optimizer()), len(expected)) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("make", [t[1] for t in TABLE], ids=[t[0] for t in TABLE])
def test_a_loaded_schedule_goes_on_exactly(make: Any) -> None:
    first = make(optimizer())
    rates(first, 3)
    state = json.loads(json.dumps(first.state_dict()))
    second = make(optimizer(0.125))
    second.load_state_dict(state)
    assert second.last_lr == first.last_lr == second.get_lr() == [second.optimizer.lr]
    assert rates(second, 6) == rates(first, 6)


def test_with_the_optimizer_loaded_first_or_last() -> None:
    """The state of the optimiser has the scheduled rate; the base rate is the schedule's."""
    source = optimizer(0.8)
    schedule = schedules.StepLR(source, 1, 0.5)
    schedule.step()
    states = source.state_dict(), schedule.state_dict()
    for schedule_first in (True, False):
        target = optimizer(0.1)
        loaded = schedules.StepLR(target, 1, 0.5)
        both = [(loaded, states[1]), (target, states[0])]
        for one, state in both if schedule_first else reversed(both):
            one.load_state_dict(state)  # type: ignore[attr-defined]
        assert rates(loaded, 3) == [0.4, 0.2, 0.1]


def test_each_group_has_its_rate() -> None:
    schedule: Any = schedules.StepLR(optimizer(1.0, 0.5), 1)
    schedule.step()
    assert schedule.last_lr == pytest.approx([0.1, 0.05])
    schedule = schedules.LambdaLR(optimizer(1.0, 0.5), [lambda t: 2.0, lambda t: 3.0])
    assert schedule.last_lr == [2.0, 1.5]
    schedule = schedules.OneCycleLR(optimizer(1.0, 0.5), [5.0, 10.0], 10, div_factor=5)
    assert schedule.last_lr == [1.0, 2.0]


# Options, metrics, and the rates after each.
PLATEAUS: list[tuple[dict[str, Any], list[float], list[float]]] = [
    ({"patience": 1}, [5, 4, 4, 4, 4, 4], [1, 1, 1, 0.1, 0.1, 0.01]),
    ({"patience": 0, "factor": 0.5}, [5, 6, 5, 4], [1, 0.5, 0.25, 0.25]),
    ({"patience": 0, "mode": "max"}, [5, 6, 5, 7], [1, 1, 0.1, 0.1]),
    # Better by a tenth of the best counts, by less does not.
    ({"patience": 0, "threshold": 0.1}, [10, 9.5, 8.9], [1, 0.1, 0.1]),
    (
        {"patience": 0, "threshold": 0.6, "threshold_mode": "abs"},
        [10, 9.5, 9.3, 8.9],
        [1, 0.1, 0.1, 0.01],
    ),
    # A negative metric gets better downwards, too.
    ({"patience": 0, "threshold": 0.1}, [-10, -10.5, -11.5], [1, 0.1, 0.1]),
    ({"patience": 0, "cooldown": 2}, [1, 1, 1, 1, 1], [1, 0.1, 0.1, 0.1, 0.01]),
    ({"patience": 0, "min_lr": 0.05}, [1, 1, 1], [1, 0.1, 0.05]),
    ({"patience": 0}, [float("nan"), 1, float("nan")], [0.1, 0.1, 0.01]),
]


@pytest.mark.parametrize(("options", "metrics", "expected"), PLATEAUS)
def test_reduce_on_plateau(
    options: dict[str, Any], metrics: list[float], expected: list[float]
) -> None:
    half = len(metrics) // 2
    schedule = schedules.ReduceOnPlateau(optimizer(), **options)
    found = []
    for i, metric in enumerate(metrics):
        if i == half:  # goes on in another one
            state = json.loads(json.dumps(schedule.state_dict()))
            schedule = schedules.ReduceOnPlateau(optimizer(0.3), **options)
            schedule.load_state_dict(state)
        schedule.step(metric)
        found += schedule.last_lr
    assert found == pytest.approx(expected)


def test_a_metric_may_be_a_tensor() -> None:
    schedule = schedules.ReduceOnPlateau(optimizer(), patience=0)
    schedule.step(Tensor(1.0))
    schedule.step(Tensor([1.0]))
    assert schedule.last_lr == pytest.approx([0.1])
    with pytest.raises(TypeError, match="step: ReduceOnPlateau needs the metric"):
        schedule.step()


INVALID: list[tuple[Callable[[], Any], str]] = [
    (lambda: schedules.StepLR(optimizer(), 0), "step_size: expected at least 1, got 0"),
    (lambda: schedules.StepLR(optimizer(), 1, -1), "gamma: expected a finite number"),
    (lambda: schedules.CosineLR(optimizer(), 0), "total_steps: expected at least 1"),
    (lambda: schedules.CosineLR(optimizer(), 5, 5), "expected 0 <= warmup_steps < total_steps = 5"),
    (lambda: schedules.CosineLR(optimizer(), 5, 2.5), "warmup_steps: expected an integer"),
    (lambda: schedules.ReduceOnPlateau(optimizer(), patience=1.5), "patience: expected an integer"),
    (lambda: schedules.CosineLR(optimizer(), 5, min_lr=-1), "min_lr: expected a finite number"),
    (lambda: schedules.OneCycleLR(optimizer(), [1.0, 2.0], 5), "expected one rate or 1, got 2"),
    (lambda: schedules.OneCycleLR(optimizer(), 1.0, 5, 1.0), r"pct_start: .* in \[0, 1\)"),
    (lambda: schedules.OneCycleLR(optimizer(), 1.0, 5, div_factor=0), "div_factor: expected a fi"),
    (lambda: schedules.LambdaLR(optimizer(), []), "function: expected one or 1, got 0"),
    (lambda: schedules.LambdaLR(optimizer(), lambda t: -1.0), "function: expected a finite number"),
    (lambda: schedules.ReduceOnPlateau(optimizer(), "low"), "mode: expected 'min' or 'max'"),
    (lambda: schedules.ReduceOnPlateau(optimizer(), factor=1.0), "factor: expected a number in"),
    (
        lambda: schedules.ReduceOnPlateau(optimizer(), threshold_mode="x"),
        "threshold_mode: expected 'rel' or 'abs', got 'x'",
    ),
]


@pytest.mark.parametrize(("make", "message"), INVALID)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_function() -> None:
    for wrong in (3, [3]):
        with pytest.raises(TypeError, match=r"^function: expected functions, got int$"):
            schedules.LambdaLR(optimizer(), wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^function: expected a number, got str$"):
        schedules.LambdaLR(optimizer(), lambda t: "a")  # type: ignore[arg-type,return-value]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"schedule": "CosineLR"}, "state: expected one of StepLR, got one of CosineLR"),
    ({"steps": -1}, "steps: expected an integer of at least 0, got -1"),
    ({"lrs": [1.0, 2.0]}, "lrs: expected 1 rates, got 2"),
    ({"base_lrs": []}, "base_lrs: expected 1 rates, got 0"),
    ({"lrs": [-1.0]}, "lrs: expected a finite number of at least 0"),
    ({"more": 1}, "state: expected the keys"),
    ({"steps": True}, "steps: expected an integer of at least 0, got True"),
    ({"base_lrs": [float("nan")]}, "base_lrs: expected a finite number of at least 0"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_state_changes_nothing(change: dict[str, Any], message: str) -> None:
    schedule = schedules.StepLR(optimizer(), 1, 0.5)
    schedule.step()
    before = schedule.state_dict()
    with pytest.raises(ValueError, match=message):
        schedule.load_state_dict({**before, **change})
    assert schedule.state_dict() == before


WRONG_KINDS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lrs": None}, TypeError, "lrs: expected a list of rates, got NoneType"),
    ({"lrs": ["a"]}, TypeError, "lrs: expected a number, got str"),
    ({"best": "a"}, TypeError, "best: expected a number, got str"),
    ({"bad_steps": "a"}, ValueError, "bad_steps: expected an integer of at least 0, got 'a'"),
    ({"cooldown_left": -1}, ValueError, "cooldown_left: expected an integer of at least 0"),
]


@pytest.mark.parametrize(("change", "kind", "message"), WRONG_KINDS)
def test_values_of_the_wrong_kind_change_nothing(change: Any, kind: Any, message: str) -> None:
    schedule = schedules.ReduceOnPlateau(optimizer())
    schedule.step(3.0)
    before = schedule.state_dict()
    with pytest.raises(kind, match=message):
        schedule.load_state_dict({**before, **change})
    assert schedule.state_dict() == before
    with pytest.raises(TypeError, match="state: expected a dict, got NoneType"):
        schedule.load_state_dict(None)  # type: ignore[arg-type]
