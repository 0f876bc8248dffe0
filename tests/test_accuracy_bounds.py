"""docs/accuracy.md holds: no function is further from mpmath's value than its row says."""

from __future__ import annotations

import re
from pathlib import Path

import mpmath
import numpy as np
import pytest
from tools.accuracy import Worst, errors, exact, measure
from tools.functions import FUNCTIONS, Function

import needle as ndl

TEXT = (Path(__file__).parents[1] / "docs" / "accuracy.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| ([\d.]+) \| ([\d.]+) \| (.+?) \|$", TEXT, flags=re.M)
BOUNDS = {
    (name, dtype): float(bound)
    for name, *bounds, _ in ROWS
    for dtype, bound in zip(("float64", "float32"), bounds, strict=True)
}
# Results are exact, or an operand's.
EXACT = {"abs", "sign", "negate", "relu", "relu_gradient"}


@pytest.fixture(scope="module")
def worst() -> list[Worst]:
    return measure(250)


@pytest.mark.parametrize("name", [function.name for function in FUNCTIONS])
def test_errors_are_within_the_bounds(name: str, worst: list[Worst]) -> None:
    found = [error for error in worst if error.function == name]
    assert {error.isa for error in found} >= {"scalar"}
    for error in found:
        assert error.ulp <= BOUNDS[name, error.dtype] + 1e-6, error


def test_the_table_has_each_function_and_no_other() -> None:
    def unit(function: Function) -> str:
        kind = "the value" if function.scale is None else "the larger term"
        return f"{kind}, a factor" if function.factor else kind

    assert [(name, unit) for name, *_, unit in ROWS] == [(f.name, unit(f)) for f in FUNCTIONS]


def test_every_function_of_elements_is_measured() -> None:
    measured = {function.name.split()[0] for function in FUNCTIONS}
    for row in ndl._core.op_table():
        is_map = row["inputs"] == ["a"] and not row["params"] and not row["variadic"]
        is_slope = row["inputs"][:1] == ["g"] and not row["params"] and len(row["inputs"]) == 2
        if (is_map or is_slope) and row["name"] not in EXACT | {"make_tuple"}:
            assert row["name"] in measured, f"{row['name']}: no row in tools/functions.py"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_errors_are_counted_in_units_of_the_last_place(dtype: str) -> None:
    """The measure itself: neighbours of the right value, at both ends of the range too."""
    same = Function("same", ndl.negate, lambda x: x, ((),))
    info = np.finfo(dtype)
    x = np.array([1.5, -3.0, info.max, info.smallest_normal, info.smallest_subnormal, 0], dtype)
    right = exact(same, dtype, [x])
    assert not errors(x, right).any()
    for end in (np.inf, -np.inf):
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(errors(np.nextafter(x, x.dtype.type(end)), right), 1)
    assert np.isinf(errors(np.full_like(x, np.nan), right)).all()
    # Beyond the range only infinity will do, with the sign.
    beyond = Function("beyond", ndl.negate, lambda x: x * mpmath.mpf(10) ** 400, ((),))
    right = exact(beyond, dtype, [np.array([1.5, -1.5], dtype)])
    assert not errors(np.array([np.inf, -np.inf], dtype), right).any()
    for wrong in ([np.nan] * 2, [info.max, -info.max], [-np.inf, np.inf], [0.0, 0.0]):
        assert errors(np.array(wrong, dtype), right).min() >= 1
    # A third lies between two numbers.
    third = exact(Function("third", ndl.negate, lambda x: x / 3, ((),)), dtype, [x[:1] * 0 + 1])
    nearest = np.array([1 / 3], dtype)
    assert 0 < errors(nearest, third)[0] < 0.5
    neighbours = [np.nextafter(nearest, nearest.dtype.type(end)) for end in (0, 1)]
    assert sum(errors(value, third)[0] for value in neighbours) == pytest.approx(2)
