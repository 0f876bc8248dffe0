"""Pictures of digits from files: brought to the form of MNIST's."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from needle.data import DataError
from needle.data.picture import read_picture

Image = pytest.importorskip("PIL.Image")

# A figure with one end heavier than the other: 40 high, 20 wide, at (30, 10) on 100 x 120.
INK = np.zeros((100, 120))
INK[30:70, 10:20] = 1
INK[30:45, 10:30] = 1


def write(path, shades, mode="L"):
    Image.fromarray(shades.round().astype(np.uint16 if mode == "I;16" else np.uint8)).save(path)
    return path


def centre_of(picture):
    rows, columns = np.indices(picture.shape)
    return [float((picture * (place + 0.5)).sum() / picture.sum()) for place in (rows, columns)]


@pytest.mark.parametrize(
    ("dark", "light"), [(0, 255), (20, 220), (255, 0), (230, 60)], ids=["wb", "grey", "bw", "dim"]
)
def test_digit_is_cut_out_scaled_and_centred(dark, light, tmp_path):
    """The same whatever ink and paper, and wherever it stands."""
    picture = read_picture(write(tmp_path / "a.png", dark + (light - dark) * INK))
    assert picture.shape == (28, 28)
    assert picture.dtype == np.float32
    down, across = np.nonzero(picture.any(axis=1))[0], np.nonzero(picture.any(axis=0))[0]
    assert (len(down), len(across)) == (20, 10)
    assert centre_of(picture) == pytest.approx([14, 14], abs=0.5)
    assert picture.max() == 1
    moved = np.roll(INK, (15, 40), axis=(0, 1))
    again = read_picture(write(tmp_path / "b.png", dark + (light - dark) * moved))
    np.testing.assert_array_equal(again, picture)


def test_other_sizes(tmp_path):
    path = write(tmp_path / "a.png", 255 * INK)
    picture = read_picture(path, 14, 7)
    assert picture.shape == (14, 7)
    assert np.count_nonzero(picture.any(axis=1)) == 10
    assert read_picture(path, 1, 1).shape == (1, 1)


def test_picture_of_that_size_on_black_is_taken_as_it_is(tmp_path):
    shades = np.random.RandomState(0).randint(0, 200, (28, 28))
    shades[[0, -1]] = shades[:, [0, -1]] = 0
    picture = read_picture(write(tmp_path / "a.png", shades))
    np.testing.assert_array_equal(picture, shades.astype(np.float32) / 255)


def test_colour_transparency_and_sixteen_bits(tmp_path):
    expected = read_picture(write(tmp_path / "a.png", 255 - 255 * INK))
    blue = np.stack([255 - 255 * INK, 255 - 255 * INK, np.full(INK.shape, 255)], axis=-1)
    clear = np.stack([0 * INK, 0 * INK, 0 * INK, 255 * INK], axis=-1)
    for name, shades in {"blue.png": blue, "clear.png": clear, "deep.png": 60000 * INK}.items():
        mode = "I;16" if name == "deep.png" else "L"
        found = read_picture(write(tmp_path / name, shades, mode))
        np.testing.assert_allclose(found, expected, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "gif"])
def test_formats(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray((255 * INK).astype(np.uint8)).save(path)
    assert centre_of(read_picture(path)) == pytest.approx([14, 14], abs=0.6)


def test_faint_noise_is_no_ink(tmp_path):
    noisy = 200 * INK + np.random.RandomState(0).randint(0, 20, INK.shape)
    noisy[0] = noisy[-1] = 0
    picture = read_picture(write(tmp_path / "a.png", noisy))
    assert np.count_nonzero(picture.any(axis=1)) == 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", "a picture expected, its format is not known"),
        (b"", "a picture expected, its format is not known"),
        ("plain", "a digit on a plain background expected, found one colour"),
        ("cut", r"damaged: a picture expected \(.*truncated.*\)"),
    ],
)
def test_what_is_no_picture_of_a_digit(content, message, tmp_path):
    path = tmp_path / "a.png"
    if content == "plain":
        write(path, np.full((30, 40), 77))
    elif content == "cut":
        write(path, np.random.RandomState(0).randint(0, 255, (90, 90)))
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.png: {message}$"):
        read_picture(path)


def test_missing_file_and_missing_pillow(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "nowhere.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pictures need Pillow\nhint: pip install 'needle-"):
        read_picture(tmp_path / "nowhere.png")


def test_a_shade_that_is_no_number(tmp_path):
    shades = np.zeros((28, 28), np.float32)
    shades[3, 4] = np.nan
    Image.fromarray(shades).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match=r"a\.tiff: damaged: .* NaN or infinite"):
        read_picture(tmp_path / "a.tiff")


def test_a_picture_too_large_for_a_digit_is_not_made(tmp_path):
    path = tmp_path / "a.gif"
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[6:10] = b"\xff\xff\xff\x7f"  # 65535 x 32767
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.gif: damaged: a picture expected \(.*exceeds limit"):
        read_picture(path)


def test_programs_are_no_pictures(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray((255 * INK).astype(np.uint8)).save(path, "EPS")
    assert Image.open(path).format == "EPS"
    with pytest.raises(DataError, match="its format is not known"):
        read_picture(path)


def test_whatever_pillow_raises_is_an_error_of_the_file(tmp_path, monkeypatch, recwarn):
    path = write(tmp_path / "a.png", 255 * INK)

    def broken(*_):
        warnings.warn("of no interest", stacklevel=1)
        raise NotImplementedError("an odd\nformat")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", broken)
    with pytest.raises(DataError, match=r"damaged: a picture expected \(an odd format\)$"):
        read_picture(path)
    assert not recwarn.list
