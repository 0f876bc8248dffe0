"""Random programs against a naive engine: a tape of closures over NumPy (hypothesis)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

import needle as ndl
from needle import Tensor

Pull = Callable[[np.ndarray], list[np.ndarray]]


class Naive:
    """A value, its parents, and how an adjoint goes back to them."""

    def __init__(
        self, value: Any, parents: tuple[Naive, ...] = (), pull: Pull | None = None
    ) -> None:
        self.value = np.asarray(value, dtype="f8")
        self.needs = any(p.needs for p in parents)
        self.parents = parents if self.needs else ()
        self.pull = pull
        self.grad: np.ndarray | None = None


def shrink(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The sum over what was broadcast."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    kept = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=kept, keepdims=True)


def sweep(root: Naive) -> dict[Naive, np.ndarray]:
    """The adjoint of every value that the root depends on."""
    order: list[Naive] = []

    def visit(node: Naive) -> None:
        if node not in order:
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    adjoints = {root: np.ones(root.value.shape)}
    for node in reversed(order):
        if node.parents and node in adjoints:
            for parent, part in zip(node.parents, node.pull(adjoints[node]), strict=True):
                part = shrink(part, parent.value.shape)
                adjoints[parent] = adjoints.get(parent, 0) + part
    return adjoints


UNARY: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "tanh": (np.tanh, lambda x, y: 1 - y * y),
    "sin": (np.sin, lambda x, y: np.cos(x)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x, y: y * (1 - y)),
    "relu": (lambda x: np.maximum(x, 0), lambda x, y: (x > 0) * 1.0),
    "negate": (np.negative, lambda x, y: -np.ones_like(x)),
}
BINARY: dict[str, tuple[Callable[..., Any], Callable[..., list[Any]]]] = {
    "add": (np.add, lambda g, a, b: [g, g]),
    "subtract": (np.subtract, lambda g, a, b: [g, -g]),
    "multiply": (np.multiply, lambda g, a, b: [g * b, g * a]),
    "maximum": (np.maximum, lambda g, a, b: [g * (a > b), g * (b > a)]),
}
SHAPES = [(2, 3), (3,), (2, 1), (), (1, 3)]


class Machine(RuleBasedStateMachine):
    """Grows, reads, differentiates and drops two graphs side by side."""

    values = Bundle("values")

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[Tensor, Naive]] = []
        self.start = ndl.autograd.TENSOR_COUNTER
        self.modes: list[Any] = []

    def keep(self, t: Tensor, n: Naive) -> tuple[Tensor, Naive]:
        assert t.shape == n.value.shape
        assert t.requires_grad == n.needs
        self.pairs.append((t, n))
        return t, n

    @initialize(lazy=st.booleans())
    def mode(self, lazy: bool) -> None:
        self.modes.append(ndl.lazy(lazy))
        self.modes[-1].__enter__()

    @rule(
        target=values, shape=st.sampled_from(SHAPES), seed=st.integers(0, 99), needs=st.booleans()
    )
    def leaf(self, shape: tuple[int, ...], seed: int, needs: bool) -> Any:
        array = np.random.RandomState(seed).uniform(-2, 2, size=shape)
        node = Naive(array)
        node.needs = needs
        return self.keep(Tensor(array, requires_grad=needs), node)

    @rule(target=values, x=values, name=st.sampled_from(sorted(UNARY)))
    def unary(self, x: Any, name: str) -> Any:
        forward, slope = UNARY[name]
        a = x[1].value
        y = forward(a)
        return self.keep(getattr(ndl, name)(x[0]), Naive(y, (x[1],), lambda g: [g * slope(a, y)]))

    @rule(target=values, x=values, y=values, name=st.sampled_from(sorted(BINARY)))
    def binary(self, x: Any, y: Any, name: str) -> Any:
        forward, pull = BINARY[name]
        a, b = x[1].value, y[1].value
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            with pytest.raises(ndl.ShapeError):
                getattr(ndl, name)(x[0], y[0])
            return multiple()
        if name == "maximum" and np.any(np.equal(a, b)):
            name, (forward, pull) = "add", BINARY["add"]
        node = Naive(forward(a, b), (x[1], y[1]), lambda g: pull(g, a, b))
        result = x[0] - y[0] if name == "subtract" else getattr(ndl, name)(x[0], y[0])
        return self.keep(result, node)

    @rule(target=values, x=values, c=st.floats(-2, 2))
    def scalar(self, x: Any, c: float) -> Any:
        return self.keep(c - x[0] * c, Naive(c - x[1].value * c, (x[1],), lambda g: [-g * c]))

    @rule(target=values, x=values, mean=st.booleans())
    def reduce(self, x: Any, mean: bool) -> Any:
        a = x[1].value
        axis = a.ndim - 1 if a.ndim else None
        n = (a.shape[-1] if a.ndim else 1) if mean else 1
        result = x[0].mean(axes=axis) if mean else x[0].sum(axes=axis)

        def pull(g: np.ndarray) -> list[np.ndarray]:
            wide = g[..., None] if a.ndim else g
            return [np.broadcast_to(wide, a.shape) / n]

        return self.keep(result, Naive(a.sum(axis=axis) / n, (x[1],), pull))

    @rule(target=values, x=values)
    def turn(self, x: Any) -> Any:
        a = x[1].value
        node = Naive(a.reshape(-1)[::-1], (x[1],), lambda g: [g[::-1].reshape(a.shape)])
        return self.keep(x[0].reshape((-1,))[::-1], node)

    @rule(target=values, x=values)
    def detach(self, x: Any) -> Any:
        return self.keep(x[0].detach(), Naive(x[1].value))

    @rule(x=values)
    def backward(self, x: Any) -> None:
        if not x[1].needs:
            return
        x[0].backward()
        for node, adjoint in sweep(x[1]).items():
            node.grad = adjoint

    @rule(x=values)
    def read(self, x: Any) -> None:
        np.testing.assert_allclose(x[0].numpy(), x[1].value, rtol=1e-9, atol=1e-9)

    @rule(x=consumes(values))
    def drop(self, x: Any) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0] is not x[0]]

    @invariant()
    def gradients_agree(self) -> None:
        for tensor, node in self.pairs:
            if not node.needs:
                continue  # a lazy result without gradient has no pending one, an eager one has
            grad = tensor.grad
            assert (grad is None) == (node.grad is None)
            if grad is not None:
                np.testing.assert_allclose(grad.numpy(), node.grad, rtol=1e-8, atol=1e-8)

    def teardown(self) -> None:
        for tensor, node in self.pairs:
            np.testing.assert_allclose(tensor.numpy(), node.value, rtol=1e-9, atol=1e-9)
        for mode in self.modes:
            mode.__exit__(None, None, None)
        self.pairs.clear()


Machine.TestCase.settings = settings(
    max_examples=300, stateful_step_count=30, deadline=None, derandomize=True
)
TestRandomGraphs = Machine.TestCase
