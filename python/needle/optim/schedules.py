"""Learning rates over time: `schedule.step()` after each step (or epoch) of the optimiser.

A schedule takes the rates that the groups of an optimiser have when it is made as their base
rates, and sets those of its own from then on. All rates but those of `ReduceOnPlateau` are
functions of the base rates and the number of steps, so nothing drifts, and a schedule that loads
a state goes on exactly.

A group that is added to the optimiser later joins at the next `step()`: the rate that it has then
is its base rate, and its steps count from there. If a `step()` raises an error, all is as before.

Constructors raise TypeError or ValueError, naming the parameter, for one that cannot be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from needle import _names
from needle.optim.optimizer import Optimizer
from needle.optim.settings import at_least_zero, below_one, check_state, count, natural, number

__all__ = [
    "CosineLR",
    "LambdaLR",
    "OneCycleLR",
    "ReduceOnPlateau",
    "Schedule",
    "StepLR",
]


def _rate_list(name: str, value: Any) -> list[float]:
    """A list of rates, as a new one."""
    if not isinstance(value, list):
        raise TypeError(f"{name}: expected a list of rates, got {type(value).__name__}")
    return [at_least_zero(name, rate) for rate in value]


def _naturals(name: str, value: Any) -> list[int]:
    """A list of counts, as a new one."""
    if not isinstance(value, list):
        raise TypeError(f"{name}: expected a list of integers, got {type(value).__name__}")
    return [natural(name, item) for item in value]


def _optional_number(name: str, value: Any) -> float | None:
    return None if value is None else number(name, value)


class Schedule:
    """What schedules share. Subclasses say what rate a group has `at` a step.

    `.steps` counts the calls of `step()`, `.last_lr` lists the present rate of each group,
    `.base_lrs` the base rates, and `.starts` the steps at which the groups have joined.

    Raises TypeError for what is no optimiser.
    """

    # Attributes, besides the steps, that are the schedule's state, and what they may be.
    _kept: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {
        "base_lrs": _rate_list,
        "starts": _naturals,
    }

    def __init__(self, optimizer: Optimizer) -> None:
        _checked_optimizer(optimizer)
        self.optimizer = optimizer
        self.steps = 0
        self.base_lrs: list[float] = self.last_lr
        self.starts: list[int] = [0] * len(self.base_lrs)
        self._set(self._rates(0))

    @property
    def last_lr(self) -> list[float]:
        """The present rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        """The same as `.last_lr`."""
        return self.last_lr

    def at(self, steps: int, base: float, group: int) -> float:
        """The rate of a group with the base rate `base` after `steps` steps of its own."""
        raise NotImplementedError(f"{type(self).__name__}: at is not defined")

    def step(self) -> None:
        """Set the rates for the next step."""
        self._join()
        rates = self._rates(self.steps + 1)
        self.steps += 1
        self._set(rates)

    def state_dict(self) -> dict[str, Any]:
        """All that later rates depend on but the arguments of the constructor."""
        self._join()
        kept = {name: check(name, getattr(self, name)) for name, check in self._kept.items()}
        return {
            "schedule": type(self).__name__,
            "steps": self.steps,
            "lrs": self.last_lr,
            **kept,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another schedule with the same arguments was; sets the optimiser's rates.

        Raises ValueError for a state of another kind or another number of groups, TypeError for
        values of the wrong kind, and then changes nothing.
        """
        check_state(state, "schedule", self, {"steps", "lrs", *self._kept})
        steps = natural("steps", state["steps"])
        kept = {name: check(name, state[name]) for name, check in self._kept.items()}
        rates = _rate_list("lrs", state["lrs"])
        groups = len(self.optimizer.param_groups)
        for name, found in {"lrs": rates, **kept}.items():
            if isinstance(found, list) and len(found) != groups:
                what = "starts" if name == "starts" else "rates"
                raise ValueError(f"{name}: expected {groups} {what}, got {len(found)}")
        if max(kept.get("starts", ()), default=0) > steps:
            raise ValueError(f"starts: expected at most {steps}, the steps, got {kept['starts']}")
        for name, value in kept.items():
            setattr(self, name, value)
        self.steps = steps
        self._set(rates)

    def _join(self) -> None:
        """Takes in groups that were added to the optimiser."""
        rates = self.last_lr
        if len(rates) < len(self.base_lrs):
            known = len(self.base_lrs)
            raise ValueError(f"step: expected {known} groups in the optimiser, got {len(rates)}")
        added = rates[len(self.base_lrs) :]
        self.base_lrs = [*self.base_lrs, *added]
        self.starts = [*self.starts, *[self.steps] * len(added)]

    def _rates(self, steps: int) -> list[float]:
        places = zip(self.base_lrs, self.starts, strict=True)
        return [self.at(steps - start, base, i) for i, (base, start) in enumerate(places)]

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


class StepLR(Schedule):
    """The rate times `gamma` every `step_size` steps: `base gamma^(steps // step_size)`."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = count("step_size", step_size)
        self.gamma = at_least_zero("gamma", gamma)
        super().__init__(optimizer)

    def at(self, steps: int, base: float, group: int) -> float:
        """The rate after `steps` steps."""
        return base * self.gamma ** (steps // self.step_size)


class CosineLR(Schedule):
    """Half a cosine down from the base rate to `min_lr` (Loshchilov and Hutter 2017, eq. 5,
    without restarts), after a linear warm-up.

    With `w = warmup_steps` the rate is `base (steps + 1) / (w + 1)` for `steps < w`; from there
    to `total_steps` it is
    `min_lr + (base - min_lr) (1 + cos(pi (steps - w) / (total_steps - w))) / 2`; then `min_lr`.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 0, min_lr: float = 0.0
    ) -> None:
        self.total_steps = count("total_steps", total_steps)
        self.warmup_steps = natural("warmup_steps", warmup_steps)
        if not self.warmup_steps < total_steps:
            message = f"expected 0 <= warmup_steps < total_steps = {total_steps}"
            raise ValueError(f"warmup_steps: {message}, got {warmup_steps}")
        self.min_lr = at_least_zero("min_lr", min_lr)
        super().__init__(optimizer)

    def at(self, steps: int, base: float, group: int) -> float:
        """The rate after `steps` steps."""
        warmup = self.warmup_steps
        if steps < warmup:
            return base * (steps + 1) / (warmup + 1)
        part = min(1.0, (steps - warmup) / (self.total_steps - warmup))
        return _cosine(base, self.min_lr, part)


class OneCycleLR(Schedule):
    """Up from `max_lr / div_factor` to `max_lr`, and down to that start over
    `final_div_factor` (Smith and Topin 2019), each by half a cosine.

    The rise ends at step `pct_start total_steps - 1`, the fall at `total_steps - 1`, as in
    PyTorch; after that the rate stays. The base rates of the optimiser do not count; momentum
    stays as it is. `max_lr` is one number, or one for each group: then the base rate of a group
    that is added later is its own `max_lr`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        _checked_optimizer(optimizer)
        self.total_steps = count("total_steps", total_steps)
        self.pct_start = below_one("pct_start", pct_start)
        self.div_factor = _positive("div_factor", div_factor)
        self.final_div_factor = _positive("final_div_factor", final_div_factor)
        self._shared = not isinstance(max_lr, Sequence)
        rates = max_lr if isinstance(max_lr, Sequence) else [max_lr] * len(optimizer.param_groups)
        if len(rates) != len(optimizer.param_groups):
            wanted = len(optimizer.param_groups)
            raise ValueError(f"max_lr: expected one rate or {wanted}, got {len(rates)}")
        self.max_lrs = [at_least_zero("max_lr", rate) for rate in rates]
        super().__init__(optimizer)

    def at(self, steps: int, base: float, group: int) -> float:
        """The rate after `steps` steps."""
        added = group >= len(self.max_lrs)
        top = base if added and not self._shared else self.max_lrs[0 if added else group]
        start = top / self.div_factor
        rise, last = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        if steps < rise:
            return _cosine(start, top, steps / rise)
        part = 1.0 if steps >= last else (steps - max(rise, 0.0)) / (last - max(rise, 0.0))
        return _cosine(top, start / self.final_div_factor, part)


class LambdaLR(Schedule):
    """The base rate times `function(steps)`; one function, or one for each group: then a group
    that is added later keeps its base rate.

    Functions are not part of the state.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        function: Callable[[int], float] | Sequence[Callable[[int], float]],
    ) -> None:
        groups = len(_checked_optimizer(optimizer).param_groups)
        self._shared = not isinstance(function, Sequence)
        functions = list(function) if isinstance(function, Sequence) else [function] * groups
        for item in functions:
            if not callable(item):
                raise TypeError(f"function: expected functions, got {type(item).__name__}")
        if len(functions) != groups:
            raise ValueError(f"function: expected one or {groups}, got {len(functions)}")
        self.functions = functions
        super().__init__(optimizer)

    def at(self, steps: int, base: float, group: int) -> float:
        """The rate after `steps` steps."""
        added = group >= len(self.functions)
        if added and not self._shared:
            return base
        function = self.functions[0 if added else group]
        return at_least_zero("function", base * number("function", function(steps)))


class ReduceOnPlateau(Schedule):
    """The rate times `factor` when `step(metric)` has seen no better metric for more than
    `patience` steps.

    Better is below the best by more than `threshold` times its size (`mode="min"`), or above it
    (`mode="max"`); with `threshold_mode="abs"` by more than `threshold`. After a reduction
    `cooldown` steps do not count. No rate falls below `min_lr`. NaN is not better.
    """

    _kept: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {
        "best": _optional_number,
        "bad_steps": natural,
        "cooldown_left": natural,
    }

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode: expected 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold_mode: expected 'rel' or 'abs', got {threshold_mode!r}")
        self.mode, self.threshold_mode = mode, threshold_mode
        self.factor = below_one("factor", factor)
        self.patience = natural("patience", patience)
        self.threshold = at_least_zero("threshold", threshold)
        self.cooldown = natural("cooldown", cooldown)
        self.min_lr = at_least_zero("min_lr", min_lr)
        self.best: float | None = None
        self.bad_steps = 0
        self.cooldown_left = 0
        super().__init__(optimizer)

    def at(self, steps: int, base: float, group: int) -> float:
        """The present rate: it depends on the metrics."""
        return self.last_lr[group]

    def step(self, metric: float | None = None) -> None:
        """Look at the metric, a number or a tensor of one element, and reduce the rates if it is
        time.

        Raises TypeError without a metric.
        """
        if metric is None:
            raise TypeError("step: ReduceOnPlateau needs the metric")
        value = float(metric)
        self._join()
        if self._is_better(value):
            self.best, self.bad_steps = value, 0
        else:
            self.bad_steps += 1
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.bad_steps = 0
        self.steps += 1
        if self.bad_steps > self.patience:
            self._set([min(lr, max(lr * self.factor, self.min_lr)) for lr in self.last_lr])
            self.cooldown_left, self.bad_steps = self.cooldown, 0

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return not math.isnan(value)
        sign = 1.0 if self.mode == "min" else -1.0
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1.0)
        return sign * value < sign * self.best - margin


def _checked_optimizer(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}")
    return optimizer


def _cosine(start: float, end: float, part: float) -> float:
    """From `start` at 0 to `end` at 1 along half a cosine."""
    return end + (start - end) * (1.0 + math.cos(math.pi * part)) / 2.0


def _positive(name: str, value: Any) -> float:
    checked = number(name, value)
    if not 0.0 < checked < math.inf:
        raise ValueError(f"{name}: expected a finite number above 0, got {value}")
    return checked


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
