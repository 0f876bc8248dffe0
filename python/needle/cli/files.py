"""Files that a command writes: checked before the work begins, and written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when the block ends without an exception.

    Until then it has a temporary name in the same folder, and what stood there before is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
