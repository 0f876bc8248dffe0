"""The softmax family where one share is near 1, and rows that are -inf or do not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import needle as ndl
from needle import Tensor, _core, ops
from needle.nn import functional as F

mp = mpmath.mp.clone()
mp.dps = 400
inf, nan = np.inf, np.nan

# Rows of logits: in each one share is near 1, more or less.
ROWS: dict[str, list[list[float]]] = {
    "float32": [
        [15.0, 0.0],
        [0.0, -15.0, -17.0],
        [3.0, 40.0, 2.0, 1.0],
        [-90.0, -5.0],
        [1.0, 0.5, 0.0],
        [0.0, 0.0],
        [-200.0, 1e4, 1e4 - 20],
        [30.0, *([0.0] * 299)],
    ],
    "float64": [
        [36.0, 0.0],
        [0.0, -40.0, -300.0],
        [1e6, 1e6 - 38, 0.0],
        [700.0, 0.0, 10.0],
        [1.0, 0.5, 0.0],
        [*([0.0] * 299), 60.0],
    ],
}
CASES = [(dtype, tuple(row)) for dtype, rows in ROWS.items() for row in rows]
BOUND = {"float32": 1e-6, "float64": 1e-14}

cases = pytest.mark.parametrize(("dtype", "row"), CASES)
lazy_or_not = pytest.mark.parametrize("lazy", [False, True])


def shares(row: Any) -> list[Any]:
    powers = [mp.exp(mp.mpf(x) - max(row)) for x in row]
    return [power / mp.fsum(powers) for power in powers]


def log_sum(row: Any, at: float) -> Any:
    """`logsumexp(row) - at`."""
    return mp.log(mp.fsum(mp.exp(mp.mpf(x) - mp.mpf(at)) for x in row))


def near(found: Any, expected: Any, dtype: str, factor: float = 1.0) -> None:
    least = float(np.finfo(dtype).smallest_normal)
    expected = np.array([float(x) for x in np.ravel(np.array(expected, dtype=object))])
    found = np.ravel(found.numpy()).astype(np.float64)
    np.testing.assert_allclose(found, expected, rtol=factor * BOUND[dtype], atol=least)


def batch(row: Any, dtype: str, axis: int) -> Tensor:
    """The row between others, along an axis."""
    other = np.linspace(-1.0, 1.0, len(row))
    rows = np.array([other, row, -other])
    return Tensor(rows if axis == 1 else rows.T, dtype=dtype)


def picked(x: Tensor, axis: int) -> Tensor:
    return x[1] if axis == 1 else x[:, 1]


@cases
@lazy_or_not
@pytest.mark.parametrize("axis", [0, 1])
def test_values(dtype: str, row: Any, axis: int, lazy: bool) -> None:
    with ndl.lazy(lazy):
        x = batch(row, dtype, axis)
        near(picked(ops.log_softmax(x, axis), axis), [-log_sum(row, v) for v in row], dtype)
        near(picked(ops.softmax(x, axis), axis), shares(row), dtype)
        top = max(row)
        y = ops.logsumexp(x - top, axes=axis)
        near(y[1], log_sum([float(np.dtype(dtype).type(v - top)) for v in row], 0.0), dtype)


def gradients(row: Any) -> dict[str, tuple[Callable[[Tensor, int, Tensor], Tensor], list[Any]]]:
    """Functions of (x, axis, weights) and their gradients for weights (2, 1, 1, ...)."""
    n, p = len(row), shares(row)
    weights = [2, *([1] * (n - 1))]
    rest = [mp.fsum(q for j, q in enumerate(p) if j != i) for i in range(n)]
    # Of shares p: sum over j of p_i p_j (w_i - w_j); of their logarithms: w_i - p_i sum(w).
    soft = [p[i] * mp.fsum(p[j] * (weights[i] - weights[j]) for j in range(n)) for i in range(n)]
    one = [rest[0], *(-q for q in p[1:])]
    return {
        "softmax": (lambda x, axis, w: picked(ops.softmax(x, axis), axis) * w, soft),
        "log_softmax": (lambda x, axis, w: picked(ops.log_softmax(x, axis), axis)[0], one),
        "logsumexp": (lambda x, axis, w: ops.logsumexp(x, axes=axis)[1], p),
    }


@cases
@lazy_or_not
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_gradients(name: str, dtype: str, row: Any, axis: int, lazy: bool) -> None:
    function, expected = gradients(row)[name]
    weights = Tensor([2.0, *([1.0] * (len(row) - 1))], dtype=dtype, requires_grad=False)
    with ndl.lazy(lazy):
        x = batch(row, dtype, axis)
        function(x, axis, weights).sum().backward()
        near(picked(x.grad, axis), expected, dtype, 3.0)


@cases
@pytest.mark.parametrize("kind", ["label", "shares"])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_cross_entropy(kind: str, dtype: str, row: Any, place: int) -> None:
    n, p = len(row), shares(row)
    place %= n
    target: Any = np.array([place]) if kind == "label" else np.eye(n)[[place]]
    target = Tensor(target, dtype="int64" if kind == "label" else dtype, requires_grad=False)
    x = Tensor([list(row)], dtype=dtype)
    loss = F.cross_entropy(x, target)
    near(loss, log_sum(row, row[place]), dtype)
    loss.backward()
    rest = mp.fsum(q for j, q in enumerate(p) if j != place)
    near(x.grad, [-rest if i == place else q for i, q in enumerate(p)], dtype, 3.0)
    # The second derivative along a unit vector: p_i (delta - p_place).
    x.grad[0, place].backward()
    near(x.grad, [p[i] * (rest if i == place else -p[place]) for i in range(n)], dtype, 4.0)


@cases
def test_smoothed_labels(dtype: str, row: Any) -> None:
    """Where shares and targets differ, the gradient is their difference."""
    n, p = len(row), shares(row)
    target = np.full(n, 0.1 / n)
    target[int(np.argmax(row))] += 0.9
    x = Tensor([list(row)], dtype=dtype)
    t = Tensor(target[None], dtype=dtype, requires_grad=False)
    exact = [mp.mpf(float(v)) for v in t.numpy()[0]]
    loss = F.cross_entropy(x, t)
    near(loss, mp.fsum(v * log_sum(row, r) for v, r in zip(exact, row, strict=True)), dtype)
    loss.backward()
    expected = [float(mp.fsum(exact) * q - v) for q, v in zip(p, exact, strict=True)]
    tolerance = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(x.grad.numpy()[0], expected, rtol=BOUND[dtype], atol=tolerance)


@cases
@pytest.mark.parametrize("axis", [0, 1])
def test_second_order(dtype: str, row: Any, axis: int) -> None:
    """The derivative of the first element of the gradient of logsumexp, a share."""
    p = shares(row)
    rest = mp.fsum(p[1:])
    x = batch(row, dtype, axis)
    ops.logsumexp(x, axes=axis).sum().backward()
    picked(x.grad, axis)[0].backward()
    near(picked(x.grad, axis), [p[0] * rest, *(-p[0] * q for q in p[1:])], dtype, 4.0)


@lazy_or_not
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_of_minus_infinity_have_no_gradient(dtype: str, axis: int, lazy: bool) -> None:
    rows = np.array([[-inf, -inf], [0.0, 1.0], [-inf, 2.0]])
    sigmoid = 1 / (1 + np.exp(1.0))
    expected = np.array([[0, 0], [sigmoid, 1 - sigmoid], [0, 1]])
    second = np.array([[0, 0], [sigmoid * (1 - sigmoid), -sigmoid * (1 - sigmoid)], [0, 0]])
    if axis == 0:
        rows, expected, second = rows.T, expected.T, second.T
    with ndl.lazy(lazy):
        x = Tensor(rows, dtype=dtype)
        y = ops.logsumexp(x, axes=axis)
        np.testing.assert_allclose(y.numpy(), [-inf, np.log1p(np.e), 2.0], rtol=1e-6)
        y.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
        first = x.grad[:, 0] if axis == 1 else x.grad[0]
        first.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), second, rtol=1e-6, atol=1e-7)
        # All axes at once.
        z = Tensor(np.full((2, 2), -inf), dtype=dtype)
        (ops.logsumexp(z) * 3).backward()
        np.testing.assert_array_equal(z.grad.numpy(), np.zeros((2, 2)))


# Shares of a row that is -inf, or has +inf, are no numbers, as in PyTorch; finite rows beside it
# have theirs.
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("row", [[-inf, -inf], [inf, 0.0], [inf, -inf], [nan, 0.0]])
@pytest.mark.parametrize("function", [ops.softmax, ops.log_softmax])
def test_rows_without_shares_stay_alone(
    function: Any, row: list[float], axis: int, dtype: str
) -> None:
    rows = np.array([row, [0.0, 1.0]])
    x = Tensor(rows if axis == 1 else rows.T, dtype=dtype)
    y = function(x, axis)
    alone = Tensor([[0.0, 1.0]], dtype=dtype)
    expected = function(alone)
    found = y.numpy() if axis == 1 else y.numpy().T
    assert np.isnan(found[0]).any()
    np.testing.assert_array_equal(found[1:], expected.numpy())
    # Masked out, it reaches nobody's gradient.
    weights = Tensor([2.0, 3.0], dtype=dtype, requires_grad=False)
    mask = np.array([[False], [True]] if axis == 1 else [[False, True]])
    kept = ndl.where(Tensor(mask), y, 0.0)
    (kept * (weights if axis == 1 else weights.reshape((2, 1)))).sum().backward()
    (expected * weights).sum().backward()
    back = x.grad.numpy() if axis == 1 else x.grad.numpy().T
    np.testing.assert_array_equal(back, [[0, 0], alone.grad.numpy()[0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_rows_that_do_not_count(dtype: str) -> None:
    target = Tensor([[0.0, 0.0], [1.0, 0.0]], dtype=dtype, requires_grad=False)
    for row in ([-inf, -inf], [inf, 0.0], [nan, nan]):
        x = Tensor([row, [0.0, 1.0]], dtype=dtype)
        loss = ops.cross_entropy(x, target)
        loss.backward()
        alone = Tensor([[0.0, 1.0]], dtype=dtype)
        expected = ops.cross_entropy(alone, target[1:])
        expected.backward()
        np.testing.assert_allclose(loss.numpy(), expected.numpy() / 2)
        np.testing.assert_allclose(x.grad.numpy(), [[0, 0], alone.grad.numpy()[0] / 2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_a_class_that_is_excluded(dtype: str) -> None:
    x = Tensor([[-inf, 0.0]], dtype=dtype)
    loss = ops.cross_entropy(x, [0])
    loss.backward()
    assert loss.item() == inf
    np.testing.assert_array_equal(x.grad.numpy(), [[-1.0, 1.0]])
    nobody = ops.cross_entropy(Tensor([[-inf, -inf]], dtype=dtype), [0])
    assert np.isnan(nobody.item())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_second_order_of_rows_that_do_not_count(dtype: str) -> None:
    """A target of 0 throughout: nothing of the row reaches a derivative, by logits or target."""
    x = Tensor([[-inf, -inf], [0.0, 1.0]], dtype=dtype)
    t = Tensor([[0.0, 0.0], [1.0, 0.0]], dtype=dtype)
    slopes = ndl.autograd.grad(ops.cross_entropy(x, t), [x])
    (found,) = ndl.autograd.grad((slopes[0] * [[1.0, 2.0], [1.0, 0.0]]).sum(), [x])
    share = 1 / (1 + np.e)
    curvature = share * (1 - share) / 2
    np.testing.assert_allclose(found.numpy(), [[0, 0], [curvature, -curvature]], rtol=1e-5)
    tangents = [Tensor([[[0.0, 0.0], [1.0, 0.0]]], dtype=dtype)]
    for of in (x, t):
        (moved,) = _core.tangents(slopes, [of], tangents)
        sign = 1 if of is x else -1
        size = curvature if of is x else (1 - share) / 2
        np.testing.assert_allclose(
            moved.numpy()[0], [[0, 0], [sign * size, -sign * size]], rtol=1e-5
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_derivative_by_the_target_keeps_small_shares_in_both_modes(dtype: str) -> None:
    top = 15.0 if dtype == "float32" else 36.0
    x, t = Tensor([[top, 0.0]], dtype=dtype), Tensor([[1.0, 0.0]], dtype=dtype)
    slopes = ndl.autograd.grad(ops.cross_entropy(x, t), [x])
    rest = mp.exp(-top) / (1 + mp.exp(-top))
    (moved,) = _core.tangents(slopes, [t], [Tensor([[[1.0, 0.0]]], dtype=dtype)])
    near(moved, [-rest, rest], dtype, 3.0)
    (back,) = ndl.autograd.grad(slopes[0][0, 0], [t])
    near(back, [-rest, 1 - rest], dtype, 3.0)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float32", 2.5e7), ("float32", 5e7), ("float32", 3e38), ("float64", 1.2e16)],
)
@pytest.mark.parametrize("n", [3, 8, 1000])
def test_shares_behind_a_log_sum_that_is_rounded(dtype: str, size: float, n: int) -> None:
    """The logarithm of `n` is lost beside such a number; the shares are not."""
    for sign in (1, -1):
        x = Tensor(np.full(n, sign * size), dtype=dtype)
        (share,) = ndl.autograd.grad(ops.logsumexp(x), [x])
        np.testing.assert_allclose(share.numpy(), np.full(n, 1 / n), rtol=BOUND[dtype])
        (found,) = ndl.autograd.grad(share[0], [x])
        expected = np.full(n, -1 / n**2)
        expected[0] += 1 / n
        np.testing.assert_allclose(found.numpy(), expected, rtol=4 * BOUND[dtype])


def test_adjoints_of_shares_that_do_not_sum_to_1_are_the_formula() -> None:
    rows = [
        ([1.0, -2.0, 0.5], [0.9, 0.3, 0.1]),
        ([1.0, -2.0, 0.5], [0.7, 0.2, 0.0]),
        # What these give sums to 0 all the same.
        ([1.0, -1.0], [0.6, 0.6]),
        ([1.0, -2.0, 3.0], [0.9, 0.3, -0.1]),
    ]
    for g, y in [(np.array(g), np.array(y)) for g, y in rows]:
        found = ops.softmax_gradient(Tensor(g), Tensor(y)).numpy()
        np.testing.assert_allclose(found, y * (g - (g * y).sum()), rtol=1e-15)
        y = np.maximum(y, 1e-30)
        found = ops.log_softmax_gradient(Tensor(g), Tensor(np.log(y))).numpy()
        np.testing.assert_allclose(found, g - y * g.sum(), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_forward_mode(dtype: str, axis: int) -> None:
    top = 15.0 if dtype == "float32" else 36.0
    rows, directions = np.array([[-inf, -inf], [top, 0.0]]), np.array([[1.0, 2.0], [1.0, 0.0]])
    if axis == 0:
        rows, directions = rows.T, directions.T
    x = Tensor(rows, dtype=dtype)
    outputs = [ops.logsumexp(x, axes=axis), ops.log_softmax(x, axis), ops.softmax(x, axis)]
    found = _core.tangents(outputs, [x], [Tensor(directions[None], dtype=dtype)])
    total, logs, powers = (tangent.numpy()[0] for tangent in found if tangent is not None)
    small, large = shares([0.0, top])
    np.testing.assert_allclose(total, [0.0, float(large)], rtol=BOUND[dtype])
    last = [t[1] if axis == 1 else t[:, 1] for t in (logs, powers)]
    np.testing.assert_allclose(last[0], [float(small), float(-large)], rtol=BOUND[dtype])
    both = float(small * large)
    np.testing.assert_allclose(last[1], [both, -both], rtol=3 * BOUND[dtype])
