"""Files that a command writes: checked before the work begins."""

from __future__ import annotations

import os
from pathlib import Path

import click


def output_file(
    context: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Callback of an option that names a file to write: BadParameter if it cannot be written."""
    if path is None:
        return None
    # A link stays a link: the file behind it is the one to replace.
    path = path.resolve()
    if path.is_dir():
        raise click.BadParameter(f"{path} is a folder, a file name is expected")
    if path.exists() and not path.is_file():
        raise click.BadParameter(f"{path} is not a regular file")
    if not path.parent.is_dir():
        raise click.BadParameter(f"the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise click.BadParameter(f"the folder {path.parent} is not writable")
    return path
