"""The exceptions of needle, each also of the class that NumPy users would catch, and a warning."""

from typing import TYPE_CHECKING

import numpy as np

from needle import _names

__all__ = [
    "AxisError",
    "DTypeError",
    "FileFormatError",
    "GradError",
    "GraphCutWarning",
    "ShapeError",
]


class ShapeError(ValueError):
    """Shapes that do not fit together, or do not suit the op."""


class DTypeError(TypeError):
    """A dtype that needle does not have, or that the op does not take."""


class AxisError(np.exceptions.AxisError):
    """An axis that the tensor does not have; a ValueError and an IndexError."""


class GradError(RuntimeError):
    """A gradient that cannot be had: nothing was recorded, or data was replaced since."""


class FileFormatError(ValueError):
    """A file that is damaged, incomplete, or of another kind than it should be."""


class GraphCutWarning(UserWarning):
    """A tensor through which a gradient would flow was converted without a word: by `float`, by
    `numpy.asarray`, by another library. No gradient flows back through the value.

    By Python's own filters it comes once for each line of the user's code (again where a library
    has changed the filters meanwhile). What is meant is said by `t.numpy()`,
    `t.item()`, `t.tolist()` or `t.detach()`. The filter
    ``warnings.simplefilter("error", needle.GraphCutWarning)`` makes it an exception.
    """


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
