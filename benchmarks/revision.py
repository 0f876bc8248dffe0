"""Another revision of needle, built like this one, in a folder from where it can be imported.

All of it lies in .venv/against: a folder for each revision, by its full name and what built it, and
one target folder of cargo, so that dependencies are compiled once.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FOLDER = ROOT / ".venv" / "against"


class RevisionError(Exception):
    """A revision that git does not know, or that cannot be built."""


def resolve(revision: str) -> str:
    """The full name of the commit; RevisionError if git does not know it."""
    try:
        return _git("rev-parse", "--verify", f"{revision}^{{commit}}").decode().strip()
    except OSError as error:
        raise RevisionError(f"git does not run: {error}") from error
    except subprocess.CalledProcessError as error:
        raise RevisionError(
            f"unknown revision '{revision}'\ngit: {error.stderr.decode().strip()}\n"
            "hint: a commit, a branch or a tag, as in 'make bench-against REV=HEAD~1'"
        ) from error


def folder_of(commit: str) -> Path:
    """Where it is built, with this compiler and Python: others would be what is measured."""
    return FOLDER / f"{commit}-rustc-{_compiler()}-{sys.implementation.cache_tag}"


def build(commit: str) -> Path:
    """The folder with its package, from an earlier call or built now; RevisionError if it fails."""
    folder = folder_of(commit)
    package = folder / "package"
    if package.is_dir():
        return package
    shutil.rmtree(folder, ignore_errors=True)
    source, unpacked = folder / "source", folder / "unpacked"
    _export(commit, source)
    options = ("--release", "--interpreter", sys.executable, "--out", str(folder))
    try:
        subprocess.run(
            [sys.executable, "-m", "maturin", "build", *options],
            cwd=source,
            env={
                **os.environ,
                "CARGO_TARGET_DIR": str(FOLDER / "target"),
                "PYO3_PYTHON": sys.executable,
            },
            stdout=sys.stderr,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise RevisionError(f"revision {commit[:10]} does not build: {error}") from error
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    # Only what is complete bears the name that the next call looks for.
    return unpacked.rename(package)


def _export(commit: str, target: Path) -> None:
    """The files of a commit.

    They are as new as their copy: cargo sees by the time of a source whether what the shared
    target folder holds was made from it, and a commit's own time may be older than that.
    """
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit))) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(target, filter="data")
        else:  # before Python 3.11.4
            archive.extractall(target)
    for path in target.rglob("*"):
        os.utime(path)


def _compiler() -> str:
    """The version of the compiler, such as 1.95.0; RevisionError without one."""
    try:
        done = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RevisionError(f"rustc does not run: {error}") from error
    return done.stdout.split()[1]


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
