"""A hash of each op's results: what a change that must not move a bit is checked with.

`python -m tools.bits` prints a line for each op of the table, and one for all of them. Print
them before and after the change, under each `NEEDLE_ISA` and several `NEEDLE_NUM_THREADS`, and
compare. The inputs are the samples of the table, stretched to sizes at which kernels take other
ways, in every dtype and several layouts, with NaN, infinities and signed zeros among them. A call
that an op refuses counts by the name of its error. NaN counts as NaN, whatever its sign and
payload, which IEEE leaves open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import needle as ndl

Array = NDArray[Any]

# Every length above 1 is multiplied by these: short rows, tails of vectors, blocks, threads.
STRETCHES = (1, 9, 67, 201)
# A call on more elements than this would take too long, or too much memory.
MOST = 600_000
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64"),
)
LAYOUTS: tuple[Callable[[Array], Array], ...] = (
    lambda a: a,
    # Columns in order instead of rows.
    lambda a: np.asfortranarray(a),
    # Every second element of a row.
    lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    # One element repeated along the first axis.
    lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a,
)


def main() -> None:
    """Print the hashes."""
    whole = hashlib.sha256()
    for row in ndl._core.op_table():
        found = hashlib.sha256()
        for op, inputs in row["samples"]:
            for arrays in _variants([np.array(t.numpy()) for t in inputs]):
                found.update(_result(op, arrays))
        whole.update(found.digest())
        print(f"{row['name']:24} {found.hexdigest()[:16]}", flush=True)
    print(f"{'all':24} {whole.hexdigest()[:16]}")


def _variants(samples: list[Array]) -> Iterator[list[Array]]:
    """The inputs of one sample of the table, again and again in another form."""
    random = np.random.RandomState(0)
    for stretch in STRETCHES:
        shapes = [tuple(n if n == 1 else n * stretch for n in a.shape) for a in samples]
        if sum(int(np.prod(shape)) for shape in shapes) > MOST:
            continue
        plain = [_values(random, a, shape) for a, shape in zip(samples, shapes, strict=True)]
        for dtype in (None, *DTYPES):
            arrays = plain if dtype is None else [_cast(a, dtype) for a in plain]
            for layout in LAYOUTS if dtype in (None, "float32", "int16") else LAYOUTS[:1]:
                yield [layout(a) for a in arrays]
        # Operands of two dtypes, and numbers that are none.
        yield [_cast(a, ("float32", "int16")[i % 2]) for i, a in enumerate(plain)]
        yield [_spoilt(random, a) for a in plain]
        yield [_spoilt(random, _cast(a, "float32")) for a in plain]


def _values(random: np.random.RandomState, sample: Array, shape: tuple[int, ...]) -> Array:
    if sample.dtype != np.float64:
        return random.randint(0, 2, shape).astype(sample.dtype)
    values = np.asarray(random.uniform(-2.2, 2.2, shape))
    # Where an op wants positive numbers its samples are.
    return np.abs(values) + 0.1 if np.all(sample > 0) else values


def _cast(a: Array, dtype: str) -> Array:
    if a.dtype != np.float64:
        return a
    wide = a if dtype.startswith("float") else 20 * a
    return (np.abs(wide) if dtype.startswith("uint") else wide).astype(dtype)


def _spoilt(random: np.random.RandomState, a: Array) -> Array:
    if a.dtype.kind != "f" or not a.size:
        return a
    flat = a.copy().reshape(-1)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e-30, 1e7, -100.0]
    places = random.randint(0, flat.size, max(1, flat.size // 20))
    flat[places] = np.resize(np.asarray(special, a.dtype), places.shape)
    return flat.reshape(a.shape)


def _result(op: Any, arrays: list[Array]) -> bytes:
    try:
        with ndl.no_grad():
            result = op(*[ndl.from_numpy(a) for a in arrays])
        parts = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
        values = [part.numpy() for part in parts]
    except Exception as error:
        return type(error).__name__.encode()
    return b"".join(_bytes(value) for value in values)


def _bytes(value: Array) -> bytes:
    if value.dtype.kind == "f":
        value = np.where(np.isnan(value), np.asarray(np.nan, value.dtype), value)
    return f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()


if __name__ == "__main__":
    main()
