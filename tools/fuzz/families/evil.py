"""Hostile objects: their special methods run code, lie, change their mind, and raise."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import arrays
from tools.fuzz.allowed import PlantedError, PlantedInterrupt
from tools.fuzz.case import Case

INTEGERS = (0, 1, -1, 2, 3, 7, -8, 2**31, 2**32, -(2**31), 2**40, 2**62, 2**63 - 1)
BEYOND = (2**63, -(2**63), -(2**63) - 1, 2**64, 2**70, 10**400)
FLOATS = (0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324)
TEXTS = ("", "float64", "axis", "a\0b", "\ud800", "ö", "x" * 300, b"bytes", bytearray(b"ab"))


class World:
    """What a case has made, and what hostile objects do to it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.tensors: list[Any] = []
        self.lists: list[list[Any]] = []
        self.depth = 0

    def fill(self) -> None:
        """A few tensors and arrays of every kind."""
        case = self.case
        for _ in range(case.integer(2, 4)):
            a = arrays.array(case)
            if a.size < 3000:
                self.tensors.append(arrays.tensor(case, a, a.dtype.kind == "f"))
        x = ndl.Tensor(arrays.values(case, "float64", (2, 3)))
        self.tensors += [x, x * 2, ndl.split(x, 0)]
        with ndl.lazy():
            self.tensors.append(ndl.exp(x).sum())

    def clear(self) -> None:
        """Cuts every cycle through the objects."""
        self.tensors.clear()
        self.lists.clear()

    def act(self) -> None:
        """Does something that nobody expects in the midst of a call."""
        if self.depth > 2:
            return
        self.depth += 1
        try:
            self.case.choice(ACTIONS)(self)
        finally:
            self.depth -= 1

    def some(self) -> Any:
        """A tensor of the case, or a new one where a hostile object has dropped them all."""
        return self.case.choice(self.tensors) if self.tensors else ndl.Tensor([1.0])


def _replace(world: World) -> None:
    t = world.some()
    if isinstance(t, ndl.Tensor):
        shape = t.shape if world.case.chance(0.3) else arrays.shape(world.case)
        t.data = ndl.Tensor(arrays.values(world.case, str(t.dtype), shape))


def _write(world: World) -> None:
    t = world.some()
    if isinstance(t, ndl.Tensor):
        a = t.realize_cached_data()
        if a.size and a.flags.writeable:
            a.flat[0] = 0


def _backward(world: World) -> None:
    t = world.some()
    if isinstance(t, ndl.Tensor) and t.requires_grad:
        t.backward()


def _forget(world: World) -> None:
    if world.tensors:
        world.tensors.pop()
    for items in world.lists:
        items.clear()


def _grow(world: World) -> None:
    for items in world.lists:
        if len(items) < 20:
            items.append(world.some())


def _raise(world: World) -> None:
    raise world.case.choice((PlantedError, PlantedError, ValueError, PlantedInterrupt))("planted")


def _switch(world: World) -> None:
    ndl.autograd.LAZY_MODE = not ndl.autograd.LAZY_MODE


def _call(world: World) -> None:
    t = world.some()
    if isinstance(t, ndl.Tensor):
        _ = (t + 1).sum().numpy()


ACTIONS: tuple[Callable[[World], Any], ...] = (
    *(_replace, _replace, _write, _backward, _forget, _grow, _raise, _switch, _call),
    *(lambda _: gc.collect(0), lambda _: ndl.empty_cache(), lambda _: time.sleep(0)),
)

_NUMBERS = (*INTEGERS, *BEYOND, 1.5, None, "1", True, np.int64(1), np.float32(2))
# What the special methods answer, one of these in each call.
ANSWERS: dict[str, tuple[Any, ...]] = {
    "__index__": (0, 0, 1, 1, -1, 2, *_NUMBERS),
    "__int__": _NUMBERS,
    "__float__": (*FLOATS, 1, None, "x"),
    "__bool__": (True, False, 1, None),
    "__len__": (0, 1, 2, 3, 2**40, -1, None, 1.5),
    "__hash__": (0, -1, 2**70, None),
    "__str__": ("float64", "int8", "", None, "\ud800"),
    "__repr__": ("r", "", None, 3),
    "__eq__": (True, False, None, NotImplemented),
    "__lt__": (True, None, NotImplemented),
    "__iter__": (iter(()), None, 3),
    "__getitem__": (0, 1, 1.5, None, "x"),
    "__array__": (None, 3, [1.0]),
    "__dlpack__": (None, 3, "capsule"),
    "__dlpack_device__": ((1, 0), (2, 0), None, (1,), ("a", 2**70)),
    "__getattr__": (None, 3, (2, 3), "float64"),
    "__radd__": (None, 3, NotImplemented),
    "__call__": (None, 3),
    "__fspath__": ("/nowhere/x.npz", b"x", None, 3),
    "__del__": (None,),
    "__enter__": (None,),
    "__set_name__": (None,),
}
_BASES: tuple[tuple[type, ...], ...] = (
    *((), (), (), (int,), (float,), (str,), (list,), (tuple,), (dict,), (ndl.Tensor,)),
    *((np.ndarray,), (ndl.TensorOp,), (ndl.Exp,), (slice,)),
)


def hostile(world: World, *needed: str) -> Any:
    """An object of a new class that answers some of the special methods as it likes.

    With `needed` it has those, and next to no others: it passes for what is expected.
    """
    case = world.case
    count = case.integer(1, 6) if not needed else case.integer(0, 1)
    names = [*needed, *(case.choice(tuple(ANSWERS)) for _ in range(count))]
    space: dict[str, Any] = {name: _method(world, name) for name in names}
    if "__eq__" in space and case.chance(0.8):
        space["__hash__"] = object.__hash__
    if case.chance(0.1):
        space["__class__"] = property(lambda self: case.choice((ndl.Tensor, int, np.ndarray)))
    if case.chance(0.1):
        space["shape"] = property(lambda self: _answered(world, "__index__"))
        space["dtype"] = property(lambda self: _answered(world, "__str__"))
    bases = () if needed else case.choice(_BASES)
    if {"__len__", "__getitem__"} <= space.keys() and case.chance(0.4):
        bases = (Sequence,)
    if bases == (slice,):
        return slice(*(case.choice((None, hostile(world), 1)) for _ in range(3)))
    arguments = (2,) if bases == (np.ndarray,) else ([1.0, 2.0],) if bases == (ndl.Tensor,) else ()
    try:
        return type("Hostile", bases, space)(*arguments)
    except Exception:
        return type("Hostile", (), space)()


def _method(world: World, name: str) -> Callable[..., Any]:
    acts = world.case.chance(0.6)

    def method(self: Any, *arguments: Any, **more: Any) -> Any:
        if name == "__getattr__" and arguments and str(arguments[0]).startswith("__array_"):
            # Addresses that are none are NumPy's to believe, not needle's.
            raise AttributeError(arguments[0])
        if name == "__getitem__" and arguments and arguments[0] not in range(5):
            raise IndexError("planted")  # or who asks for all of them never comes back
        if acts:
            world.act()
        return _answered(world, name)

    return method


def _answered(world: World, name: str) -> Any:
    case = world.case
    if name == "__array__" and case.chance(0.8):
        return arrays.array(case)  # another one each time
    if name == "__iter__" and case.chance(0.8):
        return _generator(world)
    if name in ("__dlpack__",) and case.chance(0.6):
        return np.ones(3).__dlpack__()
    if name in ("__getitem__", "__radd__", "__call__") and case.chance(0.3):
        return world.some()
    return case.choice(ANSWERS[name])


def _generator(world: World) -> Any:
    for _ in range(world.case.integer(0, 4)):
        if world.case.chance(0.4):
            world.act()
        yield world.case.choice((0, 1, world.some(), 1.5, None, np.ones(2)))
