"""Ops written in Python that return anything, raise, call needle again, and keep what they see."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import arrays
from tools.fuzz.allowed import PLANTED, PlantedError, PlantedInterrupt
from tools.fuzz.case import Case

# How deep an op may call others of its kind.
DEEPEST = 3


class Behaviour:
    """What an op does in `compute` and `gradient`: one answer after the other."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.depth = 0
        self.raised: BaseException | None = None
        self.right = case.chance(0.4)
        self.tensors: list[Any] = []

    def compute(self, op: Any, given: tuple[Any, ...]) -> Any:
        first = given[0] if given else np.zeros(())
        return first * 2 if self.right else self._answer(op, COMPUTED, first)

    def gradient(self, op: Any, out_grad: Any, node: Any) -> Any:
        if self.right and self.case.chance(0.7):
            return tuple(out_grad * 2 for _ in node.inputs)
        return self._answer(op, GRADIENTS, (out_grad, node))

    def _answer(self, op: Any, answers: Any, given: Any) -> Any:
        self.depth += 1
        try:
            return self.case.choice(answers)(self, op, given)
        except PLANTED as error:
            self.raised = error
            raise
        finally:
            self.depth -= 1

    def recurse(self, op: Any, given: Any) -> Any:
        """The op within itself, on new tensors, with a sweep of its own."""
        if self.depth >= DEEPEST:
            return given
        x = ndl.Tensor([1.0, 2.0])
        y = op(x)
        if self.case.chance(0.5) and isinstance(y, ndl.Tensor) and y.requires_grad:
            y.backward()
        return y.numpy() if self.case.chance(0.5) else given


def _raise(behaviour: Behaviour, op: Any, given: Any) -> Any:
    raise behaviour.case.choice((PlantedError, PlantedInterrupt))("planted")


def _replace(behaviour: Behaviour, op: Any, given: Any) -> Any:
    for t in behaviour.tensors:
        t.data = ndl.Tensor(np.ones(behaviour.case.choice((t.shape, (2,), ()))))
    return given


def _write(behaviour: Behaviour, op: Any, given: Any) -> Any:
    if isinstance(given, np.ndarray) and given.flags.writeable:
        given[...] = 7
    return given


ODD: tuple[Callable[[Behaviour, Any, Any], Any], ...] = (
    lambda b, op, a: None,
    lambda b, op, a: "text",
    lambda b, op, a: 3,
    lambda b, op, a: (),
    lambda b, op, a: [a],
    lambda b, op, a: object(),
    lambda b, op, a: (None, None, None),
    lambda b, op, a: np.array(["a"]),
    lambda b, op, a: np.broadcast_to(np.ones(()), (3, 2**40)),
    _raise,
    _replace,
    Behaviour.recurse,
)
COMPUTED: tuple[Callable[[Behaviour, Any, Any], Any], ...] = (
    *ODD,
    lambda b, op, a: a,
    lambda b, op, a: a[None],
    lambda b, op, a: a.T,
    lambda b, op, a: a[..., ::-1],
    lambda b, op, a: arrays.array(b.case),
    lambda b, op, a: ndl.Tensor(a),
    lambda b, op, a: ndl.exp(ndl.Tensor(a)).numpy(),
    lambda b, op, a: (a, a),
    lambda b, op, a: (a, a[None], arrays.array(b.case)),
    lambda b, op, a: ndl.make_tuple(ndl.Tensor(a)),
    lambda b, op, a: np.ma.masked_array(a),
    lambda b, op, a: a.sum(),
    _write,
)
GRADIENTS: tuple[Callable[[Behaviour, Any, Any], Any], ...] = (
    *ODD,
    lambda b, op, g: g[0],
    lambda b, op, g: g[1],
    lambda b, op, g: g[1].inputs[0],
    lambda b, op, g: (g[0], g[0]),
    lambda b, op, g: (g[0],) * len(g[1].inputs),
    lambda b, op, g: [g[0] * 2] * len(g[1].inputs),
    lambda b, op, g: g[0].numpy(),
    lambda b, op, g: g[0].sum(),
    lambda b, op, g: ndl.Tensor(arrays.array(b.case)),
    lambda b, op, g: tuple(ndl.Tensor(np.ones(t.shape), dtype="float32") for t in g[1].inputs),
    lambda b, op, g: ndl.split(g[0], 0),
    lambda b, op, g: ndl.make_tuple(g[0], g[0]),
    lambda b, op, g: op.gradient(*g) if b.depth < DEEPEST else g[0],
    lambda b, op, g: g[1].backward() or g[0] if b.depth < DEEPEST else g[0],
    lambda b, op, g: ndl.Tensor.__new__(ndl.Tensor),
)


def run(case: Case) -> None:
    """One op in a small graph, in this thread or in several."""
    behaviour = Behaviour(case)
    op = _op(case, behaviour)
    count = case.integer(1, 3)
    shape = case.choice(((), (2,), (2, 3), (0, 2)))
    tensors = [ndl.Tensor(arrays.values(case, "float64", shape)) for _ in range(count)]
    behaviour.tensors = tensors
    lazy = case.chance(0.4)
    case.note(f"{type(op).__mro__[1].__name__} on {count} of {shape}, lazy {lazy}")

    def act() -> None:
        with ndl.lazy(lazy):
            y = case.attempt("call", lambda: op(*[t * 2 for t in tensors]))
            if not isinstance(y, (ndl.Tensor, ndl.TensorTuple)):
                return
            parts = (
                case.attempt("parts", lambda: list(y)) if isinstance(y, ndl.TensorTuple) else [y]
            )
            for part in parts or ():
                case.attempt("value", part.numpy)
                behaviour.raised = None
                swept = case.attempt("sweep", partial(_sweep, part, tensors))
                if swept and not threaded:
                    lost = behaviour.raised
                    case.check(lost is None, f"an exception of the op was lost: {lost!r}")

    threaded = case.chance(0.2)
    if not threaded:
        act()
    others = [threading.Thread(target=act) for _ in range(3 * threaded)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    for t in tensors:
        t.grad = None
    behaviour.tensors, behaviour.raised = [], None


def _sweep(y: ndl.Tensor, tensors: list[ndl.Tensor]) -> bool:
    if not y.requires_grad:
        return False
    (ndl.exp(y) * y).sum().backward()
    for t in tensors:
        if t.grad is not None:
            t.grad.numpy()
            t.grad.sum().backward()
    return True


def _op(case: Case, behaviour: Behaviour) -> Any:
    base = case.choice((ndl.TensorOp, ndl.TensorOp, ndl.Op, ndl.TensorTupleOp, ndl.Exp))
    space: dict[str, Any] = {
        "compute": lambda self, *given: behaviour.compute(self, given),
        "gradient": lambda self, out_grad, node: behaviour.gradient(self, out_grad, node),
    }
    if base is ndl.Exp:
        del space[case.choice(tuple(space))]
    if case.chance(0.2):
        shape = case.choice(((2,), (2, 3), (-1,), (2**40,), "x"))
        space["infer"] = lambda self, *types: (shape, "float64")
    if case.chance(0.1):
        space["__call__"] = lambda self, *given: base.__call__(self, *given)
    return type("UserOp", (base,), space)()
