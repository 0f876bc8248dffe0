"""What is measured: a function for each row, which returns its figures.

A row takes a plan and imports the peers that it needs itself. To add one: write the function,
give its figures their bounds, and say here where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from ..figures import Figure
from ..timing import Plan

Row = Callable[[Plan], list[Figure]]

_PLACES = {
    "add": "small.add",
    "chain": "chain.chain",
    "million": "million.million",
    "mnist": "mnist.mnist",
    "posts": "mnist.posts",
    "wide": "mnist.wide",
    "resnet": "resnet.resnet",
    "zero-copy": "zero_copy.zero_copy",
    "small": "small.small",
    "left": "small.left",
    "mlp": "training.mlp",
    "second-order": "training.second_order",
    "optimisers": "training.optimisers",
    "solvers": "solvers.solvers",
    "matmul": "matmul.matmul",
    "batched": "matmul.batched",
    "elementwise": "arrays.elementwise",
    "matrices": "arrays.matrices",
    "softmax": "arrays.softmaxes",
    "function": "arrays.function",
    "memory": "memory.memory",
    "limits": "limits.limits",
    "import": "package.imports",
    "size": "package.size",
}


def _row(place: str) -> Row:
    """The row at "module.function".

    Where an older needle lacks what the module imports, it is one that says so when it is run: the
    other rows do without.
    """
    module, function = place.split(".")
    try:
        row: Row = getattr(import_module(f".{module}", __name__), function)
    except Exception as error:
        return _missing(error)
    return row


def _missing(error: Exception) -> Row:
    def row(_plan: Plan) -> list[Figure]:
        """a row that cannot be imported"""
        raise error

    return row


ROWS: Mapping[str, Row] = {name: _row(place) for name, place in _PLACES.items()}
