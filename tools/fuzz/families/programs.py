"""Random programs of many ops, beside NumPy in float64.

A program is a list of op objects and the numbers of their operands. It runs in needle, eager or
lazy, and in NumPy by the references of the tests. First and second derivatives along random
directions are compared with finite differences, of NumPy's program and of needle's gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import arrays, table
from tools.fuzz.arrays import Array
from tools.fuzz.case import Case

# (op, the places of its operands); leaves have no op.
Step = tuple[Any, tuple[int, ...]]

SMOOTH = ("exp", "sin", "cos", "tanh", "sigmoid", "erf", "softplus", "gelu", "silu", "negate")
KINKED = ("relu", "abs", "sign", "leaky_relu")
BINARY = ("add", "subtract", "multiply", "chain_product", "divide")
REDUCTIONS = ("summation", "mean", "logsumexp", "var")
MOST_ELEMENTS, LARGEST = 4000, 30.0


def run(case: Case) -> None:
    """One program, read, differentiated twice, and differentiated in second order."""
    smooth = case.chance(0.7)
    leaves = [arrays.values(case, "float64", _shape(case)) for _ in range(case.integer(1, 3))]
    steps = _program(case, leaves, smooth)
    case.note("; ".join(f"{op!r}{places}" for op, places in steps))
    ndl.set_num_threads(case.integer(1, 4))
    lazy, placed = case.chance(0.4), [arrays.laid_out(case, a) for a in leaves]
    leaves = [np.array(a, "f8") for a in placed]  # "repeated" changes the elements
    with ndl.lazy(lazy):
        case.note(f"lazy {lazy}, leaves {', '.join(arrays.described(a) for a in placed)}")
        tensors = [ndl.Tensor(a, requires_grad=True) for a in placed]
        results = _in_needle(steps, tensors)
        expected = _in_numpy(steps, leaves)
        for i in case.random.permutation(len(results)):
            case.check_close(results[i].numpy(), expected[i], 1e-8, f"value {i}")
        del results
        if not np.isfinite(expected[-1]).all():
            return
        weights = case.random.uniform(0.5, 1.5, expected[-1].shape)
        gradients = _gradients(case, steps, tensors, weights)
        if smooth:
            _first_order(case, steps, leaves, weights, gradients)
            _second_order(case, steps, leaves, weights)


def _shape(case: Case) -> arrays.Shape:
    return tuple(case.integer(1, 4) for _ in range(case.integer(0, 3)))


def _program(case: Case, leaves: list[Array], smooth: bool) -> list[Step]:
    values, steps = list(leaves), []
    for _ in range(case.integer(1, 12)):
        # Later values are taken more often, so that programs are deep.
        at = max(case.integer(0, len(values) - 1), case.integer(0, len(values) - 1))
        step = case.choice(MAKERS)(case, values, at, smooth)
        if step is None:
            continue
        value = np.asarray(table.reference(step[0])(*[values[i] for i in step[1]]))
        # What grows leaves nothing for finite differences to see.
        if value.size and value.size <= MOST_ELEMENTS and np.abs(value).max() < LARGEST:
            values.append(value)
            steps.append(step)
    return steps or [(ndl.Sin(), (0,))]


def _unary(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    name = case.choice(SMOOTH if smooth else (*SMOOTH, *KINKED))
    return table.make(table.BY_NAME[name], {"slope": 0.2} if name == "leaky_relu" else {}), (at,)


def _scalar(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    number = round(float(case.random.uniform(-2, 2)), 3) or 1.0
    return case.choice((ndl.AddScalar, ndl.MulScalar, ndl.DivScalar))(number), (at,)


def _binary(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    other = case.integer(0, len(values) - 1)
    try:
        np.broadcast_shapes(values[at].shape, values[other].shape)
    except ValueError:
        return None
    name = case.choice(BINARY)
    if name == "divide" and np.abs(values[other]).min(initial=1.0) < 0.2:
        name = "multiply"
    return table.make(table.BY_NAME[name], {}), (at, other)


def _reduction(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    ndim = values[at].ndim
    count = case.integer(0, ndim)
    axes: Any = tuple(int(i) for i in case.random.permutation(ndim)[:count])
    if case.chance(0.3):
        axes = None
    parameters = {"axes": axes, "keepdims": case.chance(0.5)}
    name = case.choice(REDUCTIONS)
    if name == "var":
        parameters["correction"] = 0
    return table.make(table.BY_NAME[name], parameters), (at,)


def _along(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    ndim = values[at].ndim
    if not ndim:
        return None
    axis = case.integer(-ndim, ndim - 1)
    if case.chance(0.2):
        return ndl.LayerNorm(0.1, axis), (at,)
    return case.choice((ndl.Softmax, ndl.LogSoftmax))(axis), (at,)


def _shaped(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    a = values[at]
    if case.chance(0.3):
        return ndl.Reshape((-1,) if case.chance(0.5) else (1, *a.shape[::-1])), (at,)
    if case.chance(0.3):
        return ndl.BroadcastTo((case.integer(1, 3), *a.shape)), (at,)
    if a.ndim > 1 and case.chance(0.5):
        return ndl.Transpose((case.integer(0, a.ndim - 1), case.integer(-a.ndim, -1))), (at,)
    return ndl.Permute(tuple(int(i) for i in case.random.permutation(a.ndim))), (at,)


def index(case: Case, shape: arrays.Shape) -> tuple[Any, ...]:
    """A random basic index that fits."""
    parts: list[Any] = []
    for n in shape[: case.integer(0, len(shape))]:
        if n and case.chance(0.4):
            parts.append(case.integer(-n, n - 1))
            continue
        start, stop = (case.choice((None, case.integer(-n - 1, n + 1))) for _ in range(2))
        parts.append(slice(start, stop, case.choice((None, 1, 2, -1, -2))))
    if case.chance(0.3):
        parts.insert(case.integer(0, len(parts)), None)
    if case.chance(0.2):
        parts.append(...)
    return tuple(parts)


def _indexed(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    found = ndl.Tensor(values[at])[index(case, values[at].shape)]
    return (found.op, (at,)) if found.op is not None else None


def _joined(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    shape = values[at].shape
    same = [i for i, value in enumerate(values) if value.shape == shape]
    places = tuple(case.choice(same) for _ in range(case.integer(1, 3)))
    if shape and case.chance(0.5):
        return ndl.Concat(case.integer(-len(shape), len(shape) - 1)), places
    return ndl.Stack(case.integer(0, len(shape))), places


def _product(case: Case, values: list[Array], at: int, smooth: bool) -> Step | None:
    fits = [
        (i, j)
        for i, a in enumerate(values)
        for j, b in enumerate(values)
        if a.ndim and b.ndim and a.shape[-1] == b.shape[max(b.ndim - 2, 0)]
    ]
    if not fits:
        return None
    i, j = case.choice(fits)
    try:
        np.matmul(values[i], values[j])
    except ValueError:
        return None
    return ndl.MatMul(), (i, j)


MAKERS: tuple[Callable[[Case, list[Array], int, bool], Step | None], ...] = (
    *(_unary, _unary, _scalar, _binary, _binary, _reduction, _along),
    *(_shaped, _indexed, _joined, _product),
)


def _in_numpy(steps: list[Step], leaves: list[Array]) -> list[Array]:
    values = list(leaves)
    for op, places in steps:
        values.append(np.asarray(table.reference(op)(*[values[i] for i in places])))
    return values


def _in_needle(steps: list[Step], leaves: list[ndl.Tensor]) -> list[ndl.Tensor]:
    values = list(leaves)
    for op, places in steps:
        values.append(op(*[values[i] for i in places]))
    return values


def _total(steps: list[Step], leaves: list[ndl.Tensor], weights: Array) -> ndl.Tensor:
    return (_in_needle(steps, leaves)[-1] * weights).sum()


def _read(tensors: list[ndl.Tensor]) -> list[Array]:
    grads = [t.grad for t in tensors]
    return [
        np.zeros(t.shape) if g is None else np.array(g.numpy())
        for t, g in zip(tensors, grads, strict=True)
    ]


def _gradients(
    case: Case, steps: list[Step], tensors: list[ndl.Tensor], weights: Array
) -> list[Array]:
    """By two sweeps over one graph, which must agree."""
    total = _total(steps, tensors, weights)
    if not total.requires_grad:
        return [np.zeros(t.shape) for t in tensors]
    total.backward()
    first = _read(tensors)
    total.backward()
    for a, b in zip(first, _read(tensors), strict=True):
        case.check_close(b, a, 1e-12, "second sweep")
    return first


def _first_order(
    case: Case, steps: list[Step], leaves: list[Array], weights: Array, gradients: list[Array]
) -> None:
    def value(moved: list[Array]) -> float:
        return float((_in_numpy(steps, moved)[-1] * weights).sum())

    _compare(case, "gradient", value, leaves, gradients)


def _second_order(case: Case, steps: list[Step], leaves: list[Array], weights: Array) -> None:
    along = [case.random.uniform(-1, 1, a.shape) for a in leaves]

    def slope(tensors: list[ndl.Tensor]) -> Any:
        total = _total(steps, tensors, weights)
        if not total.requires_grad:
            return 0.0
        total.backward()
        grads = [t.grad for t in tensors]
        for t in tensors:
            t.grad = None
        pairs = zip(grads, along, strict=True)
        return sum((g * v).sum() for g, v in pairs if g is not None)

    def value(moved: list[Array]) -> float:
        found = slope([ndl.Tensor(a, requires_grad=True) for a in moved])
        return found.item() if isinstance(found, ndl.Tensor) else 0.0

    tensors = [ndl.Tensor(a, requires_grad=True) for a in leaves]
    found = slope(tensors)
    if isinstance(found, ndl.Tensor) and found.requires_grad:
        found.backward()
        _compare(case, "second derivative", value, leaves, _read(tensors))


def _compare(
    case: Case,
    what: str,
    value: Callable[[list[Array]], float],
    leaves: list[Array],
    gradients: list[Array],
) -> None:
    """The derivative along one random direction, beside central differences."""
    along = [case.random.uniform(-1, 1, a.shape) for a in leaves]
    got = sum(float((g * v).sum()) for g, v in zip(gradients, along, strict=True))

    def difference(step: float) -> float:
        ahead, back = (
            value([a + sign * step * v for a, v in zip(leaves, along, strict=True)])
            for sign in (1, -1)
        )
        return (ahead - back) / (2 * step)

    rough, fine = difference(4e-5), difference(1e-5)
    # Two steps that differ say that the differences are no reference here.
    scale = max(1.0, abs(fine), max((np.abs(g).max(initial=0.0) for g in gradients), default=0.0))
    if not np.isfinite(fine) or abs(rough - fine) > 1e-5 * scale:
        case.outcomes["no reference"] += 1
        return
    case.outcomes[what] += 1
    case.check(abs(got - fine) <= 1e-4 * scale, f"{what}: {got}, differences give {fine}")
