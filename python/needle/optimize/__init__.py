"""SciPy's solvers on functions of tensors: needle supplies the derivatives.

The function takes parameters in the structure that `x0` has, as float64 tensors, and computes
with operations of needle. SciPy sees one flat float64 vector, in which the leaves lie one after
the other, and gets exact gradients, Jacobians and Hessian-vector products.

`x0` is an array, a tensor, a number, or a dict, list or tuple of such, nested as you like; a list
of plain numbers is an array. Integers count as floats. `result.x` has the same structure, with
float64 values; the other fields are SciPy's, about the flat vector.

Needs SciPy: `pip install 'needle-autodiff[scipy]'`.
"""

from typing import TYPE_CHECKING

from needle import _names
from needle.optimize.solvers import least_squares, minimize, root

__all__ = ["least_squares", "minimize", "root"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
