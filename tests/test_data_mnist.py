"""Finding MNIST, reading its files, and what is said about files that are wrong."""

from __future__ import annotations

import gzip
import hashlib
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from needle.data import (
    DataError,
    DownloadError,
    find_mnist,
    load_digits,
    load_mnist,
    read_idx_images,
    read_idx_labels,
    read_idx_pair,
)

IMAGES = "train-images-idx3-ubyte.gz"
LABELS = "train-labels-idx1-ubyte.gz"

# Of the uncompressed files, as published: whoever compressed them, these are the real MNIST.
PUBLISHED = {
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}


def header(magic: int, *sizes: int) -> bytes:
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes)


def test_reads_images_and_labels_as_written(tmp_path, write_idx):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    classes = np.array([9, 0], dtype=np.uint8)
    images, labels = read_idx_pair(
        write_idx(tmp_path / "images.gz", pixels), write_idx(tmp_path / "labels.gz", classes)
    )
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(images, pixels)
    np.testing.assert_array_equal(labels, classes)


def test_real_mnist_is_the_published_one(mnist_folder):
    for name, sha256 in PUBLISHED.items():
        content = gzip.decompress((mnist_folder / name).read_bytes())
        assert hashlib.sha256(content).hexdigest() == sha256, name


def test_loads_real_mnist(mnist_folder):
    mnist = load_mnist(mnist_folder)
    assert mnist.train_images.shape == (60000, 784)
    assert mnist.test_images.shape == (10000, 784)
    assert mnist.train_images.dtype == mnist.test_images.dtype == np.float32
    assert mnist.train_labels.dtype == mnist.test_labels.dtype == np.uint8
    assert (mnist.train_images.min(), mnist.train_images.max()) == (0, 1)
    # The mean that everyone's normalisation of MNIST uses.
    assert mnist.train_images.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(mnist.train_labels), counts)
    assert (mnist.rows, mnist.columns, mnist.features, mnist.classes) == (28, 28, 784, 10)


# Each row: how to spoil the file, and what the message says besides the file's name.
SPOILED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda good: good[: len(good) // 2], "a complete gzip file was expected"),
    "no gzip": (gzip.decompress, "a gzip file was expected"),
    "empty file": (lambda good: b"", "0x00000803 (images) expected, found an empty file"),
    "flipped bits": (
        lambda good: good[:-8] + bytes([good[-8] ^ 1]) + good[-7:],
        "a gzip file was expected (CRC check failed",
    ),
    "broken deflate": (lambda good: good[:10] + b"\xff" * 20, "a gzip file was expected"),
    "labels": (
        lambda good: gzip.compress(header(0x801, 3) + bytes(3)),
        "magic number 0x00000803 (images) expected, found 0x00000801",
    ),
    "short header": (
        lambda good: gzip.compress(header(0x803, 3)),
        "header of 16 bytes expected, found 8",
    ),
    "too few pixels": (
        lambda good: gzip.compress(header(0x803, 2, 3, 3) + bytes(17)),
        "18 bytes of images expected after the header (2 x 3 x 3), found 17",
    ),
    "too many pixels": (
        lambda good: gzip.compress(header(0x803, 2, 3, 3) + bytes(19)),
        "18 bytes of images expected after the header (2 x 3 x 3), found more",
    ),
    "sizes whose product overflows": (
        lambda good: gzip.compress(header(0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1)),
        "(4294967295 x 4294967295 x 4294967295), found a file of ",
    ),
    "nothing of a size that overflows": (
        lambda good: gzip.compress(header(0x803, 0, 2**32 - 1, 2**32 - 1)),
        "sizes of an array of images expected, found 0 x 4294967295 x 4294967295",
    ),
    "more than the file can hold": (
        lambda good: gzip.compress(header(0x803, 60_000, 28, 28) + bytes(100)),
        "47040000 bytes of images expected after the header (60000 x 28 x 28), found a file of ",
    ),
    "a bomb": (
        lambda good: gzip.compress(header(0x803, 2, 3, 3) + bytes(10**7)),
        "18 bytes of images expected after the header (2 x 3 x 3), found more",
    ),
    "something behind it": (lambda good: good + b"<html>", "a gzip file was expected (Not a gzip"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_spoiled_image_file_is_named_with_what_was_expected(kind, tiny_mnist):
    spoil, message = SPOILED[kind]
    path = tiny_mnist / IMAGES
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        load_mnist(tiny_mnist)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text


def test_label_file_with_magic_number_of_images(tiny_mnist):
    with pytest.raises(DataError, match=r"0x00000801 \(labels\) expected, found 0x00000803"):
        read_idx_labels(tiny_mnist / IMAGES)


def test_count_that_disagrees_with_the_labels(tiny_mnist, write_idx):
    write_idx(tiny_mnist / LABELS, np.zeros(249, dtype=np.uint8))
    with pytest.raises(DataError) as caught:
        load_mnist(tiny_mnist)
    assert str(caught.value) == (
        f"{tiny_mnist / LABELS}: 249 labels, expected 250 as there are images in {IMAGES}"
    )


def test_test_images_of_another_size(tiny_mnist, write_idx):
    write_idx(tiny_mnist / "t10k-images-idx3-ubyte.gz", np.zeros((60, 5, 6), dtype=np.uint8))
    with pytest.raises(DataError, match=r"t10k-images.*images of 5 x 6, expected 6 x 5"):
        load_mnist(tiny_mnist)


def test_label_out_of_range(tiny_mnist, write_idx):
    write_idx(tiny_mnist / LABELS, np.full(250, 10, dtype=np.uint8))
    with pytest.raises(DataError, match=r"train-labels.*labels 0 to 9 expected, found 10"):
        load_mnist(tiny_mnist)


def test_no_pictures(tiny_mnist, write_idx):
    write_idx(tiny_mnist / IMAGES, np.zeros((0, 6, 5), dtype=np.uint8))
    write_idx(tiny_mnist / LABELS, np.zeros(0, dtype=np.uint8))
    with pytest.raises(DataError, match=r"train-images.*at least one picture expected"):
        load_mnist(tiny_mnist)


def test_missing_file_and_empty_folder(tiny_mnist, tmp_path):
    (tiny_mnist / LABELS).unlink()
    with pytest.raises(DataError, match=f"tiny: .*missing: {LABELS}$"):
        load_mnist(tiny_mnist)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=f"empty: {IMAGES}, .*missing: all of them$"):
        load_mnist(empty)
    with pytest.raises(DataError, match=r"nowhere: a folder .* expected"):
        load_mnist(tmp_path / "nowhere")


def test_missing_file_for_the_reader_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx_images(tmp_path / "none.gz")


def test_order_of_search(tiny_mnist, tmp_path, monkeypatch):
    named, environment, cache = (tmp_path / name for name in ("named", "environment", "cached"))
    for folder in (named, environment, cache):
        folder.mkdir()
        for file in tiny_mnist.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("NEEDLE_DATA", str(environment))
    assert find_mnist(named, cache=cache) == named
    assert find_mnist(cache=cache) == environment
    monkeypatch.setenv("NEEDLE_DATA", "")
    assert find_mnist(cache=cache) == cache


def test_folder_that_was_named_is_never_passed_over(tiny_mnist, tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty: "):
        find_mnist(empty, cache=tiny_mnist)
    monkeypatch.setenv("NEEDLE_DATA", str(empty))
    with pytest.raises(DataError, match="empty: "):
        find_mnist(cache=tiny_mnist)
    assert list(empty.iterdir()) == []


def test_cache_folder_of_the_user_is_the_last_place(monkeypatch, tmp_path):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "user" / project)
    monkeypatch.delenv("NEEDLE_DATA", raising=False)
    with pytest.raises(DownloadError, match=f"cannot download {IMAGES}"):
        find_mnist()
    assert [p for p in (tmp_path / "user").rglob("*") if p.is_file()] == []


def test_digits_are_real_scaled_and_always_split_alike():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    digits = load_digits()
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert digits.train_images.shape == (1437, 64)
    assert digits.test_images.shape == (360, 64)
    assert digits.train_images.dtype == np.float32
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 1)
    # Every class is in both parts, and no picture is lost.
    assert np.bincount(digits.test_labels).min() >= 20
    total = np.bincount(np.concatenate([digits.train_labels, digits.test_labels]))
    np.testing.assert_array_equal(total, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    np.testing.assert_array_equal(digits.test_images, load_digits().test_images)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"digits need scikit-learn\nhint: pip install 'needle-"):
        load_digits()


def test_reading_leaves_the_files_alone(tiny_mnist):
    before = {file: file.read_bytes() for file in Path(tiny_mnist).iterdir()}
    load_mnist(tiny_mnist)
    assert {file: file.read_bytes() for file in Path(tiny_mnist).iterdir()} == before
