"""Modules are copied and pickled with all they hold, and training leaves nothing behind."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, autograd, nn, optim
from needle.nn import Module, Parameter


class Tied(Module):
    """One parameter in two modules, of which one knows its owner."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(2, 2, bias=False)
        self.b = nn.Linear(2, 2, bias=False)
        self.b.weight = self.a.weight
        self.a.owner = self


def counter() -> int:
    gc.collect()
    return autograd.TENSOR_COUNTER


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(duplicate: Any) -> None:
    net = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.GELU(), nn.Dropout(0.5, rng=3), nn.Linear(4, 2)
    )
    x = Tensor(np.random.default_rng(0).normal(size=(5, 3)), dtype="float32", requires_grad=False)
    net(x).sum().backward()
    twin = duplicate(net)
    assert [type(p) for p in twin.parameters()] == [Parameter] * 6
    # The generator was copied too.
    np.testing.assert_array_equal(twin(x).numpy(), net(x).numpy())
    before = {name: value.numpy() for name, value in net.state_dict().items()}
    optimizer = optim.SGD(twin.parameters(), lr=0.1)
    twin(x).sum().backward()
    optimizer.step()
    assert not np.array_equal(twin[0].weight.numpy(), net[0].weight.numpy())
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    tied = duplicate(Tied())
    assert tied.b.weight is tied.a.weight
    assert tied.a.owner is tied


@pytest.mark.parametrize("lazy", [False, True])
def test_training_leaves_nothing(lazy: bool) -> None:
    start = counter()
    with ndl.lazy(lazy):
        net = nn.Sequential(
            nn.Embedding(7, 4),
            nn.Flatten(),
            nn.Linear(8, 6),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Residual(nn.Sequential(nn.LayerNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 6))),
            nn.Linear(6, 3),
        )
        loss_fn, optimizer = nn.SoftmaxLoss(), optim.Adam(net.parameters())
        random = np.random.default_rng(0)
        live = None
        for step in range(12):
            x = Tensor(random.integers(0, 7, size=(5, 2)), requires_grad=False)
            y = Tensor(random.integers(0, 3, size=5), requires_grad=False)
            optimizer.reset_grad()
            loss = loss_fn(net(x), y)
            loss.backward()
            optimizer.step()
            if step % 4 == 3:
                net.eval()
                loss_fn(net(x), y).backward()
                net.train()
            if step in (3, 11):
                live = live or counter()
                assert counter() == live
    del net, loss_fn, optimizer, x, y, loss
    assert counter() == start
