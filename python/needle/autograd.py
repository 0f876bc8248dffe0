"""The engine's names: values, ops, reverse mode, and two switches that read and write the core.

``LAZY_MODE`` and ``TENSOR_COUNTER`` are properties of this module: assigning to
``needle.autograd.LAZY_MODE`` switches the whole process between eager and lazy mode.
"""

import sys
import types
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as array_api

from needle import _names
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
    gradients_by,
    made_after,
    set_lazy_mode,
    set_tensor_counter,
)
from needle.backend_selection import NDArray
from needle.device import Device, all_devices, cpu
from needle.errors import GradError

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
    "grad",
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


def grad(
    outputs: Tensor | Iterable[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool | None = None,
    allow_unused: bool | None = None,
    materialize_grads: bool = True,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of all elements of `outputs` by each of `inputs`, which may be
    leaves or intermediate results: a tuple with one tensor for each, of its shape and dtype.

    Nothing is written into `.grad`, neither here nor elsewhere. `grad_outputs` are the weights of
    the elements (the vector in a vector-Jacobian product), one for each output, of its shape; None
    stands for ones. The gradients can be differentiated again, by a further `grad` or `backward()`.
    An input that no output depends on gets zeros. With ``materialize_grads=False`` it is an error,
    or None with ``allow_unused=True``.

    `retain_graph` and `create_graph` are taken for those who know them from PyTorch, and have no
    effect: graphs stay until nobody holds them, and every gradient has a history.

    Raises GradError for an output or an input that does not require a gradient, for an input
    without one as said above, and for a result that was made after all outputs, such as `x[0]`
    written again (unless `allow_unused` is given); ShapeError for weights of another shape,
    ValueError for another number of them than outputs, and for ``allow_unused=False`` beside
    ``materialize_grads=True``.
    """
    del retain_graph, create_graph
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "grad: materialize_grads=True gives zeros for unused inputs, which allow_unused=False "
            "forbids\nhint: leave one of the two out"
        )
    roots, by = _tensors("outputs", outputs), _tensors("inputs", inputs)
    if grad_outputs is None:
        weights: list[Any] = [None] * len(roots)
    elif isinstance(grad_outputs, list | tuple):
        weights = list(grad_outputs)
    else:
        weights = [grad_outputs]
    if len(weights) != len(roots):
        raise ValueError(
            f"grad: expected {len(roots)} grad_outputs, one for each output, got {len(weights)}"
        )
    for kind, tensors in (("output", roots), ("input", by)):
        for i, tensor in enumerate(tensors):
            if not tensor.requires_grad:
                raise GradError(
                    f"grad: {kind} {i} does not require a gradient\nhint: {_WITHOUT_GRADIENT[kind]}"
                )
    found: list[Tensor | None] = gradients_by(roots, weights, by) if roots else [None] * len(by)
    for i, (tensor, gradient) in enumerate(zip(by, found, strict=True)):
        if gradient is None and allow_unused is None and made_after(tensor, roots):
            raise GradError(
                f"grad: input {i} is a result that was made after the outputs, so none depends on "
                "it\nhint: keep the result that the outputs were computed from, as in `part = x[0]`"
            )
        if gradient is None and materialize_grads:
            found[i] = _zeros(tensor)
        elif gradient is None and not allow_unused:
            raise GradError(
                f"grad: no output depends on input {i}\n"
                "hint: allow_unused=True gives None for it, materialize_grads=True zeros"
            )
    return tuple(found)


_WITHOUT_GRADIENT = {
    "input": "make it a leaf with requires_grad=True, and compute the outputs from it",
    "output": "compute it from a tensor with requires_grad=True, outside of no_grad and without "
    "detach on the way",
}


def _tensors(what: str, given: Tensor | Iterable[Tensor]) -> list[Tensor]:
    if isinstance(given, TensorTuple):
        raise TypeError(
            f"grad: {what} expects a tensor or several, got TensorTuple\n"
            "hint: keep its items, as in `parts = t.tuple()`, and name those that were used"
        )
    tensors = [given] if isinstance(given, Tensor) else list(given)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"grad: {what} expects a tensor or several, got {type(tensor).__name__}"
            )
    return tensors


def _zeros(tensor: Tensor) -> Tensor:
    """What a gradient by `tensor` is through which nothing flows."""
    dtype = tensor.dtype if tensor.dtype.kind == "f" else "int64"
    return Tensor(array_api.zeros(tensor.shape, dtype), requires_grad=False)


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


if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)


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
