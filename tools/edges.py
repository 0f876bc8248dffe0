"""The right values of elementwise functions and their derivatives over the whole range of numbers.

`python -m tools.edges` writes them to `tests/reference/`, a file for each function of
docs/accuracy.md, with mpmath; `tests/test_edges.py` holds needle against them. A line has the
operands, as hexadecimal floats, and the value; then, where errors are counted so, the larger term
and the factor. The points are those of `points`: numbers of every size and both signs, exact in
float32 as far as its range goes; more of them where functions vary; the ends of both ranges; and
the points where a formula begins or ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path

import click
import mpmath
import numpy as np

from tools.accuracy import BITS, POLE, Right, right
from tools.functions import FUNCTIONS, TINY, Function

FOLDER = Path(__file__).parents[1] / "tests" / "reference"
# Digits of a value and of what its error is counted beside.
DIGITS, FEWER = 20, 5
# Fused adjoints are the derivatives of functions that have tables of their own; sums and products
# are rounded once, at any size.
LEFT_OUT = ("_gradient", "_curvature", "chain_product", "add", "subtract", "multiply' a")
GOLDEN = (5**0.5 - 1) / 2


def functions() -> list[Function]:
    """The functions that there are tables for."""
    return [f for f in FUNCTIONS if not f.name.endswith(LEFT_OUT)]


def path(function: Function) -> Path:
    """The file of a function."""
    name = function.name.replace("''", "-second").replace("'", "-first").replace(" ", "-")
    return FOLDER / f"{name}.txt"


def points(function: Function) -> list[tuple[float, ...]]:
    """Where a function has entries in its table."""
    if len(function.spans) == 1:
        edges = [float(np.float32(edge)) for edge in function.edges]
        near = [
            float(np.nextafter(np.float32(x), np.float32(end)))
            for x in edges
            for end in (-9e9, 9e9)
        ]
        return [(x,) for x in sorted({*every_size(16, 100, 1), *_ends(), *edges, *near})]
    left = [*every_size(92, 600, 0), *_ends()]
    right = [0.5, 1.0, 2.0, 0.3, 1e-20, 17.5]
    right = [float(np.float32(x)) for x in (*right, *(-x for x in right), 0.0)]
    if function.name.startswith("power"):
        left = [x for x in left if x >= 0] + [0.5, 1.0, 1.25, 2.0, 3.0, 10.0]
    elif function.name.startswith("logistic"):
        left, right = (
            [*every_size(40, 300, 1), *_ends()],
            [0.0, 1.0, 0.5, float(np.float32(1e-6)), 1 - 2.0**-24],
        )
    else:
        right = [*every_size(92, 600, 0), 1.0, 3.0]
    return sorted(set(itertools.product(left, right)))


def every_size(step: int, wide_step: int, parts: int) -> Iterator[float]:
    """Numbers of both signs: of every so many exponents of float32 and of float64, and `parts` for
    each power of 2 from 1/64 to 2048."""
    exponents = [(e, 24) for e in range(-149, 128, step)]
    exponents += [(e, 53) for e in range(-1074, 1024, wide_step)]
    exponents += [(e, 24) for e in range(-6, 11) for _ in range(parts)]
    for i, (exponent, bits) in enumerate(exponents):
        # Digits that follow no pattern, as many as a number of that size has.
        bits = min(bits, exponent - (-149 if bits == 24 else -1074) + 1)
        significand = 1 + np.floor((i * GOLDEN % 1) * 2.0 ** (bits - 1)) * 2.0 ** (1 - bits)
        yield from (float(np.ldexp(significand, exponent)), -float(np.ldexp(significand, exponent)))


def _ends() -> Iterator[float]:
    for dtype, tiny in TINY.items():
        info = np.finfo(dtype)
        for x in (0.0, tiny, float(info.smallest_normal), float(info.max)):
            yield from (x, -x)


def line(function: Function, point: tuple[float, ...]) -> str:
    """The entry of a point."""
    value, scale, gain = right(function, point)
    is_pole = mpmath.isinf(scale)
    parts = [x.hex() for x in point]
    parts.append("pole" if is_pole else _digits(value, DIGITS))
    if not is_pole and function.scale is not None:
        parts.append(_digits(scale, FEWER))
    if not is_pole and function.factor is not None:
        parts.append(_digits(gain, FEWER))
    return " ".join(parts)


def _digits(value: mpmath.mpf, count: int) -> str:
    """A number in so many digits; what is beyond both ranges need not be told apart."""
    if value == 0 or mpmath.isnan(value):
        return "nan" if mpmath.isnan(value) else "0"
    with mpmath.workprec(BITS):
        size = mpmath.log10(abs(value))
        if abs(size) > 700:
            value = mpmath.sign(value) * mpmath.mpf(10) ** (700 if size > 0 else -700)
        # A tie in the last digit, as of a short square, is rounded by mpmath as the release has it.
        exact = Decimal(mpmath.nstr(value, count + 20, min_fixed=0, max_fixed=0))
        rounded = Context(prec=count, rounding=ROUND_HALF_EVEN).plus(exact)
        return str(mpmath.nstr(mpmath.mpf(str(rounded)), count, min_fixed=0, max_fixed=0))


def entries(function: Function) -> list[tuple[tuple[float, ...], Right]]:
    """What the table of a function says: points, and values with what their errors are beside."""
    found = []
    count = len(function.spans)
    with mpmath.workprec(BITS):
        for row in path(function).read_text().splitlines():
            parts = row.split()
            point = tuple(float.fromhex(part) for part in parts[:count])
            if parts[count] == "pole":
                found.append((point, POLE))
                continue
            value, *rest = (mpmath.mpf(part) for part in parts[count:])
            scale = rest.pop(0) if function.scale is not None else abs(value)
            gain = rest.pop(0) if function.factor is not None else None
            found.append((point, (value, scale, gain)))
    return found


@click.command(help=__doc__)
def main() -> None:
    """Write the tables."""
    FOLDER.mkdir(exist_ok=True)
    for function in functions():
        lines = [line(function, point) for point in points(function)]
        path(function).write_text("\n".join(lines) + "\n")
        click.echo(f"wrote {path(function).name}: {len(lines)} values")


if __name__ == "__main__":
    main()
