"""Checks for people who write ops and losses: gradients against finite differences.

>>> import needle as ndl
>>> from needle.testing import gradient_check
>>> a, b = ndl.Tensor([[0.5, 1.0]]), ndl.Tensor([[2.0], [0.1]])
>>> gradient_check(lambda a, b: ndl.tanh(a @ b), a, b, order=2)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from needle import _names
from needle._core import Tensor, TensorTuple
from needle.modes import enable_grad

__all__ = ["gradient_check"]

_Array = np.ndarray[Any, np.dtype[np.float64]]
_Leaves = Sequence[Tensor]

# So many results are differentiated, by so many elements of an argument; of more, a sample.
_RESULTS, _ELEMENTS = 200, 400
# So many results are differentiated twice, one by one.
_TWICE = 4


@enable_grad()
def gradient_check(
    f: Callable[..., Any],
    *tensors: Tensor,
    eps: float | None = None,
    tol: float = 1e-6,
    order: int = 1,
) -> None:
    """Compares the gradients of `f(*tensors)` with central finite differences, entry by entry.

    `f` gives a tensor, or a TensorTuple or sequence of tensors, of any float shape. The
    derivative of each element of its results by each element of each tensor that requires a
    gradient is checked, and the gradient of their sum with random weights; with `order=2` also
    the derivatives of those gradients. Of more than 200 results, and of more than 400 elements
    of a tensor, a sample is looked at (always the same); with `order=2`, four of the results
    and the weighted sum. All tensors must be float64, and `f` must give the same result for the
    same values. The tensors keep their values and gradients. `eps` is the step, by default 1e-6
    for the first order and 1e-5 for the second; `tol` is the allowed error, relative to the
    largest derivative by that tensor where that is above 1.

    Raises AssertionError where they differ: it says how many entries do, and names the worst,
    with both numbers. TypeError for a tensor or result of another dtype than float64,
    ValueError for an order other than 1 or 2 and where no tensor requires a gradient.
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

    def results(leaves: _Leaves) -> list[Tensor]:
        return _outputs(f(*leaves))

    first = results(_leaves(point, checked))
    several = len(first) > 1
    names = [f"f[{k}]" if several else "f" for k in range(len(first))]
    _compare("gradient", results, names, len(names), point, checked, eps or 1e-6, tol)
    if order == 1:
        return
    rows = _sample([out.shape for out in first], _TWICE)
    sums: list[Sequence[_Array | None]] = [_one_hot(first, *row) for row in rows]
    labels = [_at(names[k], entry) for k, entry in rows]
    if len(rows) != 1 or first[rows[0][0]].size != 1:
        sums.append(_weights(first))
        labels.append("(f * weights)")

    def gradients(leaves: _Leaves) -> list[Tensor]:
        outputs = results(leaves)
        return [grad for seeds in sums for grad in _pull(outputs, seeds, leaves, checked)]

    names = [f"(d {label} / d argument {i})" for label in labels for i in checked]
    single = len(rows) * len(checked)
    _compare("second gradient", gradients, names, single, point, checked, eps or 1e-5, tol)


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


def _leaves(point: Sequence[_Array], checked: Sequence[int]) -> list[Tensor]:
    return [Tensor(array, requires_grad=i in checked) for i, array in enumerate(point)]


# One element of several arrays: which array, and where in it.
_Place = tuple[int, tuple[int, ...]]


def _sample(shapes: Sequence[tuple[int, ...]], most: int) -> list[_Place]:
    """All elements of arrays of these shapes, in order, or `most` of them."""
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    places = np.arange(ends[-1])
    if len(places) > most:
        places = np.sort(np.random.default_rng(0).choice(places, most, replace=False))
    found = []
    for place in places:
        k = int(np.searchsorted(ends, place, side="right")) - 1
        entry = np.unravel_index(int(place - ends[k]), shapes[k])
        found.append((k, tuple(int(n) for n in entry)))
    return found


def _at(name: str, entry: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, entry))}]" if entry else name


def _one_hot(outputs: _Leaves, k: int, entry: tuple[int, ...]) -> list[_Array | None]:
    """What picks one element of the outputs: None for those of which nothing is picked."""
    seeds: list[_Array | None] = [None] * len(outputs)
    one = np.zeros(outputs[k].shape)
    one[entry] = 1.0
    seeds[k] = one
    return seeds


def _weights(outputs: _Leaves) -> list[_Array]:
    """Weights of both signs for a sum of all elements."""
    random = np.random.default_rng(1)
    found: list[_Array] = []
    for output in outputs:
        weights = random.uniform(0.5, 1.5, size=output.size)
        weights[::2] *= -1
        found.append(weights.reshape(output.shape))
    return found


def _pull(
    outputs: _Leaves, seeds: Sequence[_Array | None], leaves: _Leaves, checked: Sequence[int]
) -> list[Tensor]:
    """The gradients of a weighted sum by the checked leaves, zeros where nothing flows."""
    before = [leaf.grad for leaf in leaves]
    for i in checked:
        leaves[i].grad = None
    for output, seed in zip(outputs, seeds, strict=True):
        if seed is not None and output.requires_grad:
            (output * seed).sum().backward(accumulate=True)
    found = [leaves[i].grad for i in checked]
    for leaf, grad in zip(leaves, before, strict=True):
        leaf.grad = grad
    zeros = [Tensor(np.zeros(leaves[i].shape), requires_grad=False) for i in checked]
    return [zero if grad is None else grad for grad, zero in zip(found, zeros, strict=True)]


@dataclass
class _Entries:
    """Derivatives by one argument: a row for each result, the last for their weighted sum, and a
    column for each element."""

    argument: int
    columns: list[tuple[int, ...]]
    analytic: _Array
    numeric: _Array


def _compare(
    what: str,
    f: Callable[[_Leaves], list[Tensor]],
    names: Sequence[str],
    single: int,
    point: Sequence[_Array],
    checked: Sequence[int],
    eps: float,
    tol: float,
) -> None:
    """Compares the derivatives of what `f` gives; `single` of its tensors are no sums of others."""
    leaves = _leaves(point, checked)
    outputs = f(leaves)
    rows = _sample([output.shape for output in outputs], _RESULTS)
    weights = _weights(outputs)
    seeds: list[Sequence[_Array | None]] = [_one_hot(outputs, *row) for row in rows]
    seeds.append(weights)
    pulled = [_pull(outputs, seed, leaves, checked) for seed in seeds]
    labels = [*(_at(names[k], entry) for k, entry in rows), "the weighted sum"]
    alone = sum(k < single for k, _ in rows)
    size = sum(output.size for output in outputs)
    for place, i in enumerate(checked):
        columns = [entry for _, entry in _sample([point[i].shape], _ELEMENTS)]
        shape = (len(labels), len(columns))
        found = _Entries(i, columns, np.zeros(shape), np.zeros(shape))
        for row, grads in enumerate(pulled):
            grad = grads[place].numpy()
            found.analytic[row] = [grad[entry] for entry in columns]
        for column, entry in enumerate(columns):
            slopes = _slopes(f, point, checked, i, entry, eps)
            found.numeric[:-1, column] = [slopes[k][at] for k, at in rows]
            pairs = zip(slopes, weights, strict=True)
            found.numeric[-1, column] = sum(float((slope * w).sum()) for slope, w in pairs)
        samples = []
        if len(rows) < size:
            samples.append(f"{len(rows)} of {size} results")
        if len(columns) < point[i].size:
            samples.append(f"{len(columns)} of {point[i].size} elements")
        _report(what, labels, alone, samples, found, tol)


def _slopes(
    f: Callable[[_Leaves], list[Tensor]],
    point: Sequence[_Array],
    checked: Sequence[int],
    i: int,
    entry: tuple[int, ...],
    eps: float,
) -> list[_Array]:
    """The central differences of all results along one element."""
    values = []
    for step in (eps, -eps):
        moved = [array.copy() if j == i else array for j, array in enumerate(point)]
        moved[i][entry] += step
        values.append([output.numpy() for output in f(_leaves(moved, checked))])
    return [(high - low) / (2 * eps) for high, low in zip(*values, strict=True)]


def _report(
    what: str,
    labels: Sequence[str],
    alone: int,
    samples: Sequence[str],
    found: _Entries,
    tol: float,
) -> None:
    """Raises AssertionError if an entry is off. The worst is one that can be compared by hand, if
    there is one: the first `alone` rows are derivatives of single results."""
    last = len(labels) - 1
    for start, end in ((0, alone), (alone, last), (last, last + 1)):
        numeric = found.numeric[start:end]
        error = np.abs(found.analytic[start:end] - numeric)
        error[np.isnan(error)] = np.inf
        largest = np.abs(numeric[np.isfinite(numeric)]).max(initial=1.0)
        wrong = error > tol * largest
        if wrong.any():
            break
    else:
        return
    text = f"wrong in {int(wrong.sum())} of {wrong.size} entries"
    hint = ""
    if start == last:
        text = f"right for results one by one, but for their weighted sum {text}"
        hint = "\nhint: gradient has to be linear in out_grad, whatever its sign and size"
        if samples:
            hint += "; or a result outside of the sample is wrong"
    if samples:
        text += f", in a sample of {' and '.join(samples)} (by seed 0)"
    row, column = np.unravel_index(int(np.argmax(error)), error.shape)
    at = (start + int(row), int(column))
    element = _at(f"argument {found.argument}", found.columns[at[1]])
    raise AssertionError(
        f"gradient_check: {what} of argument {found.argument} is {text}\n"
        f"worst: d {labels[at[0]]} / d {element}: analytic {found.analytic[at]:.10g}, "
        f"numeric {found.numeric[at]:.10g} (difference {error[row, column]:.2g}, "
        f"tolerance {tol * largest:.2g}){hint}"
    )


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
