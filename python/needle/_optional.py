"""Libraries that needle does without until something needs one, and what to install then."""

from __future__ import annotations

import importlib
from typing import Any

# What `pip install` calls needle: on the package index its own name belongs to something else.
DISTRIBUTION = "needle-autodiff"

# The import name of each library, its own name, and the extra of needle that brings it.
LIBRARIES = {
    "PIL": ("Pillow", "pictures"),
    "matplotlib": ("matplotlib", "plot"),
    "scipy": ("SciPy", "scipy"),
    "sklearn": ("scikit-learn", "digits"),
}


def load(module: str, need: str) -> Any:
    """A module of one of the libraries.

    Raises ModuleNotFoundError where the library is not installed: `need`, such as "LBFGS needs",
    its name, and what to install.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library:
            raise  # the library is there, and lacks one of its own
        name, extra = LIBRARIES[library]
        message = f"{need} {name}\nhint: pip install '{DISTRIBUTION}[{extra}]'"
        raise ModuleNotFoundError(message, name=library) from None
