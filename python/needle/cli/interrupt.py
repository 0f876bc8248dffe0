"""Ctrl-C that waits for the end of a step, so that what is written then is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """Ctrl-C was pressed, or the process is asked to end, and the step under way is finished.

    `status` is the exit status that a shell reports.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


@contextmanager
def between_steps() -> Iterator[Callable[..., None]]:
    """A function to call between steps, with any arguments: Interrupted once Ctrl-C was pressed.

    Within the block a first Ctrl-C does nothing else. A second one is what it is outside.
    Where SIGTERM has a handler, as in the command, it is the same with it.
    """
    came: list[int] = []

    def check(*_: object) -> None:
        if came:
            raise Interrupted(came[0])

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(number, before[number])

    before: dict[int, Any] = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }
    # Signals come to the main thread alone. A job in the background ignores Ctrl-C, and may.
    handled = [
        number
        for number, handler in before.items()
        if callable(handler) and threading.current_thread() is threading.main_thread()
    ]
    try:
        for number in handled:
            signal.signal(number, note)
        yield check
    finally:
        for number in handled:
            signal.signal(number, before[number])
