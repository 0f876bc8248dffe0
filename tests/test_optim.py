"""The rules of optimisers and the clipping of gradients beside NumPy (CONTRACT 8)."""

from __future__ import annotations

import math
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


def shrunk(p: Any, g: Any, o: dict[str, Any], decoupled: bool) -> tuple[Any, Any]:
    """Parameter and gradient with the weight decay in the one or the other."""
    decay = o.get("weight_decay", 0.0)
    return (p * (1 - o["lr"] * decay), g) if decoupled else (p, g + decay * p)


def sgd(p: Any, g: Any, s: list[Any], o: dict[str, Any], t: int) -> Any:
    p, g = shrunk(p, g, o, False)
    m = o["momentum"]
    rest = 1 - o.get("dampening", m)
    s[0] = m * s[0] + rest * g
    return p - o["lr"] * (m * s[0] + rest * g if o.get("nesterov") else s[0])


def adamw(p: Any, g: Any, s: list[Any], o: dict[str, Any], t: int) -> Any:
    p, g = shrunk(p, g, o, True)
    s[0] = 0.9 * s[0] + 0.1 * g
    s[1] = 0.999 * s[1] + 0.001 * g * g
    return p - o["lr"] * (s[0] / (1 - 0.9**t)) / (np.sqrt(s[1] / (1 - 0.999**t)) + 1e-8)


def rmsprop(p: Any, g: Any, s: list[Any], o: dict[str, Any], t: int) -> Any:
    p, g = shrunk(p, g, o, False)
    s[0] = 0.99 * s[0] + 0.01 * g * g
    s[1] = 0.99 * s[1] + 0.01 * g
    spread = s[0] - s[1] ** 2 if o.get("centered") else s[0]
    s[2] = o.get("momentum", 0.0) * s[2] + g / (np.sqrt(spread) + 1e-8)
    return p - o["lr"] * s[2]


def adagrad(p: Any, g: Any, s: list[Any], o: dict[str, Any], t: int) -> Any:
    p, g = shrunk(p, g, o, False)
    s[0] = s[0] + g * g + (o.get("initial_accumulator", 0.0) if t == 1 else 0.0)
    return p - o["lr"] * g / (np.sqrt(s[0]) + 1e-10)


def lion(p: Any, g: Any, s: list[Any], o: dict[str, Any], t: int) -> Any:
    p, _ = shrunk(p, g, o, True)
    direction = np.sign(0.9 * s[0] + 0.1 * g)
    s[0] = 0.99 * s[0] + 0.01 * g
    return p - o["lr"] * direction


RULES: list[tuple[Any, Any, str, dict[str, Any]]] = [
    (optim.SGD, sgd, "u", {"momentum": 0.9, "dampening": 0.0}),
    (optim.SGD, sgd, "u", {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01}),
    (optim.SGD, sgd, "u", {"momentum": 0.9, "nesterov": True}),
    (optim.SGD, sgd, "u", {"momentum": 0.9, "nesterov": True, "dampening": 0.0}),
    (optim.AdamW, adamw, "mv", {"weight_decay": 0.0}),
    (optim.AdamW, adamw, "mv", {"weight_decay": 0.1}),
    (optim.RMSProp, rmsprop, "v", {}),
    (optim.RMSProp, rmsprop, "va", {"centered": True, "weight_decay": 0.01}),
    (optim.RMSProp, rmsprop, "v.u", {"momentum": 0.9}),
    (optim.RMSProp, rmsprop, "vau", {"momentum": 0.9, "centered": True}),
    (optim.Adagrad, adagrad, "s", {}),
    (optim.Adagrad, adagrad, "s", {"initial_accumulator": 0.5, "weight_decay": 0.01}),
    (optim.Lion, lion, "m", {}),
    (optim.Lion, lion, "m", {"weight_decay": 0.1}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("make", "formula", "names", "options"), RULES)
def test_a_rule_is_its_formula(
    dtype: str, make: Any, formula: Any, names: str, options: dict[str, Any]
) -> None:
    options = {"lr": 0.05, **options}
    params, arrays = problem(dtype)
    arrays = [array.astype("float64") for array in arrays]
    optimizer = make(params, **options)
    states = [[np.zeros_like(array) for _ in range(3)] for array in arrays]
    for t in range(1, 6):
        grads = give_gradients(params, t)
        optimizer.step()
        for i, grad in enumerate(grads):
            arrays[i] = formula(arrays[i], grad.astype("float64"), states[i], options, t)
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    for param, array, state in zip(params, arrays, states, strict=True):
        assert param.dtype == dtype
        np.testing.assert_allclose(param.numpy(), array, rtol=tolerance, atol=tolerance)
        for name, expected in zip(names, state, strict=False):
            if name != ".":
                found = getattr(optimizer, name)[param].numpy()
                np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_without_dampening_the_velocity_is_a_sum() -> None:
    """`dampening=0` is PyTorch's: the velocity is a sum, from the bare gradient on."""
    p = Tensor([0.0])
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5, dampening=0.0)
    for expected in (-1.0, -2.5, -4.25):
        p.grad = Tensor([1.0])
        optimizer.step()
        assert p.item() == expected


def test_clipping_scales_all_gradients_together() -> None:
    a, b, without = Tensor([3.0]), Tensor([0.0, 0.0]), Tensor([1.0])
    a.grad, b.grad = before = Tensor([3.0]), Tensor([0.0, 4.0])
    optimizer = optim.SGD([a, b, without])
    assert optimizer.clip_grad_norm(10.0) == 5.0
    assert a.grad is before[0]
    assert optimizer.clip_grad_norm(1.0) == 5.0
    np.testing.assert_allclose(a.grad.numpy(), [0.6])
    np.testing.assert_allclose(b.grad.numpy(), [0.0, 0.8])
    assert [grad.tolist() for grad in before] == [[3.0], [0.0, 4.0]]
    assert without.grad is None


def test_clipping_leaves_frozen_parameters_out() -> None:
    free, frozen = Tensor([1.0, 2.0]), Tensor([2.0, 1.0], requires_grad=False)
    (free * frozen).sum().backward()
    assert frozen.grad is not None
    norm = optim.clip_grad_norm([free, frozen], 1.0)
    assert norm == pytest.approx(np.sqrt(5.0))
    np.testing.assert_allclose(free.grad.numpy(), np.array([2.0, 1.0]) / norm)
    optim.clip_grad_value([free, frozen], 0.5)
    assert free.grad.numpy().max() == 0.5
    assert frozen.grad.tolist() == [1.0, 2.0]


def test_clip_grad_norm() -> None:
    a = Tensor([0.0, 0.0], dtype="float32")
    a.grad = Tensor([3e30, 4e30], dtype="float32")
    assert optim.clip_grad_norm([a, a], 1.0) == pytest.approx(5e30)
    assert a.grad.dtype == "float32"
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    assert optim.clip_grad_norm(a, 0.0) == pytest.approx(1.0)
    assert a.grad.tolist() == [0.0, 0.0]
    assert optim.clip_grad_norm([Tensor([1.0])], 1.0) == 0.0
    a.grad = Tensor([np.nan, 1.0], dtype="float32")
    with pytest.raises(ValueError, match="clip_grad_norm: the norm of the gradients is nan"):
        optim.clip_grad_norm([a], 1.0, error_if_nonfinite=True)
    for wrong in (-1.0, math.nan):
        with pytest.raises(ValueError, match="max_norm: expected a number of at least 0, got"):
            optim.clip_grad_norm([a], wrong)


def test_clipping_to_infinity_measures() -> None:
    a = Tensor([0.0, 0.0])
    a.grad = before = Tensor([3.0, 4.0])
    assert optim.clip_grad_norm([a], math.inf) == 5.0
    assert a.grad is before


def test_frozen_parameters_do_not_count_in_clipping() -> None:
    free, frozen = Tensor([1.0, 1.0]), Tensor([3.0, 4.0], requires_grad=False)
    (free * frozen).sum().backward()
    assert optim.clip_grad_norm([free, frozen], 1.0) == 5.0
    optim.clip_grad_value([free, frozen], 0.5)
    np.testing.assert_allclose(free.grad.numpy(), [0.5, 0.5])
    assert frozen.grad.tolist() == [1.0, 1.0]


def test_clip_grad_value() -> None:
    a, without = Tensor([0.0, 0.0, 0.0], dtype="float32"), Tensor([1.0])
    a.grad = before = Tensor([-3.0, 0.5, 7.0], dtype="float32")
    optim.clip_grad_value([a, without], 1.0)
    assert a.grad.tolist() == [-1.0, 0.5, 1.0]
    assert a.grad.dtype == "float32"
    assert before.tolist() == [-3.0, 0.5, 7.0]
    with pytest.raises(ValueError, match="value: expected a finite number of at least 0, got -1"):
        optim.clip_grad_value([a], -1)


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
    adam = optim.Adam([real])
    adam.t = -1
    with pytest.raises(ValueError, match="adam: expected a step from 1 on, got 0"):
        adam.step()
    assert real.tolist() == [1.0]
    assert optimizer.u[real].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("clip", [ndl.optim.clip_grad_norm, ndl.optim.clip_grad_value])
def test_clipping_changes_all_gradients_or_none(clip: Any) -> None:
    first, second = ndl.Tensor([3.0]), ndl.Tensor([4.0, 0.0])
    (first * 3 + (second * 4).sum()).sum().backward()
    second.data = ndl.Tensor([1.0, 2.0, 3.0])
    with pytest.raises(ndl.ShapeError, match=r"a gradient has shape \(2,\), its parameter \(3,\)"):
        clip([first, second], 0.1)
    assert first.grad.tolist() == [3.0]
