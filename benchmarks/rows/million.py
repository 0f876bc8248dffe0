"""A chain of 1,000,000 nodes: built, differentiated and dropped in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

from ..child import run_python
from ..figures import Bound, Figure, Unit
from ..peers import NEEDLE
from ..timing import Contestant, Plan, compete

NODES = 1_000_000
_CHILD = Path(__file__).with_name("million_child.py")


def million(plan: Plan, nodes: int = NODES) -> list[Figure]:
    """a chain of 1,000,000 nodes: seconds for forward, backward and drop, and peak memory"""

    def block() -> dict[str, float]:
        found: dict[str, float] = json.loads(run_python(str(_CHILD), str(nodes)))
        return found

    parts = compete([Contestant(NEEDLE, block)], plan.at_most(5).without_threads())
    medians = {part: parts[part][NEEDLE].median for part in ("forward", "backward", "drop")}
    shares = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in medians.items())
    title = f"chain of {nodes:,} nodes"
    return [
        Figure(
            "million/time", f"{title}, all together", parts["time"], [Bound(3.0)], notes=[shares]
        ),
        Figure(
            "million/memory", f"{title}, peak memory", parts["memory"], [Bound(1e9)], Unit.BYTES
        ),
    ]
