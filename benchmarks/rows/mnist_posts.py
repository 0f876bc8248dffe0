"""The posts' own training loop, to the letter: the batches require gradients, the weights do not.

`Tensor(X)` requires a gradient by default, so the batch is what records, and after the first step
`detach()` makes the weights leaves without one, whose gradients are pending until they are read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import needle as ndl
from needle import ops
from needle.apps.simple_ml import softmax_loss

from .mnist_data import BATCH, RATE, Problem
from .mnist_steps import Epoch


def needle_posts(problem: Problem) -> Epoch:
    """needle."""

    def epoch() -> float:
        first: Any = ndl.Tensor(problem.first)
        second: Any = ndl.Tensor(problem.second)
        for start in problem.starts:
            x = ndl.Tensor(problem.images[start : start + BATCH])
            y = ndl.Tensor(_one_hot(problem, start))
            loss = softmax_loss(ops.relu(x @ first) @ second, y)
            loss.backward()
            first = (first - RATE * first.grad).detach()
            second = (second - RATE * second.grad).detach()
        return float(loss.numpy())

    return epoch


def torch_posts(torch: Any, problem: Problem) -> Epoch:
    """PyTorch: it knows no pending gradients, so the weights must require theirs."""

    def epoch() -> float:
        first = torch.tensor(problem.first, requires_grad=True)
        second = torch.tensor(problem.second, requires_grad=True)
        for start in problem.starts:
            x = torch.tensor(problem.images[start : start + BATCH], requires_grad=True)
            y = torch.tensor(_one_hot(problem, start), requires_grad=True)
            z = torch.relu(x @ first) @ second
            loss = (z.exp().sum(1).log() - (z * y).sum(1)).sum() / len(x)
            loss.backward()
            first = (first - RATE * first.grad).detach().requires_grad_()
            second = (second - RATE * second.grad).detach().requires_grad_()
        return float(loss.item())

    return epoch


def _one_hot(problem: Problem, start: int) -> Any:
    """float64, as np.zeros makes it in the posts."""
    labels = problem.labels[start : start + BATCH]
    one_hot = np.zeros((len(labels), 10))
    one_hot[np.arange(len(labels)), labels] = 1
    return one_hot
