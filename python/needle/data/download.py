"""Fetches MNIST and CIFAR-10 from public mirrors into a folder, each checked before it appears.

Nothing that a mirror does can take for ever or fill a disk: size and SHA-256 of each file are
known, and a transfer has a deadline. `pooch` does the transfer.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from needle.data.errors import DownloadError
from needle.files import written_whole


class Published(NamedTuple):
    """What is known of a published file."""

    size: int
    sha256: str


# The published archives. Other compressions of the same data have other hashes: these are of the
# .gz files as the mirrors serve them.
MNIST: Mapping[str, Published] = {
    "train-images-idx3-ubyte.gz": Published(
        9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": Published(
        28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": Published(
        1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": Published(
        4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}

MNIST_MIRRORS: Sequence[str] = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)

# The archive of the Python version, as its author publishes it.
CIFAR10: Mapping[str, Published] = {
    "cifar-10-python.tar.gz": Published(
        170_498_071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    ),
}

CIFAR10_MIRRORS: Sequence[str] = ("https://www.cs.toronto.edu/~kriz/",)

# Base addresses that replace MNIST_MIRRORS, separated by blanks.
MIRRORS_VARIABLE = "NEEDLE_MNIST_MIRRORS"

# Seconds to wait for a connection, and for the next bytes of an open one.
_TIMEOUT = (5, 30)

# The deadline of a transfer: so many seconds, and the time that the file takes at so many bytes a
# second, which is slow.
_PATIENCE = 60.0
_SLOWEST = 20_000
# Seconds for a server to end what is complete.
_GRACE = 0.5


def mnist_mirrors() -> tuple[str, ...]:
    """The mirrors to try, in order: those of NEEDLE_MNIST_MIRRORS, else the built-in ones."""
    return tuple(os.environ.get(MIRRORS_VARIABLE, "").split()) or tuple(MNIST_MIRRORS)


def fetch(
    files: Mapping[str, Published],
    folder: Path,
    mirrors: Sequence[str],
    *,
    progress: bool = False,
) -> None:
    """Fetch into `folder` those of `files` that it lacks.

    Each file is tried from each mirror until one serves it with the right content. A mirror that
    failed goes to the end of the line, so that a dead one costs its timeout once.
    Raises DownloadError, in one line with a reason for each mirror, when all of them fail.
    """
    queue = list(mirrors)
    for name, published in files.items():
        if (folder / name).exists():
            continue
        reasons: list[str] = []
        for mirror in tuple(queue):
            reason = _fetch_one(f"{mirror.rstrip('/')}/{name}", published, folder / name, progress)
            if reason is None:
                break
            reasons.append(f"{mirror}: {reason}")
            queue.remove(mirror)
            queue.append(mirror)
        else:
            raise DownloadError(f"cannot download {name} ({'; '.join(reasons) or 'no mirror'})")


def _fetch_one(url: str, published: Published, target: Path, progress: bool) -> str | None:
    """Fetch one file; what went wrong, in a few words, or None."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as file:
            _transfer(url, _Received(file, published), progress)
    except DownloadError as error:
        return str(error)
    except OSError as error:  # every exception of `requests` is one, too
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status:
            return f"HTTP status {status}"
        return error.strerror or type(error).__name__
    except Exception as error:
        # An address that is none, a header that is none: the libraries raise this and that.
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _transfer(url: str, received: _Received, progress: bool) -> None:
    """Transfer the content of the address, and check it.

    It runs in a thread of its own, because a deadline has to hold wherever it waits: for the name
    of the server, for a header that comes a byte at a time, for the end of the content. A thread
    that is late is left behind: it ends when the server hangs up, or sends a little more.
    """
    # Imported here: it brings an HTTP library that nothing else in needle needs.
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    download = pooch.HTTPDownloader(
        progressbar=progress,
        chunk_size=1 << 14,
        timeout=_TIMEOUT,
        headers={"Accept-Encoding": "identity"},
        hooks={"response": _as_it_travels},
    )
    errors: list[BaseException] = []

    def work() -> None:
        try:
            download(url, received, None)
        except BaseException as error:
            errors.append(error)
        finally:
            received.done.set()

    patience = _PATIENCE + received.published.size / _SLOWEST
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        in_time = received.done.wait(patience)
        if in_time:
            thread.join(_GRACE)
    finally:
        received.close()
    if not in_time:
        raise DownloadError(f"not done after {patience:.3g} s")
    if errors:
        raise errors[0]
    received.check()


def _as_it_travels(response: Any, **_: Any) -> None:
    """Hook of `requests`: the bytes are not decoded, whatever the server says of them.

    The file is what was compressed long ago; what is compressed again could be of any size, and so
    could the page that comes with a redirection, which `requests` would read.
    """
    if response.is_redirect:
        response.close()
    response.raw.headers.pop("content-encoding", None)


class _Received:
    """A file to write to, as long as no more comes than is expected, until it is closed.

    `done` is set when it is complete.
    """

    def __init__(self, file: BinaryIO, published: Published) -> None:
        self.published = published
        self._file = file
        self._size = 0
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self._closed = False
        self.done = threading.Event()

    def write(self, content: bytes) -> None:
        """Add this content. DownloadError ends the transfer: too much came, or it is closed."""
        with self._lock:
            self._size += len(content)
            if self._closed or self._size > self.published.size:
                raise DownloadError(f"more than the {self.published.size} bytes of the file")
            self._hash.update(content)
            self._file.write(content)
            if self._size == self.published.size:
                self.done.set()

    def flush(self) -> None:
        """Nothing: what is written is flushed once it is whole."""

    def close(self) -> None:
        """Let nothing more be written."""
        with self._lock:
            self._closed = True

    def check(self) -> None:
        """DownloadError where the content is not the published one."""
        if self._size < self.published.size:
            raise DownloadError(f"{self._size} of the {self.published.size} bytes of the file")
        if self._hash.hexdigest() != self.published.sha256:
            raise DownloadError("content with another SHA-256")
