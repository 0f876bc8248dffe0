"""Where needle opens files: written whole or not at all, and read only where they are files."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

if sys.platform != "win32":
    import fcntl

# Deflate makes at most so many bytes of one.
INFLATION = 1032

# What is written has a random name until it is whole: nobody can put something in its place.
_PART = ".needle-{}.part"
_PARTS = re.compile(r"\.needle-[0-9a-f]{32}\.part")

# Binary on Windows; elsewhere links are not followed, and no child process inherits the file.
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = _FLAGS | getattr(os, "O_NOFOLLOW", 0)
# A pipe is opened at once, so that it can be refused. It makes no difference to files.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that appears under its name only when the block ends without an exception.

    Until then it has another, random name in the same folder, and what stood there before is
    intact, even if the process is killed or the power fails. What a killed process left is removed
    by the next write into that folder.

    A link stays a link: the file behind it is replaced. Permissions of a file that is replaced are
    kept, and its owner and group where the system allows that; a new file has those that the umask
    gives. Another hard link of the old file keeps the old content.

    Raises OSError, which names the file, where it cannot be written, and where something stands
    there that is no regular file.
    """
    path = Path(path)
    # Not `Path.resolve`, for which a circle of links is a RuntimeError.
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {target.parent} does not exist")
    before = _replaced(path, target)
    _sweep(target.parent)
    file, part = _begin(path, target.parent, before)
    try:
        with naming(path), file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":
                # While it is open, and so locked: afterwards it would look left behind.
                part.replace(target)
        if sys.platform == "win32":
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(target.parent)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A regular file, to read. Anything else, such as a pipe or a folder, is an OSError at once."""
    descriptor = os.open(path, os.O_RDONLY | _FLAGS | _NO_WAIT)
    try:
        _require_regular(Path(path), os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    with _Sized(io.FileIO(descriptor)) as file:
        yield cast("BinaryIO", file)


class _Sized(io.BufferedReader):
    """A file that asks for no more memory than it has content, whatever it is asked for.

    Sizes in damaged files reach `read`, and Python would ask for so much memory first.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(os.fstat(self.fileno()).st_size - self.tell(), 0))
        return super().read(size)


def size_of(file: BinaryIO) -> int:
    """The bytes in a file that is open: more than these it cannot hold."""
    return os.fstat(file.fileno()).st_size


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the name of the file into an OSError that names none: failed writes do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _replaced(path: Path, target: Path) -> os.stat_result | None:
    """What is known of the file that will be replaced, if there is one."""
    try:
        before = target.stat()
    except FileNotFoundError:
        return None
    _require_regular(path, before)
    return before


def _require_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def _begin(path: Path, folder: Path, before: os.stat_result | None) -> tuple[BinaryIO, Path]:
    """A new file in the folder, locked as long as it is open, and its name."""
    # Where a file is replaced, nobody else reads the new one before it has the permissions.
    mode = 0o666 if before is None else 0o600
    while True:
        part = folder / _PART.format(os.urandom(16).hex())
        try:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK, mode)
        except FileExistsError:
            continue
        except OSError as error:
            error.filename = str(path)  # nobody knows the other name
            raise
        file = os.fdopen(descriptor, "wb")
        _lock(descriptor, wait=True)
        # Another process may have taken it for left behind, before it was locked.
        if os.fstat(descriptor).st_nlink:
            break
        file.close()
    if before is not None:
        _allow_as(descriptor, before)
    return file, part


def _allow_as(descriptor: int, before: os.stat_result) -> None:
    """Give a file the permissions of another one, and owner and group where that is allowed."""
    if sys.platform == "win32":
        return
    mode = before.st_mode & 0o777
    for owner in (before.st_uid, -1):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owner, before.st_gid)
            break
    else:
        # Its group is another one now, to which nothing more is allowed than to everybody.
        mode = mode & ~0o070 | (mode & 0o007) << 3
    # Not on every network drive.
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, mode)


def _lock(descriptor: int, wait: bool) -> bool:
    """Lock an open file against other processes; False where it is locked, or cannot be.

    The lock ends with the process, however it ends. A number of a process in the name would not
    do: it is given to others later, and means nothing to another machine.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove what killed processes left: the parts that nobody has locked."""
    try:
        with os.scandir(folder) as entries:
            parts = [Path(entry.path) for entry in entries if _PARTS.fullmatch(entry.name)]
    except OSError:  # a folder that may be written to, but not read
        return
    for part in parts:
        # It may be somebody else's, or be gone by now.
        with contextlib.suppress(OSError):
            descriptor = os.open(part, os.O_RDWR | _NO_LINK | _NO_WAIT)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor, wait=False):
                    part.unlink()
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Bring the new name itself to the disk, where the file system lets a folder be synced."""
    # Not on Windows, nor on some network drives. The file is in its place already.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
