"""The tensors that training changes."""

from __future__ import annotations

from needle.autograd import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A tensor that a Module counts among its parameters.

    Made like a Tensor: `Parameter(t)` of a tensor is a new leaf on the memory of `t`, and it
    requires a gradient unless told otherwise. Results of operations on parameters are plain
    tensors.
    """

    def __repr__(self) -> str:
        return f"needle.nn.Parameter({self})"
