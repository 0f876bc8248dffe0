"""Where the randomness of data comes from: the order of samples, and what transforms draw.

By default it is NumPy's global generator, so that `numpy.random.seed` makes a program repeatable.
Threads cannot share one generator and stay repeatable: there each batch has a generator of its own,
which `sample_rng` finds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

Rng = np.random.Generator | np.random.RandomState

_local = threading.local()


def sample_rng() -> np.random.RandomState:
    """The generator that a transform draws from, for the sample that is being made.

    It is NumPy's global one, except in the thread workers of a `DataLoader`: there it is one that
    was seeded for the batch. Transforms that draw from it give the same samples with any number
    and kind of workers.
    """
    own: np.random.RandomState | None = getattr(_local, "rng", None)
    return global_rng() if own is None else own


def global_rng() -> np.random.RandomState:
    """The object behind `numpy.random.seed`, `numpy.random.rand` and their kin."""
    return np.random.mtrand._rand


def as_rng(rng: Rng | int | None, user: str) -> Rng:
    """What a parameter `rng=` means: a generator, the seed of a new one, or None: the global one.

    Raises TypeError, beginning with `user`, for anything else, ValueError for a negative seed.
    """
    if rng is None:
        return global_rng()
    if isinstance(rng, np.random.Generator | np.random.RandomState):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if rng < 0:
            raise ValueError(f"{user}: rng: expected a seed of 0 or more, got {rng}")
        return np.random.default_rng(rng)
    raise TypeError(
        f"{user}: rng: expected a numpy.random.Generator, a RandomState or a seed, "
        f"got {type(rng).__name__}"
    )


def draw_seed(rng: Rng) -> int:
    """32 random bits."""
    return int.from_bytes(rng.bytes(4), "little")


@contextmanager
def seeded(seed: tuple[int, ...]) -> Iterator[None]:
    """Within the block `sample_rng` of this thread is a new generator with that seed."""
    _local.rng = np.random.RandomState(seed)
    try:
        yield
    finally:
        _local.rng = None
