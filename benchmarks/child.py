"""Runs Python in a process of its own, for what a running process cannot show."""

from __future__ import annotations

import subprocess
import sys


def run_python(*arguments: str) -> str:
    """What `python ARGUMENTS` prints; RuntimeError with the end of its errors where it fails."""
    # -P: neither a script's own folder nor the current one serves as a source of modules.
    command = [sys.executable, "-P", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"python ended with {done.returncode}: {reason}")
    return done.stdout
