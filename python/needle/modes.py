"""How operations are recorded, as context managers for one thread."""

from types import TracebackType

from needle import _core

__all__ = ["lazy", "no_grad"]


class _Mode:
    """Sets a part of the thread's mode on entry and restores it on exit."""

    def __init__(self) -> None:
        self._before: list[tuple[bool | None, bool]] = []

    def _entered(self, lazy: bool | None, no_grad: bool) -> tuple[bool | None, bool]:
        raise NotImplementedError

    def __enter__(self) -> None:
        before = _core.get_thread_mode()
        self._before.append(before)
        _core.set_thread_mode(*self._entered(*before))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _core.set_thread_mode(*self._before.pop())


class lazy(_Mode):
    """``with needle.lazy():`` results are computed when they are first read.

    Shape and dtype cost no computation. ``lazy(False)`` is eager inside a lazy program. The
    mode holds for this thread; ``needle.autograd.LAZY_MODE`` is the same for the process.
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__()
        self._enabled = enabled

    def _entered(self, lazy: bool | None, no_grad: bool) -> tuple[bool | None, bool]:
        return self._enabled, no_grad


class no_grad(_Mode):
    """``with needle.no_grad():`` nothing is recorded, in this thread."""

    def _entered(self, lazy: bool | None, no_grad: bool) -> tuple[bool | None, bool]:
        return lazy, True
