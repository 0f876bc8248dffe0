"""Kernels on arrays: elementwise functions, reductions, broadcasting, the softmax family.

Each piece of work is written once for needle and NumPy and once for PyTorch; nothing is
recorded unless the work says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import needle as ndl
from needle import ops

from .. import peers
from ..figures import Bound, Figure
from ..peers import NEEDLE, NUMPY, PYTORCH
from ..timing import Contestant, Plan, Repeated, compete

SIZES = (1_000, 100_000, 10_000_000)


@dataclass(frozen=True, slots=True)
class Work:
    """One thing to do in the words of each library; "" where NumPy has no single word."""

    name: str
    needle: str
    numpy: str
    torch: str


ELEMENTWISE = (
    Work("add", "a + b", "a + b", "a + b"),
    Work("mul", "a * b", "a * b", "a * b"),
    Work("exp", "ops.exp(a)", "np.exp(a)", "torch.exp(a)"),
    Work("log", "ops.log(a)", "np.log(a)", "torch.log(a)"),
    Work("tanh", "ops.tanh(a)", "np.tanh(a)", "torch.tanh(a)"),
    Work("sigmoid", "ops.sigmoid(a)", "", "torch.sigmoid(a)"),
    Work("sum", "a.sum()", "a.sum()", "a.sum()"),
    Work("max", "a.max()", "a.max()", "a.max()"),
)

MATRIX = (
    Work("sum over axis 0", "a.sum(0)", "a.sum(0)", "a.sum(0)"),
    Work("sum over axis 1", "a.sum(1)", "a.sum(1)", "a.sum(1)"),
    Work("sum over the middle of (64,256,128)", "c.sum(1)", "c.sum(1)", "c.sum(1)"),
    Work("mean", "a.mean()", "a.mean()", "a.mean()"),
    Work("var", "a.var()", "a.var()", "a.var(correction=0)"),
    Work("a.T + b", "a.T + t", "a.T + t", "a.T + t"),
    Work("row broadcast", "a + row", "a + row", "a + row"),
    Work("column broadcast", "a + column", "a + column", "a + column"),
)


def elementwise(plan: Plan) -> list[Figure]:
    """add, mul, exp, log, tanh, sigmoid, sum, max of 1e3, 1e5 and 1e7 float32"""
    figures = []
    for size in SIZES:
        names = {name: _positive(size, seed=seed) for seed, name in enumerate("ab")}
        for work in ELEMENTWISE:
            # At 1e7 a fresh result is mostly page faults, which the pool avoids.
            allocates = size == SIZES[-1] and work.name not in ("sum", "max")
            bound = Bound(0.7 if allocates else 1.0, (NUMPY, PYTORCH)[not work.numpy :])
            title = f"{work.name}, {size:.0e} float32".replace("e+0", "e")
            figures.append(
                _race(f"elementwise/{work.name}/{size}", title, work, names, bound, plan)
            )
    return figures


def matrices(plan: Plan) -> list[Figure]:
    """reductions, a.T + b and broadcasts of (2048,1024) float32"""
    names = {
        "a": _positive(2048, 1024, seed=0),
        "t": _positive(1024, 2048, seed=1),
        "c": _positive(64, 256, 128, seed=2),
        "row": _positive(1024, seed=3),
        "column": _positive(2048, 1, seed=4),
    }
    bound = Bound(1.0, (PYTORCH,))
    return [
        _race(f"matrix/{work.name}", f"{work.name}, (2048,1024)", work, names, bound, plan)
        for work in MATRIX
    ]


def _race(
    key: str,
    title: str,
    work: Work,
    names: Mapping[str, Any],
    bound: Bound,
    plan: Plan,
) -> Figure:
    mine = {name: ndl.Tensor(array, requires_grad=False) for name, array in names.items()}
    contestants = [Contestant(NEEDLE, Repeated(work.needle, {**mine, "ops": ops}))]
    if work.numpy:
        contestants.append(Contestant(NUMPY, Repeated(work.numpy, {**names, "np": np})))
    if torch := peers.torch():
        theirs = {name: torch.from_numpy(array) for name, array in names.items()}
        contestants.append(Contestant(PYTORCH, Repeated(work.torch, {**theirs, "torch": torch})))
    samples = compete(contestants, plan.at_most(5))[""]
    return Figure(key, title, samples, [bound])


def _positive(*shape: int, seed: int) -> Any:
    return np.random.default_rng(seed).random(shape, dtype=np.float32) + np.float32(0.1)


# --- recorded, with gradients -------------------------------------------------------------------

RECORDED: Sequence[tuple[str, str, str]] = (
    ("softmax", "ops.softmax(a).backward(g)", "torch.softmax(a, 1).backward(g)"),
    ("log_softmax", "ops.log_softmax(a).backward(g)", "torch.log_softmax(a, 1).backward(g)"),
    (
        "log_softmax and NLL",
        "ops.cross_entropy(a, labels).backward()",
        "F.cross_entropy(a, labels).backward()",
    ),
    ("layer_norm", "ops.layer_norm(a).backward(g)", "F.layer_norm(a, (1024,)).backward(g)"),
    ("gelu", "ops.gelu(a).backward(g)", "F.gelu(a).backward(g)"),
)


def softmaxes(plan: Plan) -> list[Figure]:
    """softmax and its loss, layer_norm, gelu, with gradient, (2048,1024), beside PyTorch's"""
    return [_with_gradient(name, mine, theirs, plan) for name, mine, theirs in RECORDED]


def _with_gradient(name: str, needle: str, pytorch: str, plan: Plan) -> Figure:
    array, seed = (np.random.default_rng(i).standard_normal((2048, 1024), "f4") for i in (0, 1))
    labels = np.random.default_rng(2).integers(0, 1024, 2048)
    a, g = ndl.Tensor(array), ndl.Tensor(seed, requires_grad=False)
    mine = {"a": a, "g": g, "labels": ndl.Tensor(labels, requires_grad=False), "ops": ops}
    contestants = [Contestant(NEEDLE, Repeated(needle, mine))]
    if torch := peers.torch():
        tensors = {"g": torch.from_numpy(seed), "labels": torch.from_numpy(labels)}
        a = torch.from_numpy(array).requires_grad_()
        theirs = {"a": a, "torch": torch, "F": torch.nn.functional, **tensors}
        contestants.append(Contestant(PYTORCH, Repeated(f"a.grad = None; {pytorch}", theirs)))
    samples = compete(contestants, plan.at_most(5))[""]
    title = f"{name}, forward and backward, (2048,1024)"
    return Figure(f"gradient/{name.replace(' ', '-')}", title, samples, [Bound(0.9, (PYTORCH,))])


def function(plan: Plan, size: int = 10_000_000) -> list[Figure]:
    """sum(tanh(.8 x + .1) exp(-x^2)) with its gradient, 1e7 float32, eager"""
    array = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    code = "(tanh(x * 0.8 + 0.1) * exp(-(x * x))).sum().backward()"
    mine = {"x": ndl.Tensor(array), "tanh": ops.tanh, "exp": ops.exp}
    contestants = [Contestant(NEEDLE, Repeated(code, mine))]
    if torch := peers.torch():
        x = torch.from_numpy(array).requires_grad_()
        theirs = {"x": x, "tanh": torch.tanh, "exp": torch.exp}
        contestants.append(Contestant(PYTORCH, Repeated(f"x.grad = None; {code}", theirs)))
    samples = compete(contestants, plan.at_most(5))[""]
    title = f"sum(tanh(.8x+.1) exp(-x^2)) with gradient, {size:.0e}".replace("e+0", "e")
    return [Figure("function", title, samples, [Bound(0.5, (PYTORCH,))])]
