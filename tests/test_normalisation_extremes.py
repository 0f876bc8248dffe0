"""Normalisation, mean and variance of numbers whose squares or sums leave their dtype."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn, ops
from needle.nn import functional as F

mp = mpmath.mp.clone()
mp.dps = 60

# Factors of the elements by dtype, with an eps that counts beside them or is 0.
SIZES: dict[str, list[tuple[float, float]]] = {
    "float32": [
        (1.0, 1e-5),
        (2e19, 1e-5),
        (1e30, 1e-5),
        (1e38, 1e-5),
        (1e-3, 1e-5),
        (1e-25, 1e-5),
        (1e-25, 0.0),
        (1e-18, 1e-36),
    ],
    "float64": [
        (1.0, 1e-5),
        (1e160, 1e-5),
        (1e200, 1e-5),
        (5e307, 1e-5),
        (1e-200, 1e-5),
        (1e-200, 0.0),
        (1e-150, 1e-300),
    ],
}
CASES = [(dtype, *size) for dtype, sizes in SIZES.items() for size in sizes]
BOUND = {"float32": 3e-6, "float64": 1e-14}
ROW, WEIGHTS = [1.0, 2.0, 3.0, -1.5], [1.0, 2.0, -4.0, 0.5]

cases = pytest.mark.parametrize(("dtype", "size", "eps"), CASES)
centred_or_not = pytest.mark.parametrize("centred", [True, False])


def exact(values: Any) -> list[Any]:
    return [mp.mpf(float(v)) for v in values]


def reference(x: list[Any], w: list[Any], eps: float, centred: bool) -> tuple[list[Any], list[Any]]:
    """The normalised row, and the gradient of its product with `w`."""
    n = len(x)
    mean = mp.fsum(x) / n if centred else mp.mpf(0)
    r = 1 / mp.sqrt(mp.fsum((v - mean) ** 2 for v in x) / n + mp.mpf(eps))
    y = [(v - mean) * r for v in x]
    level = mp.fsum(w) / n if centred else mp.mpf(0)
    along = mp.fsum(a * b for a, b in zip(w, y, strict=True)) / n
    return y, [r * (a - level - b * along) for a, b in zip(w, y, strict=True)]


def near(found: Any, expected: Any, dtype: str) -> None:
    """As near as rounding leaves it beside the largest element."""
    expected = np.array([float(v) for v in expected])
    size = np.abs(expected).max()
    least = 2 * float(np.finfo(dtype).smallest_subnormal)
    np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND[dtype] * size + least)


@cases
@centred_or_not
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("lazy", [False, True])
def test_rows_and_columns(
    dtype: str, size: float, eps: float, axis: int, centred: bool, lazy: bool
) -> None:
    # Between rows of the usual size, and enough of them for vectors.
    rows = np.tile(np.array([ROW, ROW[::-1], ROW]), (23, 1))
    rows[1::3] = np.array(ROW[::-1]) * size
    weights = np.tile(WEIGHTS, (69, 1))
    if axis == 0:
        rows, weights = rows.T, weights.T
    norm = ops.layer_norm if centred else ops.rms_norm
    with ndl.lazy(lazy):
        x = Tensor(rows, dtype=dtype)
        y = norm(x, eps, axis)
        (y * Tensor(weights, dtype=dtype, requires_grad=False)).sum().backward()
        found, back, given = y.numpy(), x.grad.numpy(), x.numpy()
        usual = norm(Tensor(rows[:1] if axis == 1 else rows[:, :1], dtype=dtype), eps, axis)
    if axis == 0:
        found, back, given = found.T, back.T, given.T
    for i in (0, 1, 2, 67):
        expected = reference(exact(given[i]), exact(WEIGHTS), eps, centred)
        near(found[i], expected[0], dtype)
        near(back[i], expected[1], dtype)
    np.testing.assert_array_equal(found[0], usual.numpy().ravel())


@cases
@centred_or_not
def test_second_order(dtype: str, size: float, eps: float, centred: bool) -> None:
    norm = ops.layer_norm if centred else ops.rms_norm
    x = Tensor([np.array(ROW) * size], dtype=dtype)
    weights = Tensor([WEIGHTS], dtype=dtype, requires_grad=False)
    (norm(x, eps) * weights).sum().backward()
    x.grad[0, 1].backward()
    row, h = exact(x.numpy()[0]), mp.mpf(size) * mp.mpf(2) ** -60

    def moved(by: Any) -> list[Any]:
        near = [v + by if i == 1 else v for i, v in enumerate(row)]
        return reference(near, exact(WEIGHTS), eps, centred)[1]

    with mp.workdps(1000):  # The two differ in what is that small beside eps.
        expected = [(a - b) / (2 * h) for a, b in zip(moved(h), moved(-h), strict=True)]
    found, largest = x.grad.numpy()[0], float(np.finfo(dtype).max)
    if max(abs(v) for v in expected) < largest:
        scale = max(abs(v) for v in expected)
        # Sums of products whose sizes are those of 1 / size^2.
        least = 64 * float(np.finfo(dtype).smallest_normal)
        atol = 1e3 * BOUND[dtype] * float(scale) + least
        np.testing.assert_allclose(found, [float(v) for v in expected], rtol=0, atol=atol)


@cases
@centred_or_not
@pytest.mark.parametrize("adjoint", [1.0, 1e18])
def test_second_order_behind_large_adjoints(
    dtype: str, size: float, eps: float, centred: bool, adjoint: float
) -> None:
    """Adjoints as large as the row bring back what its squares would take out of the range."""
    norm = ops.layer_norm if centred else ops.rms_norm
    x = Tensor([np.array(ROW) * size], dtype=dtype)
    weights = np.array(WEIGHTS) * min(adjoint, size)
    direction = Tensor([np.array([1.0, 0.3, -2.0, 0.5]) * size], dtype=dtype)
    first = Tensor([weights], dtype=dtype)
    (slope,) = ndl.autograd.grad((norm(x, eps) * first).sum(), [x])
    (found,) = ndl.autograd.grad((slope * direction).sum(), [x])
    row, along, h = exact(x.numpy()[0]), exact(direction.numpy()[0]), mp.mpf(2) ** -60

    def moved(by: Any) -> list[Any]:
        near = [v + by * d for v, d in zip(row, along, strict=True)]
        return reference(near, exact(first.numpy()[0]), eps, centred)[1]

    with mp.workdps(1000):
        expected = [float((a - b) / (2 * h)) for a, b in zip(moved(h), moved(-h), strict=True)]
    scale = np.abs(expected).max()
    least = 64 * float(np.finfo(dtype).smallest_subnormal) * max(1.0, 1 / size)
    atol = 10 * BOUND[dtype] * scale + least
    np.testing.assert_allclose(found.numpy()[0], expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        *itertools.product(["float32", "float64"], [1e-30, 1.0, 333333333.0, 1e30]),
        ("float64", 1e80),
        ("float64", 1e300),
    ],
)
@pytest.mark.parametrize("eps", [1e-320, 1e-40, 1e-5])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_that_do_not_vary_are_0(dtype: str, size: float, eps: float, axis: int) -> None:
    """Whatever rounding does to their mean, and however small eps is beside that."""
    for n in (3, 7, 10, 1000):
        x = Tensor(np.full((1, n) if axis == 1 else (n, 1), size), dtype=dtype)
        y = ops.layer_norm(x, eps, axis)
        (slope,) = ndl.autograd.grad((y * y).sum(), [x])
        np.testing.assert_array_equal(y.numpy(), np.zeros(x.shape))
        np.testing.assert_array_equal(slope.numpy(), np.zeros(x.shape))


@centred_or_not
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_that_are_no_numbers_stay_alone(dtype: str, axis: int, centred: bool) -> None:
    norm = ops.layer_norm if centred else ops.rms_norm
    rows = np.array([[np.nan, 1.0, 2.0], [1.0, 2.0, 4.0], [np.inf, 1.0, 2.0]])
    mask = np.array([[False], [True], [False]])
    if axis == 0:
        rows, mask = rows.T, mask.T
    x = Tensor(rows, dtype=dtype)
    y = norm(x, axis=axis)
    ndl.where(Tensor(mask), y * y * y, 0.0).sum().backward()
    alone = Tensor([[1.0, 2.0, 4.0]], dtype=dtype)
    z = norm(alone)
    (z * z * z).sum().backward()
    found, back = y.numpy(), x.grad.numpy()
    if axis == 0:
        found, back = found.T, back.T
    np.testing.assert_allclose(found[1], z.numpy()[0], rtol=1e-6)
    np.testing.assert_allclose(back[1], alone.grad.numpy()[0], rtol=1e-4)
    np.testing.assert_array_equal(back[[0, 2]], np.zeros((2, 3)))


LAYERS: dict[str, tuple[Callable[[str], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "LayerNorm": (lambda d: nn.LayerNorm((2, 3), dtype=d), lambda a: normal(a.ravel())),
    "LayerNorm1d": (lambda d: nn.LayerNorm1d(3, dtype=d), lambda a: normal(a, 1)),
    "RMSNorm": (
        lambda d: nn.RMSNorm(3, dtype=d),
        lambda a: a / np.sqrt((a * a).mean(1, keepdims=True)),
    ),
    "BatchNorm1d": (lambda d: nn.BatchNorm1d(3, dtype=d), lambda a: normal(a, 0)),
}


def normal(a: np.ndarray, axis: int | None = None) -> np.ndarray:
    return (a - a.mean(axis, keepdims=True)) / a.std(axis, keepdims=True)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 2e19), ("float64", 1e200)])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, dtype: str, size: float) -> None:
    make, expected = LAYERS[name]
    a = np.array([[1.0, 2.0, 3.0], [3.0, 5.0, -1.0]])
    y = make(dtype)(Tensor(a * size, dtype=dtype))
    np.testing.assert_allclose(y.numpy().ravel(), expected(a).ravel(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e25), ("float64", 1e200)])
def test_running_statistics_stay_finite_and_come_back(dtype: str, size: float) -> None:
    layer = nn.BatchNorm1d(2, dtype=dtype)
    a = np.array([[1.0, 2.0], [3.0, 6.0]])
    layer(Tensor(a * size, dtype=dtype))
    largest = np.finfo(dtype).max
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * size * a.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), [0.1 * largest] * 2, rtol=1e-6)
    usual = Tensor(a, dtype=dtype)
    for _ in range(7500):
        F.batch_norm(usual, layer.running_mean, layer.running_var, training=True)
    np.testing.assert_allclose(layer.running_var.numpy(), a.var(0), rtol=1e-4)
    layer.eval()
    expected = (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5)
    np.testing.assert_allclose(layer(usual).numpy(), expected, rtol=1e-3)


MEANS: list[tuple[str, list[float]]] = [
    ("float32", [3e38, 3e38]),
    ("float32", [3e38, 3e38, 3e38, -3e38]),
    ("float32", [1e38] * 1000),
    ("float32", [1e18, -1e18] * 500),
    ("float32", [1e-25, 3e-25]),
    ("float64", [1.7e308, 1.7e308, 1e308]),
    ("float64", [1e153, -2e153] * 500),
    ("float64", [1.0, 2.0, 4.0]),
]


@pytest.mark.parametrize(("dtype", "row"), MEANS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("correction", [0, 1])
def test_mean_and_variance(dtype: str, row: list[float], axis: int, correction: int) -> None:
    other = np.linspace(-1.0, 2.0, len(row))
    rows = np.array([other, row, other[::-1]])
    x = Tensor(rows if axis == 1 else rows.T, dtype=dtype)
    values = exact(Tensor(row, dtype=dtype).numpy())
    mean = mp.fsum(values) / len(row)
    largest = mp.mpf(float(np.finfo(dtype).max))
    variance = mp.fsum((v - mean) ** 2 for v in values) / (len(row) - correction)
    expected = float(variance) if variance < largest else np.inf
    least = float(np.finfo(dtype).smallest_subnormal)
    found = x.mean(axes=axis)
    np.testing.assert_allclose(found.numpy()[1], float(mean), rtol=BOUND[dtype])
    np.testing.assert_allclose(found.numpy()[0], 0.5, rtol=BOUND[dtype])
    spread = ops.var(x, axes=axis, correction=correction)
    np.testing.assert_allclose(spread.numpy()[1], expected, rtol=BOUND[dtype], atol=least)
    spread[1].backward()
    slope = [2 * (v - mean) / (len(row) - correction) for v in values]
    # A distance from the mean may be no number of the dtype, though twice its share is.
    if max(abs(v - mean) for v in values) < largest:
        back = x.grad.numpy()[1] if axis == 1 else x.grad.numpy()[:, 1]
        atol = BOUND[dtype] * float(max(abs(v) for v in values)) / len(row)
        np.testing.assert_allclose(back, [float(s) for s in slope], rtol=BOUND[dtype], atol=atol)
    everything = Tensor(row, dtype=dtype)
    np.testing.assert_allclose(everything.mean().item(), float(mean), rtol=BOUND[dtype])


def test_means_of_infinities_are_as_they_were() -> None:
    for row, mean in (
        ([np.inf, 1.0], np.inf),
        ([np.inf, -np.inf], np.nan),
        ([np.nan, 1.0], np.nan),
    ):
        np.testing.assert_equal(Tensor(row).mean().item(), mean)
        assert np.isnan(ops.var(Tensor(row)).item())
