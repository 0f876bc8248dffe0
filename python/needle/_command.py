"""Signals in a process that runs the command `needle`: the exit status of a shell, and silence.

`needle/__init__.py` imports this first, because Python imports the package before it comes to the
command. In any other process it does nothing.
"""

import os
import sys
from itertools import pairwise
from types import FrameType

# Whether a signal is an exception. Else it ends the process at once: while the command is imported
# and while Python shuts down there is nothing to clean up, and an exception would be shown.
_raising = False


class Ended(BaseException):
    """Ctrl-C was pressed, or the process is asked to end.

    No KeyboardInterrupt: libraries that know it print something. `status` is what a shell reports.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def raise_signals() -> None:
    """From here the first signal raises Ended; one more ends the process."""
    global _raising
    _raising = True


def end_at_once() -> None:
    """From here a signal ends the process."""
    global _raising
    _raising = False


def _on_signal(number: int, frame: FrameType | None) -> None:
    if not _raising:
        os._exit(128 + number)
    end_at_once()
    raise Ended(number)


def _is_command(started: list[str], program: str) -> bool:
    """Whether Python was started as `needle` or as `python -m needle`."""
    if program == "-m":  # as long as Python looks for the module
        return "-mneedle" in started or any(
            option.startswith("-") and option.endswith("m") and module == "needle"
            for option, module in pairwise(started)
        )
    # What `multiprocessing` spawns has the arguments of its parent, but was not started with them.
    return program in started and os.path.splitext(os.path.basename(program))[0] == "needle"  # noqa: PTH119, PTH122


def _begin() -> None:
    import signal  # takes as long as much of the package, and only the command needs it

    for number, default in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        # What is ignored stays so: a job in the background ignores Ctrl-C.
        if signal.getsignal(number) == default:
            signal.signal(number, _on_signal)


if sys.argv and _is_command(sys.orig_argv, sys.argv[0]):
    _begin()
