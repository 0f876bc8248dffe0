"""The most memory that a piece of work takes beyond what the process had after its imports."""

from __future__ import annotations

import json
from pathlib import Path

from .. import peers
from ..child import run_python
from ..figures import Bound, Figure, Unit
from ..peers import NEEDLE, PYTORCH
from ..timing import Block, Contestant, Plan, compete

_CHILD = Path(__file__).with_name("memory_child.py")

WORK = {
    "mnist": "MNIST 784-100-10, one epoch",
    "function": "sum(tanh(.8x+.1) exp(-x^2)) with gradient, 1e7",
    "layers": "a step of 20 tanh layers of 512, batch 1000",
}


def memory(plan: Plan) -> list[Figure]:
    """peak memory of an MNIST epoch, a function of 1e7 elements, and a step of 20 layers"""
    libraries = {NEEDLE: "needle"}
    if peers.torch():
        libraries[PYTORCH] = "torch"
    figures = []
    for name, title in WORK.items():
        contestants = [Contestant(who, _block(name, library)) for who, library in libraries.items()]
        samples = compete(contestants, plan.at_most(3).without_threads())[""]
        bound = Bound(1.0, (PYTORCH,))
        figures.append(
            Figure(f"memory/{name}", f"{title}: peak memory", samples, [bound], Unit.BYTES)
        )
    return figures


def _block(work: str, library: str) -> Block:
    def block() -> dict[str, float]:
        return {"": json.loads(run_python(str(_CHILD), work, library))}

    return block
