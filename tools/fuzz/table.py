"""The op table: rows, samples, and NumPy's answer to each op, which the tests keep."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import needle as ndl
from tools.fuzz.case import Case

ROWS: list[dict[str, Any]] = ndl._core.op_table()
BY_NAME = {row["name"]: row for row in ROWS}
WITH_SAMPLES = [row for row in ROWS if row["samples"]]

# Loaded by name: tests are no package that other code is checked against.
REFERENCE: dict[str, Callable[..., Any]] = importlib.import_module(
    "tests.test_ops_reference"
).REFERENCE
NAME_OF_CLASS = {row["class"]: row["name"] for row in ROWS}


def sample(case: Case, row: dict[str, Any]) -> tuple[Any, list[ndl.Tensor]]:
    """An op object and its operands: new ones, as what a case leaves at a tensor stays there."""
    op, inputs = case.choice(row["samples"])
    return op, [ndl.Tensor(t.numpy(), requires_grad=t.requires_grad) for t in inputs]


def attributes(row: dict[str, Any], op: Any) -> dict[str, Any]:
    """The parameters of an op object, by name."""
    return {name: getattr(op, name) for name, _, _ in row["params"]}


def make(row: dict[str, Any], parameters: dict[str, Any]) -> Any:
    """An op object with those parameters; one with an index cannot be made without a shape."""
    return getattr(ndl, row["class"])(**parameters)


def reference(op: Any) -> Callable[..., Any]:
    """NumPy's answer, as a function of arrays."""
    answer = REFERENCE[NAME_OF_CLASS[type(op).__name__]]
    return lambda *arrays: answer(op, *arrays)
