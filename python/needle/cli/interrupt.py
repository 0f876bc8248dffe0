"""Ctrl-C that waits for the end of a step, so that what is written then is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# The status a shell reports for a program that Ctrl-C ended: 128 + SIGINT.
INTERRUPTED = 130


class Interrupted(Exception):
    """Ctrl-C was pressed, and the step under way is finished."""


@contextmanager
def between_steps() -> Iterator[Callable[..., None]]:
    """A function to call between steps, with any arguments: Interrupted once Ctrl-C was pressed.

    Within the block a first Ctrl-C does nothing else. A second one is a KeyboardInterrupt at once.
    """
    pressed = False

    def check(*_: object) -> None:
        if pressed:
            raise Interrupted

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    # Signals come to the main thread alone. A job in the background ignores Ctrl-C, and may.
    if threading.current_thread() is not threading.main_thread() or before in (
        None,
        signal.SIG_IGN,
    ):
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
