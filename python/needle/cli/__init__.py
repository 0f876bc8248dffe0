"""The console command `needle`. An error is one line on stderr, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from needle import _command, _names

__all__ = ["main", "run"]

# Set to anything, it shows where an error came from.
TRACEBACK_VARIABLE = "NEEDLE_TRACEBACK"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with these arguments, by default the program's, and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C, 143
    for SIGTERM.
    """
    try:
        # Here, and not above, so that Ctrl-C while it is imported leaves no traceback either.
        from needle.cli.commands import needle

        _command.raise_signals()
        try:
            return needle.main(arguments, prog_name="needle", standalone_mode=False) or 0
        finally:
            _command.end_at_once()
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except _command.Ended as ended:
        return ended.status
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        return _fail(_describe(error), 1)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"out of memory: {error}" if str(error) else "out of memory"
    if isinstance(error, (ValueError, OSError, ArithmeticError, ImportError)):
        return str(error)
    # Not a mistake of the user's: say what it takes to report it.
    return f"{type(error).__name__}: {error} ({TRACEBACK_VARIABLE}=1 shows where)"


def _fail(message: str, status: int) -> int:
    one_line = " ".join(message.replace("\nhint: ", "; ").split())
    click.echo(f"needle: error: {one_line}", err=True)
    return status


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
