"""Forward mode as `needle.optimize` uses it: `needle._core.tangents`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, _core, ops


def jvp(outputs: list[Any], inputs: list[Any], tangents: list[Any]) -> list[Any]:
    """The tangents along one direction, as arrays: every op takes it alone."""
    found = _core.tangents(outputs, inputs, [Tensor(np.asarray(t)[None]) for t in tangents])
    return [None if tangent is None else tangent.numpy()[0] for tangent in found]


def test_tangents_are_those_of_finite_differences() -> None:
    random = np.random.default_rng(0)
    a, b, da, db = (random.standard_normal((3, 3)) for _ in range(4))

    def f(a: Any, b: Any) -> list[Any]:
        return [ops.tanh(a @ b).sum(axes=0), ops.stack([a[0], b[1] * a[2]]), ops.exp(b)]

    x, y = Tensor(a), Tensor(b)
    found = jvp(f(x, y), [x, y], [da, db])
    eps = 1e-6
    above = f(Tensor(a + eps * da), Tensor(b + eps * db))
    below = f(Tensor(a - eps * da), Tensor(b - eps * db))
    for tangent, up, down in zip(found, above, below, strict=True):
        expected = (up.numpy() - down.numpy()) / (2 * eps)
        np.testing.assert_allclose(tangent, expected, atol=1e-8)
    only = jvp(f(x, y), [x], [da])
    assert [tangent is None for tangent in only] == [False, False, True]


def test_stacked_tangents_are_those_of_one_direction_after_the_other() -> None:
    random = np.random.default_rng(1)
    a, row, number = (random.standard_normal(shape) for shape in ((3, 4), (4,), ()))
    x, y, z = Tensor(a), Tensor(row), Tensor(number)
    # Broadcasts of one and of no dimension, ops that look at shapes, tuples, constants.
    mixed = ops.exp(x * y - z) / (2.0 + x * x) + ops.tanh(z) * np.ones((2, 3, 4))
    parts = ops.split(ops.softmax(mixed.sum(axes=0) @ x.T, -1), 1)
    outputs = [mixed, parts[0] * z + parts[2], ops.stack([y, x[1]]), z * z, y + 1.0]
    stacks = [random.standard_normal((5, *v.shape)) for v in (x, y, z)]
    found = _core.tangents(outputs, [x, y, z], [Tensor(stack) for stack in stacks])
    for i in range(5):
        one = jvp(outputs, [x, y, z], [stack[i] for stack in stacks])
        for output, all_, single in zip(outputs, found, one, strict=True):
            assert all_ is not None
            assert all_.shape == (5, *output.shape)
            np.testing.assert_allclose(all_.numpy()[i], single, rtol=1e-12, atol=1e-14)
    assert _core.tangents([z * 2.0], [x], [Tensor(stacks[0])]) == [None]


def test_stacked_tangents_must_fit() -> None:
    x, y = Tensor([1.0, 2.0]), Tensor(3.0)
    three, two = Tensor(np.ones((3, 2))), Tensor(np.ones(2))
    with pytest.raises(ndl.ShapeError, match=r"one has shape \(2,\), expected \(3,\)"):
        _core.tangents([x * y], [x, y], [three, two])
    with pytest.raises(ndl.ShapeError, match=r"one has shape \(\), expected \(1, 2\)"):
        _core.tangents([x * y], [x], [Tensor(1.0)])
    with pytest.raises(ValueError, match="tangents: expected 1 of them, got 0"):
        _core.tangents([x], [x], [])
    with pytest.raises(ValueError, match="expected at least one direction, got none"):
        _core.tangents([x * y], [x], [Tensor(np.ones((0, 2)))])
    with pytest.raises(ValueError, match="expected at least one input, got none"):
        _core.tangents([x * y], [], [])
    with pytest.raises(ndl.GradError, match="forward mode is not defined for ops that are not"):
        _core.tangents([Double()(x)], [x], [three])


class Double(ndl.TensorOp):
    """An op in Python."""

    def compute(self, x: Any) -> Any:
        return 2 * x

    def gradient(self, out_grad: Any, node: Any) -> Any:
        return 2 * out_grad


def test_replaced_data_is_refused() -> None:
    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    product, total = x * y, x + y
    x.data = Tensor([5.0, 6.0])
    with pytest.raises(ndl.GradError, match="multiply: its gradient needs input 0, which was rep"):
        jvp([product], [y], [[1.0, 1.0]])
    (tangent,) = jvp([total], [y], [[1.0, 1.0]])
    assert tangent.tolist() == [1.0, 1.0]


def test_elements_of_a_graph() -> None:
    x, y = Tensor(np.ones((3, 4))), Tensor(np.ones(4))
    parts = ops.split(x * y, 0)  # 12 + 4, the product, and its rows as a tuple
    assert _core.graph_elements([parts[0], y]) == 12 + 4 + 12 + 12 + 4
