"""Gradients against finite differences, and `needle.testing.gradient_check` itself."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorOp
from needle.testing import gradient_check

SAMPLES = [
    pytest.param(row["name"], op, inputs, id=f"{row['name']}-{i}")
    for row in ndl._core.op_table()
    for i, (op, inputs) in enumerate(row["samples"])
    if row["differentiable"]
]


@pytest.mark.parametrize(("name", "op", "inputs"), SAMPLES)
def test_every_op_to_second_order(name: str, op: Any, inputs: list[Tensor]) -> None:
    if name == "astype" and op.dtype.kind != "f":
        result = op(*inputs)
        assert result.dtype == op.dtype
        result.sum().backward()
        assert all(np.all(x.grad.numpy() == 0) for x in inputs if x.grad is not None)
        return
    gradient_check(op, *inputs, order=2)


COMPOSITES = {
    "softmax loss": lambda a, b: (ndl.logsumexp(a @ b, axes=(1,)) - (a @ b)[:, 0]).mean(),
    "layer norm": lambda a, b: (
        (a - a.mean(axes=1, keepdims=True))
        / ndl.sqrt(((a - a.mean(axes=1, keepdims=True)) ** 2).mean(axes=1, keepdims=True) + 0.1)
        @ b
    ),
    "attention": lambda a, b: ndl.softmax(a @ ndl.transpose(a)) @ a,
    "broadcasts": lambda a, b: a / (1 + b.reshape((1, 4, 2)) ** 2).sum(axes=2) - b[:, 1],
    "joins": lambda a, b: ndl.concat([ndl.stack([a, a * a], 2), b.reshape((1, 4, 2)) ** 3], 0),
    "extrema": lambda a, b: ndl.maximum(a, 1.1) * a.max(axes=0) - ndl.minimum(b.min(), a),
    "choice": lambda a, b: ndl.where(a > 1, a**2, ndl.exp(-a)) * ndl.sigmoid(a),
    "tuple": lambda a, b: ndl.split(a * a, 0),
    "powers": lambda a, b: a ** b[:, 0] / a**1.5 + 2**a,
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", COMPOSITES)
def test_compositions_to_second_order(name: str, lazy: bool) -> None:
    rng = np.random.default_rng(5)
    a, b = Tensor(rng.uniform(0.5, 1.5, (3, 4))), Tensor(rng.uniform(0.5, 1.5, (4, 2)))
    with ndl.lazy(lazy):
        gradient_check(COMPOSITES[name], a, b, order=2)


class Wrong(TensorOp):
    """x ** 2 with a gradient that is wrong in one place."""

    def compute(self, a: np.ndarray) -> np.ndarray:
        return a**2

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        factor = np.full(node.shape, 2.0)
        factor[1, 2] = 3.0
        return out_grad * node.inputs[0] * factor


class WrongSecond(TensorOp):
    """x ** 2 whose gradient is right but cut off from x."""

    def compute(self, a: np.ndarray) -> np.ndarray:
        return a**2

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * (2 * node.inputs[0].numpy())


def text_of(f: Any, *tensors: Tensor, **keywords: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        gradient_check(f, *tensors, **keywords)
    return str(caught.value)


def test_the_worst_entry_is_named() -> None:
    x, y = Tensor(np.ones((2, 3))), Tensor(np.full((2, 3), 2.0))
    assert re.fullmatch(
        r"gradient_check: gradient of argument 1 is wrong in 1 of 36 entries\n"
        r"worst: d f\[1, 2\] / d argument 1\[1, 2\]: analytic 6, numeric (4|4.0000\d+|3.9999\d+) "
        r"\(difference 2, tolerance 4e-06\)",
        text_of(lambda a, b: ndl.exp(a) / 1e3 + Wrong()(b), x, y),
    )
    gradient_check(lambda a, b: ndl.exp(a) + Wrong()(b)[0], x, y)


def test_the_second_order_is_checked_when_asked() -> None:
    x = Tensor([1.0, 2.0])
    gradient_check(WrongSecond(), x)
    text = text_of(WrongSecond(), x, order=2)
    assert text.startswith(
        "gradient_check: second gradient of argument 0 is wrong in 2 of 8 entries\nworst: d (d f["
    )
    assert re.search(r"d \(d f\[(\d)\] / d argument 0\)\[\1\] / d argument 0\[\1\]: ", text)
    assert re.search(r": analytic 0, numeric (2|2\.00000\d+|1\.99999\d+) \(", text)


def own(compute: Any, gradient: Any) -> Any:
    body = {"compute": staticmethod(compute), "gradient": staticmethod(gradient)}
    return type("Own", (TensorOp,), body)()


# Gradients of x**2, and where the report says that they are off.
RULES: list[tuple[str, Any, str | None]] = [
    ("right", lambda g, n: g * 2 * n.inputs[0], None),
    ("a wrong factor", lambda g, n: g * 3 * n.inputs[0], "3 of 9 entries"),
    ("reversed", lambda g, n: g * 2 * n.inputs[0][::-1], "2 of 9 entries"),
    ("entries exchanged", lambda g, n: g[::-1] * 2 * n.inputs[0], "4 of 9 entries"),
    ("no out_grad", lambda g, n: 2 * n.inputs[0], "6 of 9 entries"),
    (
        "a square of out_grad",
        lambda g, n: g * g * 2 * n.inputs[0],
        "for their weighted sum wrong in 3 of 3",
    ),
    (
        "no sign",
        lambda g, n: ndl.abs(g) * 2 * n.inputs[0],
        "for their weighted sum wrong in 2 of 3",
    ),
]


@pytest.mark.parametrize(("name", "rule", "found"), RULES, ids=[row[0] for row in RULES])
def test_wrong_rules_are_found(name: str, rule: Any, found: str | None) -> None:
    op, x = own(lambda x: x * x, rule), Tensor([1.0, 2.0, 4.0])
    if found is None:
        gradient_check(op, x, order=2)
    else:
        assert found in text_of(op, x)


def test_a_rule_that_is_right_in_one_direction_alone() -> None:
    """Of the sum of the results, with the weights with which the check begins, it is right."""
    weights = np.random.default_rng(1).uniform(0.5, 1.5, size=3) * [-1, 1, -1]

    def mixed(g: Tensor, n: Tensor) -> Any:
        right = g * 2 * n.inputs[0]
        return right + (g[0] * weights[1] - g[1] * weights[0]) * np.ones(3)

    text = text_of(own(lambda x: x * x, mixed), Tensor([1.0, 2.0, 3.0]))
    assert "gradient of argument 0 is wrong in 6 of 9 entries" in text


def test_numbers_without_dimensions_and_several_results() -> None:
    half = own(lambda x: x * x, lambda g, n: g * n.inputs[0])
    assert "worst: d f / d argument 0: analytic 3, numeric 6" in text_of(half, Tensor(3.0))
    text = text_of(lambda x, y: (y.sum(), half(x) * y), Tensor(3.0), Tensor([1.0, 2.0]))
    assert "gradient of argument 0 is wrong in 2 of 3 entries\nworst: d f[1][1] / d arg" in text


def test_of_many_entries_a_sample_is_checked() -> None:
    x = Tensor(np.linspace(1.0, 2.0, 1000))
    third = own(lambda x: x * x, lambda g, n: g * 3 * n.inputs[0])
    text = text_of(third, x)
    sample = r", in a sample of 200 of 1000 results and 400 of 1000 elements \(by seed 0\)\n"
    assert re.search(r"wrong in \d\d of 80000 entries" + sample, text)
    assert text == text_of(third, x)
    gradient_check(lambda x: x * x, x)
    gradient_check(lambda x: (x * x).sum(), x, order=2)


def test_infinite_differences_are_no_tolerance() -> None:
    x = Tensor([1.0, 2.0])
    wrong = own(lambda x: x * 1e308 * [1, 0] * 10, lambda g, n: g)
    with np.errstate(all="ignore"):
        assert "is wrong in" in text_of(wrong, x)


def test_nan_and_missing_gradients_are_found() -> None:
    x = Tensor([0.0, 4.0])
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match=r"argument 0\[0\]"):
        gradient_check(ndl.log, x)
    with pytest.raises(AssertionError, match="argument 0"):
        gradient_check(lambda a: a.detach() * 2, x)
    gradient_check(lambda a: Tensor([1.0]), x)


def test_tensors_keep_their_values_and_gradients() -> None:
    x, g = Tensor([1.0, 2.0]), Tensor([7.0, 7.0])
    x.grad = g
    gradient_check(ndl.exp, x, order=2)
    assert x.tolist() == [1, 2]
    assert x.grad is g


def test_tolerance_and_step() -> None:
    x = Tensor([1.0])
    with pytest.raises(AssertionError):
        gradient_check(lambda a: a**5, x, eps=0.1)
    gradient_check(lambda a: a**5, x, eps=0.1, tol=0.1)
    with pytest.raises(AssertionError):
        gradient_check(lambda a: ndl.exp(a * 3), x, tol=0.0)


def test_only_what_requires_a_gradient_is_checked() -> None:
    x, c = Tensor([[2.0]]), Tensor([True], requires_grad=False)
    gradient_check(lambda a, m: ndl.where(m, a, 0.0), x, c)
    with pytest.raises(ValueError, match="no tensor requires"):
        gradient_check(lambda a: a, c)


def test_misuse() -> None:
    x = Tensor([1.0])
    with pytest.raises(TypeError, match="argument 0 expects float64, got float32"):
        gradient_check(ndl.exp, Tensor([1.0], dtype="float32"))
    with pytest.raises(TypeError, match="f expects to give float64, got float32"):
        gradient_check(lambda a: a.astype("float32"), x)
    with pytest.raises(TypeError, match="argument 1 expects a Tensor, got float"):
        gradient_check(ndl.add, x, 1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="f expects to give tensors, got float"):
        gradient_check(lambda a: 1.0, x)
    with pytest.raises(ValueError, match="order"):
        gradient_check(ndl.exp, x, order=3)
