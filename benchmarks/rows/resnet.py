"""An epoch of the course's MLP-ResNet on MNIST, by needle.nn and by torch.nn; and its batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from needle.apps.mlp_resnet import MLPResNet, epoch
from needle.data import DataLoader, NDArrayDataset
from needle.optim import Adam

from .. import peers
from ..figures import Bound, Figure, Unit
from ..peers import NEEDLE, PYTORCH
from ..timing import Contestant, Plan, Repeated, Sample, compete
from .mnist_data import BATCH, Problem, problem

_HIDDEN = 100
_BLOCKS = 3
_RATE = 0.001

# needle's own, too.
_BATCHES = f"{NEEDLE}: batches alone"


def resnet(plan: Plan, data: Problem | None = None) -> list[Figure]:
    """an epoch of the MLP-ResNet on MNIST, Adam, batch 100, and the share that batches take"""
    data = data or problem()
    loader = DataLoader(NDArrayDataset(data.images, data.labels), BATCH, shuffle=True)
    model = MLPResNet(data.images.shape[1], _HIDDEN, _BLOCKS)
    optimizer = Adam(model.parameters(), lr=_RATE)
    epochs: dict[str, Callable[[], object]] = {NEEDLE: lambda: epoch(loader, model, optimizer)}
    if torch := peers.torch():
        epochs[PYTORCH] = _torch_epoch(torch, data)
    epochs[_BATCHES] = lambda: [None for _ in loader]
    contestants = [Contestant(name, Repeated(work)) for name, work in epochs.items()]
    samples = dict(compete(contestants, plan.at_most(5))[""])
    alone = samples.pop(_BATCHES)
    whole = samples[NEEDLE].median
    share = Sample(tuple(value / whole for value in alone.values))
    title = "MLP-ResNet on MNIST, one epoch"
    return [
        Figure("resnet/epoch", title, samples, [Bound(0.7, (PYTORCH,))], notes=[data.note]),
        Figure(
            "resnet/batches",
            f"{title}: share of the DataLoader",
            {NEEDLE: share},
            [Bound(0.05)],
            Unit.RATIO,
            own=alone,
        ),
    ]


def _torch_epoch(torch: Any, data: Problem) -> Callable[[], object]:
    """The same network, loss and optimiser; batches are rows picked from one tensor."""
    nn = torch.nn
    images, labels = torch.tensor(data.images), torch.tensor(data.labels.astype(np.int64))

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            half = _HIDDEN // 2
            self.inner = nn.Sequential(
                nn.Linear(_HIDDEN, half),
                nn.BatchNorm1d(half),
                nn.ReLU(),
                nn.Dropout(0.1),
                nn.Linear(half, _HIDDEN),
                nn.BatchNorm1d(_HIDDEN),
            )

        def forward(self, x: Any) -> Any:
            return torch.relu(self.inner(x) + x)

    model = nn.Sequential(
        nn.Linear(images.shape[1], _HIDDEN),
        nn.ReLU(),
        *[Block() for _ in range(_BLOCKS)],
        nn.Linear(_HIDDEN, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE)
    loss_of = nn.CrossEntropyLoss()

    def run() -> float:
        order = torch.randperm(len(images))
        losses, wrong = [], 0
        for start in data.starts:
            picked = order[start : start + BATCH]
            x, y = images[picked], labels[picked]
            logits = model(x)
            loss = loss_of(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            wrong += int((logits.argmax(1) != y).sum())
        return float(np.mean(losses))

    return run
