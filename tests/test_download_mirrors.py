"""Mirrors that do something else than serve a file: none can hold up, fill the disk, or crash."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from needle.data import DownloadError
from needle.data.download import Published, fetch

FILES = {"one.gz": b"the first file" * 1000, "two.gz": b"the second file"}
KNOWN = {
    name: Published(len(content), hashlib.sha256(content).hexdigest())
    for name, content in FILES.items()
}
Mirror = Any  # the server of conftest.py, which serves these files


def content_of(folder: Path) -> dict[str, bytes]:
    """All that is in the folder, hidden and temporary files too."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SIZE = len(FILES["one.gz"])


def head(handler: Any, status: int = 200, **fields: str) -> None:
    handler.send_response(status)
    for name, value in fields.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def for_ever(mirror: Mirror, handler: Any, content: bytes, pause: float = 0.0) -> None:
    while not mirror.stopped.wait(pause):
        handler.wfile.write(content)


def endless(mirror: Mirror, handler: Any) -> None:
    head(handler)
    for_ever(mirror, handler, bytes(1 << 16))


def longer_than_it_says(mirror: Mirror, handler: Any) -> None:
    head(handler, Content_Length=str(SIZE - 1))
    handler.wfile.write(FILES["one.gz"])


def shorter_than_it_says(mirror: Mirror, handler: Any) -> None:
    head(handler, Content_Length="1" + "0" * 15)
    handler.wfile.write(FILES["one.gz"])


def no_length(mirror: Mirror, handler: Any) -> None:
    head(handler, Content_Length="many")
    handler.wfile.write(FILES["one.gz"][:-1])


def inflating(mirror: Mirror, handler: Any) -> None:
    head(handler, Content_Encoding="gzip")
    handler.wfile.write(gzip.compress(bytes(10 * SIZE)))


def to_a_file(mirror: Mirror, handler: Any) -> None:
    head(handler, 302, Location="file:///etc/passwd")


def in_a_circle(mirror: Mirror, handler: Any) -> None:
    head(handler, 302, Location=handler.path)


def endless_redirection(mirror: Mirror, handler: Any) -> None:
    head(handler, 302, Location=handler.path.replace("one.gz", "nowhere"))
    if "one.gz" in handler.path:
        for_ever(mirror, handler, bytes(1 << 16))


def endless_error(mirror: Mirror, handler: Any) -> None:
    head(handler, 500)
    for_ever(mirror, handler, bytes(1 << 16))


# Each row: what a mirror does instead of serving the file, and the reason that is given.
MISCHIEF: dict[Callable[[Mirror, Any], None], str] = {
    endless: f"more than the {SIZE} bytes of the file",
    longer_than_it_says: f"{SIZE - 1} of the {SIZE} bytes of the file",
    shorter_than_it_says: r"\w+Error",
    no_length: "invalid literal for int.*",
    inflating: f"[0-9]+ of the {SIZE} bytes of the file",
    to_a_file: "InvalidSchema",
    in_a_circle: "HTTP status 302",
    endless_redirection: "HTTP status 302",
    endless_error: "HTTP status 500",
}


@pytest.mark.parametrize("answer", MISCHIEF, ids=lambda answer: answer.__name__)
def test_a_mirror_that_does_something_else_is_passed_over(answer, mirror, second_mirror, tmp_path):
    mirror.answers = lambda handler: answer(mirror, handler)
    with pytest.raises(DownloadError, match=rf"one\.gz \({mirror.url}: {MISCHIEF[answer]}\)$"):
        fetch(KNOWN, tmp_path, [mirror.url])
    assert content_of(tmp_path) == {}
    fetch(KNOWN, tmp_path, [mirror.url, second_mirror.url])
    assert content_of(tmp_path) == FILES


def test_what_a_server_says_of_an_encoding_is_no_matter(mirror, tmp_path):
    def encoded(handler: Any) -> None:
        head(handler, Content_Encoding="x-gzip")
        handler.wfile.write(FILES[handler.path.rpartition("/")[2]])

    mirror.answers = encoded
    fetch(KNOWN, tmp_path, [mirror.url])
    assert content_of(tmp_path) == FILES


def drips_its_content(mirror: Mirror, handler: Any) -> None:
    head(handler, Content_Length=str(SIZE))
    for_ever(mirror, handler, b"x", 0.01)


def drips_its_head(mirror: Mirror, handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
    for_ever(mirror, handler, b"x", 0.01)


def hangs_after_the_end(mirror: Mirror, handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    content = FILES[handler.path.rpartition("/")[2]]
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
    mirror.stopped.wait()


@pytest.mark.parametrize("answer", [drips_its_content, drips_its_head])
def test_a_mirror_that_drips_has_a_deadline(answer, mirror, second_mirror, tmp_path, monkeypatch):
    mirror.answers = lambda handler: answer(mirror, handler)
    monkeypatch.setattr("needle.data.download._PATIENCE", 0.1)
    monkeypatch.setattr("needle.data.download._SLOWEST", 1e9)
    with pytest.raises(DownloadError, match=rf"\({mirror.url}: not done after 0\.1 s\)$"):
        fetch(KNOWN, tmp_path, [mirror.url])
    assert content_of(tmp_path) == {}
    monkeypatch.setattr("needle.data.download._PATIENCE", 60.0)
    fetch(KNOWN, tmp_path, [second_mirror.url])
    assert content_of(tmp_path) == FILES


def test_a_file_that_is_complete_is_taken_whatever_follows(mirror, tmp_path):
    mirror.answers = lambda handler: hangs_after_the_end(mirror, handler)
    fetch({"two.gz": KNOWN["two.gz"]}, tmp_path, [mirror.url])
    assert content_of(tmp_path) == {"two.gz": FILES["two.gz"]}


def test_a_cache_folder_that_cannot_be(mirror, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"one\.gz \(.*: (Not a directory|File exists)\)$"):
        fetch(KNOWN, tmp_path / "file" / "folder", [mirror.url])


@pytest.mark.parametrize("url", ["file:///etc/", "nonsense", "http://[", "http://a..b/", "\0"])
def test_an_address_that_is_none(url, tmp_path):
    with pytest.raises(DownloadError, match=r"^cannot download one\.gz \(.+: .+\)$") as caught:
        fetch(KNOWN, tmp_path, [url])
    assert "\n" not in str(caught.value)
    assert content_of(tmp_path) == {}
