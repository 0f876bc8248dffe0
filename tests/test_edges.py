"""Values and derivatives over the whole range of numbers, against the tables of tests/reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tools import edges
from tools.accuracy import DTYPES, collected, errors, evaluate
from tools.functions import FUNCTIONS, Function, Partial

from needle import Tensor

from .test_accuracy_bounds import BOUNDS

Array = np.ndarray[Any, Any]
TABLES = {function.name: edges.entries(function) for function in edges.functions()}
functions = pytest.mark.parametrize("function", edges.functions(), ids=lambda f: f.name)
derivatives = pytest.mark.parametrize(
    "function", [f for f in edges.functions() if isinstance(f.run, Partial)], ids=lambda f: f.name
)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def chosen(function: Function, dtype: str) -> tuple[list[Array], list[Any]]:
    """The points of a table that are numbers of a dtype, an array for each operand; the values."""
    with np.errstate(over="ignore"):
        rows = [
            (point, right)
            for point, right in TABLES.get(function.name, [])
            if all(float(np.dtype(dtype).type(x)) == x for x in point)
        ]
    operands = [
        np.array([point[i] for point, _ in rows], dtype) for i in range(len(function.spans))
    ]
    return operands, [right for _, right in rows]


def check(function: Function, dtype: str, result: Array, by: str) -> None:
    operands, rights = chosen(function, dtype)
    off = errors(result, collected(rights, dtype))
    worst = int(np.argmax(off))
    at = [float(operand[worst]) for operand in operands]
    bound = BOUNDS[function.name, dtype] + 1e-6
    assert off[worst] <= bound, f"{by}: {off[worst]:.3f} units at {at}: {result[worst]}"


@pytest.fixture(scope="module")
def results() -> dict[str, dict[tuple[str, str], Array]]:
    """What needle gives, under each instruction set."""
    cases = [(function, dtype) for function in FUNCTIONS for dtype in DTYPES]
    found = evaluate([chosen(function, dtype)[0] for function, dtype in cases])
    names = [(function.name, dtype) for function, dtype in cases]
    return {isa: dict(zip(names, values, strict=True)) for isa, values in found}


@dtypes
@functions
def test_needle_agrees_with_the_table(function: Function, dtype: str, results: Any) -> None:
    assert "scalar" in results
    for isa, values in results.items():
        check(function, dtype, values[function.name, dtype], isa)


@dtypes
@derivatives
def test_forward_mode_agrees_with_the_table(function: Function, dtype: str) -> None:
    assert isinstance(function.run, Partial)
    operands = [Tensor(operand) for operand in chosen(function, dtype)[0]]
    check(function, dtype, function.run.forward(*operands).numpy(), "forward mode")


@functions
def test_the_tables_are_fresh(function: Function) -> None:
    points = edges.points(function)
    lines = edges.path(function).read_text().splitlines()
    assert len(lines) == len(points), "run python -m tools.edges"
    for i in {*range(len(function.name), len(points), 29), 0, len(points) - 1}:
        assert lines[i] == edges.line(function, points[i]), "run python -m tools.edges"


def test_no_table_is_left_over() -> None:
    assert {*edges.FOLDER.iterdir()} == {edges.path(function) for function in edges.functions()}


@dtypes
def test_tables_go_over_the_whole_range(dtype: str) -> None:
    info = np.finfo(dtype)
    for function in edges.functions():
        for operand in chosen(function, dtype)[0][:1]:
            sizes = np.abs(operand[operand != 0])
            assert sizes.min() <= info.smallest_subnormal * 2, function.name
            assert sizes.max() >= float(info.max) / 16, function.name
