"""The largest errors of elementary functions, in units of the last place, against mpmath.

`python -m tools.accuracy` prints them for each function of docs/accuracy.md, both dtypes and each
instruction set of the machine, and where they are; `--points N` takes N points from each interval
instead of 250. The unit is the distance from the right value to its neighbour in the dtype, which
below the normal numbers is that of the smallest ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import mpmath
import numpy as np
from numpy.typing import NDArray

import needle as ndl
from tools.functions import FUNCTIONS, TINY, Function, points

Array = NDArray[Any]

ISAS = ("scalar", "avx2", "avx512")
DTYPES = ("float64", "float32")
# Digits of the references: twice those of float64, and some for differences of large terms.
BITS = 160
Right = tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf | None]
POLE = mpmath.mpf(0), mpmath.inf, None
# What is below the second is multiplied by the first.
LIFT, LIFTED = 2.0**600, 1e-290


@dataclass(frozen=True)
class Exact:
    """The right values in two parts, and the distances in which errors are counted.

    All are multiplied by a power of two: infinity can then be the number after the largest one, and
    numbers below the normal ones have all their digits. The unit is infinite where any result will
    do: at a pole, and where a term is beyond the largest number but not the value.
    """

    factor: Array
    high: Array
    low: Array
    unit: Array


@dataclass(frozen=True)
class Worst:
    """The largest error of a function, and the point where it is."""

    function: str
    dtype: str
    isa: str
    ulp: float
    at: tuple[float, ...]


def measure(count: int) -> list[Worst]:
    """All errors on this machine, with `count` points from each interval."""
    cases = [
        (function, dtype, points(function, dtype, count))
        for function in FUNCTIONS
        for dtype in DTYPES
    ]
    rights = [exact(function, dtype, operands) for function, dtype, operands in cases]
    found = []
    for isa, results in evaluate([operands for *_, operands in cases]):
        for (function, dtype, operands), right, result in zip(cases, rights, results, strict=True):
            off = errors(result, right)
            at = int(np.argmax(off))
            where = tuple(float(operand[at]) for operand in operands)
            found.append(Worst(function.name, dtype, isa, float(off[at]), where))
    return found


def exact(function: Function, dtype: str, operands: list[Array]) -> Exact:
    """What the function is at these points; NaN where it is not a real number."""
    points = zip(*(operand.tolist() for operand in operands), strict=True)
    return collected([right(function, point) for point in points], dtype)


def right(function: Function, point: Sequence[float]) -> Right:
    """The value at a point, what its error is counted beside, and the factor in it.

    At a pole there is no value that an error could be counted from.
    """
    with mpmath.workprec(BITS):
        numbers = [mpmath.mpf(value) for value in point]
        try:
            value = function.reference(*numbers)
            value = value if isinstance(value, mpmath.mpf) else mpmath.nan
            scale = abs(value)
            if function.scale is not None:
                scale = max(scale, function.scale(*numbers))
            gain = abs(function.factor(*numbers)) if function.factor else None
        except ZeroDivisionError:
            return POLE
        return POLE if mpmath.isinf(value) else (value, scale, gain)


def collected(rights: Sequence[Right], dtype: str) -> Exact:
    """The right values as arrays, for errors in a dtype."""
    rows = []
    with mpmath.workprec(BITS):
        for value, scale, gain in rights:
            factor = LIFT if abs(value) < LIFTED else 0.25
            high = float(value * factor)
            low = float(value * factor - high) if np.isfinite(high) else 0.0
            least, is_open = _term(scale, gain, dtype)
            is_open |= mpmath.isinf(scale)
            rows.append((factor, high, low, float(scale), least, is_open))
    factors, highs, lows, scales, least, is_open = np.array(rows).T
    unit = np.maximum(_unit(scales, dtype), least)
    unit[is_open == 1] = np.inf
    with np.errstate(over="ignore"):
        return Exact(factors, highs, lows, factors * unit)


def _term(scale: Any, gain: Any, dtype: str) -> tuple[float, bool]:
    """For a scale that is a term times a gain: the least unit, and whether the term is infinite."""
    if gain is None:
        return 0.0, False
    is_beyond = bool(gain < 1 and scale > gain * float(np.finfo(dtype).max))
    return float(gain * TINY[dtype]), is_beyond


def _unit(scale: Array, dtype: str) -> Array:
    info = np.finfo(dtype)
    _, exponent = np.frexp(np.minimum(scale, float(info.max)))
    unit = np.maximum(np.ldexp(1.0, exponent - info.nmant - 1), TINY[dtype])
    unit[scale == 0] = TINY[dtype]
    return np.asarray(unit)


def errors(result: Array, right: Exact) -> Array:
    """The error of each value in units; infinite where one is NaN and the other is not."""
    end = np.where(right.factor < 1, 2.0 ** (np.finfo(result.dtype).maxexp - 2), np.inf)
    value = np.clip(right.factor * result.astype(np.float64), -end, end)
    high = np.clip(right.high, -end, end)
    low = np.where(np.abs(high) < end, right.low, 0.0)
    with np.errstate(invalid="ignore"):
        off = np.abs((value - high) - low) / right.unit
    off[np.isnan(result) | np.isnan(right.high)] = np.inf
    off[(np.isnan(result) & np.isnan(right.high)) | np.isinf(right.unit)] = 0.0
    return np.asarray(off)


def evaluate(arrays: list[list[Array]]) -> list[tuple[str, list[Array]]]:
    """What needle gives for the operands of each case, under each instruction set."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder, "points.npz"), Path(folder, "values.npz")
        names = [(i, j) for i, case in enumerate(arrays) for j in range(len(case))]
        operands: dict[str, Any] = {f"{i}-{j}": arrays[i][j] for i, j in names}
        np.savez(given, **operands)
        for isa in ISAS:
            environment = {**os.environ, "NEEDLE_ISA": isa}
            command = [sys.executable, "-m", "tools.accuracy", "--values", str(given), str(taken)]
            subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
            with np.load(taken) as values:
                if str(values["isa"]) == isa:
                    found.append((isa, [values[str(i)] for i in range(len(arrays))]))
    return found


def _values(given: Path, taken: Path) -> None:
    """The part of `evaluate` that runs under one instruction set."""
    results: dict[str, Any] = {"isa": np.array(ndl._core.get_isa())}
    cases = [function for function in FUNCTIONS for _ in DTYPES]
    with np.load(given) as operands:
        for i, function in enumerate(cases):
            inputs = [ndl.Tensor(operands[f"{i}-{j}"]) for j in range(len(function.spans))]
            results[str(i)] = function.run(*inputs).numpy()
    np.savez(taken, **results)


@click.command(help=__doc__)
@click.option("--points", "count", default=250, show_default=True, help="Points per interval.")
@click.option("--values", type=(Path, Path), hidden=True)
def main(count: int, values: tuple[Path, Path] | None) -> None:
    """Print the errors, or serve the process that does."""
    if values is not None:
        _values(*values)
        return
    for worst in measure(count):
        at = ", ".join(f"{value:.17g}" for value in worst.at)
        print(f"{worst.function:18} {worst.dtype} {worst.isa:7} {worst.ulp:10.3f} ulp at {at}")


if __name__ == "__main__":
    main()
