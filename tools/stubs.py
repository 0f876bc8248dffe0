"""The stubs of `needle._core` and `needle.ops`, formatted as ruff formats them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from tools import signatures
from tools.signatures import Signature
from tools.table import OpRow

WIDTH = 100
METHODS = "    # <methods>\n"
OPS = "# <ops>\n"
# Reachable, but hidden from a star import because they would hide Python's own.
BUILTINS = {"abs", "max", "min"}
HEADER = "# Made by `make generate` from the op table{}: edit {} instead.\n"


def core_stub(template: str, ops: Sequence[OpRow]) -> str:
    """The template with the methods, classes and functions of all ops in their places."""
    methods = [
        block(op.method, signatures.method(op), signatures.result(op), op.doc, "    ")
        for op in ops
        if op.method
    ]
    functions = [
        block(op.name, signatures.function(op), signatures.result(op), op.doc) for op in ops
    ]
    classes = "\n".join(_class(op) for op in ops)
    for marker in (METHODS, OPS):
        if template.count(marker) != 1:
            raise ValueError(f"the template needs the line {marker.strip()!r} once")
    filled = template.replace(METHODS, _join(methods))
    filled = filled.replace(OPS, f"{classes}\n{_join(functions)}")
    return HEADER.format(" and tools/core.pyi.in", "these") + filled


def ops_stub(ops: Sequence[OpRow]) -> str:
    """The re-exports of `needle.ops`, which the module itself makes in a loop."""
    names = {name for op in ops for name in (op.name, op.class_name)}
    public = names - BUILTINS

    # Ruff takes a name in capitals for a constant, and sorts constants, classes and functions;
    # case counts in `__all__`, and does not in an import.
    def kind(name: str) -> tuple[bool, bool]:
        return (not name.isupper(), name[0].islower())

    imported = sorted({*public, "Tensor"}, key=lambda name: (kind(name), name.lower()))
    listed = sorted({*public, "logsoftmax"}, key=lambda name: (kind(name), name))
    hidden = "".join(
        f"from needle._core import {name} as {name}\n" for name in sorted(names & BUILTINS)
    )
    logsoftmax = block(
        "logsoftmax",
        [["a: Tensor | ArrayLike"]],
        "Tensor",
        "The logarithm of the softmax of a 2-D tensor along axis 1.",
    )
    parts = [
        HEADER.format("", "tools/stubs.py"),
        "from numpy.typing import ArrayLike\n\n",
        "from needle._core import (\n",
        *(f"    {name},\n" for name in imported),
        f")\n{hidden}\n__all__ = [\n",
        *(f'    "{name}",\n' for name in listed),
        f"]\n\n{logsoftmax}",
    ]
    return "".join(parts)


def block(
    name: str, overloads: Sequence[Signature], result: str, doc: str, indent: str = ""
) -> str:
    """A function with its documentation, once per overload, the documentation at the first."""
    parts = []
    for i, parameters in enumerate(overloads):
        decorator = f"{indent}@overload\n" if len(overloads) > 1 else ""
        head = decorator + _head(name, parameters, result, indent)
        parts.append(f"{head}\n{_docstring(doc, indent + '    ')}" if i == 0 else f"{head} ...\n")
    return _join(parts)


def _join(functions: Sequence[str]) -> str:
    # The formatter wants an empty line after a body that is more than `...`.
    apart = [text if text.endswith(" ...\n") else f"{text}\n" for text in functions]
    return "".join(apart).rstrip("\n") + "\n"


def _head(name: str, parameters: Signature, result: str, indent: str) -> str:
    line = f"{indent}def {name}({', '.join(parameters)}) -> {result}:"
    # Room for the ` ...` of a function without documentation.
    if len(line) <= WIDTH - 4:
        return line
    inner = "".join(f"{indent}    {parameter},\n" for parameter in parameters)
    return f"{indent}def {name}(\n{inner}{indent}) -> {result}:"


def _class(op: OpRow) -> str:
    base = "TensorTupleOp" if op.is_tuple else "TensorOp"
    lines = [f"class {op.class_name}({base}):\n", _docstring(op.summary, "    "), "\n"]
    lines += [f"    {attribute}\n" for attribute in signatures.attributes(op)]
    lines.append(f"{_head('__init__', signatures.constructor(op), 'None', '    ')} ...\n")
    return "".join(lines)


def _docstring(doc: str, indent: str) -> str:
    if "\\" in doc or '"""' in doc:
        raise ValueError(f"needs escapes in a docstring: {doc}")
    first, *rest = doc.split("\n")
    if not rest and len(indent) + len(first) + 6 <= WIDTH:
        return f'{indent}"""{first}"""\n'
    wrapped = [_wrap(f'"""{first}', indent), *(_wrap(line, indent) for line in rest)]
    return "".join(f"{text}\n" for text in [*wrapped, f'{indent}"""'])


def _wrap(text: str, indent: str) -> str:
    return textwrap.fill(
        text,
        # Room for the closing quotes: the formatter puts them on the line if they fit there.
        WIDTH - 3,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
