"""What layers say to input and settings that do not suit them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from needle import Tensor, nn
from needle.errors import ShapeError
from needle.nn import functional as F

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: nn.Linear(4, 3)(Tensor(np.ones((2, 5)))),
        ShapeError,
        "linear: expected (..., 4) for a weight of (4, 3), got (2, 5)",
    ),
    (
        lambda: nn.Linear(4, 3, bias=False)(Tensor(np.ones((2, 5)))),
        ShapeError,
        "linear: expected (..., 4) for a weight of (4, 3), got (2, 5)",
    ),
    (
        lambda: nn.Linear(4, 3, bias=False)(Tensor(1.0)),
        ShapeError,
        "linear: expected (..., 4) for a weight of (4, 3), got ()",
    ),
    (
        lambda: F.linear(Tensor(np.ones((2, 5))), Tensor(1.0)),
        ShapeError,
        "linear: expected a weight of two dimensions, got ()",
    ),
    (
        lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU),
        TypeError,
        "Sequential: expected modules or functions, got the class ReLU at 1",
    ),
    (
        lambda: nn.Residual(3),
        TypeError,
        "Residual: expected a module or a function, got int",
    ),
    (
        lambda: nn.Residual(nn.ReLU),
        TypeError,
        "Residual: expected a module or a function, got the class ReLU",
    ),
    (
        lambda: nn.Linear(-1, 3),
        ValueError,
        "fan: expected 0 or more, got -1",
    ),
    (
        lambda: nn.BatchNorm1d(4)(Tensor(np.ones((2, 5)))),
        ShapeError,
        "BatchNorm1d: expected shape (n, 4), got (2, 5)",
    ),
    (
        lambda: nn.BatchNorm1d(4).eval()(Tensor(np.ones(4))),
        ShapeError,
        "BatchNorm1d: expected shape (n, 4), got (4,)",
    ),
    (
        lambda: nn.BatchNorm1d(4)(Tensor(np.ones((0, 4)))),
        ShapeError,
        "batch_norm: expected at least 1 row, got shape (0, 4)",
    ),
    (
        lambda: nn.LayerNorm1d(4)(Tensor(np.ones((2, 3, 4)))),
        ShapeError,
        "LayerNorm1d: expected shape (n, 4), got (2, 3, 4)",
    ),
    (
        lambda: nn.LayerNorm((3, 4))(Tensor(np.ones((2, 4)))),
        ShapeError,
        "layer_norm: expected a shape that ends in (3, 4), got (2, 4)",
    ),
    (
        lambda: nn.RMSNorm(4)(Tensor(np.ones((2, 5)))),
        ShapeError,
        "RMSNorm: expected shape (..., 4), got (2, 5)",
    ),
    (
        lambda: nn.Flatten()(Tensor(1.0)),
        ShapeError,
        "flatten: expected at least 1 dimension, got shape ()",
    ),
    (
        lambda: nn.Embedding(6, 3)(Tensor([0, 6])),
        IndexError,
        "embedding: expected integers from 0 to 5, got 6",
    ),
    (
        lambda: nn.Embedding(6, 3)(Tensor([-1.0])),
        IndexError,
        "embedding: expected integers from 0 to 5, got -1.0",
    ),
    (
        lambda: nn.Embedding(6, 3)(Tensor([1.5])),
        IndexError,
        "embedding: expected integers from 0 to 5, got 1.5",
    ),
    (
        lambda: nn.Embedding(6, 3)(Tensor([np.nan])),
        IndexError,
        "embedding: expected integers from 0 to 5, got nan",
    ),
    (
        lambda: nn.Embedding(6, 3)(["a"]),
        TypeError,
        "embedding: expected numbers as ids, got dtype <U1",
    ),
    (lambda: nn.Dropout(1.5), ValueError, "Dropout: expected p from 0 to 1, got 1.5"),
    (
        lambda: F.dropout(Tensor([1.0]), p=-0.1),
        ValueError,
        "dropout: expected p from 0 to 1, got -0.1",
    ),
    (
        lambda: nn.GELU("erf"),
        ValueError,
        "GELU: approximate expected 'none' or 'tanh', got 'erf'",
    ),
    (
        lambda: F.gelu(Tensor([1.0]), "sigmoid"),
        ValueError,
        "gelu: approximate expected 'none' or 'tanh', got 'sigmoid'",
    ),
    (
        lambda: nn.Dropout(rng="seed"),
        TypeError,
        "rng: expected a numpy.random.Generator, an integer seed or None, got str",
    ),
]


@pytest.mark.parametrize(("act", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors(act: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert str(caught.value) == message
