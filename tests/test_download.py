"""The downloader against a server on this machine."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest

from needle.data import DataError, DownloadError, find_cifar10, find_mnist
from needle.data.cifar10 import TEST_FILES, TRAIN_FILES, unpack
from needle.data.download import (
    CIFAR10,
    CIFAR10_MIRRORS,
    MNIST,
    MNIST_MIRRORS,
    Published,
    fetch,
    mnist_mirrors,
)

FILES = {"one.gz": b"the first file" * 1000, "two.gz": b"the second file"}


def published(content: bytes) -> Published:
    return Published(len(content), hashlib.sha256(content).hexdigest())


KNOWN = {name: published(content) for name, content in FILES.items()}


@pytest.fixture
def dead_url() -> str:
    """An address that refuses connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def content_of(folder: Path) -> dict[str, bytes]:
    """All that is in the folder, hidden and temporary files too."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_fetches_every_file_once(mirror, tmp_path):
    folder = tmp_path / "new" / "folder"
    fetch(KNOWN, folder, [mirror.url])
    assert content_of(folder) == FILES
    fetch(KNOWN, folder, [mirror.url])
    assert mirror.asked == list(FILES)


def test_file_that_is_there_is_left_alone(mirror, tmp_path):
    (tmp_path / "one.gz").write_bytes(b"mine")
    fetch(KNOWN, tmp_path, [mirror.url])
    assert content_of(tmp_path) == {**FILES, "one.gz": b"mine"}
    assert mirror.asked == ["two.gz"]


def test_wrong_content_never_appears(mirror, tmp_path):
    mirror.files["one.gz"] = FILES["one.gz"][:-1] + b"!"
    with pytest.raises(DownloadError) as caught:
        fetch(KNOWN, tmp_path, [mirror.url])
    assert str(caught.value) == (
        f"cannot download one.gz ({mirror.url}: content with another SHA-256)"
    )
    assert content_of(tmp_path) == {}


def test_wrong_content_of_one_mirror_comes_from_the_next(mirror, second_mirror, tmp_path):
    mirror.files["one.gz"] = b"an error page"
    fetch(KNOWN, tmp_path, [mirror.url, second_mirror.url])
    assert content_of(tmp_path) == FILES


def test_dead_mirror_is_passed_over(dead_url, mirror, tmp_path):
    fetch(KNOWN, tmp_path, [dead_url, mirror.url])
    assert content_of(tmp_path) == FILES


def test_mirror_that_failed_goes_to_the_end_of_the_line(mirror, second_mirror, tmp_path):
    mirror.files.clear()
    fetch(KNOWN, tmp_path, [mirror.url, second_mirror.url])
    assert mirror.asked == ["one.gz"]
    assert second_mirror.asked == list(FILES)


def test_hanging_up_half_way_leaves_nothing(mirror, tmp_path):
    mirror.hangs_up = True
    with pytest.raises(DownloadError, match=r"cannot download one\.gz"):
        fetch(KNOWN, tmp_path, [mirror.url])
    assert content_of(tmp_path) == {}


def test_interrupt_leaves_nothing(monkeypatch, tmp_path):
    pooch = pytest.importorskip("pooch")

    def interrupted_downloader(**_: object):
        def download(url: str, target: Any, *_: object) -> None:
            target.write(b"half of it")
            raise KeyboardInterrupt

        return download

    monkeypatch.setattr(pooch, "HTTPDownloader", interrupted_downloader)
    with pytest.raises(KeyboardInterrupt):
        fetch(KNOWN, tmp_path, ["http://127.0.0.1:9/"])
    assert content_of(tmp_path) == {}


def test_every_mirror_is_named_with_its_reason_in_one_line(mirror, dead_url, tmp_path):
    mirror.files.clear()
    with pytest.raises(DownloadError) as caught:
        fetch(KNOWN, tmp_path, [mirror.url, dead_url])
    assert str(caught.value) == (
        f"cannot download one.gz ({mirror.url}: HTTP status 404; {dead_url}: ConnectionError)"
    )
    with pytest.raises(DownloadError, match="no mirror"):
        fetch(KNOWN, tmp_path, [])


def test_find_mnist_downloads_into_the_cache(mirror, monkeypatch, tmp_path):
    monkeypatch.delenv("NEEDLE_DATA", raising=False)
    monkeypatch.setattr("needle.data.mnist.MNIST", KNOWN)
    monkeypatch.setattr("needle.data.mnist.MNIST_FILES", tuple(KNOWN))
    cache = tmp_path / "cached"
    assert find_mnist(cache=cache, mirrors=[mirror.url]) == cache
    assert content_of(cache) == FILES
    # And by the environment, into another folder.
    monkeypatch.setenv("NEEDLE_MNIST_MIRRORS", mirror.url)
    assert content_of(find_mnist(cache=tmp_path / "other")) == FILES


def test_environment_replaces_the_mirrors(monkeypatch):
    monkeypatch.setenv("NEEDLE_MNIST_MIRRORS", " http://a/  http://b/ ")
    assert mnist_mirrors() == ("http://a/", "http://b/")
    monkeypatch.setenv("NEEDLE_MNIST_MIRRORS", "")
    assert mnist_mirrors() == tuple(MNIST_MIRRORS)
    assert len(MNIST_MIRRORS) >= 2


def test_hashes_are_of_the_four_files():
    assert len(MNIST) == len(set(MNIST.values())) == 4
    assert all(len(file.sha256) == 64 and int(file.sha256, 16) for file in MNIST.values())
    # As the publisher's page gives them.
    assert [file.size for file in MNIST.values()] == [9912422, 28881, 1648877, 4542]


def cifar10_archive(members: dict[str, bytes]) -> bytes:
    """A .tar.gz file with these files in it, and with some that want to be elsewhere."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in {**members, "../evil": b"!", "cifar-10-batches-py/note": b"!"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("cifar-10-batches-py/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    return stream.getvalue()


BATCHES = {name: name.encode() for name in TRAIN_FILES + TEST_FILES}
MEMBERS = {f"cifar-10-batches-py/{name}": content for name, content in BATCHES.items()}
ARCHIVE = "cifar-10-python.tar.gz"


@pytest.fixture
def serve_archive(mirror, monkeypatch):
    """Serves bytes as the archive, with the right hash."""

    def serve(content: bytes) -> str:
        monkeypatch.delenv("NEEDLE_CIFAR10", raising=False)
        mirror.files[ARCHIVE] = content
        known = {ARCHIVE: published(content)}
        monkeypatch.setattr("needle.data.cifar10.CIFAR10", known)
        return mirror.url

    return serve


def test_find_cifar10_downloads_and_unpacks_what_it_knows(serve_archive, mirror, tmp_path):
    url = serve_archive(cifar10_archive(MEMBERS))
    cache = tmp_path / "deep" / "cache"
    folder = find_cifar10(cache=cache, mirrors=[url])
    assert folder == cache / "cifar-10-batches-py"
    assert content_of(tmp_path) == BATCHES
    assert find_cifar10(cache=cache, mirrors=[url]) == folder
    assert mirror.asked == [ARCHIVE]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, "a file cifar-10-batches-py/data_batch_2 expected, found no file"),
        (tarfile.LNKTYPE, "a file cifar-10-batches-py/data_batch_2 expected, found no file"),
        (tarfile.DIRTYPE, "a file cifar-10-batches-py/data_batch_2 expected, found no file"),
        (tarfile.FIFOTYPE, "a file cifar-10-batches-py/data_batch_2 expected, found no file"),
        ("bomb", "at most 1000000 bytes expected in the archive, found more"),
        ("header", "at most 1000000 bytes expected in the archive, found more"),
        ("size", "damaged: a .tar.gz file was expected"),
        ("headers", "damaged: a .tar.gz file was expected"),
    ],
)
def test_an_archive_with_something_else_in_it(kind, message, tmp_path, monkeypatch):
    monkeypatch.setattr("needle.data.cifar10._MOST_UNPACKED", 1_000_000)
    archive, name = tmp_path / ARCHIVE, "cifar-10-batches-py/data_batch_2"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.linkname = name  # a link to itself
        if kind == "bomb":
            member.size = 10**7
            tar.addfile(member, io.BytesIO(bytes(member.size)))
        elif kind == "header":
            member.pax_headers = {"comment": "x" * 10**7}
            tar.addfile(member)
        elif kind == "size":
            member.size = -(10**6)
            tar.addfile(member)
        elif kind == "headers":
            longer = tarfile.TarInfo("././@LongLink")
            longer.type = tarfile.GNUTYPE_LONGNAME
            for _ in range(1500):  # and each is said to have another one
                tar.fileobj.write(longer.tobuf())
        else:
            member.type = kind
            tar.addfile(member)
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "batches")
    assert str(caught.value).startswith(f"{archive}: {message}")
    assert "\n" not in str(caught.value)
    assert content_of(tmp_path / "batches") == {}


def test_cifar10_with_another_hash_is_not_unpacked(serve_archive, mirror, tmp_path):
    url = serve_archive(cifar10_archive(MEMBERS))
    mirror.files[ARCHIVE] = mirror.files[ARCHIVE][:-1] + b"!"
    with pytest.raises(DownloadError, match="content with another SHA-256"):
        find_cifar10(cache=tmp_path, mirrors=[url])
    assert content_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda good: good[: len(good) // 2], "damaged: a .tar.gz file was expected"),
        (lambda good: b"no archive", "damaged: a .tar.gz file was expected"),
        (
            lambda good: cifar10_archive(dict(list(MEMBERS.items())[:3])),
            "a CIFAR-10 archive expected, it lacks cifar-10-batches-py/data_batch_4, ",
        ),
    ],
    ids=["truncated", "no archive", "incomplete"],
)
def test_a_damaged_archive_is_named(spoil, message, tmp_path):
    archive = tmp_path / ARCHIVE
    archive.write_bytes(spoil(cifar10_archive(MEMBERS)))
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "batches")
    assert str(caught.value).startswith(f"{archive}: {message}")
    assert "\n" not in str(caught.value)


def test_the_published_archive():
    # The publisher's page gives the MD5 c58f30108f718f92721af3b95e74349a of the same file.
    assert list(CIFAR10) == [ARCHIVE]
    assert all(len(file.sha256) == 64 and int(file.sha256, 16) for file in CIFAR10.values())
    assert CIFAR10_MIRRORS
