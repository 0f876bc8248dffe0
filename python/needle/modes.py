"""How operations are recorded: context managers and decorators, for one thread.

Each block sets the mode of its thread, and at its end takes back what it has set itself, in
whatever order blocks end: where generators take turns, where one is closed or collected half way,
and where a block ends on another thread than it began on. While a generator waits at a `yield`
inside of such a block, the block goes on, and so holds for the caller too; a decorated generator
function sets the mode only while it runs.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from needle import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType
    from typing import Self, TypeVar, overload

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["enable_grad", "lazy", "no_grad"]


class _Mode:
    """Sets a part of the thread's mode in a block, or in each call of a function."""

    # What `_core.enter_scope` is given.
    _lazy: bool | None = None
    _no_grad: bool | None = None

    if TYPE_CHECKING:

        @overload
        def __new__(cls, function: F) -> F: ...  # type: ignore[misc]
        @overload
        def __new__(cls) -> Self: ...

    def __new__(cls, function: Any = None) -> Any:
        mode = super().__new__(cls)
        mode._open = []
        # Bare, as a decorator: `__init__` does not run, since a function is no mode.
        return mode if function is None else mode(function)

    _open: list[tuple[int, int]]

    def __enter__(self) -> None:
        scope = _core.enter_scope(self._lazy, self._no_grad)
        self._open.append((get_ident(), scope))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._open:
            raise RuntimeError(f"{type(self).__name__}: the block ends before it has begun")
        # Of an object that is used for several blocks, the newest of this thread ends.
        own = [entry for entry in self._open if entry[0] == get_ident()]
        entry = (own or self._open)[-1]
        self._open.remove(entry)
        _core.exit_scope(entry[1])

    def __call__(self, function: F) -> F:
        """`function` in this mode: a function, method, generator or coroutine function."""
        decorated: F = _decorated(self._lazy, self._no_grad, type(self).__name__, function)
        return decorated


class lazy(_Mode):
    """``with needle.lazy():`` results are computed when they are first read.

    Shape and dtype cost no computation. ``lazy(False)`` is eager inside a lazy program. The
    mode holds for this thread; ``needle.autograd.LAZY_MODE`` is the same for the process.
    ``@needle.lazy()`` and ``@needle.lazy`` before a function set it in each of its calls.

    Raises TypeError for anything but True and False.
    """

    if TYPE_CHECKING:

        @overload
        def __new__(cls, enabled: F, /) -> F: ...  # type: ignore[misc]
        @overload
        def __new__(cls, enabled: bool = True) -> Self: ...

    def __new__(cls, enabled: Any = True) -> Any:
        if isinstance(enabled, bool):
            mode = super().__new__(cls)
            mode._lazy = enabled
            return mode
        if not callable(enabled):
            raise TypeError(f"lazy: expected True or False, got {type(enabled).__name__}")
        return cls()(enabled)


class no_grad(_Mode):
    """``with needle.no_grad():`` nothing is recorded, in this thread.

    ``@needle.no_grad()`` and ``@needle.no_grad`` before a function do so in each of its calls; of
    a generator or coroutine function, only while it runs itself.

    Raises TypeError for a class, and for an asynchronous generator function.
    """

    _no_grad = True


class enable_grad(_Mode):
    """``with needle.enable_grad():`` what requires a gradient is recorded again, in this thread,
    inside of a `no_grad`. A decorator as `no_grad` is.
    """

    _no_grad = False


def _decorated(lazy: bool | None, no_grad: bool | None, who: str, function: Any) -> Any:
    # Imported here, as most programs decorate nothing.
    import functools
    import inspect
    import types

    if isinstance(function, staticmethod | classmethod):
        return type(function)(_decorated(lazy, no_grad, who, function.__func__))
    if isinstance(function, type):
        raise TypeError(
            f"{who}: expected a function to decorate, got the class {function.__name__}\n"
            "hint: decorate its methods"
        )
    if not callable(function):
        raise TypeError(f"{who}: expected a function to decorate, got {type(function).__name__}")
    enter = functools.partial(_core.enter_scope, lazy, no_grad)
    # An object is called as its class says.
    plain = inspect.isroutine(function) or isinstance(function, functools.partial)
    code = function if plain else type(function).__call__
    if inspect.isasyncgenfunction(code):
        raise TypeError(
            f"{who}: cannot decorate an asynchronous generator function\n"
            "hint: decorate the functions that it calls"
        )
    if inspect.isgeneratorfunction(code):

        def steps(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _driven(enter, function(*args, **kwargs)))

        return functools.wraps(function)(steps)
    if inspect.iscoroutinefunction(code):

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await types.coroutine(_driven)(enter, function(*args, **kwargs))

        return functools.wraps(function)(awaited)

    def call(*args: Any, **kwargs: Any) -> Any:
        scope = enter()
        try:
            return function(*args, **kwargs)
        finally:
            _core.exit_scope(scope)

    return functools.wraps(function)(call)


def _driven(enter: Callable[[], int], steps: Any) -> Generator[Any, Any, Any]:
    """What a generator or coroutine gives, in the mode while it runs and not while it waits."""
    resume, given = steps.send, None
    while True:
        scope = enter()
        try:
            found = resume(given)
        except StopIteration as end:
            return end.value
        finally:
            _core.exit_scope(scope)
            # An error that was passed on would hold this frame, and this frame the error.
            given = None
        try:
            given = yield found
            resume = steps.send
        except GeneratorExit:
            scope = enter()
            try:
                steps.close()
            finally:
                _core.exit_scope(scope)
            raise
        except BaseException as error:
            resume, given = steps.throw, error
