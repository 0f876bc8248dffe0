"""What can go wrong between a file on disk, or on a server, and an array."""

from __future__ import annotations


class DataError(ValueError):
    """A data file or folder is not what it should be.

    The message is one line that names the file and says what was expected of it.
    """


class DownloadError(DataError):
    """A file could not be fetched from any mirror."""
