"""Checks for people who write ops and losses: gradients against finite differences.

>>> import needle as ndl
>>> from needle.testing import gradient_check
>>> a, b = ndl.Tensor([[0.5, 1.0]]), ndl.Tensor([[2.0], [0.1]])
>>> gradient_check(lambda a, b: ndl.tanh(a @ b), a, b, order=2)
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from needle import _names
from needle._core import Tensor, TensorTuple

__all__ = ["gradient_check"]

_Array = np.ndarray[Any, np.dtype[np.float64]]


def gradient_check(
    f: Callable[..., Any],
    *tensors: Tensor,
    eps: float | None = None,
    tol: float = 1e-6,
    order: int = 1,
) -> None:
    """Compares the gradients of `f(*tensors)` with central finite differences.

    `f` gives a tensor, or a TensorTuple or sequence of tensors, of any float shape; its
    results are weighted at random (always the same) and summed. Every tensor that requires a
    gradient is checked, each of its elements; with `order=2` also the gradients of a weighted
    sum of the gradients. All of them must be float64, and `f` must give the same result for
    the same values. The tensors keep their values and gradients. `eps` is the step, by
    default 1e-6 for the first order and 1e-5 for the second; `tol` is the allowed error,
    relative to the largest element of the gradient where that is above 1.

    Raises AssertionError naming the worst entry where they differ, TypeError for a tensor or
    result of another dtype than float64, ValueError for an order other than 1 or 2 and where
    no tensor requires a gradient.
    """
    if order not in (1, 2):
        raise ValueError(f"gradient_check: order expects 1 or 2, got {order}")
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            name = type(tensor).__name__  # type: ignore[unreachable]
            raise TypeError(f"gradient_check: argument {i} expects a Tensor, got {name}")
        if tensor.requires_grad and tensor.dtype != "float64":
            raise TypeError(f"gradient_check: argument {i} expects float64, got {tensor.dtype}")
    checked = [i for i, tensor in enumerate(tensors) if tensor.requires_grad]
    if not checked:
        raise ValueError("gradient_check: no tensor requires a gradient")
    point = [np.array(tensor.numpy()) for tensor in tensors]

    def value(leaves: Sequence[Tensor]) -> Tensor:
        return _weighted_sum(f(*leaves), seed=1)

    def slope(leaves: Sequence[Tensor]) -> Tensor:
        return _weighted_sum(_gradients(value, leaves, checked), seed=2)

    _compare("gradient", value, point, checked, eps or 1e-6, tol)
    if order == 2:
        _compare("second gradient", slope, point, checked, eps or 1e-5, tol)


def _outputs(result: Any) -> list[Tensor]:
    items = result if isinstance(result, (TensorTuple, list, tuple)) else [result]
    outputs = list(items)
    for output in outputs:
        if not isinstance(output, Tensor):
            name = type(output).__name__
            raise TypeError(f"gradient_check: f expects to give tensors, got {name}")
        if output.dtype != "float64":
            raise TypeError(f"gradient_check: f expects to give float64, got {output.dtype}")
    return outputs


def _weighted_sum(result: Any, seed: int) -> Tensor:
    """A number that depends on every element of the results, each with its own weight."""
    random = np.random.default_rng(seed)
    total = Tensor(0.0, requires_grad=False)
    for output in _outputs(result):
        weights = random.uniform(0.5, 1.5, size=output.shape)
        total = total + (output * weights).sum()
    return total


def _leaves(point: Sequence[_Array], checked: Sequence[int]) -> list[Tensor]:
    return [Tensor(array, requires_grad=i in checked) for i, array in enumerate(point)]


def _gradients(
    f: Callable[[Sequence[Tensor]], Tensor], leaves: Sequence[Tensor], checked: Sequence[int]
) -> list[Tensor]:
    """The gradients by the checked leaves, zeros where nothing flows."""
    result = f(leaves)
    before = [leaf.grad for leaf in leaves]
    for i in checked:
        leaves[i].grad = None
    if result.requires_grad:
        result.backward()
    found = [leaves[i].grad for i in checked]
    for leaf, grad in zip(leaves, before, strict=True):
        leaf.grad = grad
    zeros = [Tensor(np.zeros(leaves[i].shape), requires_grad=False) for i in checked]
    return [zero if grad is None else grad for grad, zero in zip(found, zeros, strict=True)]


def _compare(
    what: str,
    f: Callable[[Sequence[Tensor]], Tensor],
    point: Sequence[_Array],
    checked: Sequence[int],
    eps: float,
    tol: float,
) -> None:
    analytic = _gradients(f, _leaves(point, checked), checked)
    worst = (0.0, "")
    for i, grad in zip(checked, analytic, strict=True):
        if grad.shape != point[i].shape:
            raise AssertionError(
                f"gradient_check: {what} of argument {i} has shape {grad.shape}, "
                f"expected {point[i].shape}"
            )
        got = grad.numpy()
        expected = np.zeros(point[i].shape)
        for entry in np.ndindex(point[i].shape):
            expected[entry] = _difference(f, point, checked, i, entry, eps)
        error = np.abs(got - expected) / np.maximum(1.0, np.abs(expected).max(initial=0.0))
        if error.size == 0:
            continue
        # NaN is the worst there can be, and argmax finds it first.
        at = np.unravel_index(int(np.argmax(error)), error.shape)
        size = float("inf") if np.isnan(error[at]) else float(error[at])
        if size > worst[0]:
            entry = tuple(int(n) for n in at)
            numbers = f"got {got[at]:.10g}, finite differences give {expected[at]:.10g}"
            worst = (size, f"{what} of argument {i} at {entry}: {numbers}")
    if worst[0] > tol:
        raise AssertionError(f"gradient_check: {worst[1]} (error {worst[0]:.2g}, tol {tol:g})")


def _difference(
    f: Callable[[Sequence[Tensor]], Tensor],
    point: Sequence[_Array],
    checked: Sequence[int],
    i: int,
    entry: tuple[int, ...],
    eps: float,
) -> float:
    """The central difference of `f` along one element."""
    values = []
    for step in (eps, -eps):
        moved = [array.copy() if j == i else array for j, array in enumerate(point)]
        moved[i][entry] += step
        values.append(f(_leaves(moved, checked)).item())
    return float(values[0] - values[1]) / (2 * eps)


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
