"""Reads a picture of a digit from a file and brings it to the form of MNIST's, by Pillow.

MNIST's pictures are white on black. The digit was scaled to fit a box of 20 x 20 without changing
its proportions, with grey edges, and put with its centre of mass into the middle of 28 x 28 (LeCun,
Cortes and Burges). The same is done here, in proportion to the size that is asked for.
"""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from needle import _optional
from needle.data.errors import DataError
from needle.files import opened

Pixels = NDArray[np.float32]

_BOX = 20 / 28
# What is fainter, of the way from the background to the strongest ink, is noise or shade.
_FAINT = 0.2
# Of 255: a picture whose strongest ink is no farther from the background is taken for empty.
_LEAST_CONTRAST = 8


def read_picture(path: str | PathLike[str], rows: int = 28, columns: int = 28) -> Pixels:
    """The picture in a file as float32 in [0, 1] of shape (rows, columns), white on black.

    The colour along the border is taken for the background, light or dark. A picture of that size
    on black is taken as it is; of any other the digit is cut out, scaled and centred. Transparent
    pixels are white.

    Raises DataError, naming the file, if it is no picture, is too large for one of a digit (89
    million pixels) or has one colour throughout. PostScript is not read: it is a program. OSError
    if the file cannot be read; ModuleNotFoundError without Pillow.
    """
    grey = _grey(Path(path))
    background = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    # Dark on light or light on dark: what goes the other way, such as a reflection, is no ink.
    ink = np.maximum(grey - background if background < 128 else background - grey, 0)
    if ink.max() <= _LEAST_CONTRAST:
        raise DataError(f"{path}: a digit on a plain background expected, found one colour")
    if background == 0 and grey.shape == (rows, columns):
        return grey / np.float32(255)
    ink /= ink.max()
    ink[ink < _FAINT] = 0
    return _centred(ink, rows, columns)


def _centred(ink: Pixels, rows: int, columns: int) -> Pixels:
    """The part with ink, scaled to the box, with its centre of mass in the middle."""
    from PIL import Image

    down, across = np.nonzero(ink.any(axis=1))[0], np.nonzero(ink.any(axis=0))[0]
    digit = ink[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    scale = min(_BOX * rows / digit.shape[0], _BOX * columns / digit.shape[1])
    height, width = (max(1, round(scale * size)) for size in digit.shape)
    scaled = Image.fromarray(digit).resize((width, height), Image.Resampling.BILINEAR)
    digit = np.clip(np.asarray(scaled, dtype=np.float32), 0, 1)
    top = _start(digit.sum(axis=1), rows)
    left = _start(digit.sum(axis=0), columns)
    picture = np.zeros((rows, columns), dtype=np.float32)
    picture[top : top + height, left : left + width] = digit
    return picture


def _start(masses: Pixels, size: int) -> int:
    """Where to begin in `size` places, so that the centre of the masses is in the middle."""
    centre = float((masses * (np.arange(len(masses)) + 0.5)).sum() / masses.sum())
    return min(max(round(size / 2 - centre), 0), size - len(masses))


def _grey(path: Path) -> Pixels:
    """The picture in shades from 0, black, to 255."""
    _optional.load("PIL", "pictures need")
    from PIL import Image, UnidentifiedImageError

    with opened(path) as file, warnings.catch_warnings():
        # What Pillow only warns of is in order, but for a picture too large to be of a digit.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return _shades(file)
        except UnidentifiedImageError:
            raise DataError(f"{path}: a picture expected, its format is not known") from None
        except MemoryError:
            raise
        except Exception as error:
            # There are forty formats: damage can show as any exception at all.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{path}: damaged: a picture expected ({reason})") from None


def _shades(file: BinaryIO) -> Pixels:
    from PIL import Image, ImageOps

    Image.init()
    # PostScript is a program, which Pillow would let Ghostscript run.
    formats = [name for name in Image.ID if name != "EPS"]
    image = ImageOps.exif_transpose(Image.open(file, formats=formats))
    if image.mode[0] in "IF":  # 16 or 32 bits
        wide = np.asarray(image, dtype=np.float32)
        if not np.isfinite(wide).all():
            raise ValueError("a shade is NaN or infinite")
        return wide * np.float32(255 / max(float(wide.max()), 1.0))
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image.convert("RGBA"))
    return np.asarray(paper.convert("L"), dtype=np.float32)
