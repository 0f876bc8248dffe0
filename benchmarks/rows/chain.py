"""A long chain of small multiplications: what one node costs to record, differentiate and drop."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

import needle as ndl

from .. import peers
from ..figures import Bound, Figure
from ..peers import NEEDLE, PYTORCH
from ..timing import Block, Contestant, Plan, compete

NODES = 100_000

# So near to 1 that the product of all stays an ordinary number.
FACTOR = 1.00001


def chain(plan: Plan, nodes: int = NODES) -> list[Figure]:
    """a chain of 100,000 multiplications by a number on 4 floats, per node, beside PyTorch's"""
    contestants = [Contestant(NEEDLE, _needle_block(nodes))]
    if torch := peers.torch():
        contestants.append(Contestant(PYTORCH, _torch_block(torch, nodes)))
    parts = compete(contestants, plan.at_most(7).without_threads())
    return [
        Figure(
            f"chain/{part}",
            f"chain of {nodes:,} multiplications, {part}, per node",
            parts[part],
            [Bound(at_most, (PYTORCH,))],
        )
        for part, at_most in (("forward", 0.06), ("backward", 0.06), ("drop", 0.1))
    ]


def walk(x: Any, seed: Any, nodes: int) -> Mapping[str, float]:
    """Build a chain on the leaf `x`, differentiate it, drop it: the seconds of each, per node."""
    factor = FACTOR
    begin = time.perf_counter()
    y = x
    for _ in range(nodes):
        y = y * factor
    built = time.perf_counter()
    y.backward(seed)
    # A gradient counts when its value is there.
    x.grad.numpy()
    differentiated = time.perf_counter()
    del y
    dropped = time.perf_counter()
    x.grad = None
    return {
        "forward": (built - begin) / nodes,
        "backward": (differentiated - built) / nodes,
        "drop": (dropped - differentiated) / nodes,
    }


def _needle_block(nodes: int) -> Block:
    x = ndl.Tensor(np.ones(4, np.float32), requires_grad=True)
    seed = ndl.Tensor(np.ones(4, np.float32), requires_grad=False)
    return lambda: _undisturbed(x, seed, nodes)


def _torch_block(torch: Any, nodes: int) -> Block:
    x = torch.ones(4, requires_grad=True)
    seed = torch.ones(4)
    return lambda: _undisturbed(x, seed, nodes)


def _undisturbed(x: Any, seed: Any, nodes: int) -> Mapping[str, float]:
    """A walk without Python's cycle collector, which `timeit` switches off as well."""
    gc.collect()
    gc.disable()
    try:
        return walk(x, seed, nodes)
    finally:
        gc.enable()
