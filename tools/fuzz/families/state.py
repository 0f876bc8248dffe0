"""Optimisers, modules, files, copies: on odd arrays, and there and back again."""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import arrays
from tools.fuzz.case import Case

optim, nn = ndl.optim, ndl.nn

OPTIMISERS: tuple[Callable[..., Any], ...] = (
    lambda p: optim.SGD(p, lr=0.1),
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    lambda p: optim.AdamW(p, lr=0.1),
    lambda p: optim.RMSProp(p, lr=0.1, momentum=0.5, centered=True),
    lambda p: optim.Adagrad(p, lr=0.1),
    lambda p: optim.Lion(p, lr=0.1),
)


def run(case: Case) -> None:
    """One of the four."""
    case.choice((_optimiser, _module, _files, _copies))(case)


def _optimiser(case: Case) -> None:
    """Steps on odd layouts must give what they give on plain copies."""
    which = case.integer(0, len(OPTIMISERS) - 1)
    dtype = case.choice(arrays.FLOATS)
    placed = [arrays.array(case, dtype) for _ in range(case.integer(1, 3))]
    odd = [arrays.tensor(case, a, True).detach() for a in placed]
    plain = [ndl.Tensor(np.array(t.numpy()), requires_grad=True) for t in odd]
    for t in odd:
        t.requires_grad = True
    both = [OPTIMISERS[which](tensors) for tensors in (odd, plain)]
    spoil = case.chance(0.3)
    case.note(f"{type(both[0]).__name__} on {', '.join(arrays.described(a) for a in placed)}")
    held: list[Any] = []
    for _ in range(case.integer(1, 3)):
        gradients = [arrays.array(case, dtype, t.shape) for t in plain]
        for tensors in (odd, plain):
            for t, g in zip(tensors, gradients, strict=True):
                t.grad = ndl.Tensor(g, requires_grad=False)
        if case.chance(0.3):
            # Somebody else holds the memory: the step must not write there.
            held = [(t.numpy(), np.array(t.numpy())) for t in odd]
        if spoil:
            # Only the one is spoilt, so there is nothing to compare any more.
            t, bad = case.choice(odd), arrays.array(case)
            case.attempt("a gradient", partial(_set_grad, t, bad))
            case.attempt("step", both[0].step)
            continue
        for optimiser in both:
            case.attempt("step", optimiser.step)
        for t, other in zip(odd, plain, strict=True):
            case.check_close(t.numpy(), other.numpy(), 1e-6, "parameter")
    for seen, before in held:
        case.check_close(seen, before, 0, "an array that was read before the step")
    state = case.attempt("state_dict", both[0].state_dict)
    if state is not None and not spoil:
        case.attempt("load_state_dict", lambda: both[1].load_state_dict(state))


def _set_grad(t: ndl.Tensor, a: arrays.Array) -> None:
    t.grad = ndl.Tensor(a)


LAYERS: tuple[Callable[[int], Any], ...] = (
    lambda n: nn.Linear(n, 3),
    lambda n: nn.Linear(n, 0) if n else nn.Identity(),
    lambda n: nn.LayerNorm1d(n),
    lambda n: nn.BatchNorm1d(n),
    lambda n: nn.RMSNorm(n),
    lambda n: nn.Dropout(0.5),
    lambda n: nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Residual(nn.Tanh())),
    lambda n: nn.Embedding(max(n, 1), 4),
    lambda n: nn.Softmax(),
    lambda n: nn.GELU(),
)


def _module(case: Case) -> None:
    a = arrays.array(case)
    n = a.shape[-1] if a.ndim else 1
    layer = case.attempt("layer", lambda: case.choice(LAYERS)(n))
    if layer is None:
        return
    x = arrays.tensor(case, a, a.dtype.kind == "f")
    with ndl.lazy(case.chance(0.3)):
        y = case.attempt(f"{layer!r} on {arrays.described(a)}", lambda: layer(x))
        if isinstance(y, ndl.Tensor) and y.requires_grad:
            case.attempt("backward", y.backward)
    state = layer.state_dict()
    twin = copy.deepcopy(layer)
    case.attempt("load_state_dict", lambda: twin.load_state_dict(state))
    if state:
        name = case.choice(list(state))
        state[name] = case.choice((ndl.Tensor(arrays.array(case)), None, arrays.array(case), 1))
        case.attempt("load a spoilt state", lambda: twin.load_state_dict(state))


def _files(case: Case) -> None:
    names = ("a", "b/c", "ä", "x.y", "", "a\0b", "../up", "_", "\n")
    given = {case.choice(names): arrays.array(case) for _ in range(case.integer(0, 4))}
    native = {name: a.astype(a.dtype.newbyteorder("=")) for name, a in given.items()}
    tensors = {name: arrays.tensor(case, a) for name, a in given.items()}
    with tempfile.TemporaryDirectory(prefix="needle-fuzz-") as folder:
        path = Path(folder) / case.choice(("x.npz", "x.safetensors"))
        shown = {name: arrays.described(a) for name, a in given.items()}
        case.attempt(f"save {path.name} {shown}", lambda: ndl.save(path, tensors))
        if not path.exists():
            return
        back = case.attempt("load", lambda: ndl.load(path))
        case.check(back is not None and set(back) == set(native), f"saved {native}, read {back}")
        for name, a in native.items():
            case.check(back[name].dtype == a.dtype, f"{name}: {back[name].dtype}, not {a.dtype}")
            case.check_close(back[name].numpy(), a, 0, f"{name} from the file")
        content = bytearray(path.read_bytes())
        for _ in range(case.integer(1, 4)):
            # Another byte, or an end that is missing.
            if content and case.chance(0.7):
                content[case.integer(0, len(content) - 1)] = case.integer(0, 255)
            else:
                del content[case.integer(0, len(content)) :]
        path.write_bytes(content)
        case.attempt("load what is spoilt", lambda: ndl.load(path))


def _copies(case: Case) -> None:
    a = arrays.array(case)
    t = arrays.tensor(case, a).detach()
    native = a.astype(a.dtype.newbyteorder("="))
    case.note(arrays.described(a))
    for name, copied in (
        ("pickle", pickle.loads(pickle.dumps(t))),
        ("copy", copy.copy(t)),
        ("deepcopy", copy.deepcopy(t)),
        ("dlpack", np.from_dlpack(t) if t.dtype != "bool" else t),
        ("asarray", np.asarray(t)),
        ("list", np.array(t.tolist(), t.dtype).reshape(t.shape)),
    ):
        got = copied.numpy() if isinstance(copied, ndl.Tensor) else copied
        case.check_close(got, native, 0, name)
