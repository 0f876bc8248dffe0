"""Sums and products of float32 are as accurate as NumPy's, both measured against float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from needle import Tensor, ops

TRIALS = 60
EPSILON = float(np.finfo(np.float32).eps)

REDUCTIONS: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "all of 1e3": ((1000,), lambda x, _: x.sum()),
    "all of 1e5": ((100_003,), lambda x, _: x.sum()),
    "along rows": ((64, 3000), lambda x, _: x.sum(1)),
    "along columns": ((3000, 64), lambda x, _: x.sum(0)),
    "in the middle": ((8, 1000, 16), lambda x, _: x.sum(1)),
    "mean": ((300, 400), lambda x, _: x.mean()),
    "short rows": ((2000, 100), lambda x, _: x.sum(1)),
}
PRODUCTS: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "small": ((40, 40), lambda x, y: x @ y.T),
    "deep": ((30, 5000), lambda x, y: x @ y.T),
    "wide": ((300, 200), lambda x, y: x.T @ y),
    "square": ((600, 600), lambda x, y: x @ y),
    "vector": ((100, 3000), lambda x, y: x @ y[0]),
    "vector in front": ((3000, 100), lambda x, y: y[:, 0] @ x),
}


def root_mean_square(errors: list[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(np.concatenate([np.ravel(e) for e in errors])))))


@pytest.mark.parametrize("highest", [0.0, 2.0], ids=["around 0", "above 0"])
@pytest.mark.parametrize("name", [*REDUCTIONS, *PRODUCTS])
def test_as_accurate_as_numpy(name: str, highest: float) -> None:
    shape, run = (REDUCTIONS | PRODUCTS)[name]
    random = np.random.default_rng(0)
    ours, theirs = [], []
    for _ in range(TRIALS):
        shift = random.uniform(highest / 4, highest)
        x, y = ((random.standard_normal(shape) + shift).astype(np.float32) for _ in range(2))
        exact = run(x.astype(np.float64), y.astype(np.float64))
        ours.append(run(Tensor(x), Tensor(y)).numpy() - exact)
        theirs.append(run(x, y) - exact)
    # NumPy's halves of a long sum are equal, ours are whole blocks; the rest is for chance.
    assert root_mean_square(ours) <= 1.25 * root_mean_square(theirs)


def test_variance_far_from_zero() -> None:
    random = np.random.default_rng(0)
    for _ in range(TRIALS):
        x = (random.standard_normal(10_000) + 1000).astype(np.float32)
        exact = x.astype(np.float64).var()
        # The mean of squares would be off by some 500,000 epsilons.
        assert ops.var(Tensor(x)).item() == pytest.approx(exact, rel=4 * EPSILON)
