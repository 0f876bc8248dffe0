"""Files that are damaged, by hand or by chance: each is an error in one line that names it."""

from __future__ import annotations

import gzip
import io
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle.data import CIFAR10Dataset, DataError, read_idx_images
from needle.errors import FileFormatError


def npy(
    header: str, content: bytes = bytes(48), version: int = 1, length: int | None = None
) -> bytes:
    """A file in NumPy's format with any header, of any length that it says."""
    text = header.encode("latin1")
    size = len(text) if length is None else length
    start = b"\x93NUMPY" + bytes([version, 0])
    return start + struct.pack("<H" if version == 1 else "<I", size) + text + content


def header(descr: str = "'<f8'", fortran: str = "False", shape: str = "(2, 3)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


def archive(path: Path, *members: tuple[str, bytes], how: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in members:
            file.writestr(name, content)


# Each row: a header that other libraries may write, and the array that it means.
SOUND: dict[str, tuple[bytes, np.ndarray]] = {
    "padded": (npy(header() + " " * 9 + "\n"), np.zeros((2, 3))),
    "no comma at the end": (npy(header().replace(", }", "}")), np.zeros((2, 3))),
    "other order": (
        npy("{'shape':(6,),'descr':'<f8','fortran_order':False}"),
        np.zeros(6),
    ),
    "Python 2": (npy(header(shape="(2L, 3L)")), np.zeros((2, 3))),
    "columns first": (
        npy(header("'|u1'", "True"), bytes(range(6))),
        np.array([[0, 2, 4], [1, 3, 5]], np.uint8),
    ),
    "big-endian": (npy(header("'>i2'", shape="(2,)"), b"\0\1\1\0"), np.array([1, 256], np.int16)),
    "version 2": (npy(header(), version=2), np.zeros((2, 3))),
    "version 3": (npy(header(), version=3), np.zeros((2, 3))),
    "scalar": (npy(header(shape="()"), bytes(8)), np.zeros(())),
    "empty": (npy(header(shape="(0, 4)"), b""), np.zeros((0, 4))),
}


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("name", SOUND)
def test_headers_that_are_sound(name: str, how: int, tmp_path: Path) -> None:
    content, expected = SOUND[name]
    archive(tmp_path / "t.npz", ("x.npy", content), how=how)
    found = ndl.load(tmp_path / "t.npz")["x"]
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)


HUGE = 10**30
NO_HEADER = "x.npy: its header is not that of an array"
# Each row: the content of a member, and what is said of it.
DAMAGED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "x.npy: an array in NumPy's format expected"),
    "a text": (b"hello, world", "x.npy: an array in NumPy's format expected"),
    "version 9": (npy(header(), version=9), "x.npy: version 1 to 3 of NumPy's format expected"),
    "an open bracket": (npy("{'descr': ("), NO_HEADER),
    "brackets": (npy("(" * 900), NO_HEADER),
    "signs": (npy("-" * 9000 + "1"), NO_HEADER),
    "an open quote": (npy("{'descr': '<f8"), NO_HEADER),
    "a NUL": (npy(header() + "\0"), NO_HEADER),
    "no dict": (npy("[1]"), NO_HEADER),
    "one key twice": (npy(header().replace("fortran_order", "descr")), NO_HEADER),
    "two keys": (npy("{'descr': '<f8', 'shape': (2, 3)}"), NO_HEADER),
    "a call": (npy(header(shape="(len('ab'), 3)")), NO_HEADER),
    "a negative size": (npy(header(shape="(-2, -3)")), NO_HEADER),
    "a truth value": (npy(header(shape="(True, 6)")), NO_HEADER),
    "no tuple": (npy(header(shape="(6)")), NO_HEADER),
    "a text as a shape": (npy(header(shape="'23'")), NO_HEADER),
    "an order": (npy(header(fortran="'C'")), NO_HEADER),
    "no dtype": (npy(header("'<q9'")), "x.npy: '<q9' is no dtype"),
    "a tuple as dtype": (npy(header("(1,)")), NO_HEADER),
    "objects": (npy(header("'|O'")), "x.npy: an array of numbers expected, found dtype object"),
    "records": (npy(header("[('a', '<f8')]")), "x.npy: an array of numbers expected, found one"),
    "pairs": (
        npy(header("'2f8'")),
        "x.npy: an array of numbers expected, found dtype ('<f8', (2,))",
    ),
    "nothing of nothing": (npy(header("'|V0'", shape=f"({HUGE},)"), b""), "x.npy: "),
    "a header of 4 GB": (npy(header(), version=2, length=2**32 - 1), "at most 10000 bytes expec"),
    "a header of 60 kB": (npy(header() + " " * 60_000), "x.npy: a header of at most 10000 bytes"),
    "a header cut off": (npy(header()[:20], b"", length=60), NO_HEADER),
    "a huge array": (npy(header(shape=f"({HUGE},)")), f"x.npy: {8 * HUGE} bytes expected after"),
    "huge sizes": (npy(header(shape=f"({HUGE}, {HUGE}, 0)"), b""), "x.npy: "),
    "sizes of 9000 digits": (npy(header(shape=f"({'9' * 9000},)")), "x.npy: "),
    "too many sizes": (npy(header(shape=f"({'1, ' * 99})"), bytes(8)), "x.npy: maximum supported"),
    "one element more": (npy(header(shape="(7,)")), "x.npy: 56 bytes expected after the header"),
    "one element less": (npy(header(shape="(5,)")), "x.npy: 40 bytes expected after the header"),
}


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_member_is_named_in_one_line(name: str, how: int, tmp_path: Path) -> None:
    content, message = DAMAGED[name]
    path = tmp_path / "t.npz"
    archive(path, ("x.npy", content), how=how)
    with pytest.raises(FileFormatError) as caught:
        ndl.load(path)
    assert str(caught.value).startswith(f"{path}: damaged: a complete .npz file was expected (")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def forge(path: Path, old: bytes, new: bytes) -> None:
    """Replace the bytes wherever they stand: in the member's header and in the directory."""
    content = path.read_bytes()
    assert content.count(old) == 2
    path.write_bytes(content.replace(old, new))


def bomb(path: Path) -> None:
    """Two gigabytes, as the archive says, deflated to a kilobyte."""
    size = 2**31 - 2
    content = npy(header("'|u1'", shape=f"({size},)"), bytes(100_000))
    archive(path, ("x.npy", content), how=zipfile.ZIP_DEFLATED)
    claimed = len(content) - 100_000 + size
    forge(path, struct.pack("<I", len(content)), struct.pack("<I", claimed))


def overlapping(path: Path) -> None:
    """A directory that names one member a thousand times."""
    archive(path, ("x000.npy", npy(header("'|u1'", shape="(9000,)"), bytes(9000))))
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    entries = b"".join(
        content[start:end].replace(b"x000", b"x%03d" % number) for number in range(1000)
    )
    tail = bytearray(content[end:])
    struct.pack_into("<HHI", tail, 8, 1000, 1000, len(entries))
    path.write_bytes(content[:start] + entries + tail)


def with_bzip2(path: Path) -> None:
    archive(path, ("x.npy", npy(header())), how=zipfile.ZIP_BZIP2)


ARCHIVES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a bomb": (bomb, "bytes cannot hold the 2147483"),
    "overlapping members": (overlapping, "its members are larger than the file"),
    "two of a name": (
        lambda path: archive(path, ("x.npy", npy(header())), ("x", npy(header()))),
        "x: a second one of this name",
    ),
    "a folder": (lambda path: archive(path, ("x/", b"")), "x/: an array in NumPy's format"),
    "another file": (lambda path: archive(path, ("notes.txt", b"hello")), "notes.txt: an array"),
    "bzip2": (with_bzip2, "x.npy: stored or deflated data expected"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_not_numpys(name: str, tmp_path: Path) -> None:
    make, message = ARCHIVES[name]
    path = tmp_path / "t.npz"
    make(path)
    with pytest.raises(FileFormatError) as caught:
        ndl.load(path)
    assert str(caught.value).startswith(f"{path}: damaged: a complete .npz file was expected (")
    assert message in str(caught.value)


def test_names_that_are_paths_are_names(tmp_path: Path) -> None:
    names = ["../up", "/root", "C:\\x", "a//b"]
    archive(tmp_path / "t.npz", *((f"{name}.npy", npy(header())) for name in names))
    assert list(ndl.load(tmp_path / "t.npz")) == names
    assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]


def test_a_file_that_is_cut_off_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it mapped into memory, the process would be killed."""
    path = tmp_path / "t.safetensors"
    ndl.save(path, {"x": np.ones(100_000)})
    from needle.saving import formats

    tensor_of = formats._tensor_of

    def cut(*arguments: Any) -> Any:
        path.write_bytes(path.read_bytes()[:5000])
        return tensor_of(*arguments)

    monkeypatch.setattr(formats, "_tensor_of", cut)
    with pytest.raises(FileFormatError, match=r"damaged: a complete \.safetensors file"):
        ndl.load(path)


def mutate(good: bytes, chance: random.Random) -> bytes:
    """The content with a few things changed that chance, or a bad disk, changes."""
    content = bytearray(good)
    for _ in range(chance.choice([1, 1, 2, 5])):
        place = chance.randrange(len(content) or 1)
        match chance.randrange(6):
            case 0 if content:
                content[place] ^= 1 << chance.randrange(8)
            case 1:
                del content[place:]
            case 2:
                content[place:place] = chance.randbytes(chance.randrange(1, 9))
            case 3:
                del content[place : place + chance.randrange(1, 9)]
            case 4:
                content[place : place + 8] = chance.choice([b"\xff", b"\0", b"\x7f"]) * 8
            case _:
                other = chance.randrange(len(content) or 1)
                content[place : place + 16] = content[other : other + 16]
    return bytes(content)


def a_checkpoint(path: Path) -> bytes:
    extra = {"a": np.ones(3), "b": [1, 2.5, (1,)]}
    ndl.save_checkpoint(path, step=3, rng=np.random.default_rng(1), extra=extra)
    return path.read_bytes()


def load_rest(path: Path) -> None:
    ndl.load_checkpoint(path, rng=np.random.default_rng(2))


IDX = struct.pack(">4I", 0x803, 2, 3, 4) + bytes(24)
CIFAR = pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2]}, 2)

# Each row: the file's name, its content, what is made of changed content, and how it is read.
FUZZED: dict[str, tuple[str, Callable[[Path], bytes], Callable[[bytes], bytes], Any]] = {
    "npz": ("t.npz", a_checkpoint, bytes, load_rest),
    "safetensors": ("t.safetensors", a_checkpoint, bytes, load_rest),
    "npy": (
        "t.npz",
        lambda path: npy(header()),
        lambda content: zipped(content),
        ndl.load,
    ),
    "gzip": ("t.gz", lambda path: gzip.compress(IDX), bytes, read_idx_images),
    "idx": ("t.gz", lambda path: IDX, gzip.compress, read_idx_images),
    "cifar": (
        "test_batch",
        lambda path: CIFAR[:300] + CIFAR[-100:],  # mostly what is not pixels
        lambda content: content[:250] + bytes(6100) + content[250:],
        lambda path: CIFAR10Dataset(path.parent, False),
    ),
    "whole cifar": (
        "test_batch",
        lambda path: CIFAR,
        bytes,
        lambda path: CIFAR10Dataset(path.parent, False),
    ),
}


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("x.npy", content)
    return stream.getvalue()


@pytest.mark.parametrize("kind", FUZZED)
def test_files_that_chance_changed(kind: str, tmp_path: Path) -> None:
    name, make, finish, read = FUZZED[kind]
    path = tmp_path / name
    good = make(path)
    chance = random.Random(zlib.crc32(kind.encode()))
    state = np.random.get_state()
    refused: list[str] = []
    for _ in range(150):
        path.write_bytes(finish(mutate(good, chance)))
        try:
            read(path)
        except (FileFormatError, DataError) as error:
            refused.append(str(error))
        np.random.random(700)  # a generator that was set can be drawn from
    np.random.set_state(state)
    assert len(refused) > 50
    assert not [message for message in refused if "\n" in message or len(message) > 1000]
