"""Steps, clipping and L-BFGS at both ends of the range of a dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from needle import Tensor, ops, optim
from needle.nn.functional import huber_loss

mp = mpmath.mp.clone()
mp.dps = 60

Rule = Callable[[Any, Any, list[Any], int], Any]


def adam(p: Any, g: Any, s: list[Any], t: int) -> Any:
    s[0] = mp.mpf("0.9") * s[0] + mp.mpf("0.1") * g
    s[1] = mp.mpf("0.999") * s[1] + mp.mpf("0.001") * g * g
    root = mp.sqrt(s[1] / (1 - mp.mpf("0.999") ** t))
    return p - mp.mpf("0.1") * s[0] / (1 - mp.mpf("0.9") ** t) / (root + mp.mpf("1e-8"))


def rmsprop(p: Any, g: Any, s: list[Any], t: int) -> Any:
    s[0] = mp.mpf("0.99") * s[0] + mp.mpf("0.01") * g * g
    return p - mp.mpf("0.1") * g / (mp.sqrt(s[0]) + mp.mpf("1e-8"))


def centred(p: Any, g: Any, s: list[Any], t: int) -> Any:
    s[0] = mp.mpf("0.99") * s[0] + mp.mpf("0.01") * g * g
    s[1] = mp.mpf("0.99") * s[1] + mp.mpf("0.01") * g
    s[2] = s[2] / 2 + g / (mp.sqrt(s[0] - s[1] ** 2) + mp.mpf("1e-8"))
    return p - mp.mpf("0.1") * s[2]


def adagrad(p: Any, g: Any, s: list[Any], t: int) -> Any:
    s[0] += g * g
    return p - mp.mpf("0.1") * g / (mp.sqrt(s[0]) + mp.mpf("1e-10"))


RULES: dict[str, tuple[Callable[..., Any], Rule]] = {
    "adam": (lambda p: optim.Adam(p, lr=0.1), adam),
    "adamw": (lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.0), adam),
    "rmsprop": (lambda p: optim.RMSProp(p, lr=0.1), rmsprop),
    "rmsprop, centred": (
        lambda p: optim.RMSProp(p, lr=0.1, centered=True, momentum=0.5),
        centred,
    ),
    "adagrad": (lambda p: optim.Adagrad(p, lr=0.1), adagrad),
}

# What the gradients of successive steps are, by the dtype's largest power of ten.
GRADIENTS: dict[str, list[Callable[[int], float]]] = {
    "large": [lambda top: 10.0 ** (top - 13)] * 5,
    "large once": [lambda top: 10.0 ** (top - 13), *[lambda top: 1.0] * 4],
    "at the limit of squares": [lambda top: 1.4 * 10.0 ** (top / 2)] * 5,
    "growing": [lambda top, i=i: 10.0 ** (top * (0.46 + 0.02 * i)) for i in range(5)],
    "shrinking": [lambda top, i=i: -(10.0 ** (top * (0.54 - 0.02 * i))) for i in range(5)],
    "usual": [lambda top: 1.0, lambda top: -2.0, lambda top: 0.5] * 2,
    "small": [lambda top: 10.0 ** (13 - top)] * 5,
}

dtypes = pytest.mark.parametrize(("dtype", "top"), [("float32", 38), ("float64", 308)])


@dtypes
@pytest.mark.parametrize("series", GRADIENTS)
@pytest.mark.parametrize("name", RULES)
def test_steps_are_those_of_the_mathematics(name: str, series: str, dtype: str, top: int) -> None:
    make, rule = RULES[name]
    # Beside elements of the usual size, in vectors and in what is left of them.
    size, places = 300, [0, 17, 299]
    param = Tensor(np.zeros(size), dtype=dtype)
    optimiser = make([param])
    values, states = [mp.mpf(0)] * 2, [[mp.mpf(0)] * 3 for _ in range(2)]
    for t, gradient in enumerate(GRADIENTS[series], 1):
        both = np.array([gradient(top), 1.0 / t], dtype=dtype)
        grads = np.full(size, both[1])
        grads[places] = both[0]
        param.grad = Tensor(grads, dtype=dtype)
        optimiser.step()
        for i in range(2):
            values[i] = rule(values[i], mp.mpf(float(both[i])), states[i], t)
        expected = np.full(size, float(values[1]))
        expected[places] = float(values[0])
        # Centred, the variance of a few equal gradients is a difference of near numbers.
        tolerance = (2e-4 if name == "rmsprop, centred" else 2e-6) if top == 38 else 1e-12
        np.testing.assert_allclose(param.numpy(), expected, rtol=tolerance, atol=0)
    for state in optimiser.state_dict().values():
        for kept in state if isinstance(state, list) else []:
            assert not isinstance(kept, Tensor) or np.isfinite(kept.numpy()).all()


def test_a_state_of_large_squares_is_saved_and_goes_on() -> None:
    def run(steps: int, state: dict[str, Any] | None = None) -> tuple[Any, optim.Adam]:
        param = Tensor([1.0], dtype="float32")
        optimiser = optim.Adam([param], lr=0.1)
        if state is not None:
            optimiser.load_state_dict(state)
        for _ in range(steps):
            param.grad = Tensor([1e25], dtype="float32")
            optimiser.step()
        return param, optimiser

    _, first = run(1)
    state = first.state_dict()
    np.testing.assert_allclose(state["v"][0].numpy(), [-(1e25 * 0.001**0.5)], rtol=1e-6)
    param, _ = run(1, state)
    np.testing.assert_allclose(param.numpy(), [0.9], rtol=1e-6)


@dtypes
@pytest.mark.parametrize("make", [optim.Adam, optim.Adagrad], ids=["adam", "adagrad"])
def test_the_largest_gradient_makes_a_step(make: Any, dtype: str, top: int) -> None:
    """Also where it would overflow when multiplied by the rate."""
    param = Tensor([0.0, 0.0], dtype=dtype)
    param.grad = Tensor(np.array([0.5, -0.5]) * np.finfo(dtype).max, dtype=dtype)
    make([param], lr=100.0).step()
    np.testing.assert_allclose(param.numpy(), [-100.0, 100.0], rtol=1e-6)


# dtypes of the gradients, their values, the norm.
NORMS: list[tuple[list[str], list[list[float]], float]] = [
    (["float64"], [[3e200, 4e200]], 5e200),
    (["float64"], [[3e-200, 4e-200]], 5e-200),
    (["float64"], [[3e307, -4e307]], 5e307),
    (["float64"], [[3e-320, 4e-320]], 5e-320),
    (["float64"], [[3e200] + [0.0] * 9999, [0.0] * 5, [-4e200]], 5e200),
    (["float32"], [[3e25, 4e25]], 5e25),
    (["float32"], [[3e38, 0.0], [-3e38] * 3], 6e38),
    (["float32"], [[3e-30, 4e-30]], 5e-30),
    (["float32"], [[3e-44, 4e-44]], 5e-44),
    (["float32", "float64"], [[3e25], [4e25]], 5e25),
    (["float32", "float64"], [[3e25], [4e200]], 4e200),
    (["float32", "float64"], [[3e-30], [4e-200]], 3e-30),
    (["float64"], [[0.0, 0.0]], 0.0),
    (["float64"], [[], [3e200, 4e200]], 5e200),
    (["float64"], [[3e-200, 4e-200], []], 5e-200),
    (["float32", "float64"], [[], []], 0.0),
]


@pytest.mark.parametrize(("kinds", "values", "norm"), NORMS)
def test_norms_of_any_size(kinds: list[str], values: list[list[float]], norm: float) -> None:
    kinds = (kinds * 3)[: len(values)]
    params = [Tensor(np.zeros(len(v)), dtype=d) for v, d in zip(values, kinds, strict=True)]

    def give() -> None:
        for param, grad in zip(params, values, strict=True):
            param.grad = Tensor(np.array(grad), dtype=param.dtype)

    small = 1e-320 if norm < 1e-300 else norm / 8
    for limit in (1.0, 0.0, small):
        give()
        before = [param.grad.numpy().astype(np.float64) for param in params]
        measured = optim.clip_grad_norm(params, limit)
        tolerance = 2e-2 if norm < 1e-43 else 1e-6 if "float32" in kinds else 1e-15
        np.testing.assert_allclose(measured, norm, rtol=tolerance)
        factor = mp.mpf(limit) / mp.mpf(norm) if norm > limit else mp.mpf(1)
        for param, grad in zip(params, before, strict=True):
            expected = np.array([float(mp.mpf(float(g)) * factor) for g in grad])
            least = np.finfo(param.dtype).smallest_subnormal
            np.testing.assert_allclose(
                param.grad.numpy().astype(np.float64), expected, rtol=4 * tolerance, atol=2 * least
            )
    give()
    optimiser = optim.SGD(params, lr=0.1)
    np.testing.assert_allclose(optimiser.clip_grad_norm(1.0), norm, rtol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "size", "limit"),
    [
        ("float32", 3e38, 1e-30),
        ("float32", 3e38, 1e-37),
        ("float64", 3e38, 1e-30),
        ("float64", 1e200, 1e-200),
        ("float64", 1e300, 1e-307),
    ],
)
def test_limits_far_below_the_norm(dtype: str, size: float, limit: float) -> None:
    param = Tensor(np.zeros(2), dtype=dtype)
    param.grad = Tensor(np.array([0.6, -0.8]) * size, dtype=dtype)
    np.testing.assert_allclose(optim.clip_grad_norm(param, limit), size, rtol=1e-6)
    expected = np.array([0.6, -0.8]) * limit
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(param.grad.numpy(), expected, rtol=tolerance)
    assert optim.clip_grad_norm(param, 0.0) > 0.0
    np.testing.assert_array_equal(param.grad.numpy(), [0.0, 0.0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_that_are_no_numbers(dtype: str) -> None:
    param = Tensor([0.0, 0.0], dtype=dtype)
    for value, norm in ((np.inf, np.inf), (-np.inf, np.inf), (np.nan, np.nan)):
        param.grad = Tensor([value, 1.0], dtype=dtype)
        np.testing.assert_equal(optim.clip_grad_norm([param], 1.0), norm)
        param.grad = Tensor([value, 1.0], dtype=dtype)
        with pytest.raises(ValueError, match="the norm of the gradients is"):
            optim.clip_grad_norm([param], 1.0, error_if_nonfinite=True)


def bowl(x: Tensor) -> Tensor:
    weights = Tensor(np.array([1.0, 10.0]), dtype=x.dtype, requires_grad=False)
    return (weights * x * x).sum()


# Start, loss, minimum, and how near: absolute for a minimum at 0.
DESCENTS: list[tuple[str, list[float], Callable[[Tensor], Tensor], float, float]] = [
    ("float32", [1e8, -1e8], lambda x: (x * x).sum(), 0.0, 1e-3),
    ("float32", [1e8, -1e8], bowl, 0.0, 1e-3),
    ("float32", [1e18, -1e18], bowl, 0.0, 1e-3),
    ("float64", [1e8, -1e8], bowl, 0.0, 1e-6),
    ("float64", [1e150, -1e150], bowl, 0.0, 1e-6),
    ("float64", [1e160, -1e160], lambda x: bowl(x * 1e-160), 0.0, 1e150),
    ("float32", [1e30, -1e30], lambda x: bowl(x * 1e-30), 0.0, 1e20),
    ("float32", [1e-15, -1e-15], bowl, 0.0, 1e-20),
    ("float64", [1e-150, -1e-150], bowl, 0.0, 1e-155),
    ("float32", [3.0, -4.0], lambda x: bowl(x - 1) * 1e30, 1.0, 1e-5),
    ("float32", [3.0, -4.0], lambda x: bowl(x - 1) * 1e-25, 1.0, 1e-3),
    ("float64", [3.0, -4.0], lambda x: bowl(x - 1) * 1e200, 1.0, 1e-10),
    ("float64", [3.0, -4.0], lambda x: bowl(x - 1) * 1e-200, 1.0, 1e-6),
    # Of linear growth: far off, nothing tells how far.
    *(
        (dtype, [1e8, -1e8], loss, minimum, 1e-3)
        for dtype in ("float32", "float64")
        for loss, minimum in (
            (lambda x: huber_loss(x, np.zeros(2), reduction="sum"), 0.0),
            (lambda x: (ops.softplus(x) + ops.softplus(-x)).sum(), 0.0),
            (lambda x: ops.sqrt(1 + (x - 5) ** 2).sum(), 5.0),
        )
    ),
]


@pytest.mark.parametrize(("dtype", "start", "loss", "minimum", "near"), DESCENTS)
def test_lbfgs_descends_at_any_size(
    dtype: str, start: list[float], loss: Callable[[Tensor], Tensor], minimum: float, near: float
) -> None:
    pytest.importorskip("scipy")
    x = Tensor(np.array(start), dtype=dtype)
    optimiser = optim.LBFGS([x], tolerance_grad=0.0, tolerance_change=0.0)

    def closure() -> Tensor:
        value = loss(x)
        value.backward()
        return value

    for _ in range(8):
        optimiser.step(closure)
    np.testing.assert_allclose(x.numpy(), [minimum] * 2, rtol=0, atol=near)
