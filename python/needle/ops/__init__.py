"""The operators: a function and a class each, made from the core's op table.

``needle.ops.X`` and ``needle.X`` are the same object. ``max``, ``min`` and ``abs`` are here,
but a star import leaves them out, because they would hide Python's own.
"""

from typing import TYPE_CHECKING, Any

from needle import _core, _names
from needle.errors import ShapeError

_NAMES = _core.op_names()

for _name in _NAMES:
    globals()[_name] = getattr(_core, _name)


def logsoftmax(a: Any) -> "_core.Tensor":
    """The logarithm of the softmax of a 2-D tensor along axis 1, shape and dtype of `a`.

    `log_softmax` takes any shape and axis. Raises ShapeError for other than two dimensions.
    """
    result: _core.Tensor = _core.log_softmax(a, axis=-1)
    if result.ndim != 2:
        raise ShapeError(f"logsoftmax: expected 2 dimensions, got shape {result.shape}")
    return result


__all__ = sorted({*_NAMES, "logsoftmax"} - {"max", "min", "abs"})

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, [*__all__, "abs", "max", "min"])
