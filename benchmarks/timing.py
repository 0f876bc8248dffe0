"""Contestants take turns: a warm-up, then rounds in which each runs one block.

Alternating spreads a slow minute of the machine over all of them; the median forgets a disturbed
round; and the order rotates, so that nobody always follows the same neighbour.
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

# One run of a contestant: what was measured, by part ("" where there is only one).
Block = Callable[[], Mapping[str, float]]

# Idle threads of a BLAS or OpenMP pool spin for about 120 ms after a call. On a machine with few
# cores whoever comes next competes with them, and may look many times slower than it is.
SETTLE = 0.2

# A spread above this says that the machine was not quiet, or that the work is not steady.
SPREAD_LIMIT = 0.15

ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Sample:
    """What one contestant needed: a value for each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """The distance between the quartiles, as a part of the median."""
        if len(self.values) < 2 or self.median == 0:
            return 0.0
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return (upper - lower) / self.median


@dataclass(frozen=True, slots=True)
class Contestant:
    """A library, by name, and its way to do the work."""

    name: str
    block: Block


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure: `rounds`, and up to twice as many while a spread is too wide."""

    rounds: int = ROUNDS
    settle: float = SETTLE

    def at_most(self, rounds: int) -> Plan:
        """The plan for work that takes long."""
        return replace(self, rounds=min(self.rounds, rounds))

    def without_threads(self) -> Plan:
        """The plan for work so small that no contestant uses a thread pool."""
        return replace(self, settle=0.0)

    @property
    def most(self) -> int:
        """The number of rounds after which it ends, however wide a spread is."""
        return 2 * self.rounds

    def among(self, contestants: Sequence[Contestant]) -> Sequence[Contestant]:
        """Those who take part: all."""
        return contestants

    def turn(self, block: Block) -> Mapping[str, float]:
        """Let a block run, when all others have come to rest."""
        if self.settle:
            time.sleep(self.settle)
        return block()


class Repeated:
    """A block that repeats a statement or a function: {"": seconds for one}.

    The first call finds how often it fits into `at_least` seconds. A statement is compiled into
    the loop, so that work of a fraction of a microsecond is not buried under a function call.
    """

    def __init__(
        self,
        code: str | Callable[[], object],
        names: Mapping[str, object] | None = None,
        *,
        at_least: float = 0.04,
    ) -> None:
        self._timer = timeit.Timer(code, globals=dict(names or {}))
        self._at_least = at_least
        self.number = 0

    def __call__(self) -> Mapping[str, float]:
        if not self.number:
            self.number = self._calibrate()
        # After a pause caches and clock are cold; work that runs once warms itself.
        if self.number > 1:
            self._timer.timeit(max(1, self.number // 10))
        return {"": self._timer.timeit(self.number) / self.number}

    def _calibrate(self) -> int:
        number = 1
        self._timer.timeit(1)
        while (seconds := self._timer.timeit(number)) < self._at_least:
            # Towards the aim in few steps, but never by more than ten times on a rough figure.
            number *= max(2, min(10, int(1.2 * self._at_least / max(seconds, 1e-9))))
        return number


def compete(contestants: Sequence[Contestant], plan: Plan) -> dict[str, dict[str, Sample]]:
    """Let the contestants take turns: for each part, a sample for each contestant by name."""
    contestants = plan.among(contestants)
    for contestant in contestants:
        plan.turn(contestant.block)
    values: dict[str, dict[str, list[float]]] = {}
    for number in range(plan.most):
        if number >= plan.rounds and _widest(values) <= SPREAD_LIMIT:
            break
        start = number % len(contestants)
        for contestant in (*contestants[start:], *contestants[:start]):
            for part, value in plan.turn(contestant.block).items():
                values.setdefault(part, {}).setdefault(contestant.name, []).append(value)
    order = [contestant.name for contestant in contestants]
    return {
        part: {name: Sample(tuple(found[name])) for name in order if name in found}
        for part, found in values.items()
    }


def _widest(values: Mapping[str, Mapping[str, Sequence[float]]]) -> float:
    """The widest spread of any part of any contestant."""
    return max(
        (Sample(tuple(found)).spread for part in values.values() for found in part.values()),
        default=0.0,
    )
