"""Random arrays: every dtype, odd shapes, every layout, and every way into a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import needle as ndl
from tools.fuzz.case import Case

Array = NDArray[Any]
Shape = tuple[int, ...]

FLOATS = ("float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = ("bool", *INTEGERS, *FLOATS)
LAYOUTS = (
    *("C", "C", "C", "F", "reversed", "stepped", "swapped axes", "repeated", "byte order"),
    *("misaligned", "read only", "part of a larger one"),
)
# Lengths that end vectors, tiles and blocks, and those that begin to use threads.
LENGTHS = (0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 257, 512, 513, 1025)
# No array of a case has more elements.
MOST = 20_000
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e-30, 1e7, -100.0)


def shape(case: Case, dims: int = 4) -> Shape:
    """A shape of few elements, most of the time of small lengths."""
    ndim = case.integer(0, dims)
    most = 8 if ndim > 1 and case.chance(0.8) else len(LENGTHS)
    while True:
        found = tuple(int(case.choice(LENGTHS[:most])) for _ in range(ndim))
        if int(np.prod(found)) <= MOST:
            return found
        most = max(8, most - 3)


def values(case: Case, dtype: str, of: Shape, special: bool = False) -> Array:
    """Random elements in a plain array."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return case.random.random(of) < 0.5
    if kind in "iu":
        return np.asarray(case.random.integers(0 if kind == "u" else -9, 10, of)).astype(dtype)
    a = np.asarray(case.random.uniform(-2.2, 2.2, of)).astype(dtype)
    if case.chance(0.15):
        a = np.asarray(np.round(a))  # zeros of both signs, exponents that are integers, ties
    if special and a.size:
        flat = a.reshape(-1)
        places = case.random.integers(0, a.size, max(1, a.size // 8))
        flat[places] = np.asarray(case.random.choice(SPECIAL, places.shape)).astype(dtype)
    return a


def laid_out(case: Case, a: Array) -> Array:
    """The same elements in any layout."""
    return in_layout(np.asarray(a), case.choice(LAYOUTS))


def in_layout(a: Array, layout: str) -> Array:
    """The same elements in this layout; "repeated" repeats the first row."""
    if layout == "F" and a.ndim:
        return np.asfortranarray(a)
    if layout == "reversed" and a.ndim:
        flip = (slice(None, None, -1),) * a.ndim
        return np.ascontiguousarray(a[flip])[flip]
    if layout == "stepped" and a.ndim:
        wide = np.zeros((*a.shape[:-1], a.shape[-1] * 3 + 1), a.dtype)
        view: Array = wide[..., 1::3]
        view[...] = a
        return view
    if layout == "swapped axes" and a.ndim > 1:
        return np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1)
    if layout == "repeated" and a.ndim and a.shape[0]:
        return np.broadcast_to(a[:1], a.shape)
    if layout == "byte order":
        return a.astype(a.dtype.newbyteorder())
    if layout == "misaligned" and a.size:
        raw = np.frombuffer(b"\0" + a.tobytes(), "u1")[1:]
        return raw.view(a.dtype).reshape(a.shape)
    if layout == "read only":
        a = a.copy()
        a.flags.writeable = False
        return a
    if layout == "part of a larger one" and a.ndim:
        wide = np.ones(tuple(n + 5 for n in a.shape), a.dtype)
        view = wide[tuple(slice(2, 2 + n) for n in a.shape)]
        view[...] = a
        return view
    return a


def array(case: Case, dtype: str | None = None, of: Shape | None = None) -> Array:
    """Anything at all."""
    dtype = dtype or case.choice(DTYPES)
    of = shape(case) if of is None else of
    return laid_out(case, values(case, dtype, of, special=case.chance(0.2)))


def tensor(case: Case, a: Array, requires_grad: bool = False) -> ndl.Tensor:
    """A tensor of those elements: a copy, an alias, a view, or a result."""
    way = case.choice(("copy", "copy", "alias", "dlpack", "cached", "view", "result", "lazy"))
    if way == "alias":
        return ndl.from_numpy(a, requires_grad=requires_grad)
    if way == "dlpack" and a.dtype.isnative and a.flags.writeable and not requires_grad:
        return ndl.from_dlpack(a)
    if way == "cached":
        t = ndl.Tensor(a, requires_grad=requires_grad)
        t.cached_data = t.realize_cached_data()
        return t
    if way == "view":
        return ndl.Tensor(a[None], requires_grad=requires_grad)[0]
    if way in ("result", "lazy"):
        with ndl.lazy(way == "lazy"):
            return ndl.Tensor(a, requires_grad=requires_grad).reshape((1, *a.shape))[0]
    return ndl.Tensor(a, requires_grad=requires_grad)


def described(a: Any) -> str:
    """An array in a few words: dtype, shape, strides."""
    if type(a) is np.ndarray:
        return f"{a.dtype.str}{a.shape} strides {a.strides}"
    try:
        return f"Tensor {a.dtype}{a.shape}" if type(a) is ndl.Tensor else type(a).__name__
    except RuntimeError:
        return "empty Tensor"
