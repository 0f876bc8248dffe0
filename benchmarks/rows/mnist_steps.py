"""One epoch of the posts' network by each library: the same data, the same maths.

relu(x @ W1) @ W2, the mean of log(sum(exp(z))) - z[label], plain SGD. Each function returns one
that trains an epoch from the first weights and returns the last batch's loss, so that what the
contestants did can be compared. Batch and targets need no gradient, the weights do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from needle import ops

from .mnist_data import BATCH, RATE, Problem

Epoch = Callable[[], float]


def needle_epoch(problem: Problem) -> Epoch:
    """needle, in the words of the posts, with its own SGD."""
    images, targets = ndl.from_numpy(problem.images), ndl.from_numpy(problem.targets)

    def epoch() -> float:
        first: Any = ndl.Tensor(problem.first, requires_grad=True)
        second: Any = ndl.Tensor(problem.second, requires_grad=True)
        optimizer = ndl.optim.SGD([first, second], lr=float(RATE))
        for start in problem.starts:
            x, y = images[start : start + BATCH], targets[start : start + BATCH]
            z = ops.relu(x @ first) @ second
            row = ops.log(ops.exp(z).sum((1,))) - (z * y).sum((1,))
            loss = row.sum() / x.shape[0]
            loss.backward()
            optimizer.step()
        return float(loss.numpy())

    return epoch


def torch_epoch(torch: Any, problem: Problem) -> Epoch:
    """PyTorch eager, with its own number of threads; SGD in place, as its users write it."""
    images, targets = torch.tensor(problem.images), torch.tensor(problem.targets)

    def epoch() -> float:
        first = torch.tensor(problem.first, requires_grad=True)
        second = torch.tensor(problem.second, requires_grad=True)
        for start in problem.starts:
            x, y = images[start : start + BATCH], targets[start : start + BATCH]
            z = torch.relu(x @ first) @ second
            row = z.exp().sum(1).log() - (z * y).sum(1)
            loss = row.sum() / x.shape[0]
            loss.backward()
            with torch.no_grad():
                first.sub_(first.grad, alpha=RATE)
                second.sub_(second.grad, alpha=RATE)
            first.grad = second.grad = None
        return float(loss.item())

    return epoch


def torch_compiled_epoch(torch: Any, problem: Problem) -> Epoch:
    """PyTorch with forward, loss and backward compiled by `torch.compile`."""
    images, targets = torch.tensor(problem.images), torch.tensor(problem.targets)

    @torch.compile  # type: ignore[untyped-decorator]
    def loss_of(first: Any, second: Any, x: Any, y: Any) -> Any:
        z = torch.relu(x @ first) @ second
        return (z.exp().sum(1).log() - (z * y).sum(1)).sum() / x.shape[0]

    def epoch() -> float:
        first = torch.tensor(problem.first, requires_grad=True)
        second = torch.tensor(problem.second, requires_grad=True)
        for start in problem.starts:
            loss = loss_of(
                first, second, images[start : start + BATCH], targets[start : start + BATCH]
            )
            loss.backward()
            with torch.no_grad():
                first.sub_(first.grad, alpha=RATE)
                second.sub_(second.grad, alpha=RATE)
            first.grad = second.grad = None
        return float(loss.item())

    return epoch


def numpy_epoch(problem: Problem) -> Epoch:
    """NumPy, with the gradients written by hand."""
    images, targets = problem.images, problem.targets

    def epoch() -> float:
        first, second = problem.first.copy(), problem.second.copy()
        for start in problem.starts:
            x, y = images[start : start + BATCH], targets[start : start + BATCH]
            hidden = np.maximum(x @ first, 0)
            z = hidden @ second
            e = np.exp(z)
            sums = e.sum(1)
            loss = (np.log(sums) - (z * y).sum(1)).sum() / len(x)
            dz = (e / sums[:, None] - y) / np.float32(len(x))
            dhidden = (dz @ second.T) * (hidden > 0)
            second -= RATE * (hidden.T @ dz)
            first -= RATE * (x.T @ dhidden)
        return float(loss)

    return epoch


def jax_epochs(jax: Any, problem: Problem) -> tuple[Epoch, Epoch]:
    """JAX: one call of a jitted step for each batch, and the whole epoch in one jitted loop."""
    jnp, lax = jax.numpy, jax.lax
    images, targets = jnp.asarray(problem.images), jnp.asarray(problem.targets)
    count = len(problem.starts)

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        first, second = weights
        z = jax.nn.relu(x @ first) @ second
        return (jnp.log(jnp.exp(z).sum(1)) - (z * y).sum(1)).sum() / x.shape[0]

    def step(weights: Any, images: Any, targets: Any, start: Any) -> Any:
        x = lax.dynamic_slice_in_dim(images, start, BATCH)
        y = lax.dynamic_slice_in_dim(targets, start, BATCH)
        loss, grads = jax.value_and_grad(loss_of)(weights, x, y)
        return tuple(w - RATE * g for w, g in zip(weights, grads, strict=True)), loss

    def scan(weights: Any, images: Any, targets: Any) -> Any:
        starts = BATCH * jnp.arange(count)
        weights, losses = lax.scan(
            lambda w, start: step(w, images, targets, start), weights, starts
        )
        return weights, losses[-1]

    one, whole = jax.jit(step), jax.jit(scan)

    def by_steps() -> float:
        weights: Any = (jnp.asarray(problem.first), jnp.asarray(problem.second))
        for start in problem.starts:
            weights, loss = one(weights, images, targets, start)
        jax.block_until_ready(weights)
        return float(loss)

    def at_once() -> float:
        weights = (jnp.asarray(problem.first), jnp.asarray(problem.second))
        weights, loss = jax.block_until_ready(whole(weights, images, targets))
        return float(loss)

    return by_steps, at_once
