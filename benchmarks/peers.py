"""The other libraries: imported when a row first asks, and never missed where there are none."""

from __future__ import annotations

import importlib
import os
from functools import cache
from types import ModuleType
from typing import Any

NEEDLE = "needle"
NUMPY = "NumPy"
PYTORCH = "PyTorch"
JAX = "JAX"


def torch() -> Any | None:
    """PyTorch with its own number of threads, None where it is not installed."""
    return _load("torch")


def jax() -> Any | None:
    """JAX on the CPU, None where it is not installed."""
    # Otherwise it looks for accelerators first, and warns of those that it does not find.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return _load("jax")


def scipy_optimize() -> Any | None:
    """SciPy's solvers, None where it is not installed."""
    return _load("scipy.optimize")


@cache
def _load(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):  # OSError: there, but without a library that it needs
        return None
