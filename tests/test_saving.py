"""needle.save and needle.load: what comes back, what is refused, and that files stay whole."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import random
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle.errors import DTypeError, FileFormatError

SUFFIXES = ("safetensors", "npz")
INTEGERS = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
DTYPES = ["bool", *INTEGERS, "float32", "float64"]

each_format = pytest.mark.parametrize("suffix", SUFFIXES)


@each_format
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 1)])
def test_tensors_come_back(suffix: str, dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    values = np.random.RandomState(0).randint(0, 100, size=shape).astype(dtype)
    path = tmp_path / f"t.{suffix}"
    ndl.save(path, {"tensor": ndl.Tensor(values), "array": values})
    loaded = ndl.load(str(path))
    assert sorted(loaded) == ["array", "tensor"]
    for tensor in loaded.values():
        assert isinstance(tensor, ndl.Tensor)
        assert (tensor.dtype, tensor.shape) == (dtype, shape)
        assert not tensor.requires_grad
        np.testing.assert_array_equal(tensor.numpy(), values)


@each_format
def test_every_bit_comes_back(suffix: str, tmp_path: Path) -> None:
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000, 1], dtype=np.uint32)
    path = tmp_path / f"t.{suffix}"
    ndl.save(path, {"x": bits.view(np.float32)})
    np.testing.assert_array_equal(ndl.load(path)["x"].numpy().view(np.uint32), bits)


# Each row: an array that does not lie in memory as a file has it.
LAYOUTS: dict[str, np.ndarray] = {
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "transposed": np.arange(6).reshape(2, 3).T,
    "reversed": np.arange(5.0)[::-1],
    "every other": np.arange(10)[::2],
    "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
    "big-endian": np.arange(4, dtype=">i4"),
    "read-only": np.frombuffer(b"abc", dtype=np.uint8),
    "scalar": np.float64(2.5),
}


@each_format
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_saved(suffix: str, layout: str, tmp_path: Path) -> None:
    path, array = tmp_path / f"t.{suffix}", LAYOUTS[layout]
    ndl.save(path, {"x": array})
    loaded = ndl.load(path)["x"]
    np.testing.assert_array_equal(loaded.numpy(), array)
    assert loaded.dtype == array.dtype.newbyteorder("=")
    if isinstance(array, np.ndarray):
        ndl.save(path, {"x": ndl.from_numpy(array.copy()).transpose() if array.ndim > 1 else array})
        expected = array.T if array.ndim > 1 else array
        np.testing.assert_array_equal(ndl.load(path)["x"].numpy(), expected)


@each_format
@pytest.mark.parametrize("name", ["file", "allow_pickle", "arr_0", "a.npy", "a/b", "Größe", "a b"])
def test_any_name_will_do(suffix: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{suffix}"
    ndl.save(path, {name: ndl.Tensor([1.0])})
    assert list(ndl.load(path)) == [name]


@each_format
def test_nested_names_are_joined_and_flat_names_stay(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{suffix}"
    one, two, three = (ndl.Tensor([float(i)]) for i in range(3))
    ndl.save(path, {"net": {"first": {"weight": one}, "second.weight": two}, "step": three})
    loaded = ndl.load(path)
    assert {name: t.item() for name, t in loaded.items()} == {
        "net.first.weight": 0,
        "net.second.weight": 1,
        "step": 2,
    }
    ndl.save(path, loaded)
    assert set(ndl.load(path)) == set(loaded)
    ndl.save(path, {})
    assert ndl.load(path) == {}


def test_other_libraries_read_and_write_the_files(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    ndl.save(tmp_path / "a.safetensors", {"x": x})
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["x"], x)
    save_file({"x": x}, tmp_path / "b.safetensors", metadata={"format": "pt"})
    np.testing.assert_array_equal(ndl.load(tmp_path / "b.safetensors")["x"].numpy(), x)
    ndl.save(tmp_path / "a.npz", {"x": x})
    with np.load(tmp_path / "a.npz") as archive:
        assert archive.files == ["x"]
        np.testing.assert_array_equal(archive["x"], x)
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "b.npz", x=x)
        np.testing.assert_array_equal(ndl.load(tmp_path / "b.npz")["x"].numpy(), x)


@each_format
def test_loaded_tensors_do_not_depend_on_the_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{suffix}"
    ndl.save(path, {"x": np.arange(50_000.0)})
    loaded = ndl.load(path)["x"]
    path.write_bytes(b"")
    assert loaded.sum().item() == sum(range(50_000))


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("made-by-a-pickle",)


def spoil(path: Path, kind: str) -> None:
    """Put something else into a good file, or in its place."""
    good = path.read_bytes()
    if kind == "object array":
        np.savez(path.with_suffix(".npz"), x=np.array([Evil()]))
        path.with_suffix(".npz").replace(path)
        return
    if kind == "member of a zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", b"\x93NUMPY\x01\x00")
        return
    path.write_bytes(
        {
            "empty": b"",
            "half": good[: len(good) // 2],
            "last byte missing": good[:-1],
            "first bytes missing": good[8:],
            "text": b"weights\n" * 100,
            "pickle": pickle.dumps(Evil()),
            "torch": b"PK\x03\x04" + bytes(200),
            "zeros": bytes(len(good)),
            "other half": good[: len(good) // 2] + bytes(len(good) - len(good) // 2),
            "huge header": b"\xff" * 7 + b"\0" + good[8:],
        }[kind]
    )


KINDS = """empty,half,last byte missing,first bytes missing,text,pickle,torch,zeros,huge header,
object array,member of a zip""".replace("\n", "").split(",")


@each_format
@pytest.mark.parametrize("kind", KINDS)
def test_a_spoiled_file_is_named(
    suffix: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"t.{suffix}"
    ndl.save(path, {"x": np.arange(1000.0)})
    spoil(path, kind)
    for read in (ndl.load, ndl.load_checkpoint):
        with pytest.raises(FileFormatError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: damaged: a complete .{suffix} file")
        assert "\n" not in str(caught.value)
    assert not Path("made-by-a-pickle").exists()


def test_changed_bytes_of_an_archive_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    ndl.save(path, {"x": np.arange(1000.0)})
    spoil(path, "other half")
    with pytest.raises(FileFormatError):
        ndl.load(path)
    ndl.save(path, {"x": np.arange(1000.0)})
    content = bytearray(path.read_bytes())
    content[4000] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="Bad CRC-32"):
        ndl.load(path)


def test_a_changed_bit_anywhere_never_changes_a_value(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    ndl.save(path, {"x": np.arange(3.0), "y": np.ones((2, 1), np.float32)})
    content = path.read_bytes()
    saved = [tensor.tolist() for tensor in ndl.load(path).values()]
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        found = {}
        with contextlib.suppress(FileFormatError):  # and no other error
            found = ndl.load(path)
        assert all(tensor.tolist() in saved for tensor in found.values())


@pytest.mark.parametrize("texts", [b"3", b"[]", b'{"needle.checkpoint": 3}', b"[" * 100_000])
def test_an_archive_with_other_texts(texts: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, __metadata__=np.frombuffer(texts, np.uint8))
    with pytest.raises(FileFormatError, match=r"damaged: a complete \.npz file was expected"):
        ndl.load_checkpoint(path)


def write_safetensors(path: Path, dtype: str, shape: list[int], content: bytes) -> Path:
    """By hand: a header of one tensor, and its elements."""
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, len(content)]}
    header = json.dumps({"x": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)
    return path


@pytest.mark.parametrize(
    ("dtype", "shape", "size", "message"),
    [
        ("F16", [2], 4, "x: needle has no dtype float16"),
        ("BF16", [2], 4, "x: n"),  # NumPy has no dtype BF16, or has one by an extension
        ("F8_E5M2", [2], 2, "x: n"),
        ("F32", [3], 8, "damaged: a complete .safetensors file was expected"),
        ("F32", [2**40, 2**40], 8, "damaged: a complete .safetensors file was expected"),
        ("F99", [2], 8, "damaged: a complete .safetensors file was expected"),
    ],
)
def test_wrong_shape_or_dtype_in_the_header(
    dtype: str, shape: list[int], size: int, message: str, tmp_path: Path
) -> None:
    path = write_safetensors(tmp_path / "t.safetensors", dtype, shape, bytes(size))
    with pytest.raises(FileFormatError) as caught:
        ndl.load(path)
    assert str(caught.value).lower().startswith(f"{path}: {message}".lower())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("array", [np.zeros(2, np.float16), np.zeros(2, complex), np.array(["a"])])
def test_foreign_dtypes_in_an_archive(array: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=array)
    with pytest.raises(FileFormatError, match=f"x: needle has no dtype {array.dtype}$"):
        ndl.load(tmp_path / "t.npz")


GOOD = {"x": np.ones(2)}
REFUSED: list[tuple[Callable[[Path], Any], type[Exception], str]] = [
    (
        lambda folder: ndl.save(folder / "t.pt", GOOD),
        ValueError,
        "t.pt: expected a name that ends in .safetensors or .npz",
    ),
    (lambda folder: ndl.load(folder / "t"), ValueError, "t: expected a name that ends in .safet"),
    (
        lambda folder: ndl.save(folder / "t.npz", [ndl.Tensor(1.0)]),
        TypeError,
        "save: expected a dict of tensors, got list",
    ),
    (
        lambda folder: ndl.save(folder / "t.npz", {"a": {"b": 3}}),
        TypeError,
        "save: a.b: expected a tensor or an array, got int",
    ),
    (
        lambda folder: ndl.save(folder / "t.npz", {3: GOOD["x"]}),
        TypeError,
        "save: expected names that are not empty, got 3",
    ),
    (lambda folder: ndl.save(folder / "t.npz", {"": GOOD["x"]}), TypeError, "not empty, got ''"),
    (
        lambda folder: ndl.save(folder / "t.npz", {"a.x": GOOD["x"], "a": GOOD}),
        ValueError,
        "save: two tensors have the name a.x",
    ),
    (
        lambda folder: ndl.save(folder / "t.npz", {"x": np.ones(2, np.float16)}),
        DTypeError,
        "save: x: needle has no dtype float16",
    ),
    (
        lambda folder: ndl.save(folder / "t.npz", {"x": np.array([None])}),
        DTypeError,
        "save: x: needle has no dtype object",
    ),
    (
        lambda folder: ndl.save(folder / "t.safetensors", {"__metadata__": GOOD["x"]}),
        ValueError,
        "the name __metadata__ is reserved",
    ),
    (
        lambda folder: ndl.save(folder / "t.npz", {"a\0b": GOOD["x"]}),
        ValueError,
        "t.npz: a shorter name, without NUL, expected, got 'a\\x00b'",
    ),
    (
        lambda folder: ndl.save(folder / "t.npz", {"a" * 2**16: GOOD["x"]}),
        ValueError,
        "t.npz: a shorter name, without NUL, expected, got 'aaaaaaaaaaaaaaaaaaaa'",
    ),
    (
        lambda folder: ndl.save(folder / "nowhere" / "t.npz", GOOD),
        FileNotFoundError,
        "nowhere does not exist",
    ),
    (lambda folder: ndl.load(folder / "nothing.npz"), FileNotFoundError, "nothing.npz"),
    (lambda folder: ndl.load(folder / "no.safetensors"), FileNotFoundError, "no.safetensors"),
]


@pytest.mark.parametrize(("act", "kind", "message"), REFUSED, ids=[row[2] for row in REFUSED])
def test_refused(
    act: Callable[[Path], Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    ndl.save(tmp_path / "t.npz", {"before": np.ones(1)})
    with pytest.raises(kind) as caught:
        act(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(ndl.load(tmp_path / "t.npz")) == ["before"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]


@each_format
def test_a_failed_write_leaves_the_old_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"t.{suffix}"
    ndl.save(path, {"x": np.ones(3)})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("needle.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        ndl.save(path, {"x": np.zeros(3)})
    monkeypatch.undo()
    np.testing.assert_array_equal(ndl.load(path)["x"].numpy(), 1)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "latest.npz"
    link.symlink_to(tmp_path / "real" / "t.npz")
    ndl.save(link, GOOD)
    assert link.is_symlink()
    assert list(ndl.load(tmp_path / "real" / "t.npz")) == ["x"]


def save_for_ever(path: Path) -> None:
    """Checkpoints number 1, 2, 3, ... with the number in every part of them."""
    for number in itertools.count(1):
        big = np.full((200, 300), number, dtype=np.int64)
        ndl.save_checkpoint(path, step=number, extra={"big": big, "small": np.array(number)})


@each_format
@pytest.mark.skipif(sys.platform == "win32", reason="no fork and no SIGKILL there")
def test_a_kill_at_any_moment_leaves_the_last_good_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{suffix}"
    ndl.save_checkpoint(path, step=0, extra={"big": np.zeros(1), "small": np.array(0)})
    moments = random.Random(1)
    steps, parts = [], 0
    for _ in range(25):
        child = os.fork()
        if child == 0:
            try:
                save_for_ever(path)
            finally:
                os._exit(1)
        time.sleep(moments.uniform(0.002, 0.04))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        found = ndl.load_checkpoint(path, rng=False)
        assert found.extra["small"] == found.step
        np.testing.assert_array_equal(found.extra["big"], found.step)
        steps.append(found.step)
        # Each child removed what those before it left.
        left = len(list(tmp_path.glob(".needle-*.part")))
        assert left <= 1
        parts += left
    # The children did write, and some were killed while they did.
    assert max(steps) > 1
    assert parts
    ndl.save_checkpoint(path)
    assert list(tmp_path.iterdir()) == [path]
