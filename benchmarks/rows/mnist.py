"""One epoch of the posts' two-layer network on MNIST: 784-100-10, batches of 100."""

from __future__ import annotations

from collections.abc import Mapping

from .. import peers
from ..figures import Bound, Figure
from ..peers import JAX, NEEDLE, NUMPY, PYTORCH
from ..timing import Contestant, Plan, Repeated, compete
from .mnist_data import Problem, problem
from .mnist_posts import needle_posts, torch_posts
from .mnist_steps import (
    Epoch,
    jax_epochs,
    needle_epoch,
    numpy_epoch,
    torch_compiled_epoch,
    torch_epoch,
)

BY_HAND = f"{NUMPY} by hand"
COMPILED = f"{PYTORCH} compiled"
JAX_STEP = f"{JAX} jitted step"
JAX_EPOCH = f"{JAX} jitted epoch"


def mnist(plan: Plan, data: Problem | None = None) -> list[Figure]:
    """an epoch of MNIST, 784-100-10, batch 100, beside PyTorch, NumPy by hand and jitted JAX"""
    data = data or problem()
    epochs = {NEEDLE: needle_epoch(data), BY_HAND: numpy_epoch(data)}
    if torch := peers.torch():
        epochs[PYTORCH] = torch_epoch(torch, data)
    if jax := peers.jax():
        epochs[JAX_STEP], epochs[JAX_EPOCH] = jax_epochs(jax, data)
    title = "MNIST 784-100-10, one epoch"
    bounds = [Bound(0.65, (PYTORCH,)), Bound(0.7, (JAX_EPOCH,))]
    return [_race("mnist", title, epochs, plan, data, bounds)]


def wide(plan: Plan, data: Problem | None = None) -> list[Figure]:
    """an epoch of MNIST, 784-512-10, batch 100, beside the best of PyTorch (compiled too), JAX"""
    data = data or problem(hidden=512)
    epochs = {NEEDLE: needle_epoch(data)}
    if torch := peers.torch():
        epochs[PYTORCH] = torch_epoch(torch, data)
        epochs[COMPILED] = torch_compiled_epoch(torch, data)
    if jax := peers.jax():
        epochs[JAX_STEP], epochs[JAX_EPOCH] = jax_epochs(jax, data)
    bound = Bound(0.95, (PYTORCH, COMPILED, JAX_STEP, JAX_EPOCH))
    return [_race("wide", "MNIST 784-512-10, one epoch", epochs, plan, data, [bound])]


def posts(plan: Plan, data: Problem | None = None) -> list[Figure]:
    """the posts' loop to the letter: batches require gradients, weights are detached"""
    data = data or problem()
    epochs = {NEEDLE: needle_posts(data)}
    if torch := peers.torch():
        epochs[PYTORCH] = torch_posts(torch, data)
    return [_race("posts", "MNIST, the posts' literal loop, one epoch", epochs, plan, data, [])]


def _race(
    key: str,
    title: str,
    epochs: Mapping[str, Epoch],
    plan: Plan,
    data: Problem,
    bounds: list[Bound],
) -> Figure:
    contestants = plan.among([Contestant(name, Repeated(epoch)) for name, epoch in epochs.items()])
    losses = {contestant.name: epochs[contestant.name]() for contestant in contestants}
    expected = losses[NEEDLE]
    for name, loss in losses.items():
        # 600 steps of float32 in another order of summation differ by far less.
        if not abs(loss - expected) <= 0.01 * max(abs(expected), 0.1):
            raise RuntimeError(f"{name} ends with the loss {loss}, needle with {expected}")
    samples = compete(contestants, plan.at_most(7))[""]
    return Figure(key, title, samples, bounds, notes=[f"{data.note}; last loss {expected:.3f}"])
