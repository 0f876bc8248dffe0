"""Matrix products of float32, nothing recorded."""

from __future__ import annotations

import numpy as np

import needle as ndl

from .. import peers
from ..figures import Figure
from ..peers import NEEDLE, NUMPY, PYTORCH
from ..timing import Contestant, Plan, Repeated, compete

# Rows, inner size, columns.
SIZES = ((100, 784, 100), (1024, 1024, 1024))


def matmul(plan: Plan) -> list[Figure]:
    """(100,784) x (784,100) and 1024 square, float32, beside NumPy's and PyTorch's"""
    return [_product(plan, *size) for size in SIZES]


def _product(plan: Plan, rows: int, inner: int, columns: int) -> Figure:
    random = np.random.default_rng(0)
    a = random.standard_normal((rows, inner), dtype=np.float32)
    b = random.standard_normal((inner, columns), dtype=np.float32)
    mine = {"a": ndl.Tensor(a, requires_grad=False), "b": ndl.Tensor(b, requires_grad=False)}
    contestants = [
        Contestant(NEEDLE, Repeated("a @ b", mine)),
        Contestant(NUMPY, Repeated("a @ b", {"a": a, "b": b})),
    ]
    if torch := peers.torch():
        theirs = {"a": torch.tensor(a), "b": torch.tensor(b)}
        contestants.append(Contestant(PYTORCH, Repeated("a @ b", theirs)))
    shape = f"({rows},{inner}) x ({inner},{columns})"
    samples = compete(contestants, plan)[""]
    operations = 2 * rows * inner * columns
    speeds = ", ".join(
        f"{name} {operations / sample.median / 1e9:.0f}" for name, sample in samples.items()
    )
    return Figure(
        f"matmul/{rows}x{inner}x{columns}", f"{shape}, float32", samples, notes=[f"{speeds} GF/s"]
    )
