"""Matrix products of float32, nothing recorded."""

from __future__ import annotations

import math

import numpy as np

import needle as ndl

from .. import peers
from ..figures import Bound, Figure, Unit
from ..peers import NEEDLE, NUMPY, PYTORCH
from ..timing import Contestant, Plan, Repeated, Sample, compete

# Rows, inner size, columns.
SIZES = (
    *((n, n, n) for n in (64, 128, 256, 512, 1024, 2048)),
    (100, 784, 100),
    (784, 100, 100),
    (37, 211, 53),
    (1000, 3, 1000),
)
# Which side is a transposed view.
FORMS = ("a @ b", "a.T @ b", "a @ b.T")
BATCHES = (((64, 32, 64), (64, 64, 32)), ((8, 12, 128, 64), (8, 12, 64, 128)))

# A row of a single size may be this much slower than the best of the others.
ROW = 1.15


def matmul(plan: Plan) -> list[Figure]:
    """64 to 2048 square and others, plain and with either side transposed, beside the best"""
    figures = [_product(plan, *size, form) for size in SIZES for form in FORMS]
    # Without the others there is nothing that the mean could be beside.
    return [*figures, _mean(figures)] if len(figures[0].samples) > 1 else figures


def batched(plan: Plan) -> list[Figure]:
    """batched products, attention's among them, beside PyTorch's"""
    bound = Bound(1.0, (PYTORCH,))
    return [_race(plan, a, b, "a @ b", bound) for a, b in BATCHES]


def _product(plan: Plan, rows: int, inner: int, columns: int, form: str) -> Figure:
    a = (inner, rows) if form.startswith("a.T") else (rows, inner)
    b = (columns, inner) if form.endswith("b.T") else (inner, columns)
    return _race(plan, a, b, form, Bound(ROW, (NUMPY, PYTORCH)))


def _race(
    plan: Plan, a_shape: tuple[int, ...], b_shape: tuple[int, ...], form: str, bound: Bound
) -> Figure:
    random = np.random.default_rng(0)
    a = random.standard_normal(a_shape, dtype=np.float32)
    b = random.standard_normal(b_shape, dtype=np.float32)
    mine = {"a": ndl.Tensor(a, requires_grad=False), "b": ndl.Tensor(b, requires_grad=False)}
    contestants = [
        Contestant(NEEDLE, Repeated(form, mine)),
        Contestant(NUMPY, Repeated(form, {"a": a, "b": b})),
    ]
    if torch := peers.torch():
        theirs = {"a": torch.tensor(a), "b": torch.tensor(b)}
        contestants.append(Contestant(PYTORCH, Repeated(form, theirs)))
    shapes = " x ".join(str(shape).replace(" ", "") for shape in (a_shape, b_shape))
    samples = compete(contestants, plan.at_most(5))[""]
    result = (a.T if form.startswith("a.T") else a) @ (b.T if form.endswith("b.T") else b)
    operations = 2 * result.size * (a.shape[0] if form.startswith("a.T") else a.shape[-1])
    speeds = ", ".join(
        f"{name} {operations / sample.median / 1e9:.0f}" for name, sample in samples.items()
    )
    key = f"matmul/{form.replace(' ', '')}/{shapes.replace(' ', '')}"
    return Figure(key, f"{form}, {shapes}", samples, [bound], notes=[f"{speeds} GF/s"])


def _mean(figures: list[Figure]) -> Figure:
    """The geometric mean of needle's times over those of the best peer of each row."""
    ratios = []
    for figure in figures:
        theirs = [s.median for name, s in figure.samples.items() if name != NEEDLE]
        ratios.append(figure.samples[NEEDLE].median / min(theirs))
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    title = f"matmul, geometric mean of these {len(ratios)} ratios"
    return Figure("matmul/mean", title, {NEEDLE: Sample((mean,))}, [Bound(1.0)], Unit.RATIO)
