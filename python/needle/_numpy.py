"""NumPy's functions on tensors: what runs as an op, what on values, and what is refused.

A row of the op table says which names of NumPy its op answers to; a call of such a function is a
call of the op. A function whose result carries no derivative runs on the values of the tensors, and
so does any function where nothing requires a gradient. All others are refused: they would cut the
graph, and every gradient through it would be too small.
"""

from __future__ import annotations

import ast
import inspect
import os
import site
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from needle import _core, _elsewhere
from needle._core import Tensor, TensorTuple, Value
from needle.errors import GraphCutWarning

OPS: Mapping[str, str] = _core.numpy_names()
"""The op that a name in NumPy means."""

_ON_VALUES = """
    shape ndim size can_cast common_type result_type min_scalar_type may_share_memory shares_memory
    iscomplexobj isrealobj einsum_path

    all any allclose array_equal array_equiv isclose iscomplex isin isneginf isposinf isreal
    isnan isfinite isinf isnat signbit logical_and logical_or logical_xor logical_not
    logical_and.reduce logical_or.reduce logical_xor.reduce

    argmax argmin argpartition argsort argwhere count_nonzero diag_indices_from digitize flatnonzero
    lexsort nanargmax nanargmin nonzero ravel_multi_index searchsorted tril_indices_from
    triu_indices_from unravel_index linalg.matrix_rank
    unique unique_all unique_counts unique_inverse unique_values

    ceil fix floor floor_divide rint round around trunc spacing
    bitwise_and bitwise_or bitwise_xor bitwise_count invert left_shift right_shift gcd lcm
    packbits unpackbits

    array2string array_repr array_str save savetxt savez savez_compressed
    empty_like ones_like zeros_like
"""
ON_VALUES = frozenset(_ON_VALUES.split())
"""Functions whose result carries no derivative, or one that is 0 wherever there is one: questions
about shapes and types, predicates, positions and counts, functions that are constant between their
jumps, output, and arrays that take the shape alone. `unique` is one of them for its positions and
counts; its values are no tensor either.
"""

UP_TO = {"bincount": 1, "full_like": 1}
"""Of these that is said of the first so many arguments alone."""

_UFUNC_DEFAULTS: Mapping[str, Any] = {
    "casting": "same_kind",
    "dtype": None,
    "order": "K",
    "out": None,
    "subok": True,
    "where": True,
}


def _signature(*operands: str, **others: Any) -> inspect.Signature:
    kinds = inspect.Parameter
    parameters = [kinds(name, kinds.POSITIONAL_OR_KEYWORD) for name in operands]
    for name, default in others.items():
        parameters.append(kinds(name, kinds.POSITIONAL_OR_KEYWORD, default=default))
    return inspect.Signature(parameters)


_REDUCE = _signature(
    "array", axis=0, dtype=None, out=None, keepdims=False, initial=np._NoValue, where=True
)


def array_function(
    function: Callable[..., Any],
    types: Iterable[type],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """What `Tensor.__array_function__` gives.

    Raises TypeError for a function, or an argument of one, that no op answers to, where a gradient
    would be lost.
    """
    for class_ in types:
        if class_ is not Tensor and not issubclass(class_, (Tensor, np.ndarray)):
            return NotImplemented
    plan = _plan(function)
    if plan is not None and len(args) == plan.operands and not kwargs:
        return plan.op(*args)
    if plan is not None and len(args) >= plan.operands:
        given = dict(zip(plan.others, args[plan.operands :], strict=False), **kwargs)
        left_out = any(value is np._NoValue for value in given.values())
        if given.keys() <= plan.keywords.keys() and not left_out:
            named = {plan.keywords[name]: value for name, value in given.items()}
        else:
            named = {}
        # Fewer where two names mean one, of which NumPy takes only one.
        if len(named) == len(given):
            return plan.op(*args[: plan.operands], **named)
    name = _name(function)
    return _run(name, function, _signature_of, args, kwargs)


class _Plan(NamedTuple):
    """How the plain calls of a function are calls of an op."""

    op: Callable[..., Any]
    operands: int
    others: tuple[str, ...]
    """The function's parameters behind the operands, in order."""
    keywords: Mapping[str, str]
    """What the op calls those of them that it has."""


@cache
def _plan(function: Callable[..., Any]) -> _Plan | None:
    """None where no op answers, or where what is left out means something else in NumPy."""
    op = OPS.get(_name(function))
    if op is None:
        return None
    row = _row(op)
    count = len(row["inputs"])
    others = list(_signature_of(function).parameters.values())[count:]
    defaults = {name: default for name, _, default in row["params"]}
    keywords = {}
    for parameter in others:
        own = _own_name(parameter.name, row)
        if own is None:
            continue
        if parameter.default not in (np._NoValue, inspect.Parameter.empty) and (
            str(parameter.default) != defaults[own]
        ):
            return None
        if not (own == "axis" and op in _FLATTENING):
            keywords[parameter.name] = own
    return _Plan(getattr(_core, op), count, tuple(other.name for other in others), keywords)


_FLATTENING = ("concat", "take")
"""Ops whose function in NumPy reads the elements of the arrays in one row for `axis=None`."""


@cache
def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:
        # Before NumPy 2.4, functions in C have none: of those, that of the op is NumPy's.
        row = _row(OPS[_name(function)])
        others = {name: ast.literal_eval(default) for name, _, default in row["params"]}
        return _signature(*row["inputs"], **others, out=None)


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}".removeprefix("numpy.")


@cache
def _row(op: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in _core.op_table() if row["name"] == op)
    return found


# As the op's own, `newshape` from before NumPy 2.1.
_ALIASES = {"axis": "axes", "ddof": "correction", "newshape": "shape"}


def _own_name(name: str, row: Mapping[str, Any]) -> str | None:
    """What the op calls a parameter of NumPy's function; None if it has none such."""
    known = [known for known, _, _ in row["params"]]
    for own in (name, _ALIASES.get(name)):
        if own in known:
            return own
    return None


def array_ufunc(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Mapping[str, Any] | None
) -> Any:
    """What `Tensor.__array_ufunc__` gives, where it is no plain call of an op.

    Raises TypeError as `array_function` does.
    """
    if method == "__call__":
        operands = [f"x{i + 1}" for i in range(ufunc.nin)]
        signature = _signature(*operands, **_UFUNC_DEFAULTS)
        return _run(ufunc.__name__, ufunc, lambda _: signature, inputs, kwargs or {})
    name = f"{ufunc.__name__}.{method}"
    others = {name: value for name, value in (kwargs or {}).items() if name != "array"}
    return _run(name, getattr(ufunc, method), lambda _: _REDUCE, inputs, others)


def _run(
    name: str,
    function: Callable[..., Any],
    signature: Callable[[Callable[..., Any]], inspect.Signature],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    op, unknown = OPS.get(name), None
    refusal = f"np.{name}: no op of needle answers to it"
    if _carries_no_derivative(name, args, kwargs):
        return function(*_values(args), **_values(dict(kwargs)))
    if op is not None:
        operands, parameters, unknown = _for_op(op, signature(function), args, kwargs)
        if unknown is None:
            return getattr(_core, op)(*operands, **parameters)
        refusal = f"np.{name}: needle.{op}, which answers to it, takes no '{unknown}'"
    if not _any_recorded((args, kwargs)):
        return function(*_values(args), **_values(dict(kwargs)))
    caller = _caller(sys._getframe(1))
    if caller is None or _is_own(caller) or not _is_installed(caller.f_code.co_filename):
        hint = _instead(name, unknown)
        raise TypeError(f"{refusal}, and NumPy's own result would lose the gradient\nhint: {hint}")
    # The user cannot change a call inside of a library: it is a conversion like any other.
    announce()
    return function(*_values(args), **_values(dict(kwargs)))


def _carries_no_derivative(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if name == "where" and len(args) == 1:
        return True  # the positions of what is not 0
    ufunc, _, method = name.rpartition(".")
    is_step = ufunc in ON_VALUES or ufunc in _COMPARISONS
    if method in _METHODS and ufunc and is_step:
        return True
    if name in UP_TO:
        return not _any_recorded((args[UP_TO[name] :], kwargs))
    return name in ON_VALUES


_COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
_METHODS = {"accumulate", "at", "outer", "reduce", "reduceat"}


def _for_op(
    op: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any], str | None]:
    """Operands and parameters of the op, and the first argument that it has no place for."""
    strange = [name for name in kwargs if name not in signature.parameters]
    if strange:
        return [], {}, "out" if "out" in kwargs else strange[0]
    bound = signature.bind(*args, **kwargs)
    explicit = set(bound.arguments)
    bound.apply_defaults()
    row = _row(op)
    count = len(row["inputs"])
    named = list(bound.arguments.items())
    operands = [value for _, value in named[:count]]
    parameters: dict[str, Any] = {}
    for name, value in named[count:]:
        own = _own_name(name, row)
        default = bound.signature.parameters[name].default
        if value is np._NoValue or (own in parameters and name not in explicit):
            continue
        if own in parameters and explicit >= {"ddof", "correction"}:
            raise ValueError("ddof and correction mean the same\nhint: give one of the two")
        if own is not None:
            parameters[own] = value
        elif value is not default and not _is_neutral(name, value, default):
            return [], {}, name
    if op in _FLATTENING and parameters["axis"] is None:
        whole = operands[0] if op == "concat" else [operands[0]]
        flat = [_core.reshape(array, -1) for array in whole]
        operands[0], parameters["axis"] = (flat if op == "concat" else flat[0]), 0
    return operands, parameters, None


def _is_neutral(name: str, value: object, default: object) -> bool:
    """Whether an argument says no more than its default does."""
    return (name == "where" and value is True) or (isinstance(value, str) and value == default)


def _instead(name: str, unknown: str | None) -> str:
    """What to write instead of a function, or an argument of it, that is refused."""
    if unknown == "out":
        return "write a = a + t in place of a += t, and a = f(...) in place of f(..., out=a)"
    function, _, method = name.rpartition(".")
    if method == "at" or name in ("copyto", "place", "put", "putmask"):
        other = "needle.where(mask, t, a)"
    elif unknown is not None or (function and method in _METHODS):
        other = "the ops of needle"
    else:
        other = _elsewhere.OPS.get(method) or "the ops of needle"
    return f"write it with {other}, or take t.numpy() for values without a gradient"


def _tensors(given: Any) -> Iterator[Value]:
    """The tensors in arguments, also those in lists, tuples and dicts."""
    if isinstance(given, Value):
        yield given
    elif isinstance(given, (list, tuple)):
        for item in given:
            yield from _tensors(item)
    elif isinstance(given, dict):
        yield from _tensors(list(given.values()))


def _any_recorded(given: Any) -> bool:
    return any(_core.is_recorded(tensor) for tensor in _tensors(given))


def _values(given: Any) -> Any:
    """The arguments with arrays in the place of tensors."""
    if isinstance(given, Tensor):
        return given.numpy()
    if isinstance(given, TensorTuple):
        return [tensor.numpy() for tensor in given]
    if isinstance(given, list):
        return [_values(item) for item in given]
    if type(given) is tuple:
        return tuple(_values(item) for item in given)
    if isinstance(given, dict):
        return {name: _values(value) for name, value in given.items()}
    return given


def announce(*, for_others: bool = False) -> None:
    """Warns that a tensor is converted without a word, at the line of the user's that does it.

    Nothing is said of needle's own calls, unless they are made `for_others`, and of comparisons in
    tests.
    """
    caller = _caller(sys._getframe(1))
    if caller is None or (_is_own(caller) and not for_others):
        return
    place: FrameType | None = caller
    while place is not None and (_is_installed(place.f_code.co_filename) or _is_own(place)):
        place = place.f_back
    # Where nobody but libraries calls, the innermost is named.
    place = place or caller
    file, line = place.f_code.co_filename, place.f_lineno
    # One text for all ways out: the filters of warnings know a line by what is said of it.
    warnings.warn_explicit(
        f"line {line} of {Path(file).name} takes the value of a tensor that requires a gradient, "
        "and no gradient flows back through it\nhint: where the value alone is meant, say "
        "t.numpy(), t.item() or t.detach(); where it is not, use what needle has: needle.exp in "
        "place of math.exp, needle.stack([a, b]) in place of np.array([a, b])",
        GraphCutWarning,
        file,
        line,
        module=_module(place),
        registry=_registry(place),
    )


_SNIPPETS: WeakKeyDictionary[CodeType, dict[Any, Any]] = WeakKeyDictionary()


def _registry(place: FrameType) -> dict[Any, Any]:
    """Where Python keeps which lines have been warned of. Lines of code that is typed in have the
    same numbers again and again, so each piece has its own.
    """
    if place.f_code.co_filename.startswith("<"):
        return _SNIPPETS.setdefault(place.f_code, {})
    registry: dict[Any, Any] = place.f_globals.setdefault("__warningregistry__", {})
    return registry


_COMPARING = ("numpy.testing", "_pytest.")


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else "<unknown>"


def _caller(frame: FrameType | None) -> FrameType | None:
    """Who called NumPy, or converted the tensor itself; None for a comparison in a test."""
    while frame is not None:
        module = _module(frame)
        if module.startswith(_COMPARING):
            return None
        if not module.startswith(("numpy.", __name__)):
            break
        frame = frame.f_back
    return frame


def is_copied_by_library() -> bool:
    """Whether an installed library is calling `copy.copy`. Matplotlib does, of what it plots."""
    frame: FrameType | None = sys._getframe(1)
    if frame is None or _module(frame) != "copy" or frame.f_code.co_name != "copy":
        return False
    caller = frame.f_back
    return caller is not None and _is_installed(caller.f_code.co_filename)


_HERE = str(Path(__file__).parent) + os.sep


def _is_own(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_HERE)


@cache
def _is_installed(file: str) -> bool:
    """Whether a file of code is Python's own, or that of an installed library."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {*site.getsitepackages(), site.getusersitepackages()}
    return file.startswith(("<frozen ", *(path + os.sep for path in paths)))
