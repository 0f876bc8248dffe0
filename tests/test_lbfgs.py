"""L-BFGS: problems with known minima, and what happens on the way."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from needle import Tensor, ops, optim
from needle.errors import DTypeError

pytest.importorskip("scipy")


def rosenbrock(x: Any, y: Any) -> Any:
    return ((1 - x) ** 2 + 100 * (y - x * x) ** 2).sum()


def problem(dtype: str = "float64") -> tuple[list[Any], Any]:
    """Rosenbrock's function of two parameters of other shapes, and a parameter beside it."""
    x, y = Tensor([[-1.2], [0.5]], dtype=dtype), Tensor([1.0, 2.0], dtype=dtype)

    def closure() -> Any:
        loss = rosenbrock(x.reshape((2,)), y)
        loss.backward()
        return loss

    return [x, y, Tensor([7.0], dtype=dtype)], closure


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float32", 5e-3)])
def test_the_minimum_of_rosenbrocks_function(dtype: str, tolerance: float) -> None:
    params, closure = problem(dtype)
    optimizer = optim.LBFGS(params, max_iter=100, tolerance_change=0.0)
    start = closure().item()
    assert optimizer.step(closure).item() == start
    for param in params[:2]:
        assert param.dtype == dtype
        np.testing.assert_allclose(param.numpy(), np.ones(param.shape), atol=tolerance)
    assert params[2].tolist() == [7.0]
    assert params[2].grad is None


def test_a_frozen_parameter_stays() -> None:
    params, closure = problem()
    x, y, _ = params
    optimizer = optim.LBFGS(params, max_iter=5)
    # Frozen from the start, and with a history of its own.
    for frozen, free in [(y, x), (x, y)]:
        frozen.requires_grad, free.requires_grad = False, True
        before, start = frozen.tolist(), free.tolist()
        for _ in range(2):
            optimizer.step(closure)
        assert frozen.tolist() == before
        assert free.tolist() != start
    x.requires_grad = True
    for _ in range(20):
        optimizer.step(closure)
    np.testing.assert_allclose(x.numpy(), np.ones((2, 1)), atol=1e-4)


def test_a_quadratic_takes_few_evaluations() -> None:
    random = np.random.RandomState(0)
    a = random.standard_normal((30, 8))
    b = random.standard_normal(30)
    w, calls = Tensor(np.zeros(8)), []

    def closure() -> Any:
        calls.append(1)
        residual = Tensor(a, requires_grad=False) @ w - Tensor(b, requires_grad=False)
        loss = (residual * residual).sum()
        loss.backward()
        return loss

    optim.LBFGS([w], max_iter=100).step(closure)
    np.testing.assert_allclose(w.numpy(), np.linalg.lstsq(a, b)[0], atol=1e-6)
    assert len(calls) < 40


def test_every_step_meets_the_wolfe_conditions() -> None:
    params, closure = problem()
    optimizer = optim.LBFGS(params, max_iter=1)
    for _ in range(10):
        before = np.concatenate([p.numpy().ravel() for p in params])
        loss = closure().item()
        slope = np.concatenate([*(p.grad.numpy().ravel() for p in params[:2]), [0.0]])
        optimizer.step(closure)
        moved = np.concatenate([p.numpy().ravel() for p in params]) - before
        assert moved.any()
        new = closure().item()
        new_slope = np.concatenate([*(p.grad.numpy().ravel() for p in params[:2]), [0.0]])
        assert new <= loss + 1e-4 * moved @ slope
        assert abs(moved @ new_slope) <= -0.9 * moved @ slope


def test_it_ends_at_a_minimum_and_at_its_limits() -> None:
    params, closure = problem()
    calls = []

    def counted() -> Any:
        calls.append(1)
        return closure()

    optim.LBFGS(params, tolerance_grad=1e9).step(counted)
    assert (len(calls), params[0].tolist()) == (1, [[-1.2], [0.5]])
    calls.clear()
    optim.LBFGS(params, max_iter=1000, max_eval=3).step(counted)
    assert 3 <= len(calls) < 12


def test_a_loaded_state_goes_on_with_the_same_bits() -> None:
    params, closure = problem()
    first = optim.LBFGS(params, max_iter=4, history_size=3)
    first.step(closure)
    state = first.state_dict()
    others, other_closure = problem()
    for other, param in zip(others, params, strict=True):
        other.data = Tensor(param.numpy())
    second = optim.LBFGS(others, lr=0.5)
    second.load_state_dict(state)
    assert (second.lr, second.history_size) == (1.0, 3)
    assert len(state["pairs"]) == 3
    for _ in range(3):
        first.step(closure)
        second.step(other_closure)
        assert [p.tolist() for p in params] == [p.tolist() for p in others]
    wrong = {**state, "pairs": [[np.zeros(5), np.zeros(4)]]}
    with pytest.raises(ValueError, match="pairs: expected two float64 vectors of length 5 at 0"):
        second.load_state_dict(wrong)
    with pytest.raises(ValueError, match=r"state: expected a dict with a list under .* 'pairs'"):
        second.load_state_dict({key: state[key] for key in state if key != "pairs"})
    with pytest.raises(ValueError, match="pairs: expected two float64 vectors of length 5 at 0"):
        second.load_state_dict({**state, "pairs": [1]})


def test_nan_on_the_way_is_stepped_back_from() -> None:
    """The first step leads to where the logarithm is NaN."""
    x = Tensor([0.05])

    def closure() -> Any:
        loss = (x - ops.log(x)).sum()
        loss.backward()
        return loss

    optim.LBFGS([x], lr=100.0, max_iter=50).step(closure)
    assert x.item() == pytest.approx(1.0, abs=1e-4)


def test_an_error_leaves_the_last_good_position() -> None:
    params, closure = problem()
    before = [p.tolist() for p in params]
    calls = []

    def failing() -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("stop")
        return closure()

    with pytest.raises(KeyError, match="stop"):
        optim.LBFGS(params).step(failing)
    assert [p.tolist() for p in params] == before


def test_a_frozen_parameter_is_not_moved() -> None:
    # It has a gradient all the same, pending, as it takes part in what is recorded.
    free, frozen = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=False)

    def closure() -> Any:
        loss = ((free * frozen - 1.0) ** 2).sum()
        loss.backward()
        return loss

    optim.LBFGS([free, frozen]).step(closure)
    assert frozen.tolist() == [3.0, 4.0]
    np.testing.assert_allclose(free.numpy(), [1 / 3, 1 / 4], rtol=1e-6)


def test_what_it_cannot_minimise() -> None:
    x, whole = Tensor([0.0, 1.0]), Tensor([1, 2])

    def root() -> Any:
        loss = ops.sqrt(x).sum()
        loss.backward()
        return loss

    with pytest.raises(ValueError, match=r"^step: expected a finite gradient at the start$"):
        optim.LBFGS([x]).step(root)
    assert x.tolist() == [0.0, 1.0]
    with pytest.raises(DTypeError, match=r"^lbfgs: expected float parameters, got int64$"):
        optim.LBFGS([whole]).step(lambda: (whole * whole).sum())


def test_wrong_use() -> None:
    x = Tensor([1.0, 2.0])
    optimizer = optim.LBFGS([x])
    with pytest.raises(TypeError, match="step: LBFGS needs a closure"):
        optimizer.step()
    with pytest.raises(ValueError, match="expected the closure to return a loss of one element"):
        optimizer.step(lambda: x * 1.0)
    with pytest.raises(ValueError, match="step: expected a finite loss at the start, got nan"):
        optimizer.step(lambda: Tensor(float("nan")))
    with pytest.raises(ValueError, match="params: LBFGS has one group"):
        optim.LBFGS([{"params": [x]}, {"params": [Tensor([1.0])]}])
    with pytest.raises(ValueError, match="history_size: expected at least 1, got 0"):
        optim.LBFGS([x], history_size=0)


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ModuleNotFoundError, match="LBFGS needs SciPy"):
        optim.LBFGS([Tensor([1.0])])
