"""Fetches MNIST and CIFAR-10 from public mirrors into a folder, each checked before it appears.

`pooch` does the work: it writes to a temporary name beside the target, compares the SHA-256 and
renames only what is right, so that a file that stands in the folder is a complete one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from needle.data.errors import DownloadError

# The published archives. Other compressions of the same data have other hashes: these are of the
# .gz files as the mirrors serve them.
MNIST_SHA256: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}

MNIST_MIRRORS: Sequence[str] = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)

# The archive of the Python version, as its author publishes it.
CIFAR10_SHA256: Mapping[str, str] = {
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
}

CIFAR10_MIRRORS: Sequence[str] = ("https://www.cs.toronto.edu/~kriz/",)

# Base addresses that replace MNIST_MIRRORS, separated by blanks.
MIRRORS_VARIABLE = "NEEDLE_MNIST_MIRRORS"

# Seconds to wait for a connection, and for the next bytes of an open one.
_TIMEOUT = (5, 30)


def mnist_mirrors() -> tuple[str, ...]:
    """The mirrors to try, in order: those of NEEDLE_MNIST_MIRRORS, else the built-in ones."""
    return tuple(os.environ.get(MIRRORS_VARIABLE, "").split()) or tuple(MNIST_MIRRORS)


def fetch(
    hashes: Mapping[str, str],
    folder: Path,
    mirrors: Sequence[str],
    *,
    progress: bool = False,
) -> None:
    """Fetch into `folder` those files of `hashes` (name to SHA-256) that it lacks.

    Each file is tried from each mirror until one serves it with the right content. A mirror that
    failed goes to the end of the line, so that a dead one costs its timeout once.
    Raises DownloadError, in one line with a reason for each mirror, when all of them fail.
    """
    queue = list(mirrors)
    for name, sha256 in hashes.items():
        if (folder / name).exists():
            continue
        reasons: list[str] = []
        for mirror in tuple(queue):
            reason = _fetch_one(mirror, name, sha256, folder, progress)
            if reason is None:
                break
            reasons.append(f"{mirror}: {reason}")
            queue.remove(mirror)
            queue.append(mirror)
        else:
            raise DownloadError(f"cannot download {name} ({'; '.join(reasons) or 'no mirror'})")


def _fetch_one(mirror: str, name: str, sha256: str, folder: Path, progress: bool) -> str | None:
    """Fetch one file; what went wrong, in a few words, or None."""
    # Imported here: it brings an HTTP library that nothing else in needle needs.
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    try:
        pooch.retrieve(
            f"{mirror.rstrip('/')}/{name}",
            known_hash=f"sha256:{sha256}",
            fname=name,
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=_TIMEOUT),
        )
    except OSError as error:  # every exception of `requests` is one
        status = getattr(getattr(error, "response", None), "status_code", None)
        return f"HTTP status {status}" if status else type(error).__name__
    except ValueError as error:
        return "content with another SHA-256" if "hash" in str(error) else str(error)
    return None
