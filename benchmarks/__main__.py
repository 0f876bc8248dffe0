"""The command: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import machine, report
from .figures import Figure
from .report import Run
from .rows import ROWS
from .timing import ROUNDS, SPREAD_LIMIT, Plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for.

    Returns 0; 1 where a row failed; 2 where an option is wrong; 3 where a file was not written
    because of doubts about the figures.
    No figure, however bad, makes it fail.
    """
    options = _parse(arguments)
    if options.list:
        for name, row in ROWS.items():
            print(f"{name:10} {(row.__doc__ or '').strip().splitlines()[0]}")
        return 0
    if options.markdown:
        # Better now than after minutes of measuring.
        try:
            report.around_table(options.markdown)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            return 2
    run, failed = measure(options.rows, Plan(options.rounds))
    print(report.text(run))
    if options.against:
        print("\n".join(report.slower(run, options.against)))
    return max(int(failed), _write(run, options))


def measure(names: Sequence[str], plan: Plan) -> tuple[Run, bool]:
    """Run the named rows one after the other, and whether one of them failed."""
    figures: list[Figure] = []
    notes: list[str] = []
    description = machine.describe()
    others = {"the start": machine.quiet()}
    failed = False
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        # The pools of the row before come to rest.
        time.sleep(plan.settle)
        watch = machine.Watch()
        try:
            figures += ROWS[name](plan)
        except Exception as error:
            failed = True
            notes.append(f"{name}: FAILED with {type(error).__name__}: {error}")
        others[name] = watch.others()
    return Run(figures, description, machine.versions(), _doubts(figures, others), notes), failed


def _doubts(figures: Sequence[Figure], others: Mapping[str, float]) -> list[str]:
    """Why the figures are not to be recorded: the build, other processes, unsteady rounds."""
    doubts = [note] if (note := machine.build_note()) else []
    disturbed = [name for name, cpus in others.items() if cpus > machine.OTHERS_LIMIT]
    if disturbed:
        doubts.append(
            f"the machine was busy: other processes used up to {max(others.values()):.2f} CPUs "
            f"({', '.join(disturbed)})"
        )
    for figure in figures:
        if names := figure.unsteady:
            spreads = ", ".join(f"{name} {figure.samples[name].spread:.0%}" for name in names)
            doubts.append(f"~ {figure.key}: spread over {SPREAD_LIMIT:.0%} ({spreads})")
    return doubts


def _write(run: Run, options: argparse.Namespace) -> int:
    wanted = [path for path in (options.markdown, options.json) if path]
    if run.doubts and wanted and not options.even_if_busy:
        print(f"not written, see above: {', '.join(map(str, wanted))}", file=sys.stderr)
        return 3
    if options.markdown:
        report.write_markdown(run, options.markdown)
    if options.json:
        report.write_json(run, options.json)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="needle beside NumPy, PyTorch and JAX: ratios of medians of one run",
    )
    parser.add_argument(
        "--rows", type=row_names, default=list(ROWS), metavar="NAME,...", help="only these rows"
    )
    parser.add_argument("--list", action="store_true", help="say which rows there are")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help="rounds of each row")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help=f"put the table between {report.BEGIN} and {report.END}",
    )
    parser.add_argument(
        "--against",
        type=_existing,
        metavar="FILE",
        help="point out what is slower than this record",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    parser.add_argument(
        "--even-if-busy", action="store_true", help="write figures of a busy machine, too"
    )
    return parser.parse_args(arguments)


def row_names(value: str) -> list[str]:
    """The rows of "add,chain", for argparse."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if unknown := [name for name in names if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(ROWS)}")
    return names


def _existing(value: str) -> Path:
    path = Path(value)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{value}: no such file")
    return path


def positive(value: str) -> int:
    """A number of at least 1, for argparse."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number


if __name__ == "__main__":
    sys.exit(main())
