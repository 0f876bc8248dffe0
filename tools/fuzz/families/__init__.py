"""The families of cases: functions of a Case, by name."""

from __future__ import annotations

from collections.abc import Callable

from tools.fuzz.case import Case
from tools.fuzz.families import (
    giants,
    hostile,
    planted,
    programs,
    reuse,
    state,
    threads,
    userops,
    values,
)

FAMILIES: dict[str, Callable[[Case], None]] = {
    "values": values.run,
    "programs": programs.run,
    "hostile": hostile.run,
    "giants": giants.run,
    "reuse": reuse.run,
    "threads": threads.run,
    "state": state.run,
    "userops": userops.run,
    "planted": planted.run,
}
# Not among those that run unasked.
HIDDEN = ("planted",)
