"""Ops of the table on random shapes, dtypes and layouts: values as NumPy has them in float64.

What is tried are the samples of the table with other lengths, so that the operands fit. The
gradients of what is read in an odd layout must be those of a plain copy, eager and lazy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import arrays, table
from tools.fuzz.arrays import Array
from tools.fuzz.case import Case
from tools.fuzz.families.programs import index

# Ops for which integers mean the same in NumPy, bit for bit.
EXACT = {
    *("add", "subtract", "multiply", "maximum", "minimum", "negate", "abs", "sign"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "where"),
    *("max", "min", "reshape", "transpose", "permute", "broadcast_to", "matmul"),
    *("stack", "concat", "split", "getitem", "put", "make_tuple"),
}
# Ops that NaN and infinities go through as in NumPy; the others are formulas of several steps.
SCALAR = ("add_scalar", "mul_scalar", "divide_scalar", "power_scalar")
SCALARS = (0, 1, 2, 3, 4, 5, -1, -2, -3, 1.5, -2.5, 0.1)
SPECIAL = (
    EXACT - {"matmul", "sign"}
    | {"exp", "sqrt", "sin", "cos", "tanh", "divide", "power"}
    | {*SCALAR}
)
# Ops whose zeros have the sign that IEEE gives them.
SIGNED = {
    *("add", "subtract", "multiply", "divide", "power", "negate", "abs", "sqrt", "sin", "tanh"),
    *SCALAR,
}
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


def run(case: Case) -> None:
    """One op on one set of operands, or one index."""
    if case.chance(0.07):
        _indexed(case)
        return
    row = case.choice(table.WITH_SAMPLES)
    sample, tensors = table.sample(case, row)
    lengths: dict[int, int] = {}
    # The op of an index is as it is: it knows the shape that it was made on.
    indexed = any(kind == "Index" for _, kind, _ in row["params"])
    op = sample if indexed else table.make(row, _stretched(case, row, sample, lengths))
    dtype = case.choice(arrays.FLOATS)
    if row["name"] in EXACT and case.chance(0.4):
        dtype = case.choice(arrays.DTYPES)
    plain = _operands(case, row["name"], op, [t.numpy() for t in tensors], lengths, dtype)
    placed = [arrays.laid_out(case, a) for a in plain]
    case.note(f"{op!r} on {', '.join(arrays.described(a) for a in placed)}")
    ndl.set_num_threads(case.integer(1, 4))
    lazy = case.chance(0.3)
    with ndl.lazy(lazy):
        operands = [arrays.tensor(case, a, a.dtype.kind == "f") for a in placed]
        call = _call(case, row, op)
        result = case.attempt("call", lambda: _read(call(operands)))
    native = [np.array(a, a.dtype.newbyteorder("=")) for a in placed]
    expected = _expected(case, op, native, dtype)
    if result is None or expected is None:
        # Needle has a sign of bools. Empty reductions are refused by needle for reasons of its own.
        empty = any(a.size == 0 for a in native)
        case.check(expected is None or empty, f"needle refused what NumPy gives: {expected!r}")
        return
    case.check(len(result) == len(expected), f"{len(result)} results for {len(expected)}")
    for got, right in zip(result, expected, strict=True):
        case.check_close(got, right, TOLERANCE.get(dtype, 1e-10), "value")
        if row["name"] in SIGNED and right.dtype.kind == "f":
            signs = np.signbit(got) == np.signbit(right)
            case.check(bool(signs[right == 0].all()), f"sign of zero: {got!r}, expected {right!r}")
    if row["differentiable"] and dtype in arrays.FLOATS:
        _gradients_agree(case, op, operands, native, TOLERANCE[dtype])


def _call(case: Case, row: Any, op: Any) -> Callable[[list[ndl.Tensor]], Any]:
    """The op object, or its function with the parameters by name, in any order."""
    # The index of a getitem is written in brackets; a tuple has no parameters.
    if case.chance(0.5) or row["name"] in ("getitem", "make_tuple"):
        return lambda operands: op(*operands)
    parameters = table.attributes(row, op)
    names = [str(name) for name in case.random.permutation(list(parameters))]
    named = {name: parameters[name] for name in names}
    case.note(f"{row['name']} with {named}")
    function = getattr(ndl, row["name"])
    if row["variadic"]:
        return lambda operands: function(operands, **named)
    return lambda operands: function(*operands, **named)


def _indexed(case: Case) -> None:
    """A random index, read and put."""
    shape = arrays.shape(case)
    key = index(case, shape)
    a = arrays.array(case, None, shape)
    case.note(f"{arrays.described(a)}[{key}]")
    x = arrays.tensor(case, a)
    native = a.astype(a.dtype.newbyteorder("="))
    case.check_close(x[key].numpy(), native[key], 0, "getitem")
    part = arrays.array(case, None, native[key].shape)
    right = np.zeros(shape, part.dtype.newbyteorder("="))
    right[key] = part
    named: Any = {"shape": shape, "index": key}
    if case.chance(0.5):
        named = dict(reversed(named.items()))
    case.note(f"put {arrays.described(part)} with {named}")
    got = ndl.put(arrays.tensor(case, part), **named)
    case.check_close(got.numpy(), right, 0, "put")


def _stretched(case: Case, row: Any, sample: Any, lengths: dict[int, int]) -> dict[str, Any]:
    """Other lengths for those of the sample, and its attributes with them."""
    most = 8 if case.chance(0.7) else 12
    keep = case.chance(0.2)
    for n in range(2, 8):
        lengths[n] = n if keep else int(case.choice(arrays.LENGTHS[:most]))
    parameters = table.attributes(row, sample)
    if row["name"] in SCALAR:
        parameters["scalar"] = case.choice(SCALARS)
    if "shape" in parameters:
        parameters["shape"] = tuple(lengths.get(n, n) for n in parameters["shape"])
    return parameters


def _operands(
    case: Case, name: str, op: Any, samples: list[Array], lengths: dict[int, int], dtype: str
) -> list[Array]:
    special = name in SPECIAL and case.chance(0.5)
    found: list[Array] = []
    for sample in samples:
        shape = tuple(lengths.get(int(n), int(n)) for n in sample.shape)
        if sample.dtype.kind == "f":
            a = arrays.values(case, dtype, shape, special)
            positive = sample.size > 0 and bool(np.all(sample > 0))
            found.append(np.abs(a) + np.asarray(0.1, dtype) if positive and not special else a)
        elif sample.dtype.kind == "b":
            found.append(arrays.values(case, "bool", shape))
        else:
            most = max(1, _classes(name, op, found))
            indices = case.random.integers(0, most, shape)
            found.append(np.asarray(indices).astype(case.choice(arrays.INTEGERS[3:])))
    return found


def _classes(name: str, op: Any, before: list[Array]) -> int:
    """One more than the largest index that the op takes."""
    if name == "take":
        return int(before[0].shape[op.axis])
    return min(120, int(op.shape[op.axis] if name == "take_gradient" else before[-1].shape[-1]))


def _read(result: Any) -> list[Array]:
    parts = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
    return [np.array(part.numpy()) for part in parts]


def _expected(case: Case, op: Any, native: list[Array], dtype: str) -> list[Array] | None:
    wide = [a.astype("f8") if a.dtype.kind == "f" else a for a in native]
    try:
        result = table.reference(op)(*wide)
    except (ValueError, TypeError, IndexError, ZeroDivisionError):
        return None
    parts = result if isinstance(result, tuple) else (result,)
    # What float32 cannot hold is infinite, or zero.
    return [
        a.astype(dtype) if a.dtype == np.float64 and dtype in arrays.FLOATS else a
        for a in map(np.asarray, parts)
    ]


def _gradients_agree(
    case: Case, op: Any, operands: list[ndl.Tensor], native: list[Array], tolerance: float
) -> None:
    plain = [
        ndl.Tensor(a, requires_grad=t.requires_grad) for a, t in zip(native, operands, strict=True)
    ]
    with ndl.lazy(case.chance(0.5)):
        first = case.attempt("gradient", lambda: _gradients(op, operands))
        again = case.attempt("gradient again", lambda: _gradients(op, operands))
    right = case.attempt("gradient of plain copies", lambda: _gradients(op, plain))
    case.check((first is None) == (right is None) == (again is None), "only some raised")
    for found in (first, again):
        for got, expected in zip(found or [], right or [], strict=True):
            case.check_close(got, expected, tolerance, "gradient")


def _gradients(op: Any, operands: list[ndl.Tensor]) -> list[Array]:
    result = op(*operands)
    parts = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
    sums = [(part * part).sum() for part in parts if part.requires_grad]
    for t in operands:
        t.grad = None
    for total in sums:
        total.backward()
    return [np.array(t.grad.numpy()) for t in operands if t.requires_grad and t.grad is not None]
