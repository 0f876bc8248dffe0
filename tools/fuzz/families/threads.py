"""Threads that write what is being read: memory shared with NumPy, `.data`, gradients.

What comes out may be anything; nothing may crash. The arrays are large enough for kernels to give
up the GIL, and the labels, indices and masks go out of range and back.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import arrays, table
from tools.fuzz.arrays import Array
from tools.fuzz.case import Case

CLASSES = 7
ROWS = (3000, 40_000)
SECONDS = 0.03


def run(case: Case) -> None:
    """Reads in this thread for a while, and disturbs in one or two others."""
    reader, disturbers = case.choice(SCENES)(case)
    stop = threading.Event()

    def disturb(write: Callable[[int], Any]) -> None:
        round_ = 0
        while not stop.is_set():
            # A refusal is as good as a result.
            with contextlib.suppress(ValueError, TypeError, RuntimeError, AssertionError):
                write(round_)
            round_ += 1

    others = [threading.Thread(target=disturb, args=(write,)) for write in disturbers]
    for thread in others:
        thread.start()
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            case.attempt("read", reader)
    finally:
        stop.set()
        for thread in others:
            thread.join()


Scene = tuple[Callable[[], Any], list[Callable[[int], Any]]]


def _writer(case: Case, a: Array) -> Callable[[int], Any]:
    """Writes good and bad elements in turn: all of them, or some."""
    a = a.reshape(-1)  # the same memory: the arrays of this family are plain
    good, bad = a.copy(), a.copy()
    if a.dtype.kind == "f":
        bad[...] = np.nan
    elif a.dtype.kind in "iu":
        info = np.iinfo(a.dtype)
        # Beside the next class, what is far from any memory, whatever it is multiplied by.
        far = info.max // 2**20 + CLASSES
        bad[...] = case.choice((far, far, info.max, info.min, CLASSES))
    else:
        bad.view("u1")[...] = 7  # no bool at all
    part = slice(None, None, case.choice((1, 2, 97)))

    def write(round_: int) -> None:
        a[part] = (bad if round_ % 2 else good)[part]

    return write


def _grad(x: ndl.Tensor) -> None:
    grad = x.grad  # once: another thread may take it away
    if grad is not None:
        grad.numpy()


def _integers(case: Case) -> str:
    """A dtype for indices: those of int64 are read where they are, others are converted first."""
    return str(case.choice(("int64", "int64", *arrays.INTEGERS)))


def _entropy(case: Case) -> Scene:
    rows = case.choice(ROWS)
    logits = arrays.values(case, case.choice(arrays.FLOATS), (rows, CLASSES))
    labels = case.random.integers(0, CLASSES, rows).astype(_integers(case))
    x, y = ndl.from_numpy(logits, requires_grad=True), ndl.from_numpy(labels)
    with_gradient = case.chance(0.5)
    case.note(f"cross_entropy on {labels.dtype} labels that change")

    def read() -> None:
        loss = ndl.cross_entropy(x, y)
        if with_gradient:
            loss.backward()
            _grad(x)

    return read, [_writer(case, labels), _writer(case, logits)]


def _take(case: Case) -> Scene:
    axis = case.integer(0, 1)
    dtype = case.choice(arrays.DTYPES)
    a = arrays.values(case, dtype, (CLASSES, 40) if axis == 0 else (40, CLASSES))
    rows = case.choice(ROWS)
    shape = case.choice(((rows,), (rows // 10, 10), (rows, 1)))
    indices = case.random.integers(0, CLASSES, shape).astype(_integers(case))
    x, i = ndl.from_numpy(a), ndl.from_numpy(indices)
    if a.dtype.kind == "f":
        x.requires_grad = True
    case.note(f"take from {dtype} along {axis} with {indices.dtype}{shape} that change")

    def read() -> None:
        found = ndl.take(x, i, axis)
        if found.requires_grad and case.chance(0.5):
            found.sum().backward()
            _grad(x)

    return read, [_writer(case, indices), _writer(case, a)]


def _any_op(case: Case) -> Scene:
    row = case.choice(table.WITH_SAMPLES)
    op, tensors = table.sample(case, row)
    repeat = case.choice((1, 40, 41))
    natives = []
    for t in tensors:
        a = np.array(t.numpy())
        if "shape" not in table.attributes(row, op):
            a = np.tile(a, [repeat if n > 1 else 1 for n in a.shape])
        dtype = case.choice(arrays.DTYPES) if a.dtype.kind == "f" else str(a.dtype)
        natives.append(np.array(a).astype(dtype))
    operands = [ndl.from_numpy(a) for a in natives]
    for t in operands:
        t.requires_grad = t.dtype.kind == "f"
    case.note(f"{op!r} on {', '.join(arrays.described(a) for a in natives)} that change")

    def read() -> None:
        result = op(*operands)
        parts = result.tuple() if isinstance(result, ndl.TensorTuple) else (result,)
        for part in parts:
            part.numpy()
            if part.requires_grad:
                part.backward()

    return read, [_writer(case, a) for a in natives[:2]]


def _data(case: Case) -> Scene:
    shape = case.choice(((3,), (40, 50), (200, 100)))
    x = ndl.Tensor(arrays.values(case, "float64", shape))
    shapes = (shape, shape, (2,), (), (0, 4), (5, *shape))
    shared = ndl.exp(x) * x
    with ndl.lazy():
        late = (ndl.tanh(x) @ ndl.transpose(x) if len(shape) == 2 else x * x).sum()
    case.note(f"data of {shape} is replaced")

    def read() -> None:
        with ndl.lazy(case.chance(0.3)):
            y = (x * x).sum() + ndl.softmax(x.reshape((-1,))).sum()
            y.backward()
            _grad(x)
        shared.sum().backward()
        late.numpy()

    def replace(round_: int) -> None:
        x.data = ndl.Tensor(np.ones(shapes[round_ % len(shapes)]))
        x.grad = None

    def sweep(round_: int) -> None:
        shared.sum().backward()
        x.detach().numpy()[...] = round_

    return read, [replace, sweep]


def _shared_graph(case: Case) -> Scene:
    x = ndl.Tensor(arrays.values(case, "float64", (30, 40)))
    lazy = case.chance(0.5)
    with ndl.lazy(lazy):
        y = x
        for _ in range(case.integer(2, 12)):
            y = ndl.tanh(y) + ndl.sin(y) * x
        total = y.sum()
    case.note(f"one graph is swept by three threads, lazy {lazy}")

    def read() -> None:
        total.backward()
        grad = x.grad
        if grad is not None and case.chance(0.3):
            grad.sum().backward()
        total.numpy()

    def sweep(round_: int) -> None:
        (y * round_).sum().backward()
        x.grad = None

    def look(round_: int) -> None:
        total.numpy()
        ndl.empty_cache()

    return read, [sweep, look]


def _step(case: Case) -> Scene:
    params = [ndl.Tensor(arrays.values(case, "float64", (60, 50))) for _ in range(3)]
    kinds = (ndl.optim.SGD, ndl.optim.Adam, ndl.optim.RMSProp, ndl.optim.Adagrad, ndl.optim.Lion)
    optimiser = case.choice(kinds)(params, lr=0.01)
    views = [p.realize_cached_data() for p in params]
    case.note(f"{type(optimiser).__name__} steps while parameters are read and replaced")

    def read() -> None:
        total = sum((p * p).sum() for p in params)
        total.backward()  # type: ignore[union-attr]
        optimiser.step()

    def replace(round_: int) -> None:
        p = params[round_ % 3]
        p.data = ndl.Tensor(np.ones((60, 50) if round_ % 5 else (2, 2)))
        p.grad = None if round_ % 2 else ndl.Tensor(np.ones((60, 50)))

    def look(round_: int) -> None:
        views[0] = params[round_ % 3].numpy()
        params[1].detach().sum().numpy()

    return read, [replace, look]


SCENES: tuple[Callable[[Case], Scene], ...] = (
    *(_entropy, _entropy, _take, _take, _any_op, _any_op, _any_op, _data, _shared_graph, _step),
)
