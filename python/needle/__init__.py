"""needle: automatic differentiation for Python with a Rust core.

>>> import needle as ndl
>>> x = ndl.Tensor([1.0, 2.0, 3.0])
>>> y = (x * x).sum()
>>> y.backward()
>>> x.grad
needle.Tensor([2. 4. 6.])
"""

from needle import autograd, data, init, ops
from needle._core import __version__, empty_cache, from_dlpack, from_numpy
from needle.autograd import (
    Op,
    Tensor,
    TensorOp,
    TensorTuple,
    TensorTupleOp,
    Value,
)
from needle.backend_selection import NDArray
from needle.device import all_devices, cpu, default_device
from needle.errors import AxisError, DTypeError, GradError, ShapeError
from needle.init import ones, ones_like, zeros, zeros_like
from needle.modes import lazy, no_grad
from needle.ops import *  # noqa: F403

__all__ = [
    "AxisError",
    "DTypeError",
    "GradError",
    "NDArray",
    "Op",
    "ShapeError",
    "Tensor",
    "TensorOp",
    "TensorTuple",
    "TensorTupleOp",
    "Value",
    "__version__",
    "all_devices",
    "autograd",
    "cpu",
    "data",
    "default_device",
    "empty_cache",
    "from_dlpack",
    "from_numpy",
    "init",
    "lazy",
    "no_grad",
    "ones",
    "ones_like",
    "ops",
    "zeros",
    "zeros_like",
    *ops.__all__,
]


def __getattr__(name: str) -> object:
    # `max`, `min` and `abs` are reachable, but not part of a star import.
    return getattr(ops, name)
