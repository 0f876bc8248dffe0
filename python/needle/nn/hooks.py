"""Functions that a module calls before or after its forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

__all__ = ["HookHandle", "Hooks"]


class Hooks:
    """Hooks in the order of their registration.

    Not a dict: a module looks for parameters in its dicts, and a hook may be a module too.
    """

    def __init__(self) -> None:
        self._hooks: dict[int, Callable[..., Any]] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        # A copy, so that a hook may remove itself.
        return iter(list(self._hooks.values()))

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def add(self, hook: Callable[..., Any]) -> HookHandle:
        """Registers `hook` behind the others; the handle takes it out again."""
        if not callable(hook):
            raise TypeError(f"hook: expected a function, got {type(hook).__name__}")
        self._count += 1
        self._hooks[self._count] = hook
        return HookHandle(self, self._count)

    def remove(self, number: int) -> None:
        self._hooks.pop(number, None)


class HookHandle:
    """What registering a hook gives: `remove()` takes the hook out again, and so does the end of
    a `with` block.
    """

    def __init__(self, hooks: Hooks, number: int) -> None:
        self._hooks = hooks
        self._number = number

    def remove(self) -> None:
        """Takes the hook out; a second time does nothing."""
        self._hooks.remove(self._number)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()
