"""The text that `repr` of a module is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from needle.nn.module import Module

__all__ = ["describe"]


def describe(module: Module, shown: set[int] | None = None) -> str:
    """The module and those in it, one a line, with the shapes and the number of parameters.

    `shown` are the modules that have been shown: of these there is just the name.
    """
    shown = set() if shown is None else shown
    shown.add(id(module))
    lines = [module.extra_repr()] if module.extra_repr() else []
    named = module.named_children()
    for name, child in named:
        repeated = id(child) in shown
        text = f"{type(child).__name__}(...)" if repeated else describe(child, shown)
        lines.append(f"({name}): {text}")
    body = "".join(lines)
    if named:
        body = "".join(f"\n{line}" for line in lines).replace("\n", "\n  ") + "\n"
    return f"{type(module).__name__}({body}){_sizes(module)}"


def _sizes(module: Module) -> str:
    own = ", ".join(f"{name} {p.shape}" for name, p in module.named_parameters(recurse=False))
    count = sum(p.size for p in module.parameters())
    if not count:
        return ""
    total = f"{count:,} parameter{'s' if count != 1 else ''}"
    return f"  # {own}: {total}" if own else f"  # {total}"
