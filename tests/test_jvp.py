"""Forward mode as `needle.optimize` uses it: `needle._core.jvp`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, _core, ops


def test_tangents_are_those_of_finite_differences() -> None:
    random = np.random.default_rng(0)
    a, b, da, db = (random.standard_normal((3, 3)) for _ in range(4))

    def f(a: Any, b: Any) -> list[Any]:
        return [ops.tanh(a @ b).sum(axes=0), ops.stack([a[0], b[1] * a[2]]), ops.exp(b)]

    x, y = Tensor(a), Tensor(b)
    found = _core.jvp(f(x, y), [x, y], [Tensor(da), Tensor(db)])
    eps = 1e-6
    above = f(Tensor(a + eps * da), Tensor(b + eps * db))
    below = f(Tensor(a - eps * da), Tensor(b - eps * db))
    for tangent, up, down in zip(found, above, below, strict=True):
        assert tangent is not None
        expected = (up.numpy() - down.numpy()) / (2 * eps)
        np.testing.assert_allclose(tangent.numpy(), expected, atol=1e-8)
    only = _core.jvp(f(x, y), [x], [Tensor(da)])
    assert [tangent is None for tangent in only] == [False, False, True]


class Double(ndl.TensorOp):
    """An op in Python."""

    def compute(self, x: Any) -> Any:
        return 2 * x

    def gradient(self, out_grad: Any, node: Any) -> Any:
        return 2 * out_grad


def test_wrong_use() -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="jvp: expected 1 tangents, got 0"):
        _core.jvp([x], [x], [])
    with pytest.raises(ndl.ShapeError, match=r"jvp: a tangent has shape \(1,\), expected \(2,\)"):
        _core.jvp([x * 2], [x], [Tensor([1.0])])
    with pytest.raises(ndl.GradError, match="forward mode is not defined for ops that are not"):
        _core.jvp([Double()(x)], [x], [Tensor([1.0, 1.0])])


def test_replaced_data_is_refused() -> None:
    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    product, total = x * y, x + y
    x.data = Tensor([5.0, 6.0])
    with pytest.raises(ndl.GradError, match="multiply: its gradient needs input 0, which was rep"):
        _core.jvp([product], [y], [Tensor([1.0, 1.0])])
    (tangent,) = _core.jvp([total], [y], [Tensor([1.0, 1.0])])
    assert tangent is not None
    assert tangent.tolist() == [1.0, 1.0]
