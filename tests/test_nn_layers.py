"""Layers beside NumPy in float64, their gradients and initial values (CONTRACT 7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, init, nn
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


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 2), (2, 0), (0, 0)])
def test_linear_without_inputs_or_outputs(inputs: int, outputs: int) -> None:
    layer = nn.Linear(inputs, outputs)
    out = layer(Tensor(np.ones((3, inputs)), dtype="float32"))
    np.testing.assert_array_equal(out.numpy(), np.broadcast_to(layer.bias.numpy(), (3, outputs)))
    out.sum().backward()
    assert layer.weight.grad.shape == (inputs, outputs)
    np.testing.assert_array_equal(layer.bias.grad.numpy(), np.full((1, outputs), 3))


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(4, 3), nn.BatchNorm1d(4), nn.LayerNorm1d(4), nn.RMSNorm(4), nn.Softmax()],
    ids=repr,
)
def test_layers_take_arrays(layer: nn.Module) -> None:
    np.testing.assert_array_equal(layer(X).numpy(), layer(Tensor(X)).numpy())


# Functions


def test_softplus_has_its_limits() -> None:
    x = Tensor([-800.0, -1.0, 0.0, 1.0, 800.0])
    out = F.softplus(x)
    np.testing.assert_allclose(out.numpy(), np.logaddexp(0, x.numpy()), rtol=1e-12)
    out.sum().backward()
    np.testing.assert_allclose(
        x.grad.numpy(), [0, 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-1)), 1], atol=1e-15
    )


def test_the_functions_are_those_of_ops_where_there_is_one() -> None:
    for name in (
        "relu",
        "sigmoid",
        "tanh",
        "softmax",
        "log_softmax",
        "silu",
        "softplus",
        "cross_entropy",
    ):
        assert getattr(F, name) is getattr(ndl.ops, name)
    for name in F.__all__:
        assert getattr(F, name).__doc__, name
