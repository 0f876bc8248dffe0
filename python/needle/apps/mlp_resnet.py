"""The course's residual network of linear layers, and its training on MNIST."""

from __future__ import annotations

import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from needle import _names, nn
from needle.autograd import Tensor
from needle.data import DataLoader, MNISTDataset
from needle.modes import no_grad
from needle.optim import Adam, Optimizer

__all__ = ["MLPResNet", "ResidualBlock", "epoch", "train_mnist"]

Norm = Callable[[int], nn.Module]

# The course seeds with it, and all that it asserts of a training depends on that.
_SEED = 4


def ResidualBlock(
    dim: int, hidden_dim: int, norm: Norm = nn.BatchNorm1d, drop_prob: float = 0.1
) -> nn.Sequential:
    """`relu(f(x) + x)` for x of shape (n, dim).

    `f` is linear to `hidden_dim`, norm, ReLU, dropout, linear back to `dim`, norm. `norm` makes a
    normalising layer for a number of features.
    """
    inner = nn.Sequential(
        nn.Linear(dim, hidden_dim),
        norm(hidden_dim),
        nn.ReLU(),
        nn.Dropout(drop_prob),
        nn.Linear(hidden_dim, dim),
        norm(dim),
    )
    return nn.Sequential(nn.Residual(inner), nn.ReLU())


def MLPResNet(
    dim: int,
    hidden_dim: int = 100,
    num_blocks: int = 3,
    num_classes: int = 10,
    norm: Norm = nn.BatchNorm1d,
    drop_prob: float = 0.1,
) -> nn.Sequential:
    """A network from (n, ...), of `dim` values a sample, to logits (n, num_classes).

    Linear to `hidden_dim`, ReLU, `num_blocks` residual blocks with half as many features inside,
    and linear to the classes.
    """
    # One layer after the other, as they are executed: their weights are drawn in that order.
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(dim, hidden_dim), nn.ReLU()]
    for _ in range(num_blocks):
        layers.append(ResidualBlock(hidden_dim, hidden_dim // 2, norm, drop_prob))
    layers.append(nn.Linear(hidden_dim, num_classes))
    return nn.Sequential(*layers)


def epoch(
    dataloader: DataLoader, model: nn.Module, opt: Optimizer | None = None
) -> tuple[float, float]:
    """One pass over the batches (images, labels): the error rate, and the mean of batch losses.

    With an optimiser it trains, in training mode; without, it evaluates, in evaluation mode.
    Seeds NumPy's global generator with 4 first, so that each epoch has the same order and dropout.

    FloatingPointError as soon as a loss is not finite, before weights change.
    """
    np.random.seed(_SEED)
    model.train(opt is not None)
    losses, wrong = [], 0
    for images, labels in dataloader:
        if opt is None:
            with no_grad():
                logits, loss = _forward(model, images, labels)
        else:
            logits, loss = _forward(model, images, labels)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(
                f"epoch: the loss is {losses[-1]} in batch {len(losses)}: expected finite "
                f"pictures and weights, and a learning rate that is not too large"
            )
        if opt is not None:
            opt.reset_grad()
            loss.backward()
            opt.step()
        wrong += int(np.count_nonzero(logits.numpy().argmax(axis=1) != labels.numpy()))
    return wrong / len(dataloader.dataset), float(np.mean(losses))


def train_mnist(
    batch_size: int = 100,
    epochs: int = 10,
    optimizer: Callable[..., Optimizer] = Adam,
    lr: float = 0.001,
    weight_decay: float = 0.001,
    hidden_dim: int = 100,
    data_dir: str | PathLike[str] = "data",
) -> tuple[float, float, float, float]:
    """Train an `MLPResNet` on the four files of MNIST in `data_dir`.

    `optimizer(parameters, lr=..., weight_decay=...)` makes the optimiser. Returns training error,
    training loss, test error and test loss of the last epoch, as `epoch` gives them; the training
    error is that of the network while it learns. Seeds NumPy's global generator with 4.

    Raises ValueError for no epochs, OSError or `needle.data.DataError` if a file is not what it
    should be.
    """
    if epochs < 1:
        raise ValueError(f"train_mnist: expected epochs of 1 or more, got {epochs}")
    np.random.seed(_SEED)
    train, test = (_mnist(Path(data_dir), part) for part in ("train", "t10k"))
    model = MLPResNet(train.images[0].size, hidden_dim)
    opt = optimizer(model.parameters(), lr=lr, weight_decay=weight_decay)
    train_loader = DataLoader(train, batch_size, shuffle=True)
    test_loader = DataLoader(test, batch_size)
    for _ in range(epochs):
        trained = epoch(train_loader, model, opt)
    return *trained, *epoch(test_loader, model)


def _mnist(folder: Path, part: str) -> MNISTDataset:
    return MNISTDataset(
        folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"
    )


def _forward(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits: Tensor = model(images)
    return logits, nn.functional.cross_entropy(logits, labels)


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
