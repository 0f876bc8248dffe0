"""Operations so small that only the overhead counts: needle records them, NumPy does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import needle as ndl
from needle import ops

from .. import peers
from ..figures import Bound, Figure
from ..peers import NEEDLE, NUMPY, PYTORCH
from ..timing import Contestant, Plan, Repeated, compete


def add(plan: Plan) -> list[Figure]:
    """a + b of 3 float32, recorded, beside NumPy's and PyTorch's"""
    a, b = (_array((3,), seed) for seed in (0, 1))
    contestants = [
        Contestant(NEEDLE, Repeated("a + b", {"a": _tensor(a), "b": _tensor(b)})),
        Contestant(NUMPY, Repeated("a + b", {"a": a, "b": b})),
    ]
    if torch := peers.torch():
        names = {
            "a": torch.tensor(a, requires_grad=True),
            "b": torch.tensor(b, requires_grad=True),
        }
        contestants.append(Contestant(PYTORCH, Repeated("a + b", names)))
    samples = compete(contestants, plan.without_threads())[""]
    return [Figure("add", "a + b, 3 float32, recorded", samples, [Bound(0.7, (NUMPY,))])]


def small(plan: Plan) -> list[Figure]:
    """a * 2.0, exp(a), a.sum() and (32,32) @ (32,32), recorded, beside NumPy's"""
    codes = ("a * 2.0", "exp(a)", "a.sum()")
    figures = [_beside_numpy(code, (3,), plan) for code in codes]
    return figures + [_beside_numpy(code, (32, 32), plan) for code in (*codes, "a @ a")]


def left(plan: Plan) -> list[Figure]:
    """an array or a np.float64 on the left of a tensor, np.sum, and a.numpy()"""
    a = _array((3,), 0)
    figures = []
    for code in ("array * a", "scalar * a", "np.sum(a)", "a.numpy()"):
        names = {"array": _array((3,), 1), "scalar": np.float64(2), "np": np}
        contestants = [Contestant(NEEDLE, Repeated(code, {"a": _tensor(a), **names}))]
        if code != "a.numpy()":
            contestants.append(Contestant(NUMPY, Repeated(code, {"a": a, **names})))
        samples = compete(contestants, plan.without_threads())[""]
        figures.append(Figure(f"left/{code}", f"{code}, 3 float32, recorded", samples))
    return figures


def _beside_numpy(code: str, shape: tuple[int, ...], plan: Plan) -> Figure:
    a = _array(shape, 0)
    contestants = [
        Contestant(NEEDLE, Repeated(code, {"a": _tensor(a), "exp": ops.exp})),
        Contestant(NUMPY, Repeated(code, {"a": a, "exp": np.exp})),
    ]
    samples = compete(contestants, plan.without_threads())[""]
    size = "x".join(map(str, shape))
    title = f"{code}, {size} float32, recorded"
    return Figure(f"small/{code}/{size}", title, samples, [Bound(0.7, (NUMPY,))])


def _array(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _tensor(array: NDArray[np.float32]) -> ndl.Tensor:
    return ndl.Tensor(array, requires_grad=True)
