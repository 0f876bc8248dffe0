"""Modules that are made of other modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, overload

from needle.nn.module import Module

__all__ = ["Residual", "Sequential"]


class Sequential(Module):
    """Modules one after the other: each gets the result of the one before.

    `.modules` is the tuple of them. Called, as `.modules()`, it gives what that method gives of
    every module: this one, and all inside it.
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        self.modules = modules

    @property
    def modules(self) -> _Modules:
        """The modules, as a tuple."""
        return _Modules(vars(self)["modules"], self)

    @modules.setter
    def modules(self, modules: Iterable[Module]) -> None:
        modules = tuple(modules)
        for i, module in enumerate(modules):
            if wrong := _no_module(module):
                raise TypeError(f"Sequential: expected modules or functions, got {wrong} at {i}")
        # In `__dict__`, under this name: it is the one in the names of the parameters.
        vars(self)["modules"] = modules

    def forward(self, x: Any) -> Any:
        for module in vars(self)["modules"]:
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(vars(self)["modules"])

    def __iter__(self) -> Iterator[Module]:
        return iter(vars(self)["modules"])

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        found = vars(self)["modules"][index]
        return Sequential(*found) if isinstance(index, slice) else found


class _Modules(tuple[Module, ...]):
    """The modules of a Sequential, which can be called like the method of the same name."""

    _owner: Sequential

    def __new__(cls, modules: Iterable[Module], owner: Sequential) -> _Modules:
        self = super().__new__(cls, modules)
        self._owner = owner
        return self

    def __call__(self) -> list[Module]:
        return [module for _, module in self._owner.named_modules()]


class Residual(Module):
    """`fn(x) + x`, for a module `fn` whose result has the shape of `x`."""

    def __init__(self, fn: Module) -> None:
        super().__init__()
        if wrong := _no_module(fn):
            raise TypeError(f"Residual: expected a module or a function, got {wrong}")
        self.fn = fn

    def forward(self, x: Any) -> Any:
        return self.fn(x) + x


def _no_module(value: object) -> str:
    """What `value` is where it is nothing to pass a tensor through, else an empty text."""
    if isinstance(value, type):  # `nn.ReLU` for `nn.ReLU()`
        return f"the class {value.__name__}"
    return "" if callable(value) else type(value).__name__
