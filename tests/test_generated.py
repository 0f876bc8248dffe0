"""Generated files are fresh, and the op table has what they are made of (DESIGN 3 (9))."""

from __future__ import annotations

import inspect

import pytest
from tools.generate import ROOT, generated_files
from tools.signatures import constructor, function, method
from tools.table import OpRow, read_table

from needle import _core, ops

FILES = generated_files()
OPS = [pytest.param(op, id=op.name) for op in read_table()]


@pytest.mark.parametrize("name", FILES)
def test_committed_file_is_fresh(name: str) -> None:
    path = ROOT / name
    assert path.exists(), f"{name} is missing: run `make generate` and commit it"
    # Compared line by line, so that a failure shows which op differs.
    committed = path.read_text(encoding="utf-8").splitlines()
    assert committed == FILES[name].splitlines(), f"{name} is stale: run `make generate`"


@pytest.mark.parametrize("op", OPS)
def test_op_has_documentation(op: OpRow) -> None:
    assert op.summary.endswith("."), f"{op.name}: the docs begin with one line, a sentence"
    assert len(op.summary) > 2
    assert "|" not in op.summary, "it stands in a table of docs/ops.md"
    for shown in (getattr(_core, op.name), getattr(_core, op.class_name)):
        assert inspect.getdoc(shown) == op.doc


@pytest.mark.parametrize("op", OPS)
def test_op_is_exported_and_in_every_generated_file(op: OpRow) -> None:
    assert getattr(ops, op.name) is getattr(_core, op.name)
    assert getattr(ops, op.class_name) is getattr(_core, op.class_name)
    stub, exports, reference = FILES.values()
    assert f"\ndef {op.name}(" in stub
    assert f"\nclass {op.class_name}(" in stub
    assert f"    {op.name},\n" in exports or f"import {op.name} as {op.name}\n" in exports
    assert f"\n## {op.name}\n" in reference


@pytest.mark.parametrize("op", OPS)
def test_stub_names_the_parameters_of_the_class(op: OpRow) -> None:
    # stubtest cannot see it: the constructor is inherited, and only the class has a signature.
    assert in_stub(constructor(op)[1:]) == at_run_time(getattr(_core, op.class_name))


@pytest.mark.parametrize("op", OPS)
def test_stub_names_the_parameters_of_function_and_method(op: OpRow) -> None:
    # The first overload; stubtest is told to skip functions that have several.
    assert in_stub(function(op)[0]) == at_run_time(getattr(_core, op.name))
    if op.method:
        assert in_stub(method(op)[0]) == at_run_time(getattr(_core.Tensor, op.method))


def in_stub(parameters: list[str]) -> list[str]:
    """The parameters without their types, as `inspect` would print them."""
    found = []
    for parameter in parameters:
        if parameter == "*":
            continue
        name, _, default = parameter.partition(" = ")
        name = name.partition(":")[0]
        found.append(f"{name}={default}" if default else name)
    return found


def at_run_time(function: object) -> list[str]:
    assert callable(function)
    parameters = inspect.signature(function).parameters.values()
    return [str(parameter) for parameter in parameters]
