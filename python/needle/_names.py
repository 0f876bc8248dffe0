"""The names of the public modules: which ones they show, which are imported late, and what is said
of one that they do not have.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def attributes(
    module: str, names: Sequence[str], late: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module that shows `names` and nothing else.

    `late` maps names to where they are: a module, or "module:name", imported when first asked for.
    """
    places = late or {}

    def __getattr__(name: str) -> Any:
        if name not in places:
            raise unknown(module, name, names)
        place, _, inner = places[name].partition(":")
        found = importlib.import_module(place)
        return getattr(found, inner) if inner else found

    def __dir__() -> list[str]:
        return sorted(names)

    return __getattr__, __dir__


def unknown(module: str, name: str, names: Sequence[str]) -> AttributeError:
    """The error for a name that the module has not, with what was probably meant."""
    text = f"module '{module}' has no attribute '{name}'"
    # Python and its tools ask for names such as `__wrapped__`, and expect no answer.
    if not name.startswith("_"):
        # Imported here: most programs never need it.
        from needle._elsewhere import suggestion

        hint = suggestion(module, name, names)
        text += f"\nhint: {hint}" if hint else ""
    # Without the attributes from which Python would make a suggestion of its own.
    return AttributeError(text)
