"""Layers beside NumPy in float64, their gradients, initial values and errors (CONTRACT 7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, init, nn
from needle.errors import ShapeError
from needle.nn import functional as F
from needle.testing import gradient_check

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(6, 4)) * 2 + 0.3
CUBE = RANDOM.normal(size=(2, 3, 4))
ERF = np.vectorize(math.erf)


def standard(a: np.ndarray, axis: Any, eps: float = 1e-5) -> np.ndarray:
    return (a - a.mean(axis, keepdims=True)) / np.sqrt(a.var(axis, keepdims=True) + eps)


def arrays(layer: nn.Module) -> list[np.ndarray]:
    return [p.numpy() for p in layer.parameters()]


def shaken(layer: Any) -> Any:
    """The layer in float64, with random parameters: ones and zeros would hide mistakes."""
    for p in layer.parameters():
        p.data = Tensor(np.random.default_rng(p.size).normal(size=p.shape))
    return layer


D = {"dtype": "float64"}

# A layer, an input, and what NumPy makes of the input and the layer's parameters.
LAYERS: dict[str, tuple[Callable[[], nn.Module], np.ndarray, Callable[..., np.ndarray]]] = {
    "Identity": (nn.Identity, X, lambda x: x),
    "Flatten": (nn.Flatten, CUBE, lambda x: x.reshape(2, 12)),
    "ReLU": (nn.ReLU, X, lambda x: np.maximum(x, 0)),
    "LeakyReLU": (nn.LeakyReLU, X, lambda x: np.where(x > 0, x, 0.01 * x)),
    "LeakyReLU, slope 2": (lambda: nn.LeakyReLU(2), X, lambda x: np.where(x > 0, x, 2 * x)),
    "GELU": (nn.GELU, X, lambda x: x * (1 + ERF(x / math.sqrt(2))) / 2),
    "GELU, tanh": (
        lambda: nn.GELU("tanh"),
        X,
        lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    ),
    "SiLU": (nn.SiLU, X, lambda x: x / (1 + np.exp(-x))),
    "Tanh": (nn.Tanh, X, np.tanh),
    "Sigmoid": (nn.Sigmoid, X, lambda x: 1 / (1 + np.exp(-x))),
    "Softmax": (nn.Softmax, X, lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    "Softmax, axis 0": (lambda: nn.Softmax(0), X, lambda x: np.exp(x) / np.exp(x).sum(0)),
    "Linear": (lambda: nn.Linear(4, 3, **D), X, lambda x, w, b: x @ w + b),
    "Linear, no bias": (lambda: nn.Linear(4, 3, bias=False, **D), X, lambda x, w: x @ w),
    "Linear, 3-D": (lambda: nn.Linear(4, 5, **D), CUBE, lambda x, w, b: x @ w + b),
    "Linear, 1-D": (lambda: nn.Linear(4, 3, **D), X[0], lambda x, w, b: x @ w + b[0]),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4, **D), X, lambda x, w, b: standard(x, 0) * w + b),
    "BatchNorm1d, eps": (
        lambda: nn.BatchNorm1d(4, 0.5, **D),
        X,
        lambda x, w, b: standard(x, 0, 0.5) * w + b,
    ),
    "BatchNorm1d, eval": (
        lambda: nn.BatchNorm1d(4, **D).eval(),
        X,
        lambda x, w, b: x / np.sqrt(1 + 1e-5) * w + b,
    ),
    "LayerNorm1d": (lambda: nn.LayerNorm1d(4, **D), X, lambda x, w, b: standard(x, 1) * w + b),
    "LayerNorm1d, eps": (
        lambda: nn.LayerNorm1d(4, 0.5, **D),
        X,
        lambda x, w, b: standard(x, 1, 0.5) * w + b,
    ),
    "LayerNorm": (lambda: nn.LayerNorm(4, **D), CUBE, lambda x, w, b: standard(x, 2) * w + b),
    "LayerNorm, two axes": (
        lambda: nn.LayerNorm((3, 4), **D),
        CUBE,
        lambda x, w, b: standard(x, (1, 2)) * w + b,
    ),
    "LayerNorm, no bias": (
        lambda: nn.LayerNorm(4, bias=False, **D),
        CUBE,
        lambda x, w: standard(x, 2) * w,
    ),
    "LayerNorm, plain": (
        lambda: nn.LayerNorm(4, elementwise_affine=False),
        CUBE,
        lambda x: standard(x, 2),
    ),
    "RMSNorm": (
        lambda: nn.RMSNorm(4, **D),
        CUBE,
        lambda x, w: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w,
    ),
    "Dropout, eval": (lambda: nn.Dropout().eval(), X, lambda x: x),
    "Sequential": (
        lambda: nn.Sequential(nn.Linear(4, 2, **D), nn.Tanh()),
        X,
        lambda x, w, b: np.tanh(x @ w + b),
    ),
    "Residual": (lambda: nn.Residual(nn.Linear(4, 4, **D)), X, lambda x, w, b: x @ w + b + x),
}


@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients(name: str) -> None:
    make, x, reference = LAYERS[name]
    layer = shaken(make())
    expected = reference(x, *arrays(layer))
    out = layer(Tensor(x))
    assert out.dtype == np.float64
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-10, atol=1e-12)
    gradient_check(lambda x, *_: layer(x), Tensor(x))
    if layer.parameters():

        def by_values(*values: Tensor) -> Tensor:
            """The layer with these tensors in the place of its parameters."""
            fresh = make()
            for (path, _), value in zip(fresh.named_parameters(), values, strict=True):
                *owners, attribute = path.split(".")
                owner: Any = fresh
                for part in owners:
                    owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
                setattr(owner, attribute, value)
            return fresh(Tensor(x, requires_grad=False))

        gradient_check(by_values, *[Tensor(a) for a in arrays(layer)])


@pytest.mark.parametrize("name", LAYERS)
def test_single_precision_stays_single(name: str) -> None:
    make, x, reference = LAYERS[name]
    layer = make()
    for p in layer.parameters():
        values = np.random.default_rng(p.size).normal(size=p.shape)
        p.cached_data = values.astype(np.float32)
    for _, buffer in layer.named_buffers():
        buffer.cached_data = buffer.numpy().astype(np.float32)
    out = layer(Tensor(x, dtype="float32"))
    assert out.dtype == np.float32
    expected = reference(x, *arrays(layer))
    np.testing.assert_allclose(out.numpy(), expected, rtol=2e-5, atol=2e-5)


def test_every_layer_is_in_the_table() -> None:
    ours = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    tested = {name.split(",")[0] for name in LAYERS}
    assert tested <= ours
    losses = {name for name in ours if name.endswith("Loss")}
    # Embedding has tests of its own.
    assert ours - tested - losses == {"Module", "Parameter", "Embedding"}


# Initial values


def test_linear_draws_weight_then_bias() -> None:
    np.random.seed(4)
    layer = nn.Linear(7, 5)
    np.random.seed(4)
    weight = init.kaiming_uniform(7, 5)
    bias = init.kaiming_uniform(5, 1)
    np.testing.assert_array_equal(layer.weight.numpy(), weight.numpy())
    np.testing.assert_array_equal(layer.bias.numpy(), bias.numpy().reshape(1, 5))
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    np.random.seed(4)
    bare = nn.Linear(7, 5, bias=False)
    following = np.random.rand()
    assert bare.bias is None
    np.testing.assert_array_equal(bare.weight.numpy(), weight.numpy())
    np.random.seed(4)
    np.random.rand(7, 5)
    assert following == np.random.rand()


def test_modules_draw_in_the_order_they_are_made() -> None:
    np.random.seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 1))
    np.random.seed(0)
    for layer in (net[0], net[3]):
        a, b = layer.weight.shape
        np.testing.assert_array_equal(layer.weight.numpy(), init.kaiming_uniform(a, b).numpy())
        np.testing.assert_array_equal(layer.bias.numpy().T, init.kaiming_uniform(b, 1).numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_values_dtype_and_device(dtype: str) -> None:
    options = {"dtype": dtype, "device": ndl.cpu()}
    np.random.seed(1)
    table = nn.Embedding(5, 3, **options)
    np.random.seed(1)
    np.testing.assert_array_equal(table.weight.numpy(), np.random.randn(5, 3).astype(dtype))
    layers = [
        (nn.BatchNorm1d(3, **options), (3,)),
        (nn.LayerNorm1d(3, **options), (3,)),
        (nn.LayerNorm((2, 3), **options), (2, 3)),
        (nn.RMSNorm(3, **options), (3,)),
        (nn.Linear(3, 2, **options), (3, 2)),
        (table, (5, 3)),
    ]
    for layer, shape in layers:
        assert layer.weight.shape == shape
        for p in [*layer.parameters(), *(buffer for _, buffer in layer.named_buffers())]:
            assert p.dtype == dtype
            assert p.device == ndl.cpu()
    for layer, shape in layers[:4]:
        np.testing.assert_array_equal(layer.weight.numpy(), np.ones(shape))
        if hasattr(layer, "bias"):
            np.testing.assert_array_equal(layer.bias.numpy(), np.zeros(shape))
    norm = layers[0][0]
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert norm.running_var.tolist() == [1, 1, 1]


def test_linear_takes_a_bias_without_the_leading_axis() -> None:
    layer = nn.Linear(4, 3)
    layer.bias.data = Tensor(np.arange(3), dtype="float32")
    for x in (X, CUBE, X[0]):
        out = layer(Tensor(x, dtype="float32"))
        expected = x @ layer.weight.numpy() + np.arange(3)
        assert out.shape == expected.shape
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5, atol=1e-5)


# Batch normalisation


def test_running_statistics() -> None:
    norm = nn.BatchNorm1d(4, momentum=0.3, **D)
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
        np.testing.assert_allclose(out.numpy(), standard(X, 0), rtol=1e-10)
    with pytest.raises(
        ShapeError, match=r"^batch_norm: expected 2 dimensions, got shape \(2, 3, 4\)$"
    ):
        F.batch_norm(Tensor(CUBE))


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


# Errors
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: nn.Linear(4, 3)(Tensor(np.ones((2, 5)))),
        ShapeError,
        "Linear: expected shape (..., 4), got (2, 5)",
    ),
    (lambda: nn.Linear(4, 3)(Tensor(1.0)), ShapeError, "Linear: expected shape (..., 4), got ()"),
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


def test_softplus_has_its_limits() -> None:
    x = Tensor([-800.0, -1.0, 0.0, 1.0, 800.0])
    out = F.softplus(x)
    np.testing.assert_allclose(out.numpy(), np.logaddexp(0, x.numpy()), rtol=1e-12)
    out.sum().backward()
    np.testing.assert_allclose(
        x.grad.numpy(), [0, 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-1)), 1], atol=1e-15
    )


def test_the_functions_are_those_of_ops_where_there_is_one() -> None:
    for name in ("relu", "sigmoid", "tanh", "softmax", "log_softmax"):
        assert getattr(F, name) is getattr(ndl.ops, name)
    for name in F.__all__:
        assert getattr(F, name).__doc__, name
