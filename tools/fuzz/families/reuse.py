"""Op objects made on one shape and used on another: by call, `compute`, `gradient`.

The indices, shapes and axes that an op has taken from its first operand mean nothing for the next
one. It must refuse or give NumPy's answer, and not read what is not there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import arrays, table
from tools.fuzz.case import Case
from tools.fuzz.families.programs import index


def run(case: Case) -> None:
    """One op object, on several sets of operands."""
    op, tensors = _made(case)
    case.note(f"{op!r} made on {', '.join(arrays.described(t) for t in tensors)}")
    for _ in range(case.integer(1, 4)):
        others = [_other(case, t) for t in tensors]
        if case.chance(0.1):
            others = others[:-1] if case.chance(0.5) else [*others, others[0]]
        described = ", ".join(arrays.described(a) for a in others)
        way = case.choice(("call", "call", "compute", "compute", "gradient", "backward"))
        if way == "compute":
            case.attempt(f"compute on {described}", partial(op.compute, *others))
            continue
        with ndl.lazy(case.chance(0.3)):
            operands = [arrays.tensor(case, a, a.dtype.kind == "f") for a in others]
            result = case.attempt(f"call on {described}", partial(op, *operands))
            if result is None:
                continue
            if way == "gradient":
                _gradient(case, op, result)
            else:
                _read(case, op, result, others, way == "backward")


def _made(case: Case) -> tuple[Any, list[Any]]:
    kind = case.integer(0, 2)
    if kind == 0:
        # The op of a slice, of whatever size.
        length = case.choice((3, 10, 1000, 1_000_000))
        x = ndl.from_numpy(np.zeros(length))
        start = case.integer(0, length - 1)
        x.requires_grad = True
        return x[start : start + case.integer(1, 20)].op, [x]
    if kind == 1:
        a = arrays.array(case, case.choice(arrays.FLOATS))
        x = ndl.Tensor(a)
        op = x[index(case, a.shape)].op
        if op is not None:
            return op, [x]
    row = case.choice(table.WITH_SAMPLES)
    sample, tensors = table.sample(case, row)
    parameters = table.attributes(row, sample)
    for name in parameters:
        # An attribute of another op, where one has it.
        if case.chance(0.3):
            givers = [other for other in table.WITH_SAMPLES if _has(other, name)]
            giver = case.choice(givers)
            parameters[name] = getattr(case.choice(giver["samples"])[0], name)
    made = case.attempt(f"{row['name']} with {parameters}", lambda: table.make(row, parameters))
    return (sample if made is None else made), tensors


def _has(row: Any, name: str) -> bool:
    return any(name == other for other, _, _ in row["params"])


def _other(case: Case, like: ndl.Tensor) -> arrays.Array:
    """Operands that resemble those before, or do not at all."""
    dtype = str(like.dtype) if case.chance(0.7) else None
    if case.chance(0.4):
        return arrays.array(case, dtype)
    shape = tuple(
        n if case.chance(0.5) else int(case.choice(arrays.LENGTHS[:12])) for n in like.shape
    )
    if int(np.prod(shape)) > arrays.MOST:
        shape = tuple(min(n, 5) for n in shape)
    return arrays.array(case, dtype, shape)


def _gradient(case: Case, op: Any, result: Any) -> None:
    parts = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
    outs = [arrays.tensor(case, _other(case, part)) for part in parts]
    out = ndl.make_tuple(*outs) if isinstance(result, ndl.TensorTuple) else outs[0]
    node = result if case.chance(0.7) else out
    found = case.attempt("gradient", lambda: op.gradient_as_tuple(out, node))
    for part in found or ():
        if isinstance(part, ndl.Tensor):
            case.attempt("read the gradient", part.numpy)


def _read(case: Case, op: Any, result: Any, operands: list[arrays.Array], backward: bool) -> None:
    parts = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
    values = [case.attempt("read", part.numpy) for part in parts]
    if type(op) is ndl.GetItem and len(operands) == 1 and values[0] is not None:
        native = operands[0].astype(operands[0].dtype.newbyteorder("="))
        case.check_close(values[0], native[op.index], 0, "value")
    if backward:
        for part in parts:
            if part.requires_grad:
                case.attempt("backward", part.backward)
