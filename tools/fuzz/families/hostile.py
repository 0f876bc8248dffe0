"""Everything that can be called, with arguments that nobody would give it.

Half of the calls begin as right ones, from the samples of the op table, and have an argument or two
exchanged: they get further in. What comes back is used.
"""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz import arrays, table
from tools.fuzz.case import Case
from tools.fuzz.families.evil import BEYOND, FLOATS, INTEGERS, TEXTS, World, hostile

# These change the process: its counter, its threads. Files belong to another family.
LEFT_OUT = {"set_tensor_counter", "set_num_threads", "op_table", "save", "load"}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    f"{where}.{name}": getattr(module, name)
    for where, module in (
        ("core", ndl._core),
        ("init", ndl.init),
        ("functional", ndl.nn.functional),
        ("autograd", ndl.autograd),
        ("nn", ndl.nn),
    )
    for name in dir(module)
    if callable(getattr(module, name)) and name not in LEFT_OUT and not name.startswith("__")
    if getattr(getattr(module, name), "__module__", "").startswith(("needle", "builtins"))
}
METHODS = [
    name
    for name in sorted({*dir(ndl.Tensor), *dir(ndl.TensorTuple), *dir(ndl.Exp)})
    # Those of `object` are Python's; of __array_interface__ and the like there is none.
    if name not in dir(object) or name in ("__init__", "__reduce__", "__eq__", "__hash__")
]
SETTERS = ("data", "grad", "cached_data", "requires_grad", "op", "inputs", "anything", "scalar")
OPERATORS = (
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul),
    *(operator.eq, operator.lt, operator.ge, operator.contains, operator.getitem, divmod),
    *(operator.iadd, operator.imul, operator.floordiv, operator.mod, operator.and_),
)
UNARY = (
    *(len, iter, bool, int, float, abs, hash, repr, str, list, operator.neg, operator.index),
    *(copy.copy, copy.deepcopy, pickle.dumps, np.asarray, np.exp, sum, tuple, format, dir),
)


def run(case: Case) -> None:
    """A few calls on a few tensors."""
    world = World(case)
    world.fill()
    ways = (_sampled, _sampled, _sampled, _function, _method, _operator, _setter, _made)
    for _ in range(case.integer(1, 5)):
        text, act = case.choice(ways)(world)
        result = case.attempt(text, act)
        if result is not None:
            _use(world, result)
    world.clear()


def argument(world: World, depth: int = 0) -> Any:
    """Anything."""
    case = world.case
    kind = case.integer(0, 13)
    if kind <= 2:
        return hostile(world)
    if kind == 3:
        return case.choice(INTEGERS if case.chance(0.7) else BEYOND)
    if kind == 4:
        return case.choice(FLOATS)
    if kind == 5:
        return case.choice((None, None, True, False, ..., NotImplemented, 1j, int, object()))
    if kind == 6:
        return case.choice(TEXTS)
    if kind <= 8:
        return world.some()
    if kind == 9:
        return arrays.array(case)
    if kind == 10:
        ends = (argument(world, 3) if case.chance(0.5) else None for _ in range(3))
        return slice(*ends)
    if kind == 11:
        odd = ("U3", "O", "c16", "f2", "M8[s]", "V4", "i4,f8")
        return np.zeros(case.choice(((), (2,), (0, 3))), case.choice(odd))
    if kind == 12:
        return _op(world)
    if depth > 2:
        return []
    items = [argument(world, depth + 1) for _ in range(case.integer(0, 3))]
    if case.chance(0.1):
        items.append(items)
    world.lists.append(items)
    return tuple(items) if case.chance(0.4) else items


def fitting(world: World, kind: str) -> Any:
    """A hostile object that passes for a parameter of that kind of the op table, or an operand."""
    case = world.case
    if kind == "operand":
        wanted = case.choice(("__array__", "__array__", "__dlpack__", "__float__", "__iter__"))
        return hostile(world, wanted, "__len__", "__getitem__")
    if kind in ("Shape", "Axes"):
        if case.chance(0.3):
            return hostile(world, "__iter__", "__len__", "__getitem__")
        items = [_integer(world) for _ in range(case.integer(0, 3))]
        world.lists.append(items)
        return tuple(items) if case.chance(0.5) else items
    if kind == "Index":
        parts = [_integer(world) if case.chance(0.5) else _slice(world) for _ in range(2)]
        return tuple(parts[: case.integer(1, 2)])
    one = {"Int": "__index__", "Bool": "__bool__", "Scalar": "__float__", "DType": "__str__"}
    return hostile(world, one[kind], *(("__int__", "__index__") if kind == "Scalar" else ()))


def _integer(world: World) -> Any:
    if world.case.chance(0.6):
        return hostile(world, "__index__")
    return world.case.choice((0, 1, 2, 3, -1, *INTEGERS))


def _slice(world: World) -> slice:
    return slice(*(_integer(world) if world.case.chance(0.6) else None for _ in range(3)))


def _op(world: World) -> Any:
    """An op of a sample, one without a constructor having run, or a class instead."""
    case = world.case
    row = case.choice(table.WITH_SAMPLES)
    cls = getattr(ndl, row["class"])
    if case.chance(0.2):
        return cls if case.chance(0.5) or row["params"] else cls.__new__(cls)
    return case.choice(row["samples"])[0]


def _spoilt(
    world: World,
    arguments: list[Any],
    named: dict[str, Any],
    kinds: dict[Any, str],
) -> None:
    """Exchanges an argument or two, drops one, adds one, names one; `kinds` are the parameters."""
    case = world.case
    for _ in range(case.integer(0, 2)):
        places = [*range(len(arguments)), *named]
        if not places:
            break
        place = case.choice(places)
        kind = kinds.get(place, "operand")
        value = fitting(world, kind) if case.chance(0.6) else argument(world)
        if isinstance(place, str):
            named[place] = value
        else:
            arguments[place] = value
    if case.chance(0.1) and arguments:
        arguments.pop()
    if case.chance(0.1):
        arguments.append(argument(world))
    if case.chance(0.1):
        named[case.choice(("axis", "axes", "shape", "index", "a", "b", "x\0"))] = argument(world)


def _sampled(world: World) -> tuple[str, Callable[[], Any]]:
    case = world.case
    row = case.choice(table.ROWS)
    kinds: dict[Any, str] = {name: kind for name, kind, _ in row["params"]}
    parameters = {name: argument(world) for name in kinds}
    inputs: list[Any] = [world.some() for _ in row["inputs"]]
    if row["samples"]:
        op, inputs = table.sample(case, row)
        parameters = table.attributes(row, op)
    if row["variadic"] and row["params"]:
        world.lists.append(inputs)
        inputs = [inputs]
    way = case.choice(("function", "function", "class", "method", "compute", "gradient"))
    if way in ("function", "method"):
        named = dict(zip(row["inputs"], inputs, strict=False)) if case.chance(0.3) else {}
        arguments = [] if named else list(inputs)
        for name in case.random.permutation(list(parameters)):
            # By name, in any order, or by place while nothing is named.
            if named or case.chance(0.7):
                named[str(name)] = parameters[str(name)]
        if not named:
            arguments += list(parameters.values())
        kinds.update({len(inputs) + i: kind for i, kind in enumerate(kinds.values())})
        _spoilt(world, arguments, named, kinds)
        owner = arguments.pop(0) if way == "method" and arguments else ndl
        names = {"summation": "sum"} if way == "method" else {}
        name = names.get(row["name"], row["name"])
        if type(owner).__name__ == "Hostile":
            owner = ndl
        function = getattr(owner, name, getattr(ndl, row["name"]))
        return _text(name, arguments, named), lambda: function(*arguments, **named)
    positional: list[Any] = [] if case.chance(0.5) else list(parameters.values())
    named = {} if positional else parameters
    kinds.update(dict(enumerate(kinds.values())))
    _spoilt(world, positional, named, kinds)
    text = _text(row["class"], positional, named)
    made = case.attempt(text, lambda: getattr(ndl, row["class"])(*positional, **named))
    if made is None:
        return "nothing", lambda: None
    _spoilt(world, inputs, {}, {})
    name = {"class": "__call__", "compute": "compute"}.get(way, "gradient")
    return _text(f"{text}.{name}", inputs, {}), lambda: getattr(made, name)(*inputs)


def _function(world: World) -> tuple[str, Callable[[], Any]]:
    name = world.case.choice(tuple(FUNCTIONS))
    arguments, named = _any_arguments(world)
    return _text(name, arguments, named), lambda: FUNCTIONS[name](*arguments, **named)


def _method(world: World) -> tuple[str, Callable[[], Any]]:
    case = world.case
    owner = world.some() if case.chance(0.8) else _op(world)
    if case.chance(0.1):
        cls = case.choice((ndl.Tensor, ndl.TensorTuple, ndl.Value, ndl.Op, ndl.TensorOp))
        owner = cls if case.chance(0.5) else cls.__new__(cls)
    name = case.choice(METHODS)
    arguments, named = _any_arguments(world)
    text = _text(f"{arrays.described(owner)}.{name}", arguments, named)

    def act() -> Any:
        found = getattr(owner, name)
        return found(*arguments, **named) if callable(found) else found

    return text, act


def _operator(world: World) -> tuple[str, Callable[[], Any]]:
    case = world.case
    x = world.some()
    y = argument(world) if case.chance(0.5) else fitting(world, case.choice(("operand", "Index")))
    if case.chance(0.3):
        unary = case.choice(UNARY)
        return _text(unary.__name__, [x], {}), lambda: unary(x)
    binary = case.choice(OPERATORS)
    if binary is operator.pow and case.chance(0.2):
        return _text("pow", [x, y, x], {}), lambda: pow(x, y, x)
    swapped = case.chance(0.3) and binary is not operator.getitem
    pair = (y, x) if swapped else (x, y)
    return _text(binary.__name__, list(pair), {}), lambda: binary(*pair)


def _setter(world: World) -> tuple[str, Callable[[], Any]]:
    x, name, value = world.some(), world.case.choice(SETTERS), argument(world)
    text = _text(f"{arrays.described(x)}.{name} =", [value], {})
    if world.case.chance(0.1):
        return f"del {name}", lambda: delattr(x, name)
    return text, lambda: setattr(x, name, value)


def _made(world: World) -> tuple[str, Callable[[], Any]]:
    value = argument(world) if world.case.chance(0.5) else fitting(world, "operand")
    named = {
        name: argument(world)
        for name in ("dtype", "device", "requires_grad")
        if world.case.chance(0.2)
    }
    return _text("Tensor", [value], named), lambda: ndl.Tensor(value, **named)


def _any_arguments(world: World) -> tuple[list[Any], dict[str, Any]]:
    arguments = [argument(world) for _ in range(world.case.integer(0, 4))]
    named: dict[str, Any] = {}
    _spoilt(world, arguments, named, {})
    return arguments, named


def _use(world: World, result: Any) -> None:
    case = world.case
    if isinstance(result, ndl.Tensor):
        if case.chance(0.5):
            case.attempt("read the result", lambda: result.numpy())
        if case.chance(0.3):
            case.attempt("its backward", lambda: result.backward())
        if case.chance(0.3):
            case.attempt("its repr", lambda: repr(result))
    elif isinstance(result, (list, tuple)):
        for item in result[:2]:
            _use(world, item)


def _text(name: str, arguments: list[Any], named: dict[str, Any]) -> str:
    shown = [*map(_shown, arguments), *(f"{key}={_shown(value)}" for key, value in named.items())]
    return f"{name}({', '.join(shown)})"


def _shown(value: Any, depth: int = 0) -> str:
    kind = type(value)
    if kind in (int, float, bool, str, bytes, type(None)):
        return repr(value)[:40]
    if kind is slice:
        ends = (value.start, value.stop, value.step)
        return f"slice({', '.join(_shown(end) for end in ends)})"
    if kind in (list, tuple):
        items = ", ".join(_shown(item, depth + 1) for item in value) if depth < 3 else "..."
        return f"[{items}]" if kind is list else f"({items},)"
    if kind.__name__ == "Hostile":
        names = [name for name in vars(kind) if name in ("shape", "dtype", "__class__")]
        names += [name for name in vars(kind) if name.startswith("__") and name[2:-2] in _SPECIAL]
        return f"<hostile {kind.__base__.__name__} {' '.join(names)}>"  # type: ignore[union-attr]
    if kind in (np.ndarray, ndl.Tensor):
        return f"<{arrays.described(value)}>"
    return kind.__name__


_SPECIAL = {
    *("index", "int", "float", "bool", "len", "hash", "str", "repr", "eq", "lt", "iter", "getitem"),
    *("array", "dlpack", "dlpack_device", "getattr", "radd", "call", "fspath", "del"),
}
