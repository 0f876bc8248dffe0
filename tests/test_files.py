"""Files written whole or not at all: what stands beside them, behind them, in their place."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import files
from needle.data import CIFAR10Dataset, DataError, read_idx_labels
from needle.files import opened, size_of, written_whole

if sys.platform == "win32":
    pytest.skip("modes, links, pipes and locks of POSIX", allow_module_level=True)


def write(path: Path, content: bytes = b"after") -> None:
    with written_whole(path) as file:
        file.write(content)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("plant", [os.symlink, os.link], ids=["symlink", "hard link"])
def test_nothing_beside_the_target_is_written_through(
    plant: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.write_bytes(b"precious")
    folder.mkdir()
    names = iter([b"\0" * 16, b"\1" * 16, b"\2" * 16])
    # Every name that can be foreseen, and the first two of those that cannot.
    for part in (
        f".f.{os.getpid()}-{threading.get_native_id()}.part",
        f".needle-{'00' * 16}.part",
        f".needle-{'01' * 16}.part",
    ):
        plant(victim, folder / part)
    monkeypatch.setattr(files, "_sweep", lambda folder: None)
    monkeypatch.setattr(files.os, "urandom", lambda count: next(names))
    write(folder / "f")
    assert victim.read_bytes() == b"precious"
    assert (folder / "f").read_bytes() == b"after"
    assert not (folder / "f").is_symlink()
    assert (folder / "f").stat().st_nlink == 1


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o644, 0o666, 0o700, 0o444])
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_the_mode_of_a_file_is_kept(suffix: str, kept: int, tmp_path: Path, umask: Any) -> None:
    path = tmp_path / f"f.{suffix}"
    path.write_bytes(b"before")
    path.chmod(kept)
    ndl.save(path, {"x": np.ones(2)})
    assert mode(path) == kept


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_follows_the_umask(
    mask: int, expected: int, tmp_path: Path, umask: Callable[[int], int]
) -> None:
    umask(mask)
    write(tmp_path / "f")
    assert mode(tmp_path / "f") == expected


def test_a_file_of_one_owner_is_nobody_elses_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    path.chmod(0o600)
    with written_whole(path) as file:
        file.write(b"secret")
        (part,) = tmp_path.glob(".needle-*.part")
        assert mode(part) == 0o600


@pytest.mark.parametrize("allowed", [True, False])
def test_the_group_of_a_file_is_kept_where_that_is_allowed(
    allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    path.chmod(0o664)
    asked = []

    def fchown(descriptor: int, owner: int, group: int) -> None:
        asked.append((owner, group))
        if owner != -1 or not allowed:
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(files.os, "fchown", fchown)
    write(path)
    known = path.stat()
    assert asked == [(known.st_uid, known.st_gid), (-1, known.st_gid)]
    # A group that never had it gets no more than everybody.
    assert mode(path) == (0o664 if allowed else 0o644)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(Path("real") / "f")
    for content in (b"one", b"two"):  # a link to nothing, and to a file
        write(link, content)
        assert link.is_symlink()
        assert (tmp_path / "real" / "f").read_bytes() == content
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["f", "link", "real"]


def circle(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


# Each row: what stands in the place of a file, and the number of the error.
NO_FILES: dict[str, tuple[Callable[[Path], Any], int]] = {
    "folder": (Path.mkdir, errno.EISDIR),
    "pipe": (os.mkfifo, errno.EINVAL),
    "device": (lambda path: path.symlink_to("/dev/null"), errno.EINVAL),
    "circle of links": (circle, errno.ELOOP),
}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_what_is_no_file_is_neither_written_nor_read(
    kind: str, suffix: str, tmp_path: Path
) -> None:
    make, number = NO_FILES[kind]
    path = tmp_path / f"f.{suffix}"
    make(path)
    before = sorted(tmp_path.iterdir())
    for act in (lambda: ndl.save(path, {"x": np.ones(2)}), lambda: ndl.load(path)):
        with pytest.raises(OSError, match=str(path)) as caught:
            act()
        assert caught.value.errno == number
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", NO_FILES)
def test_data_that_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    make, number = NO_FILES[kind]
    make(tmp_path / "f")
    with pytest.raises(OSError, match="f") as caught:
        read_idx_labels(tmp_path / "f")
    assert caught.value.errno == number
    make(tmp_path / "test_batch") if kind != "circle of links" else None
    with pytest.raises(DataError, match="missing: test_batch"):
        CIFAR10Dataset(tmp_path, False)


def test_a_folder_that_cannot_be_written_to_is_named_by_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "a temporary name")

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(PermissionError) as caught:
        write(tmp_path / "f")
    assert caught.value.filename == str(tmp_path / "f")


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    write(path)
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_brought_to_the_disk_after_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "f").exists()))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", note)
    write(tmp_path / "f")
    assert synced == [(False, False), (True, True)]


# Begins to write, says so, and waits until it is told to end or killed.
WRITER = """
import sys
from pathlib import Path
from needle.files import written_whole
with written_whole(Path(sys.argv[1])) as file:
    file.write(b"half")
    print("begun", flush=True)
    sys.stdin.read()
"""


def writer(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    others = [
        ".needle-f.part",
        ".needle-" + "0" * 31 + ".part",
        "x.needle-" + "0" * 32 + ".part",
        ".needle-" + "0" * 32 + ".part.npz",
    ]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / (".needle-" + "1" * 32 + ".part")).mkdir()
    os.mkfifo(tmp_path / (".needle-" + "2" * 32 + ".part"))
    (tmp_path / (".needle-" + "3" * 32 + ".part")).symlink_to(tmp_path / others[0])
    expected = {path.name for path in tmp_path.iterdir()} | {"living", "f"}
    with writer(tmp_path / "killed") as killed, writer(tmp_path / "living") as living:
        assert len(list(tmp_path.glob(".needle-*.part"))) == 7
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        write(tmp_path / "f")  # another file: a folder is swept, whatever is written
        assert len(list(tmp_path.glob(".needle-*.part"))) == 6
        living.communicate(b"")
        assert living.returncode == 0
    assert (tmp_path / "living").read_bytes() == b"half"
    assert {path.name for path in tmp_path.iterdir()} == expected


def test_a_thread_is_not_taken_for_a_killed_process(tmp_path: Path) -> None:
    with written_whole(tmp_path / "one") as file:
        file.write(b"one")
        thread = threading.Thread(target=write, args=(tmp_path / "two",))
        thread.start()
        thread.join()
        write(tmp_path / "one", b"between")
    assert (tmp_path / "one").read_bytes() == b"one"
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_a_part_that_is_swept_before_it_is_locked_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = files._lock, []

    def late(descriptor: int, wait: bool) -> bool:
        if wait and not taken:
            (part,) = tmp_path.glob(".needle-*.part")
            taken.append(part)
            part.unlink()
        return lock(descriptor, wait)

    monkeypatch.setattr(files, "_lock", late)
    write(tmp_path / "f")
    assert taken
    assert (tmp_path / "f").read_bytes() == b"after"


def test_where_files_cannot_be_locked_nothing_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    (tmp_path / (".needle-" + "0" * 32 + ".part")).write_bytes(b"who knows")
    write(tmp_path / "f")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_is_opened_knows_its_size(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    with opened(tmp_path / "f") as file:
        assert size_of(file) == 5
        assert file.read() == b"12345"
    # Sizes in a damaged file are no reason to ask for memory, nor a number too large for one.
    for size in (5, 6, 2**40, 2**62, 2**63, 2**70):
        with opened(tmp_path / "f") as file:
            assert file.read(2) == b"12"
            assert file.read(size) == b"345"
            assert file.read(size) == b""
    with pytest.raises(FileNotFoundError, match="nothing"), opened(tmp_path / "nothing"):
        pass
