"""Optimisers beside NumPy, and what a step leaves alone (CONTRACT 8)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, optim

SHAPES = [(3, 4), (4,), (), (2, 0), (70, 300)]


def problem(dtype: str) -> tuple[list[Tensor], list[np.ndarray]]:
    random = np.random.RandomState(0)
    arrays = [random.standard_normal(shape).astype(dtype) for shape in SHAPES]
    return [Tensor(array) for array in arrays], arrays


def give_gradients(params: list[Any], seed: int) -> list[np.ndarray]:
    random = np.random.RandomState(seed)
    grads = [random.standard_normal(p.shape).astype(p.dtype) for p in params]
    for param, grad in zip(params, grads, strict=True):
        param.grad = Tensor(grad, requires_grad=False)
    return grads


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.01), (0.0, 0.01)])
def test_sgd_is_the_formula(dtype: str, momentum: float, decay: float) -> None:
    params, arrays = problem(dtype)
    optimizer = optim.SGD(params, lr=0.1, momentum=momentum, weight_decay=decay)
    velocities = [np.zeros_like(array) for array in arrays]
    for step in range(5):
        grads = give_gradients(params, step)
        optimizer.step()
        for i, grad in enumerate(grads):
            rest = grad + decay * arrays[i]
            velocities[i] = momentum * velocities[i] + (1 - momentum) * rest
            arrays[i] = arrays[i] - 0.1 * velocities[i]
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for param, array in zip(params, arrays, strict=True):
        assert param.dtype == dtype
        np.testing.assert_allclose(param.numpy(), array, rtol=tolerance, atol=tolerance)
    if momentum:
        np.testing.assert_allclose(optimizer.u[params[0]].numpy(), velocities[0], rtol=tolerance)
    else:
        assert optimizer.u == {}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_adam_is_the_formula(dtype: str, decay: float) -> None:
    params, arrays = problem(dtype)
    optimizer = optim.Adam(params, lr=0.1, weight_decay=decay)
    means = [np.zeros_like(array) for array in arrays]
    squares = [np.zeros_like(array) for array in arrays]
    for step in range(5):
        grads = give_gradients(params, step)
        optimizer.step()
        for i, grad in enumerate(grads):
            rest = grad + decay * arrays[i]
            means[i] = 0.9 * means[i] + 0.1 * rest
            squares[i] = 0.999 * squares[i] + 0.001 * rest**2
            mean, square = (
                means[i] / (1 - 0.9 ** (step + 1)),
                squares[i] / (1 - 0.999 ** (step + 1)),
            )
            arrays[i] = arrays[i] - 0.1 * mean / (np.sqrt(square) + 1e-8)
    assert optimizer.t == 5
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for i, param in enumerate(params):
        np.testing.assert_allclose(param.numpy(), arrays[i], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(optimizer.m[param].numpy(), means[i], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(optimizer.v[param].numpy(), squares[i], rtol=1e-4, atol=1e-7)


def test_clipping_scales_all_gradients_together() -> None:
    a, b = Tensor([3.0]), Tensor([0.0, 0.0])
    a.grad, b.grad = Tensor([3.0]), Tensor([0.0, 4.0])
    optimizer = optim.SGD([a, b])
    optimizer.clip_grad_norm(10.0)
    assert a.grad.tolist() == [3.0]
    optimizer.clip_grad_norm(1.0)
    np.testing.assert_allclose(a.grad.numpy(), [0.6])
    np.testing.assert_allclose(b.grad.numpy(), [0.0, 0.8])


def test_errors_change_nothing() -> None:
    with pytest.raises(TypeError, match="params: expected tensors, got int at 1"):
        optim.SGD([Tensor([1.0]), 2])  # type: ignore[list-item]
    whole, real = Tensor([1, 2]), Tensor([1.0])
    whole.grad, real.grad = Tensor([1, 1]), Tensor([1.0])
    with pytest.raises(ndl.DTypeError, match="sgd: expected float parameters, got int64"):
        optim.SGD([real, whole]).step()
    assert real.tolist() == [1.0]
    optimizer = optim.SGD([real], momentum=0.5)
    optimizer.u[real] = Tensor([1.0, 2.0])
    with pytest.raises(ndl.ShapeError, match=r"a parameter of shape \(1,\) meets \(2,\)"):
        optimizer.step()
    with pytest.raises(ValueError, match="adam: expected a step from 1 on, got 0"):
        adam = optim.Adam([real])
        adam.t = -1
        adam.step()
    assert real.tolist() == [1.0]
    assert optimizer.u[real].tolist() == [1.0, 2.0]
