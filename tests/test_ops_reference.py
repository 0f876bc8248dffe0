"""Every op of the table against NumPy; an op without a row here fails (CONTRACT 5)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

TABLE = ndl._core.op_table()
SAMPLES = [
    pytest.param(row["name"], op, inputs, id=f"{row['name']}-{i}")
    for row in TABLE
    for i, (op, inputs) in enumerate(row["samples"])
]


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda op, a: function(a, axis=op.axes, keepdims=op.keepdims)


def elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda op, *arrays: function(*arrays)


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def logsumexp(a: np.ndarray, axis: Any, keepdims: bool = True) -> np.ndarray:
    return np.log(np.sum(np.exp(a), axis=axis, keepdims=keepdims))


def put(op: Any, a: np.ndarray) -> np.ndarray:
    result = np.zeros(op.shape, a.dtype)
    result[op.index] = a
    return result


def normal(op: Any, a: np.ndarray) -> np.ndarray:
    return (a - a.mean(op.axis, keepdims=True)) / np.sqrt(a.var(op.axis, keepdims=True) + op.eps)


def layer_norm_gradient(op: Any, g: np.ndarray, a: np.ndarray) -> np.ndarray:
    y = normal(op, a)
    rest = g - g.mean(op.axis, keepdims=True) - y * (g * y).mean(op.axis, keepdims=True)
    return rest / np.sqrt(a.var(op.axis, keepdims=True) + op.eps)


def root_mean_square(op: Any, a: np.ndarray) -> np.ndarray:
    return a / np.sqrt((a * a).mean(op.axis, keepdims=True) + op.eps)


def rms_norm_gradient(op: Any, g: np.ndarray, a: np.ndarray) -> np.ndarray:
    y = root_mean_square(op, a)
    rest = g - y * (g * y).mean(op.axis, keepdims=True)
    return rest / np.sqrt((a * a).mean(op.axis, keepdims=True) + op.eps)


def shares(a: np.ndarray, target: np.ndarray) -> np.ndarray:
    return target if target.ndim == a.ndim else np.eye(a.shape[-1])[target.astype(int)]


def cross_entropy(op: Any, a: np.ndarray, target: np.ndarray) -> np.ndarray:
    loss = -(shares(a, target) * (a - logsumexp(a, -1))).sum(-1).mean()
    return loss.astype(a.dtype)


def cross_entropy_gradient(op: Any, g: np.ndarray, a: np.ndarray, t: np.ndarray) -> np.ndarray:
    t = shares(a, t).astype(a.dtype)
    share = np.exp(a - logsumexp(a, -1))
    return g * (t.sum(-1, keepdims=True) * share - t) / (a.size // a.shape[-1])


def normal_cdf(a: np.ndarray) -> np.ndarray:
    return (1 + erf(a / math.sqrt(2))) / 2


def normal_density(a: np.ndarray) -> np.ndarray:
    return np.exp(-a * a / 2) / math.sqrt(2 * math.pi)


def erf(a: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[a.dtype])(a)


def take_gradient(op: Any, g: np.ndarray, indices: np.ndarray) -> np.ndarray:
    result = np.zeros(op.shape, g.dtype)
    np.add.at(result, (slice(None),) * op.axis + (indices,), g)
    return result


def chain_product(op: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    zero = (a == 0) | (b == 0)
    return np.where(zero, 0, np.where(zero, 1, a) * np.where(zero, 1, b))


def transpose(op: Any, a: np.ndarray) -> np.ndarray:
    if op.axes is None:
        return a if a.ndim < 2 else np.swapaxes(a, -1, -2)
    return np.swapaxes(a, *op.axes)


# What each op means: a function of the op object and the arrays.
REFERENCE: dict[str, Callable[..., Any]] = {
    "add": elementwise(np.add),
    "add_scalar": lambda op, a: a + op.scalar,
    "subtract": elementwise(np.subtract),
    "multiply": elementwise(np.multiply),
    "mul_scalar": lambda op, a: a * op.scalar,
    "divide": elementwise(np.divide),
    "divide_scalar": lambda op, a: a / op.scalar,
    "power": elementwise(np.power),
    "power_scalar": lambda op, a: a**op.scalar,
    "power_less": lambda op, a, b: np.power(a, b - op.steps),
    "negate": elementwise(np.negative),
    "chain_product": chain_product,
    "maximum": elementwise(np.maximum),
    "minimum": elementwise(np.minimum),
    "abs": elementwise(np.abs),
    "sign": elementwise(np.sign),
    "sqrt": elementwise(np.sqrt),
    "exp": elementwise(np.exp),
    "log": elementwise(np.log),
    "log1p": elementwise(np.log1p),
    "sin": elementwise(np.sin),
    "cos": elementwise(np.cos),
    "tanh": elementwise(np.tanh),
    "sigmoid": elementwise(sigmoid),
    "relu": elementwise(lambda a: np.maximum(a, 0)),
    "erf": elementwise(erf),
    "softplus": elementwise(lambda a: np.logaddexp(a, 0)),
    "gelu": elementwise(lambda a: a * normal_cdf(a)),
    "silu": elementwise(lambda a: a * sigmoid(a)),
    "leaky_relu": lambda op, a: np.where(a > 0, a, op.slope * a),
    "equal": elementwise(np.equal),
    "not_equal": elementwise(np.not_equal),
    "less": elementwise(np.less),
    "less_equal": elementwise(np.less_equal),
    "greater": elementwise(np.greater),
    "greater_equal": elementwise(np.greater_equal),
    "where": elementwise(np.where),
    "summation": reduction(np.sum),
    "mean": reduction(np.mean),
    "max": reduction(np.max),
    "min": reduction(np.min),
    "var": lambda op, a: np.var(a, axis=op.axes, keepdims=op.keepdims, ddof=op.correction),
    "broadcast_to": lambda op, a: np.broadcast_to(a, op.shape),
    "reshape": lambda op, a: a.reshape(op.shape),
    "transpose": transpose,
    "permute": lambda op, a: np.transpose(a, op.axes),
    "astype": lambda op, a: a.astype(op.dtype),
    "matmul": elementwise(np.matmul),
    "transposed_matmul": lambda op, a, b: (a.T if op.left else a) @ (b.T if op.right else b),
    "linear": elementwise(lambda a, weight, bias: a @ weight + bias.ravel()),
    "logsumexp": reduction(logsumexp),
    "softmax": lambda op, a: np.exp(a - logsumexp(a, op.axis)),
    "log_softmax": lambda op, a: a - logsumexp(a, op.axis),
    "layer_norm": normal,
    "layer_norm_gradient": layer_norm_gradient,
    "rms_norm": root_mean_square,
    "rms_norm_gradient": rms_norm_gradient,
    "cross_entropy": cross_entropy,
    "cross_entropy_gradient": cross_entropy_gradient,
    "logistic_loss": elementwise(lambda a, t: np.logaddexp(a, 0) - t * a),
    "logistic_residual": elementwise(lambda a, t: sigmoid(a) - t),
    "tanh_gradient": elementwise(lambda g, a: g / np.cosh(a) ** 2),
    "sigmoid_gradient": elementwise(lambda g, a: g * sigmoid(a) * sigmoid(-a)),
    "tanh_curvature": elementwise(lambda g, a: -2 * g * np.tanh(a) / np.cosh(a) ** 2),
    "sigmoid_curvature": elementwise(
        lambda g, a: g * sigmoid(a) * sigmoid(-a) * (sigmoid(-a) - sigmoid(a))
    ),
    "tanh_third": elementwise(lambda g, a: g / np.cosh(a) ** 2 * (6 * np.tanh(a) ** 2 - 2)),
    "sigmoid_third": elementwise(
        lambda g, a: g * sigmoid(a) * sigmoid(-a) * (1 - 6 * sigmoid(a) * sigmoid(-a))
    ),
    "erf_gradient": elementwise(lambda g, a: g * 2 / math.sqrt(math.pi) * np.exp(-a * a)),
    "normal_gradient": elementwise(lambda g, a: g * normal_density(a)),
    "gelu_gradient": elementwise(lambda g, a: g * (normal_cdf(a) + a * normal_density(a))),
    "silu_gradient": elementwise(lambda g, a: g * sigmoid(a) * (1 + a * (1 - sigmoid(a)))),
    "relu_gradient": elementwise(lambda g, y: np.where(y > 0, g, 0)),
    "softmax_gradient": lambda op, g, y: y * (g - (g * y).sum(op.axis, keepdims=True)),
    "log_softmax_gradient": lambda op, g, y: g - np.exp(y) * g.sum(op.axis, keepdims=True),
    "stack": lambda op, *arrays: np.stack(arrays, op.axis),
    "split": lambda op, a: tuple(np.moveaxis(a, op.axis, 0)),
    "concat": lambda op, *arrays: np.concatenate(arrays, op.axis),
    "getitem": lambda op, a: a[op.index],
    "put": put,
    "take": lambda op, a, indices: np.take(a, indices, axis=op.axis),
    "take_gradient": take_gradient,
    "make_tuple": lambda op, *arrays: arrays,
    "tuple_get_item": lambda op, *arrays: arrays[op.index],
    "fused_add_scalars": lambda op, a: (a + op.c0, a + op.c1),
}


def call_function(row: dict[str, Any], op: Any, inputs: list[Tensor]) -> Any:
    """The module-level function with the parameters of an op object."""
    parameters = {name: getattr(op, name) for name, _, _ in row["params"]}
    function = getattr(ndl, row["name"])
    if row["name"] == "getitem":
        return inputs[0][parameters["index"]]
    if row["name"] == "put":
        return op(*inputs)  # the index of a target that only the op object knows
    if row["name"] == "make_tuple":
        return function(*inputs)
    return function(inputs, **parameters) if row["variadic"] else function(*inputs, **parameters)


def check(result: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert isinstance(result, ndl.TensorTuple)
        assert len(result) == len(expected)
        for part, right in zip(result, expected, strict=True):
            check(part, right)
        return
    expected = np.asarray(expected)
    assert type(result) is Tensor
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_every_op_is_documented_exported_and_referenced(row: dict[str, Any]) -> None:
    name, cls = row["name"], row["class"]
    assert name in REFERENCE, f"{name}: no NumPy reference in {__file__}"
    assert row["samples"] or name == "tuple_get_item", f"{name}: no samples"
    assert len(row["doc"]) > 20
    function = getattr(ndl, name)
    assert function is getattr(ndl.ops, name)
    assert getattr(ndl, cls) is getattr(ndl.ops, cls)
    assert row["doc"] in function.__doc__
    assert row["doc"] in getattr(ndl, cls).__doc__
    assert function.__name__ == name
    parameters = inspect.signature(function).parameters
    names = [*row["inputs"], *[p for p, _, _ in row["params"]]]
    assert list(parameters)[: len(names)] == names
    exported = ndl.ops.__all__
    assert cls in exported
    assert (name in exported) == (name not in ("max", "min", "abs"))


def test_no_reference_is_left_over() -> None:
    assert set(REFERENCE) == {row["name"] for row in TABLE}


@pytest.mark.parametrize(("name", "op", "inputs"), SAMPLES)
def test_the_class_and_the_function_equal_numpy(name: str, op: Any, inputs: list[Tensor]) -> None:
    row = next(row for row in TABLE if row["name"] == name)
    expected = REFERENCE[name](op, *[t.numpy() for t in inputs])
    check(op(*inputs), expected)
    check(call_function(row, op, inputs), expected)
    arrays = op.compute(*[t.numpy() for t in inputs])
    parts = arrays if isinstance(arrays, tuple) else (arrays,)
    rights = expected if isinstance(expected, tuple) else (expected,)
    for part, right in zip(parts, rights, strict=True):
        assert isinstance(part, np.ndarray)
        np.testing.assert_allclose(part, right, rtol=1e-13)


@pytest.mark.parametrize(("name", "op", "inputs"), SAMPLES)
def test_float32(name: str, op: Any, inputs: list[Tensor]) -> None:
    narrow = [t.astype("float32").detach() if t.dtype == "float64" else t for t in inputs]
    expected = REFERENCE[name](op, *[t.numpy() for t in narrow])
    result = op(*narrow)
    parts = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
    rights = expected if isinstance(expected, tuple) else (expected,)
    for part, right in zip(parts, rights, strict=True):
        assert part.dtype == np.asarray(right).dtype
        np.testing.assert_allclose(part.numpy(), right, rtol=2e-6, atol=1e-7)


UNARY = [
    row
    for row in TABLE
    if row["inputs"] == ["a"]
    and all(kind not in ("Scalar", "Index") for _, kind, _ in row["params"])
]


@pytest.mark.parametrize("row", UNARY, ids=lambda row: row["name"])
def test_unary_functions_are_methods(row: dict[str, Any]) -> None:
    method = "sum" if row["name"] == "summation" else row["name"]
    for op, (x,) in row["samples"]:
        parameters = {name: getattr(op, name) for name, _, _ in row["params"]}
        check(getattr(x, method)(**parameters), REFERENCE[row["name"]](op, x.numpy()))
