"""The op table of the built extension as typed rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from needle import _core


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of an op: an argument of its class, and the last ones of its function."""

    name: str
    kind: str
    """A `ParamKind` of the core: Scalar, Axes, Int, Shape, Bool, DType or Index."""
    default: str | None
    """As Python writes it; None where the parameter must be given."""


@dataclass(frozen=True, slots=True)
class OpRow:
    """What the core says about one op, and the name of the method that Tensor has for it."""

    name: str
    class_name: str
    numpy: tuple[str, ...]
    """The functions and ufuncs of NumPy that it answers to."""
    doc: str
    operands: tuple[str, ...]
    is_variadic: bool
    params: tuple[Param, ...]
    is_differentiable: bool
    is_tuple: bool
    method: str | None

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return self.doc.partition("\n")[0]

    @property
    def is_reduction(self) -> bool:
        """Whether the op takes `axes` and `keepdims`, and so NumPy's `axis` for `axes`."""
        return [param.name for param in self.params[:2]] == ["axes", "keepdims"]


def read_table() -> list[OpRow]:
    """All ops, in the order of the core's table: by family."""
    methods = _methods_by_doc()
    return [_row(row, methods) for row in _core.op_table()]


def _methods_by_doc() -> dict[str, str]:
    # Which ops are methods, and under which name (`sum`), is decided in Rust and stands in
    # no table; but a method shares its documentation, signature aside, with its op.
    return {
        doc: name
        for name, member in vars(_core.Tensor).items()
        if not name.startswith("_") and (doc := getattr(member, "__doc__", None))
    }


def _row(row: dict[str, Any], methods: dict[str, str]) -> OpRow:
    return OpRow(
        name=row["name"],
        class_name=row["class"],
        numpy=tuple(row["numpy"]),
        doc=row["doc"].strip(),
        operands=tuple(row["inputs"]),
        is_variadic=row["variadic"],
        params=tuple(Param(*param) for param in row["params"]),
        is_differentiable=row["differentiable"],
        is_tuple=row["is_tuple"],
        method=methods.get(row["doc"]),
    )
