"""What this machine delivers: the measure for figures that stand beside no faster peer.

The limits are taken from whoever is fastest in the same run: nobody reads or multiplies faster
here.
"""

from __future__ import annotations

import numpy as np

import needle as ndl

from .. import peers
from ..figures import Figure
from ..peers import NEEDLE, NUMPY, PYTORCH
from ..timing import Contestant, Plan, Repeated, compete

_BYTES = 1 << 29
_SIDE = 1536


def limits(plan: Plan) -> list[Figure]:
    """what the machine delivers: bytes read and copied in a second, multiply-adds in a second"""
    large = np.ones(_BYTES // 4, np.float32)
    square = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
    return [
        _measure("read", "a.sum()", large, _BYTES, "bytes", plan),
        _measure("copy", "a * 1.0", large, 2 * _BYTES, "bytes", plan),
        _measure("multiply", "a @ a", square, 2 * _SIDE**3, "operations", plan),
    ]


def _measure(key: str, code: str, array: object, amount: int, what: str, plan: Plan) -> Figure:
    tensors = {NEEDLE: ndl.Tensor(array, requires_grad=False), NUMPY: array}
    if torch := peers.torch():
        tensors[PYTORCH] = torch.from_numpy(array)
    contestants = [Contestant(who, Repeated(code, {"a": a})) for who, a in tensors.items()]
    samples = compete(contestants, plan.at_most(5))[""]
    best = min(sample.median for sample in samples.values())
    title = f"limit: {key} {amount / 1e9:.1f} G {what}"
    return Figure(f"limits/{key}", title, samples, notes=[f"{amount / best / 1e9:.0f} G a second"])
