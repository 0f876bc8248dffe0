"""Steps of small models, where the overhead of every operation counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

import needle as ndl
from needle import ops

from .. import peers
from ..figures import Bound, Figure
from ..peers import JAX, NEEDLE, NUMPY, PYTORCH
from ..timing import Contestant, Plan, Repeated, compete

_LAYERS = (8, 32, 32, 1)
_BATCH = 32
_RATE = np.float32(0.01)
_POINTS = 64

Step = Callable[[], object]


def mlp(plan: Plan) -> list[Figure]:
    """a step of an MLP 8-32-32-1 (tanh), batch 32: forward, backward, SGD"""
    x, y, weights = _regression()
    by_hand = f"{NUMPY} by hand"
    steps = {NEEDLE: _needle_mlp(x, y, weights), by_hand: _numpy_mlp(x, y, weights)}
    bounds = [Bound(0.6, (by_hand,))]
    if torch := peers.torch():
        steps[PYTORCH] = _torch_mlp(torch, x, y, weights)
        bounds.append(Bound(0.2, (PYTORCH,)))
    if jax := peers.jax():
        steps[f"{JAX} jitted"] = _jax_mlp(jax, x, y, weights)
        bounds.append(Bound(0.4, (f"{JAX} jitted",)))
    return [_race("mlp", "MLP 8-32-32-1, batch 32, a whole step", steps, bounds, plan)]


def second_order(plan: Plan) -> list[Figure]:
    """a step with second derivatives: u_xx + u by two nested gradients, 64 points, backward"""
    random = np.random.default_rng(0)
    x = random.random((_POINTS, 1), dtype=np.float32)
    weights = _weights(random, (1, 32, 32, 1))
    steps = {NEEDLE: _needle_pinn(x, weights)}
    if torch := peers.torch():
        steps[PYTORCH] = _torch_pinn(torch, x, weights)
    title = "u_xx + u, two nested gradients and backward, 64 points"
    return [_race("second-order", title, steps, [Bound(0.25, (PYTORCH,))], plan)]


def optimisers(plan: Plan) -> list[Figure]:
    """SGD with momentum and Adam on 1e6 parameters in 20 tensors, beside PyTorch's"""
    random = np.random.default_rng(0)
    arrays = [random.standard_normal((250, 200), dtype=np.float32) for _ in range(20)]
    figures = []
    for name, options in (("SGD", {"momentum": 0.9}), ("Adam", {})):
        params: list[Any] = [ndl.Tensor(array) for array in arrays]
        for param, array in zip(params, arrays, strict=True):
            param.grad = ndl.Tensor(array, requires_grad=False)
        steps: dict[str, Step] = {NEEDLE: getattr(ndl.optim, name)(params, lr=1e-9, **options).step}
        if torch := peers.torch():
            theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
            for param, array in zip(theirs, arrays, strict=True):
                param.grad = torch.tensor(array)
            steps[PYTORCH] = getattr(torch.optim, name)(
                theirs, lr=1e-9, foreach=True, **options
            ).step
            steps[f"{PYTORCH} fused"] = getattr(torch.optim, name)(
                theirs, lr=1e-9, fused=True, **options
            ).step
        bound = Bound(0.8, (PYTORCH, f"{PYTORCH} fused"))
        title = f"{name} step, 1e6 parameters in 20 tensors"
        contestants = [Contestant(who, Repeated(step)) for who, step in steps.items()]
        samples = compete(contestants, plan.at_most(5))[""]
        figures.append(Figure(f"optimiser/{name}", title, samples, [bound]))
    return figures


def _race(
    key: str, title: str, steps: Mapping[str, Step], bounds: list[Bound], plan: Plan
) -> Figure:
    contestants = [Contestant(name, Repeated(step)) for name, step in steps.items()]
    return Figure(key, title, compete(contestants, plan.without_threads())[""], bounds)


def _weights(random: np.random.Generator, layers: tuple[int, ...]) -> list[Any]:
    arrays: list[Any] = []
    for n, m in pairwise(layers):
        arrays.append(random.standard_normal((n, m), dtype=np.float32) / np.float32(n**0.5))
        arrays.append(np.zeros(m, np.float32))
    return arrays


def _regression() -> tuple[Any, Any, list[Any]]:
    random = np.random.default_rng(0)
    x = random.standard_normal((_BATCH, _LAYERS[0]), dtype=np.float32)
    return x, np.sin(x.sum(1, keepdims=True)), _weights(random, _LAYERS)


def _needle_mlp(x: Any, y: Any, arrays: list[Any]) -> Step:
    inputs, targets = (ndl.Tensor(array, requires_grad=False) for array in (x, y))
    weights: list[Any] = [ndl.Tensor(array) for array in arrays]
    a, b, c, d, e, f = weights
    optimizer = ndl.optim.SGD(weights, lr=float(_RATE))

    def step() -> object:
        hidden = ops.tanh(ops.linear(ops.tanh(ops.linear(inputs, a, b)), c, d))
        error = ops.linear(hidden, e, f) - targets
        loss = (error * error).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


def _torch_mlp(torch: Any, x: Any, y: Any, arrays: list[Any]) -> Step:
    inputs, targets = torch.tensor(x), torch.tensor(y)
    weights = [torch.tensor(array, requires_grad=True) for array in arrays]
    a, b, c, d, e, f = weights

    def step() -> object:
        hidden = torch.tanh(torch.addmm(d, torch.tanh(torch.addmm(b, inputs, a)), c))
        error = torch.addmm(f, hidden, e) - targets
        loss = (error * error).mean()
        loss.backward()
        with torch.no_grad():
            for w in weights:
                w.sub_(w.grad, alpha=float(_RATE))
                w.grad = None
        return loss

    return step


def _numpy_mlp(x: Any, y: Any, arrays: list[Any]) -> Step:
    a, b, c, d, e, f = weights = [array.copy() for array in arrays]

    def step() -> object:
        first = np.tanh(x @ a + b)
        second = np.tanh(first @ c + d)
        error = second @ e + f - y
        loss = (error * error).mean()
        d_out = error * np.float32(2 / error.size)
        d_second = (d_out @ e.T) * (1 - second * second)
        d_first = (d_second @ c.T) * (1 - first * first)
        gradients = (
            x.T @ d_first,
            d_first.sum(0),
            first.T @ d_second,
            d_second.sum(0),
            second.T @ d_out,
            d_out.sum(0),
        )
        for w, g in zip(weights, gradients, strict=True):
            w -= _RATE * g
        return loss

    return step


def _jax_mlp(jax: Any, x: Any, y: Any, arrays: list[Any]) -> Step:
    jnp = jax.numpy
    inputs, targets = jnp.asarray(x), jnp.asarray(y)

    def loss_of(weights: Any) -> Any:
        a, b, c, d, e, f = weights
        hidden = jnp.tanh(jnp.tanh(inputs @ a + b) @ c + d)
        error = hidden @ e + f - targets
        return (error * error).mean()

    @jax.jit
    def update(weights: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights)
        return [w - _RATE * g for w, g in zip(weights, gradients, strict=True)], loss

    state = [[jnp.asarray(array) for array in arrays]]

    def step() -> object:
        state[0], loss = update(state[0])
        return jax.block_until_ready(loss)

    return step


def _needle_pinn(x: Any, arrays: list[Any]) -> Step:
    weights: list[Any] = [ndl.Tensor(array) for array in arrays]
    a, b, c, d, e, f = weights

    def step() -> object:
        points: Any = ndl.Tensor(x)
        hidden = ops.tanh(ops.linear(ops.tanh(ops.linear(points, a, b)), c, d))
        u = ops.linear(hidden, e, f)
        u.sum().backward()
        slope = points.grad
        slope.sum().backward()
        residual = points.grad + u
        loss = (residual * residual).mean()
        loss.backward()
        return loss

    return step


def _torch_pinn(torch: Any, x: Any, arrays: list[Any]) -> Step:
    weights = [torch.tensor(array, requires_grad=True) for array in arrays]
    a, b, c, d, e, f = weights

    def step() -> object:
        points = torch.tensor(x, requires_grad=True)
        hidden = torch.tanh(torch.addmm(d, torch.tanh(torch.addmm(b, points, a)), c))
        u = torch.addmm(f, hidden, e)
        (slope,) = torch.autograd.grad(u.sum(), points, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), points, create_graph=True)
        residual = curvature + u
        loss = (residual * residual).mean()
        loss.backward()
        for w in weights:
            w.grad = None
        return loss

    return step
