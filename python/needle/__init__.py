"""needle: automatic differentiation for Python with a Rust core.

>>> import needle as ndl
>>> x = ndl.Tensor([1.0, 2.0, 3.0])
>>> y = (x * x).sum()
>>> y.backward()
>>> x.grad
needle.Tensor([2. 4. 6.])
"""

# First of all: while the rest is imported, Ctrl-C ends the command in silence.
from needle import _command  # noqa: F401

# isort: split
from typing import TYPE_CHECKING

from needle import _names, autograd, init, ops
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
from needle.device import all_devices, cpu, cpu_numpy, cuda, default_device
from needle.errors import (
    AxisError,
    DTypeError,
    FileFormatError,
    GradError,
    GraphCutWarning,
    ShapeError,
)
from needle.init import ones, ones_like, zeros, zeros_like
from needle.machine import get_num_threads, set_num_threads, show_config
from needle.modes import enable_grad, lazy, no_grad
from needle.ops import *  # noqa: F403
from needle.ops import abs as abs
from needle.ops import max as max
from needle.ops import min as min

if TYPE_CHECKING:
    from needle import data, nn, optim, optimize, saving, testing
    from needle.saving import load, load_checkpoint, save, save_checkpoint

__all__ = [
    "AxisError",
    "DTypeError",
    "FileFormatError",
    "GradError",
    "GraphCutWarning",
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
    "cpu_numpy",
    "cuda",
    "data",
    "default_device",
    "empty_cache",
    "enable_grad",
    "from_dlpack",
    "from_numpy",
    "get_num_threads",
    "init",
    "lazy",
    "load",
    "load_checkpoint",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "ops",
    "optim",
    "optimize",
    "save",
    "save_checkpoint",
    "saving",
    "set_num_threads",
    "show_config",
    "testing",
    "zeros",
    "zeros_like",
]
# In this form type checkers follow it. `max`, `min` and `abs` are reachable, but not in it.
__all__ += ops.__all__

# Imported when first asked for: they bring modules along that training needs, not `import`.
_LATE = {
    **{name: f"needle.{name}" for name in ("data", "nn", "optim", "optimize", "saving", "testing")},
    **{
        name: f"needle.saving:{name}"
        for name in ("load", "load_checkpoint", "save", "save_checkpoint")
    },
}
if not TYPE_CHECKING:
    # Hidden from type checkers, which are to find unknown names.
    __getattr__, __dir__ = _names.attributes(__name__, [*__all__, "abs", "max", "min"], _LATE)
