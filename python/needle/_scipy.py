"""SciPy, where it is installed: an optional dependency, imported when something needs it."""

from __future__ import annotations

import importlib
from typing import Any


def scipy_optimize(who: str) -> Any:
    """The module `scipy.optimize`; raises ModuleNotFoundError that says what `who` needs."""
    try:
        return importlib.import_module("scipy.optimize")
    except ModuleNotFoundError as error:
        message = f"{who} needs SciPy\nhint: pip install 'needle[scipy]'"
        raise ModuleNotFoundError(message, name="scipy") from error
