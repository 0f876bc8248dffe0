"""The basic layers: identity, flatten, linear, embedding, dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from needle import init
from needle.autograd import Tensor
from needle.init.random import generator
from needle.nn import functional as F
from needle.nn.module import Module
from needle.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from needle.autograd import Device
    from needle.init.options import RandomSource

__all__ = ["Dropout", "Embedding", "Flatten", "Identity", "Linear"]


class Identity(Module):
    """Gives what it gets."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    """(n, ...) becomes (n, k)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x)


class Linear(Module):
    """`x @ weight + bias`: (..., in_features) becomes (..., out_features).

    `weight` is (in_features, out_features), Kaiming uniform. `bias` is (1, out_features), drawn
    like a weight of `out_features` inputs, or None without `bias`. ShapeError for another last
    dimension.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        weight = init.kaiming_uniform(in_features, out_features, device=device, dtype=dtype)
        self.weight = Parameter(weight)
        self.bias: Parameter | None = None
        if bias:
            drawn = init.kaiming_uniform(out_features, 1, device=device, dtype=dtype)
            self.bias = Parameter(drawn.reshape((1, out_features)))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """A vector for each id: ids of any shape S and numeric dtype become S + (embedding_dim,).

    `weight` is (num_embeddings, embedding_dim), from the standard normal distribution. IndexError
    for an id that is not an integer from 0 to num_embeddings - 1.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        device: Device | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        weight = init.randn(num_embeddings, embedding_dim, device=device, dtype=dtype)
        self.weight = Parameter(weight)

    def forward(self, ids: Tensor | ArrayLike) -> Tensor:
        return F.embedding(ids, self.weight)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(Module):
    """In training, sets elements to 0 with probability `p` and divides the others by `1 - p`, so
    that their expectation stays (Srivastava et al. 2014). Raises ValueError for p outside 0 to 1.

    Draws from `rng`, a `numpy.random.Generator` or the seed of a new one, or else from NumPy's
    global generator.
    """

    def __init__(self, p: float = 0.5, rng: RandomSource = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: expected p from 0 to 1, got {p}")
        self.p = p
        # Made here: a seed in each call would give the same mask each time.
        self.rng = generator(rng)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training, self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"
