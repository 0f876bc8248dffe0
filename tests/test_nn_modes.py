"""Batch normalisation and dropout in training and evaluation, and embedding (CONTRACT 7)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from needle import Tensor, nn
from needle.errors import ShapeError
from needle.nn import functional as F
from needle.testing import gradient_check

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(6, 4)) * 2 + 0.3


def test_running_statistics() -> None:
    norm = nn.BatchNorm1d(4, momentum=0.3, dtype="float64")
    mean, var = np.zeros(4), np.ones(4)
    running = norm.running_mean, norm.running_var
    for shift in (0.0, 5.0, -2.0):
        batch = X * (1 + abs(shift)) + shift
        out = norm(Tensor(batch))
        mean = 0.7 * mean + 0.3 * batch.mean(0)
        var = 0.7 * var + 0.3 * batch.var(0)
        np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-12)
        np.testing.assert_allclose(norm.running_var.numpy(), var, rtol=1e-12)
    assert norm.running_mean is running[0]
    assert norm.running_var is running[1]
    assert not norm.running_mean.requires_grad
    assert norm.running_mean.is_leaf()
    out.sum().backward()
    assert norm.running_mean.grad is None
    norm.eval()
    out = norm(Tensor(X))
    np.testing.assert_allclose(out.numpy(), (X - mean) / np.sqrt(var + 1e-5), rtol=1e-9)
    np.testing.assert_array_equal(norm.running_mean.numpy(), mean)
    out.sum().backward()
    assert norm.running_mean.grad is None
    gradient_check(norm, Tensor(X))


def test_evaluation_can_be_differentiated_after_a_training_pass() -> None:
    norm = nn.BatchNorm1d(4).eval()
    x = Tensor(X, dtype="float32")
    out = norm(x)
    norm.train()(x)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full(X.shape, 1 / math.sqrt(1 + 1e-5)), rtol=1e-6)


def test_running_statistics_keep_their_dtype() -> None:
    norm = nn.BatchNorm1d(4)
    norm(Tensor(X, dtype="float64"))
    assert norm.running_mean.dtype == norm.running_var.dtype == np.float32
    np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * X.mean(0), rtol=1e-5, atol=1e-6)


def test_batch_norm_without_running_statistics() -> None:
    for training in (True, False):
        out = F.batch_norm(Tensor(X), training=training)
        np.testing.assert_allclose(
            out.numpy(), (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5), rtol=1e-10
        )
    with pytest.raises(
        ShapeError, match=r"^batch_norm: expected 2 dimensions, got shape \(2, 3, 4\)$"
    ):
        F.batch_norm(Tensor(X.reshape(2, 3, 4)))


def test_a_failed_pass_leaves_the_statistics() -> None:
    norm = nn.BatchNorm1d(4)
    norm.weight = Tensor(np.ones(3, np.float32))
    with pytest.raises(ShapeError):
        norm(Tensor(X, dtype="float32"))
    assert norm.running_mean.tolist() == [0, 0, 0, 0]


# Dropout


def test_dropout_draws_from_numpys_generator() -> None:
    layer = nn.Dropout(0.3)
    np.random.seed(8)
    x = Tensor(X)
    out = layer(x)
    np.random.seed(8)
    kept = np.random.rand(*X.shape) <= 0.7
    np.testing.assert_allclose(out.numpy(), X * kept / 0.7, rtol=1e-12)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), kept / 0.7, rtol=1e-12)
    single = Tensor(X, dtype="float32")
    assert layer(single).dtype == np.float32
    assert layer.eval()(x) is x


def test_dropout_with_a_generator_of_its_own() -> None:
    state = np.random.get_state()[1].copy()
    x = Tensor(np.ones((20, 30)))
    layer, twin = nn.Dropout(0.5, rng=7), nn.Dropout(0.5, rng=np.random.default_rng(7))
    first, second = layer(x).numpy(), layer(x).numpy()
    np.testing.assert_array_equal(first, twin(x).numpy())
    np.testing.assert_array_equal(second, twin(x).numpy())
    assert not np.array_equal(first, second)
    assert np.array_equal(state, np.random.get_state()[1])


@pytest.mark.parametrize(("p", "value"), [(0.0, 1.0), (1.0, 0.0), (0, 1.0), (1, 0.0)])
def test_dropout_of_nothing_and_of_all(p: float, value: float) -> None:
    out = nn.Dropout(p)(Tensor(np.ones((50, 50)), dtype="float32"))
    np.testing.assert_array_equal(out.numpy(), np.full((50, 50), value))


# Embedding


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "int8"])
def test_embedding(dtype: str) -> None:
    table = nn.Embedding(6, 3)
    ids = np.array([[0, 5, 2, 2], [1, 0, 3, 2]])
    out = table(Tensor(ids, dtype=dtype, requires_grad=False))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out.numpy(), table.weight.numpy()[ids])
    np.testing.assert_array_equal(table(ids).numpy(), out.numpy())
    weights = RANDOM.normal(size=(2, 4, 3)).astype(np.float32)
    (out * Tensor(weights, requires_grad=False)).sum().backward()
    expected = np.zeros((6, 3))
    np.add.at(expected, ids, weights)
    np.testing.assert_allclose(table.weight.grad.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_embedding_of_a_scalar_and_of_nothing() -> None:
    table = nn.Embedding(6, 3)
    np.testing.assert_array_equal(table(Tensor(4)).numpy(), table.weight.numpy()[4])
    assert table(Tensor(np.zeros((0, 2)))).shape == (0, 2, 3)
