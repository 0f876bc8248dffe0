"""L-BFGS with a line search."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from needle import _optional
from needle._core import Tensor
from needle.errors import DTypeError
from needle.optim.optimizer import Optimizer, Params
from needle.optim.settings import Setting, at_least_zero, count

Vector = NDArray[Any]
Closure = Callable[[], Tensor]
Point = tuple[float, Vector]
Search = Callable[..., tuple[Any, ...]]

# The part of what the slope promises that a step must go down.
_ARMIJO = 1e-4


class LBFGS(Optimizer):
    """L-BFGS (Nocedal and Wright 2006, algorithms 7.4 and 7.5): quasi-Newton steps from the last
    `history_size` changes of parameters and gradient, for losses without noise.

    `step(closure)` makes up to `max_iter` steps along directions of descent, and begins none after
    `max_eval` evaluations of the loss but the first (by default 1.25 `max_iter`, as PyTorch has
    it). Each is as long as SciPy's line search finds, which needs SciPy: the strong Wolfe
    conditions hold with c1 = 1e-4 and c2 = 0.9. Where it finds none, the step goes to the lowest
    place that it has seen, if the first of the conditions holds there. `lr` is the length that a
    search tries first, in units of the quasi-Newton step. It ends early where the largest element
    of the gradient is at most `tolerance_grad`, or where parameters or loss change by at most
    `tolerance_change`.

    All parameters together are one vector, in their common dtype; there is one group.

    Raises ModuleNotFoundError without SciPy.
    """

    lr = Setting(at_least_zero)
    max_iter = Setting(count)
    max_eval = Setting(count)
    tolerance_grad = Setting(at_least_zero)
    tolerance_change = Setting(at_least_zero)
    history_size = Setting(count)

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 10,
    ) -> None:
        self._search: Search = _optional.load("scipy.optimize", "LBFGS needs").line_search
        super().__init__(
            params,
            lr=lr,
            max_iter=max_iter,
            max_eval=max(1, max_iter * 5 // 4) if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
        )
        self._pairs: list[_Pair] = []

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add the only group. Raises ValueError for a second one."""
        if self.param_groups:
            raise ValueError("params: LBFGS has one group of parameters")
        super().add_param_group(group)

    def step(self, closure: Closure | None = None) -> Tensor:  # type: ignore[override]
        """Go down from where the parameters are. Returns the loss there, before the step.

        `closure()` computes the loss at the present parameters, calls `backward()` on it and
        returns it; gradients are set to None before. If it raises, the parameters are back where
        the last step left them. Afterwards gradients are those of the last evaluation. Frozen
        parameters stay as they are.

        Raises TypeError without a closure, DTypeError for parameters that are not floats,
        ValueError where the loss is not one number, or loss or gradient not finite at the start.
        """
        if closure is None:
            raise TypeError("step: LBFGS needs a closure that computes the loss")
        problem = _Problem(self.params, closure)
        x = _position(self.params)
        try:
            loss, gradient = problem.at(x)
            first: Tensor = problem.loss
            if not math.isfinite(loss):
                raise ValueError(f"step: expected a finite loss at the start, got {first.item()}")
            if not np.isfinite(gradient).all():
                raise ValueError("step: expected a finite gradient at the start")
            for _ in range(self.max_iter):
                if np.abs(gradient).max(initial=0.0) <= self.tolerance_grad:
                    break
                found = self._descend(problem, x, (loss, gradient))
                if found is None:
                    break
                before, (x, (loss, gradient)) = (x, loss), found
                moved = np.abs(x - before[0]).max(initial=0.0)
                if min(moved, abs(loss - before[1])) <= self.tolerance_change:
                    break
                if problem.count >= self.max_eval:
                    break
        except BaseException:
            problem.move(x)
            raise
        problem.move(x)
        return first

    def _descend(self, problem: _Problem, x: Vector, at: Point) -> tuple[Vector, Point] | None:
        """The next position, and loss and gradient there; None where no step goes down."""
        loss, gradient = at
        unit = _unit(gradient)
        lowest, lower = loss, x

        def value(x: Vector) -> float:
            nonlocal lowest, lower
            found = problem.at(x)[0]
            if found < lowest:
                lowest, lower = found, x.astype(gradient.dtype)
            return found

        for direction in self._directions(x, gradient / unit, unit):
            # What is remembered of a parameter that was frozen since does not move it.
            direction = np.where(problem.trained, self.lr * direction, 0.0)
            if not float(direction @ (gradient / unit)) < 0.0:  # or it is NaN
                continue
            # In float64, where the slopes of float32 neither overflow nor vanish.
            direction = direction.astype(np.float64)
            with warnings.catch_warnings():
                # That it found nothing is also what it returns.
                warnings.simplefilter("ignore", RuntimeWarning)
                length, *_ = self._search(
                    value,
                    lambda x: problem.at(x)[1],
                    x,
                    direction,
                    gradient,
                    loss,
                    c1=_ARMIJO,
                    maxiter=25,
                )
            if length is None:
                continue
            # The same bits as in the search, which has evaluated it.
            new = (x + length * direction).astype(x.dtype)
            if np.array_equal(new, x):
                continue
            return self._arrive(problem, x, gradient, new)
        # The curvature of a kink, or of a loss without digits for it, may suit no length.
        slope = float(gradient.astype(np.float64) @ (lower.astype(np.float64) - x))
        if slope < 0.0 and lowest <= loss + _ARMIJO * slope:
            return self._arrive(problem, x, gradient, lower)
        return None

    def _arrive(
        self, problem: _Problem, x: Vector, gradient: Vector, new: Vector
    ) -> tuple[Vector, Point]:
        found = problem.at(new)
        self._remember(_Pair.of(new - x, found[1] - gradient))
        return new, found

    def _remember(self, pair: _Pair) -> None:
        # The strong Wolfe conditions make this positive, but for rounding.
        s, y = pair.s, pair.y
        if pair.product > 1e-10 * float(s @ s) ** 0.5 * float(y @ y) ** 0.5:
            self._pairs = [*self._pairs, pair][-self.history_size :]

    def _directions(self, x: Vector, gradient: Vector, unit: float) -> Iterator[Vector]:
        """What to search along, for a gradient of `unit` times the vector given: minus the
        approximate inverse Hessian times the gradient, by the two-loop recursion. While nothing
        is known of the curvature, or if that leads nowhere, the step is of length 1 at most, and
        if that does not either, as where the parameters are too large to notice, one in proportion
        to them.
        """
        if self._pairs:
            yield self._newton(-gradient, unit)
        yield -gradient * min(unit, 1.0 / float(np.abs(gradient).sum()))
        relative = float(np.finfo(x.dtype).eps) ** 0.5 * _largest(x)
        yield -gradient * (relative / _largest(gradient))

    def _newton(self, q: Vector, unit: float) -> Vector:
        weights = []
        for pair in reversed(self._pairs):
            weights.append(float(pair.s @ q) / pair.product)
            q = q - weights[-1] * pair.y
        last = self._pairs[-1]
        q *= last.product / float(last.y @ last.y) * last.ratio(unit)
        for pair, weight in zip(self._pairs, reversed(weights), strict=True):
            q += (weight * pair.ratio(unit) - float(pair.y @ q) / pair.product) * pair.s
        return q

    def state_dict(self) -> dict[str, Any]:
        """As every optimiser's; `pairs` are the remembered changes of parameters and gradient."""
        pairs = [[pair.s * pair.s_unit, pair.y * pair.y_unit] for pair in self._pairs]
        return {**super().state_dict(), "pairs": pairs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As every optimiser's."""
        if not isinstance(state, Mapping) or not isinstance(state.get("pairs"), list):
            raise ValueError("state: expected a dict with a list under the key 'pairs'")
        position = _position(self.params)
        pairs = []
        for i, pair in enumerate(state["pairs"]):
            arrays = [np.array(array) for array in pair] if isinstance(pair, list) else []
            kinds = [(array.shape, array.dtype) for array in arrays]
            if kinds != [(position.shape, position.dtype)] * 2:
                wanted = f"{position.dtype} vectors of length {position.size}"
                raise ValueError(f"pairs: expected two {wanted} at {i}")
            pairs.append(_Pair.of(arrays[0], arrays[1]))
        super().load_state_dict({key: value for key, value in state.items() if key != "pairs"})
        self._pairs = pairs


class _Pair(NamedTuple):
    """Changes of parameters and gradient, each in a unit of its own, a power of two: products
    neither overflow nor vanish, and have the bits that they would have without.
    """

    s: Vector
    y: Vector
    s_unit: float
    y_unit: float
    product: float

    @classmethod
    def of(cls, s: Vector, y: Vector) -> _Pair:
        s_unit, y_unit = _unit(s), _unit(y)
        s, y = s / s_unit, y / y_unit
        return cls(s, y, s_unit, y_unit, float(s @ y))

    def ratio(self, unit: float) -> float:
        """The unit of the change of parameters per that of the gradient, of one in `unit`."""
        return self.s_unit / (self.y_unit / unit)


class _Problem:
    """Loss and gradient as functions of one flat vector."""

    def __init__(self, params: list[Tensor], closure: Closure) -> None:
        self._params = params
        self._closure = closure
        # Whether the elements belong to parameters that require a gradient.
        self.trained = np.concatenate([np.full(p.size, p.requires_grad) for p in params])
        self._last: tuple[Vector, Point] | None = None
        self.count = 0
        self.loss: Any = None

    def move(self, x: Vector) -> None:
        """Give the parameters the values of `x`."""
        end = 0
        for param in self._params:
            begin, end = end, end + param.size
            values = x[begin:end].reshape(param.shape)
            param.data = Tensor(values, dtype=param.dtype, requires_grad=False)

    def at(self, x: Vector) -> Point:
        """Loss and gradient at `x`: one evaluation, however often it is asked for."""
        # The search computes its places in float64.
        x = x.astype(_dtype(self._params))
        if self._last is not None and np.array_equal(self._last[0], x):
            return self._last[1]
        self.move(x)
        for param in self._params:
            param.grad = None
        self.count += 1
        self.loss = self._closure()
        if not isinstance(self.loss, Tensor) or self.loss.size != 1:
            raise ValueError("step: expected the closure to return a loss of one element")
        value = float(self.loss.item())
        grads = [_gradient(param) for param in self._params]
        # The search turns back from infinity, but not from NaN.
        point = (math.inf if math.isnan(value) else value, _flat(grads, x.dtype))
        self._last = (x, point)
        return point


def _largest(vector: Vector) -> float:
    return float(np.abs(vector).max(initial=0.0))


def _unit(vector: Vector) -> float:
    """A power of two near the largest element, normal in the dtype as its reciprocal is."""
    largest = _largest(vector)
    if not 0.0 < largest < math.inf:
        return 1.0
    limits = np.finfo(vector.dtype)
    return 2.0 ** max(limits.minexp, min(math.frexp(largest)[1], -limits.minexp))


def _gradient(param: Tensor) -> Vector:
    # A frozen parameter may have a gradient too, pending: it is not to be moved by it.
    if not param.requires_grad or param.grad is None:
        return np.zeros(param.size)
    return param.grad.numpy()


def _dtype(params: list[Tensor]) -> np.dtype[Any]:
    for param in params:
        if param.dtype.kind != "f":
            raise DTypeError(f"lbfgs: expected float parameters, got {param.dtype}")
    return np.result_type(*(param.dtype for param in params))


def _position(params: list[Tensor]) -> Vector:
    return _flat([param.numpy() for param in params], _dtype(params))


def _flat(arrays: list[Vector], dtype: np.dtype[Any]) -> Vector:
    return np.concatenate([array.ravel() for array in arrays], dtype=dtype)
