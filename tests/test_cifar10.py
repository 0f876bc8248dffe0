"""CIFAR-10: reading its pickles without running them, and the data set made of them."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from needle.data import CIFAR10Dataset, DataError, DataLoader, RandomCrop, RandomFlipHorizontal
from needle.data.cifar10 import find_cifar10

RANDOM = np.random.RandomState(3)
PIXELS = RANDOM.randint(0, 256, size=(4, 3072)).astype(np.uint8)
LABELS = [6, 9, 0, 3]


def python2_batch(pixels: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2 and an old NumPy wrote the published ones: strings are byte strings."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    content = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + (b"K\0\x85" + text(b"b") + b"\x87R")
        + (b"(K\1" + number(pixels.shape[0]) + number(pixels.shape[1]) + b"\x86")
        + (b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\1\x87R")
        + (b"(K\3" + text(b"|") + b"NNN" + number(-1) + number(-1) + b"K\0tb\x89")
        + (b"T" + struct.pack("<i", len(content)) + content + b"tb")
    )
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    name = text(b"batch_label") + text(b"training batch 1 of 5")
    return b"\x80\x02}(" + name + text(b"labels") + listed + text(b"data") + array + b"u."


def python3_batch(protocol: int) -> bytes:
    return pickle.dumps({b"data": PIXELS, b"labels": LABELS, b"filenames": [b"a"]}, protocol)


def write_set(folder: Path, batch: bytes) -> Path:
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(batch)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path, python2_batch(PIXELS, LABELS))


WRITTEN: dict[str, bytes] = {
    "python 2": python2_batch(PIXELS, LABELS),
    **{f"protocol {protocol}": python3_batch(protocol) for protocol in range(2, 6)},
    "text keys": pickle.dumps({"data": PIXELS, "labels": np.array(LABELS)}),
    "Fortran order": pickle.dumps({"data": np.asfortranarray(PIXELS), "labels": LABELS}),
}


@pytest.mark.parametrize("batch", WRITTEN.values(), ids=WRITTEN)
def test_reads_a_batch_whoever_wrote_it(batch: bytes, tmp_path: Path) -> None:
    dataset = CIFAR10Dataset(write_set(tmp_path, batch), train=False)
    np.testing.assert_array_equal(dataset.X, PIXELS.reshape(4, 3, 32, 32) / np.float32(255))
    np.testing.assert_array_equal(dataset.y, LABELS)
    assert (dataset.X.dtype, dataset.y.dtype) == (np.float32, np.int64)


def test_the_batch_of_python_2_is_one() -> None:
    found = pickle.loads(WRITTEN["python 2"], encoding="bytes")
    np.testing.assert_array_equal(found[b"data"], PIXELS)
    assert found[b"labels"] == LABELS


def test_samples_and_batches(folder: Path) -> None:
    train, test = CIFAR10Dataset(str(folder), True), CIFAR10Dataset(folder, train=False, p=0.5)
    assert (len(train), len(test)) == (20, 4)
    sample = train[5]
    assert isinstance(sample, tuple)
    assert isinstance(sample[0], np.ndarray)
    assert (sample[0].shape, sample[0].dtype, sample[1]) == ((3, 32, 32), np.float32, 9)
    x, y = next(iter(DataLoader(train, batch_size=7)))
    assert (x.shape, y.shape) == ((7, 3, 32, 32), (7,))
    np.testing.assert_array_equal(x.numpy()[5], sample[0])


def test_transforms_get_height_width_channels(folder: Path) -> None:
    seen: list[Any] = []

    def note(picture: np.ndarray) -> np.ndarray:
        seen.append(picture.shape)
        picture += 1
        return picture

    dataset = CIFAR10Dataset(folder, False, transforms=[note, RandomFlipHorizontal(1.0)])
    picture, _ = dataset[0]
    assert seen == [(32, 32, 3)]
    np.testing.assert_array_equal(picture, dataset.X[0, :, :, ::-1] + 1)
    assert dataset.X.max() <= 1
    assert picture.flags.c_contiguous
    message = r"^transforms: expected an array of numbers as the result, got NoneType$"
    with pytest.raises(TypeError, match=message):
        CIFAR10Dataset(folder, False, transforms=[lambda picture: None])[0]
    pictures, _ = CIFAR10Dataset(folder, False, transforms=[RandomCrop(4)])[:2]
    assert pictures.shape == (2, 3, 32, 32)


class Call:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def evil(name: str, path: Path) -> bytes:
    """A pickle that would create the file `path`, in several ways."""
    arguments = pickle.dumps((f"open({str(path)!r}, 'w')",), 0)[:-1]
    return {
        "eval": pickle.dumps(Call(eval, f"open({str(path)!r}, 'w')")),
        "exec": b"c__builtin__\nexec\n" + arguments + b"R.",
        "in a batch": pickle.dumps({b"data": Call(path.write_bytes, b"")}),
        "system": pickle.dumps(Call(__import__("os").system, f"touch {path}")),
        "partial": pickle.dumps(Call(__import__("functools").partial, eval)),
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
        "object array": pickle.dumps({b"data": np.array([Call(path.write_bytes, b"")])}),
    }[name]


@pytest.mark.parametrize(
    "name", ["eval", "exec", "in a batch", "system", "partial", "dotted name", "object array"]
)
def test_no_code_of_the_file_is_run(name: str, tmp_path: Path) -> None:
    path = tmp_path / "made"
    content = evil(name, path)
    with pytest.raises(DataError) as caught:
        CIFAR10Dataset(write_set(tmp_path, content), False)
    assert str(caught.value).startswith(f"{tmp_path / 'test_batch'}: it names ")
    assert "\n" not in str(caught.value)
    assert not path.exists()


def batch_with(**changes: Any) -> Callable[[], bytes]:
    fields = {"data": PIXELS, "labels": LABELS} | changes
    return lambda: pickle.dumps({key.encode(): value for key, value in fields.items()})


SPOILED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "damaged: a pickle of arrays was expected (ValueError)"),
    "truncated": (lambda: WRITTEN["python 2"][:5000], "damaged: a pickle of arrays was expected"),
    "no pickle": (lambda: b"<html>404</html>", "damaged: a pickle of arrays was expected"),
    "a list": (lambda: pickle.dumps([1, 2]), "a dict expected, found list"),
    "no data": (lambda: pickle.dumps({b"labels": LABELS}), "an array of bytes under 'data' expe"),
    "floats": (batch_with(data=PIXELS / 255), "an array of bytes under 'data' expected, found n"),
    "no pictures": (batch_with(data=PIXELS[:0], labels=[]), "an array of bytes under 'data'"),
    "grey": (batch_with(data=PIXELS[:, :1024]), "pictures of 3072 bytes expected, found shape (4,"),
    "few labels": (batch_with(labels=LABELS[:3]), "4 labels expected, as there are pictures"),
    "label 10": (batch_with(labels=[1, 2, 3, 10]), "labels 0 to 9 expected, found 10"),
    "label -1": (batch_with(labels=[-1, 2, 3, 4]), "labels 0 to 9 expected, found -1"),
    "label text": (batch_with(labels=[b"1", 2, 3, 4]), "labels 0 to 9 expected, found bytes"),
    "complex": (batch_with(data=np.ones(3, complex)), "an array of numbers was expected, found dt"),
    "forged shape": (
        lambda: WRITTEN["python 2"].replace(struct.pack("<i", 3072), struct.pack("<i", 3073)),
        "damaged: a pickle of arrays was expected (ValueError)",
    ),
    "deep": (
        lambda: b"]" * 100_000 + b"a" * 99_999 + b".",
        "a dict expected, found list",
    ),
    "class as value": (lambda: b"cnumpy\nndarray\n.", "a dict expected, found name"),
    "a call of the class": (lambda: b"cnumpy\nndarray\n(K\x09tR.", "an array made by NumPy was"),
}


# Attributes are set on nothing but what stands for an array, and never by name.
ENCODE = b"c_codecs\nencode\n"
SPOILED |= {
    "an attribute of a function": (
        lambda: b"\x80\2" + ENCODE + b"N}X\4\0\0\0evilK\1s\x86b.",
        "an array made by NumPy was expected",
    ),
    "attributes of an array": (
        lambda: b"\x80\2cnumpy\ndtype\nX\2\0\0\0u1\x85R}X\4\0\0\0nameK\1sb.",
        "damaged: a pickle of arrays was expected (TypeError)",
    ),
    "protocol 0": (
        lambda: pickle.dumps({"data": 1}, 0),
        "nothing but arrays was expected, found t",
    ),
    "a persistent object": (lambda: b"Pdata\n.", "nothing but arrays was expected, found the inst"),
    "an extension": (lambda: b"\x82\1.", "nothing but arrays was expected, found the instruction"),
    # Lists of twice the list before: every walk over them takes for ever.
    "doubled labels": (
        lambda: pickle.dumps({"data": PIXELS, "labels": doubled(list, 60, 4)}),
        "labels 0 to 9 expected, found list",
    ),
    "doubled keys": (
        lambda: pickle.dumps({doubled(tuple, 10, 2): 1}),
        "damaged: a pickle of arrays was expected (TypeError)",
    ),
    "one text as many bytes": (
        lambda: b"\x80\2X\xff\0\0\0" + b"a" * 255 + b"q\0" + ENCODE + b"q\1" + b"h\1h\0\x85R" * 9,
        "the bytes of arrays were expected once each, found them again",
    ),
    "one array under many names": (
        lambda: pickle.dumps({"labels": 0, **dict.fromkeys(map(str, range(5000)), PIXELS)}),
        "an array of bytes under 'data' expected, found none",
    ),
    "a negative size": (
        lambda: WRITTEN["python 2"].replace(struct.pack("<i", 3072), struct.pack("<i", -1)),
        "an array of numbers was expected, found one without a shape",
    ),
}


def doubled(kind: Callable[..., Any], times: int, count: int) -> Any:
    """That many of the same, each twice the one before."""
    nest: Any = kind()
    for _ in range(times):
        nest = kind([nest, nest])
    return kind([nest] * count)


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_batch_is_named_with_what_was_expected(name: str, tmp_path: Path) -> None:
    make, message = SPOILED[name]
    with pytest.raises(DataError) as caught:
        CIFAR10Dataset(write_set(tmp_path, make()), False)
    assert str(caught.value).startswith(f"{tmp_path / 'test_batch'}: {message}")
    assert "\n" not in str(caught.value)


def test_instructions_have_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("needle.data.unpickle._MOST_INSTRUCTIONS", 60)
    CIFAR10Dataset(folder, False)
    (folder / "test_batch").write_bytes(b"]" * 60 + b".")
    with pytest.raises(DataError, match="at most 60 instructions expected, found more"):
        CIFAR10Dataset(folder, False)


def test_a_file_larger_than_such_files_are_is_not_read(folder: Path) -> None:
    with (folder / "test_batch").open("r+b") as file:
        file.truncate(2**40)  # a hole: it takes no place on the disk
    with pytest.raises(DataError, match=r"test_batch: at most \d+ bytes expected, found 10995116"):
        CIFAR10Dataset(folder, False)


def test_missing_files_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "data_batch_3").unlink()
    assert len(CIFAR10Dataset(folder, train=False)) == 4
    for act in (lambda: CIFAR10Dataset(folder, True), lambda: find_cifar10(folder)):
        with pytest.raises(DataError, match=r"expected, missing: data_batch_3$"):
            act()
    monkeypatch.setenv("NEEDLE_CIFAR10", str(folder))
    with pytest.raises(DataError, match=r"missing: data_batch_3$"):
        find_cifar10()
    (folder / "data_batch_3").write_bytes(b"")
    assert find_cifar10() == find_cifar10(folder) == folder
