"""Tensors of more elements than there is memory: views with step 0, and empty ones.

Whatever would go over all elements is left out (reductions, products): NumPy would not come back
from it either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import table
from tools.fuzz.case import Case

ENDLESS = {
    *("summation", "mean", "max", "min", "var", "logsumexp", "matmul", "transposed_matmul"),
    *("linear", "cross_entropy", "cross_entropy_gradient", "take_gradient"),
}
ROWS = [row for row in table.ROWS if row["name"] not in ENDLESS]
LENGTHS = (2**20, 2**31, 2**32, 2**40, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64)
SMALL = (0, 1, 2, 3)


def run(case: Case) -> None:
    """A few calls with giants among the arguments."""
    x = _giant(case)
    if x is None:
        return
    for _ in range(case.integer(1, 4)):
        result = case.attempt(*_call(case, x))
        parts = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
        for part in parts[:3]:
            if isinstance(part, ndl.Tensor):
                case.attempt("repr", part.__repr__)
                if part.size < 1000:
                    case.attempt("numpy", part.numpy)
        if isinstance(result, ndl.Tensor) and case.chance(0.5):
            x = result


def _giant(case: Case) -> Any:
    shape = tuple(
        int(case.choice(LENGTHS if case.chance(0.4) else SMALL)) for _ in range(case.integer(1, 4))
    )
    dtype = case.choice(("float64", "float32", "int8", "bool"))
    one = np.ones((), dtype)
    size = int(np.prod([int(n) for n in shape], dtype=object))
    ways = {
        f"broadcast_to {shape} {dtype}": lambda: ndl.broadcast_to(ndl.Tensor(one), shape),
        f"zeros {shape} {dtype}": lambda: ndl.zeros(*shape, dtype=dtype),
        f"NumPy's view {shape} {dtype}": lambda: ndl.from_numpy(np.broadcast_to(one, shape)),
        f"copy of a view {shape} {dtype}": lambda: ndl.Tensor(np.broadcast_to(one, shape)),
    }
    # What needs so many bytes is written, in time.
    names = list(ways) if size == 0 or size > 2**36 else list(ways)[:1]
    name = case.choice(names)
    return case.attempt(name, ways[name])


def _number(case: Case) -> int:
    sign = -1 if case.chance(0.3) else 1
    return sign * int(case.choice((*LENGTHS, *SMALL, *SMALL)))


def _index(case: Case, ndim: int) -> Any:
    parts: list[Any] = []
    for _ in range(case.integer(0, ndim)):
        ends = [_number(case) if case.chance(0.6) else None for _ in range(3)]
        parts.append(_number(case) if case.chance(0.3) else slice(*ends))
    return tuple(parts)


def _call(case: Case, x: Any) -> tuple[str, Any]:
    if case.chance(0.3):
        key = _index(case, x.ndim)
        return f"{x.shape}[{key}]", lambda: x[key]
    row = case.choice(ROWS)
    name, parameters = row["name"], {}
    for parameter, kind, _ in row["params"]:
        parameters[parameter] = _parameter(case, kind, x.ndim)
    count = 2 if row["variadic"] else len(row["inputs"])
    small = ndl.Tensor(np.zeros((1,) * x.ndim), dtype=str(x.dtype))
    operands = [x if case.chance(0.7) else small for _ in range(count)]
    if name == "take":
        operands[1] = ndl.Tensor([0, case.integer(-2, 2)])
    function = getattr(ndl, name)
    arguments = (operands,) if name in ("stack", "concat") else tuple(operands)
    shapes = ", ".join(str(t.shape) for t in operands)
    return f"{name}({shapes}, {parameters})", lambda: function(*arguments, **parameters)


def _parameter(case: Case, kind: str, ndim: int) -> Any:
    if kind == "Int":
        return case.integer(-ndim, ndim) if case.chance(0.8) else _number(case)
    if kind == "Shape":
        return tuple(_number(case) for _ in range(case.integer(0, 4)))
    if kind == "Axes":
        return None if case.chance(0.3) else (case.integer(-ndim, ndim), case.integer(0, ndim))
    if kind == "Index":
        return _index(case, ndim)
    if kind == "Bool":
        return case.chance(0.5)
    return case.choice(("int8", "float64")) if kind == "DType" else 2
