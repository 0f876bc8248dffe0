"""`python -m tools.fuzz`: cases of all families or of those named; status 1 where one failed.

python -m tools.fuzz --seconds 300                     as many cases as fit
python -m tools.fuzz --cases 0:150                     the same cases in each run
python -m tools.fuzz --family hostile --cases 17       one case again, with what it did
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import needle
from tools.fuzz import driver
from tools.fuzz.driver import Failure, Plan, Report
from tools.fuzz.families import FAMILIES, HIDDEN

# The most text of one failure that is printed.
MOST_TEXT, MOST_NOTES = 1500, 6


def main(arguments: list[str] | None = None) -> int:
    """Runs what the command line says; 0 where nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    names = [name for name in FAMILIES if name not in HIDDEN]
    parser.add_argument("--family", action="append", choices=list(FAMILIES), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument("--seconds", type=float, help="run until then (60)")
    how_many.add_argument("--cases", help="A:B, or N for one, of each family")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--deadline", type=float, default=60.0, help="seconds for one case")
    parser.add_argument("--memory", type=int, default=4, help="GiB for one worker, 0 for any")
    parser.add_argument("--most-failures", type=int, default=20)
    given = parser.parse_args(arguments)
    plan = Plan(
        families=given.family or names,
        seed=given.seed,
        workers=given.workers,
        deadline=given.deadline,
        memory=given.memory << 30,
        seconds=None if given.cases else given.seconds or 60.0,
        cases=_cases(given.cases) if given.cases else range(0),
    )
    print(f"fuzz: seed {plan.seed}, {Path(needle._core.__file__).parent}", flush=True)
    start = time.monotonic()
    report = driver.run(plan, given.most_failures)
    for failure in report.failures:
        _print_failure(failure, plan)
    _print_table(report, plan, time.monotonic() - start)
    return 1 if report.failures else 0


def _cases(text: str) -> range:
    first, colon, last = text.partition(":")
    return range(int(first), int(last) if colon else int(first) + 1)


def _print_failure(failure: Failure, plan: Plan) -> None:
    print(f"\nFAILED {failure.family} {failure.cases}: {failure.kind}")
    print(_indented(failure.text[-MOST_TEXT:]))
    if failure.notes:
        print("  it did:")
        left_out = ["..."] if len(failure.notes) > 2 * MOST_NOTES else []
        last = failure.notes[MOST_NOTES:][-MOST_NOTES:]
        print(_indented("\n".join([*failure.notes[:MOST_NOTES], *left_out, *last])))
    path = os.environ.get("PYTHONPATH")
    prefix = f"PYTHONPATH={path} " if path else ""
    again = f"--family {failure.family} --seed {plan.seed} --cases {failure.cases}"
    print(f"  again: {prefix}{sys.executable} -m tools.fuzz {again}", flush=True)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines())


def _print_table(report: Report, plan: Plan, seconds: float) -> None:
    print(f"\n{'family':10} {'cases':>6} {'failed':>6}  calls by what came of them")
    for family in plan.families:
        failed = sum(failure.family == family for failure in report.failures)
        found = report.outcomes[family].most_common()
        calls = ", ".join(f"{name} {count}" for name, count in found)
        print(f"{family:10} {report.counts[family]:6} {failed:6}  {calls}")
    everything = sum(report.counts.values())
    failures = len(report.failures)
    print(f"{everything} cases, {failures} failed, seed {plan.seed}, {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
