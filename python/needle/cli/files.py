"""Files that a command writes: checked before the work begins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

# What `needle.saving` writes, by the name of the file.
SUFFIXES = (".npz", ".safetensors")


def output_file(
    context: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Callback of an option that names a file to write: BadParameter if it cannot be written."""
    if path is None:
        return None
    # A link stays a link: the file behind it is the one to replace.
    path = real_path(path)
    if path.is_symlink():
        raise click.BadParameter(f"{path} is a link in a circle of links")
    if path.is_dir():
        raise click.BadParameter(f"{path} is a folder, a file name is expected")
    if path.exists() and not path.is_file():
        raise click.BadParameter(f"{path} is not a regular file")
    if not path.parent.is_dir():
        raise click.BadParameter(f"the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise click.BadParameter(f"the folder {path.parent} is not writable")
    return path


def tensor_file(
    context: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    """The same for a file of tensors, whose name decides its format."""
    target = output_file(context, parameter, path)
    if target is not None and target.suffix not in SUFFIXES:
        raise click.BadParameter(
            f"{target.name}: a file name that ends in {' or '.join(SUFFIXES)} is expected"
        )
    return target


def require_different(files: Mapping[str, Path | None]) -> None:
    """UsageError if two of these options name the same file."""
    first: dict[Path, str] = {}
    for option, path in files.items():
        if path is not None and first.setdefault(real_path(path), option) != option:
            raise click.UsageError(f"{first[real_path(path)]} and {option} name the same file")


def real_path(path: Path) -> Path:
    """The path behind all links. `Path.resolve` raises RuntimeError for a circle of them."""
    return Path(os.path.realpath(path))
