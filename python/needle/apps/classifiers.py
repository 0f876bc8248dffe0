"""The networks that can be trained by name: softmax regression, two layers, a residual network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from needle import init, nn, ops
from needle._core import Tensor, from_numpy
from needle.apps.mlp_resnet import MLPResNet
from needle.modes import no_grad
from needle.optim.settings import count, natural

# Pictures that are evaluated at once: enough to keep the processors busy, little memory.
_CHUNK = 1000

Logits = NDArray[np.float32]


class TwoLayer(nn.Module):
    """The course's network `relu(x @ W1) @ W2`, without biases: (n, features) to (n, classes)."""

    def __init__(self, features: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.W1 = nn.Parameter(init.randn(features, hidden, std=hidden**-0.5))
        self.W2 = nn.Parameter(init.randn(hidden, classes, std=classes**-0.5))

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x @ self.W1) @ self.W2


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network by name and sizes; `build` makes it for pictures of `rows` x `columns`.

    Raises ValueError or TypeError, naming the size, for one that cannot be.
    """

    model: str
    rows: int
    columns: int
    hidden: int
    classes: int

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "classes"):
            count(name, getattr(self, name))
        natural("hidden", self.hidden)

    @property
    def least_weights(self) -> int:
        """A number of weights that the network has at least, known without making it."""
        features = self.rows * self.columns
        if self.model == "softmax":
            return features * self.classes
        halved = self.hidden // 2 if self.model == "mlp-resnet" else 0
        return self.hidden * (features + halved + self.classes)

    def build(self) -> nn.Module:
        """A new network, its weights drawn from NumPy's global generator.

        It takes flattened pictures (n, rows * columns) and gives logits (n, classes).
        """
        features = self.rows * self.columns
        match self.model:
            case "softmax":
                return nn.Linear(features, self.classes)
            case "mlp":
                return TwoLayer(features, self.hidden, self.classes)
            case "mlp-resnet":
                return MLPResNet(features, self.hidden, num_classes=self.classes)
        raise ValueError(f"model: expected softmax, mlp or mlp-resnet, got {self.model!r}")

    def __str__(self) -> str:
        sizes = [self.rows * self.columns, *([self.hidden] if self.hidden else []), self.classes]
        kind = {"mlp": "ReLU network", "mlp-resnet": "MLP-ResNet", "softmax": "softmax regression"}
        return f"{'-'.join(map(str, sizes))} {kind[self.model]}"


class Score(NamedTuple):
    """The mean softmax loss, and the fraction of wrong answers."""

    loss: float
    error: float


def logits_of(model: nn.Module, images: NDArray[np.float32]) -> Logits:
    """The logits (n, classes) of flattened pictures (n, features), in evaluation mode."""
    model.eval()
    with no_grad():
        parts = [
            model(from_numpy(images[start : start + _CHUNK])).numpy()
            for start in range(0, len(images), _CHUNK)
        ]
    return np.concatenate(parts)


def score(logits: Logits, labels: NDArray[np.integer]) -> Score:
    """How far logits (n, classes) are from the n labels."""
    loss = nn.functional.cross_entropy(from_numpy(logits), from_numpy(labels))
    return Score(loss.item(), float(np.mean(logits.argmax(axis=1) != labels)))
