"""What the derivative is where there is none: one row for each convention (DESIGN 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

inf, nan = np.inf, np.nan

# Name, function, point, expected gradient.
KINKS: list[tuple[str, Callable[[Tensor], Tensor], Any, Any]] = [
    ("relu at 0", ndl.relu, [-1.0, 0.0, -0.0, 2.0], [0, 0, 0, 1]),
    ("abs at 0", ndl.ops.abs, [-1.0, 0.0, -0.0, 2.0], [-1, 0, 0, 1]),
    ("sign", ndl.sign, [-1.0, 0.0, 2.0], [0, 0, 0]),
    ("max, ties", ndl.ops.max, [1.0, 3.0, 3.0, 2.0], [0, 0.5, 0.5, 0]),
    ("max, all equal", ndl.ops.max, [[2.0, 2.0], [2.0, 2.0]], [[0.25, 0.25], [0.25, 0.25]]),
    ("max, an axis", lambda x: x.max(axes=1), [[1.0, 1.0], [0.0, 2.0]], [[0.5, 0.5], [0, 1]]),
    ("min, ties", ndl.ops.min, [1.0, 1.0, 1.0, 2.0], [1 / 3, 1 / 3, 1 / 3, 0]),
    ("maximum with 0", lambda x: ndl.maximum(x, 0.0), [-1.0, 0.0, 1.0], [0, 0.5, 1]),
    ("minimum with 0", lambda x: ndl.minimum(x, 0.0), [-1.0, 0.0, 1.0], [1, 0.5, 0]),
    ("maximum of itself", lambda x: ndl.maximum(x, x), [1.0], [1]),
    ("norm at 0", lambda x: ndl.sqrt((x * x).sum()), [0.0, 0.0], [0, 0]),
    ("norm by power", lambda x: ((x**2).sum()) ** 0.5, [0.0, 0.0], [0, 0]),
    ("sqrt of abs", lambda x: ndl.sqrt(ndl.ops.abs(x)), [0.0, 4.0], [0, 0.25]),
    ("x ** 0", lambda x: x**0, [0.0, 2.0, -3.0], [0, 0, 0]),
    ("x ** 0.0", lambda x: x**0.0, [0.0], [0]),
    ("x ** 1", lambda x: x**1, [0.0, -2.0], [1, 1]),
    ("x ** 2", lambda x: x**2, [0.0, -2.0], [0, -4]),
    ("x ** tensor 0", lambda x: x ** Tensor([0.0]), [0.0], [0]),
    ("0 ** x", lambda x: Tensor([0.0]) ** x, [2.0], [0]),
    ("0 times inf", lambda x: ndl.log(x) * 0.0, [0.0, 1.0], [0, 0]),
    ("where, inf", lambda x: ndl.where(x > 0, ndl.log(x), 0.0), [0.0, 2.0], [0, 0.5]),
    ("where, nan", lambda x: ndl.where(x > 0, ndl.sqrt(x), x), [-4.0, 4.0], [1, 0.25]),
    ("where, division", lambda x: ndl.where(x == 0, 1.0, 1 / x), [0.0, 2.0], [0, -0.25]),
    ("mask by maximum", lambda x: ndl.maximum(ndl.exp(x), 0.0), [-800.0, 0.0], [0, 1]),
    ("tanh, far", ndl.tanh, [-1e3, 1e3], [0, 0]),
    ("sigmoid, far", ndl.sigmoid, [-1e3, 1e3, 0.0], [0, 0, 0.25]),
    ("logsumexp, far", ndl.logsumexp, [1e10, 1e10], [0.5, 0.5]),
    ("logsumexp, -inf", ndl.logsumexp, [-inf, 0.0], [0, 1]),
    ("logsumexp, all -inf", ndl.logsumexp, [-inf, -inf], [0, 0]),
    ("softmax, far", lambda x: ndl.softmax(x)[0], [1e5, -1e5], [0, 0]),
    ("log_softmax, far", lambda x: ndl.log_softmax(x)[1], [1e5, 0.0], [-1, 1]),
    ("cross_entropy, -inf", lambda x: ndl.cross_entropy(x, Tensor([0, 1.0])), [-inf, 0.0], [0, 0]),
    ("layer_norm, constant", lambda x: ndl.layer_norm(x, 0.25)[0], [2.0, 2.0], [1, -1]),
    ("relu_gradient", lambda x: ndl.relu_gradient(x, Tensor([0.0, 2.0])), [3.0, 3.0], [0, 1]),
    ("tanh_gradient", lambda x: ndl.tanh_gradient(x, Tensor([inf, 0.0])), [inf, 3.0], [0, 1]),
]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("f", "at", "expected"), [k[1:] for k in KINKS], ids=[k[0] for k in KINKS])
def test_kink(f: Callable[[Tensor], Tensor], at: Any, expected: Any, lazy: bool) -> None:
    x = Tensor(at)
    with np.errstate(all="ignore"), ndl.lazy(lazy):
        f(x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12, atol=1e-300)


def test_second_derivatives_at_kinks() -> None:
    for f, at, expected in [
        (lambda x: x**2, [0.0, 1.0], [2, 2]),
        (lambda x: x**3, [0.0, 1.0], [0, 6]),
        (lambda x: x * x, [0.0], [2]),
        (lambda x: x**1, [0.0], [0]),
        (ndl.exp, [0.0], [1]),
        (lambda x: ndl.relu(x) ** 2, [-1.0, 1.0], [0, 2]),
        (lambda x: ndl.chain_product(x, x), [0.0, 1.0], [2, 2]),
        (lambda x: ndl.chain_product(x, ndl.sin(x)), [0.0], [2]),
        (ndl.sigmoid, [1e3], [0]),
        (ndl.tanh, [-1e3], [0]),
    ]:
        x = Tensor(at)
        f(x).sum().backward()
        if x.grad.requires_grad:
            x.grad.sum().backward()
            second = x.grad.numpy()
        else:
            second = np.zeros(x.shape)
        np.testing.assert_allclose(second, expected, rtol=1e-12)


def test_the_chain_product_is_zero_where_a_factor_is() -> None:
    a, b = [0.0, inf, nan, 0.0, -0.0, 2.0, inf], [inf, 0.0, 0.0, nan, inf, 3.0, 2.0]
    x, y = Tensor(a), Tensor(b)
    assert ndl.chain_product(x, y).tolist() == [0, 0, 0, 0, 0, 6, inf]
    forward = (x * y).numpy()
    assert np.isnan(forward[:5]).all()


def test_forward_arithmetic_stays_ieee() -> None:
    x = Tensor([0.0, -1.0, inf])
    with np.errstate(all="ignore"):
        for f, reference in [
            (ndl.log, np.log),
            (ndl.sqrt, np.sqrt),
            (lambda t: 1 / t, lambda a: 1 / a),
            (lambda t: t * 0, lambda a: a * 0),
            (lambda t: t - t, lambda a: a - a),
        ]:
            np.testing.assert_array_equal(f(x).numpy(), reference(x.numpy()))
    a, b = np.array([[0.0, inf]]), np.array([[inf], [0.0]])
    assert np.isnan((Tensor(a) @ Tensor(b)).item())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_propagates(dtype: str) -> None:
    x = Tensor([1.0, nan, -1.0], dtype=dtype)
    assert np.isnan(ndl.relu(x).numpy()).tolist() == [False, True, False]
    for result in (x.max(), x.min(), x.sum(), x.mean(), ndl.logsumexp(x)):
        assert np.isnan(result.item())
    for f in (ndl.maximum, ndl.minimum):
        assert np.isnan(f(x, 0.0).numpy()).tolist() == [False, True, False]
        assert np.isnan(f(0.0, x).numpy()).tolist() == [False, True, False]
    for f in (ndl.exp, ndl.log, ndl.tanh, ndl.sigmoid, ndl.sin, ndl.cos, ndl.sqrt, ndl.ops.abs):
        assert np.isnan(f(x).numpy()[1])
    assert np.isnan(ndl.softmax(x).numpy()).all()
    for symbol in ("__eq__", "__lt__", "__ge__"):
        assert getattr(x, symbol)(x).tolist()[1] is False
    assert (x != x).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinite_extrema(dtype: str) -> None:
    x = Tensor([-inf, -inf], dtype=dtype)
    assert ndl.logsumexp(x).item() == -inf
    assert x.max().item() == -inf
    y = Tensor([[inf, 1.0]], dtype=dtype)
    assert ndl.logsumexp(y).item() == inf
