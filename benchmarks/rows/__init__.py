"""What is measured: a function for each row, which returns its figures.

A row takes a plan and imports the peers that it needs itself. To add one: write the function,
give its figures their bounds, and name it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..figures import Figure
from ..timing import Plan
from .arrays import elementwise, function, matrices, softmaxes
from .chain import chain
from .limits import limits
from .matmul import batched, matmul
from .memory import memory
from .million import million
from .mnist import mnist, posts, wide
from .package import imports, size
from .resnet import resnet
from .small import add, small
from .solvers import solvers
from .training import mlp, optimisers, second_order
from .zero_copy import zero_copy

Row = Callable[[Plan], list[Figure]]

ROWS: Mapping[str, Row] = {
    "add": add,
    "chain": chain,
    "million": million,
    "mnist": mnist,
    "posts": posts,
    "wide": wide,
    "resnet": resnet,
    "zero-copy": zero_copy,
    "small": small,
    "mlp": mlp,
    "second-order": second_order,
    "optimisers": optimisers,
    "solvers": solvers,
    "matmul": matmul,
    "batched": batched,
    "elementwise": elementwise,
    "matrices": matrices,
    "softmax": softmaxes,
    "function": function,
    "memory": memory,
    "limits": limits,
    "import": imports,
    "size": size,
}
