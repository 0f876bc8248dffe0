"""The op reference `docs/ops.md`."""

from __future__ import annotations

from collections.abc import Sequence

from tools.table import OpRow, Param

INTRODUCTION = """\
<!-- Made by `make generate` from the op table: edit the docs of the op in needle-core. -->

# Ops

Every op is a function `needle.ops.name`, which is also `needle.name`, and a class: the node that
a call records has an object of it as `.op`, with the arguments as attributes. Many are methods of
tensors too. Functions take tensors and whatever `numpy.asarray` takes as constants; reductions
take `axis` for `axes`; methods that take a shape or an order of axes also take several integers.
`logsoftmax(a)` is `log_softmax` of a 2-D tensor along axis 1. A function of NumPy that an op
answers to is a call of the op when one of its operands is a tensor.
"""


def page(ops: Sequence[OpRow]) -> str:
    """The whole page: a table of all ops, then each with its documentation."""
    rows = "".join(
        f"| [`{op.name}`](#{op.name}) | `{op.class_name}` | {_derivative(op)} | {op.summary} |\n"
        for op in ops
    )
    table = f"| function | class | derivative | |\n|---|---|---|---|\n{rows}"
    return "\n".join([INTRODUCTION, table, *(_section(op) for op in ops)])


def _section(op: OpRow) -> str:
    facts = [f"class `{op.class_name}({_arguments(op.params)})`"]
    if op.method:
        arguments = ", ".join(filter(None, [*op.operands[1:], _arguments(op.params)]))
        facts.append(f"method `Tensor.{op.method}({arguments})`")
    facts.append(f"derivative: {_derivative(op)}")
    facts.append("result: " + ("TensorTuple" if op.is_tuple else "Tensor"))
    if op.numpy:
        facts.append("answers to " + ", ".join(f"`np.{name}`" for name in op.numpy))
    return f"## {op.name}\n\n`{_call(op)}`\n\n{' · '.join(facts)}\n\n{op.doc}\n"


def _call(op: OpRow) -> str:
    operands = list(op.operands)
    if op.is_variadic and not op.params:
        operands = [f"*{op.operands[0]}"]
    if op.name == "tuple_get_item":
        return f"{op.name}(value, index, *, fold_const=True)"
    return f"{op.name}({', '.join(filter(None, [*operands, _arguments(op.params)]))})"


def _arguments(params: Sequence[Param]) -> str:
    return ", ".join(
        param.name if param.default is None else f"{param.name}={param.default}" for param in params
    )


def _derivative(op: OpRow) -> str:
    return "yes" if op.is_differentiable else "no"
