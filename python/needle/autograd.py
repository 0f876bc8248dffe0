"""The engine's names: values, ops, reverse mode, and two switches that read and write the core.

``LAZY_MODE`` and ``TENSOR_COUNTER`` are properties of this module: assigning to
``needle.autograd.LAZY_MODE`` switches the whole process between eager and lazy mode.
"""

import sys
import types
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as array_api

from needle._core import (
    Op,
    Tensor,
    TensorOp,
    TensorTuple,
    TensorTupleOp,
    Value,
    find_topo_sort,
    get_lazy_mode,
    get_tensor_counter,
    set_lazy_mode,
    set_tensor_counter,
)
from needle.backend_selection import NDArray
from needle.device import Device, all_devices, cpu

__all__ = [
    "LAZY_MODE",
    "TENSOR_COUNTER",
    "Device",
    "NDArray",
    "Op",
    "Tensor",
    "TensorOp",
    "TensorTuple",
    "TensorTupleOp",
    "Value",
    "all_devices",
    "array_api",
    "compute_gradient_of_variables",
    "cpu",
    "find_topo_sort",
    "sum_node_list",
    "topo_sort_dfs",
]

LAZY_MODE: bool
TENSOR_COUNTER: int


def compute_gradient_of_variables(output_tensor: Tensor, out_grad: Tensor | None) -> None:
    """Puts the gradients of `output_tensor`, weighted by `out_grad`, into the tensors it
    depends on: what ``output_tensor.backward(out_grad)`` does.

    Raises GradError for a tensor that does not require a gradient, ShapeError for an
    `out_grad` of another shape.
    """
    output_tensor.backward(out_grad)


def topo_sort_dfs(node: Value, visited: Any, topo_order: list[Value]) -> None:
    """Appends what `node` depends on, and `node`, to `topo_order`, inputs first, left to
    right; nodes in `visited` are left out, and the others are added to it (a set or a dict).
    """
    for value in find_topo_sort([node]):
        if value in visited:
            continue
        if isinstance(visited, dict):
            visited[value] = True
        else:
            visited.add(value)
        topo_order.append(value)


def sum_node_list(node_list: Sequence[Tensor]) -> Tensor:
    """The sum of tensors, from left to right, without a leading zero."""
    return reduce(add, node_list)


class _Autograd(types.ModuleType):
    """The module's class: it makes two of its attributes read and write the core."""

    @property
    def LAZY_MODE(self) -> bool:
        return get_lazy_mode()

    @LAZY_MODE.setter
    def LAZY_MODE(self, lazy: bool) -> None:
        set_lazy_mode(bool(lazy))

    @property
    def TENSOR_COUNTER(self) -> int:
        return get_tensor_counter()

    @TENSOR_COUNTER.setter
    def TENSOR_COUNTER(self, value: int) -> None:
        set_tensor_counter(value)


sys.modules[__name__].__class__ = _Autograd
