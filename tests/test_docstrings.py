"""Every public name says what it is, and the examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import pkgutil
import re
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import needle as ndl

# The modules with a page of their own in the site, and those that make up `needle` itself.
SITE = (Path(__file__).parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
PAGES = re.findall(r"docs/api/([\w.]+)\.md", SITE)
PARTS = [f"needle.{name}" for name in ["ops", "device", "errors", "files", "machine", "modes"]]
MODULES = [*PAGES, *PARTS]
INTERNAL = {"needle.backend_selection", "needle.cli", "needle.apps"}


def public(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    """What a module offers, by `__all__` or by having been defined there."""
    listed = getattr(module, "__all__", None)
    for name, value in vars(module).items() if listed is None else ():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            yield name, value
    for name in listed or ():
        yield name, getattr(module, name)


def undocumented(name: str, value: object) -> Iterator[str]:
    """The name itself, or members of it, that have no docstring."""
    if value is np.ndarray or not (callable(value) or inspect.ismodule(value)):
        return
    # A class inherits no docstring from its base; a method that overrides one may.
    if not (vars(value).get("__doc__") if inspect.isclass(value) else inspect.getdoc(value)):
        yield name
    if not inspect.isclass(value):
        return
    for member in vars(value):
        attribute = inspect.getattr_static(value, member)
        field = isinstance(attribute, types.MemberDescriptorType)
        kinds = property | classmethod | staticmethod | types.GetSetDescriptorType
        if (
            member.startswith("_")
            or field
            or not (callable(attribute) or isinstance(attribute, kinds))
        ):
            continue
        if not inspect.getdoc(getattr(value, member)):
            yield f"{name}.{member}"


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    found = list(public(module))
    assert found
    assert [missing for key, value in found for missing in undocumented(key, value)] == []


def test_every_public_module_has_a_page() -> None:
    names = {f"needle.{module.name}" for module in pkgutil.iter_modules(ndl.__path__)}
    public = {name for name in names if not name.startswith("needle._")}
    assert public <= set(MODULES) | INTERNAL
    assert set(MODULES) - {"needle"} <= public | {name for name in MODULES if name.count(".") > 1}


def examples() -> list[doctest.DocTest]:
    """Those of all modules: a docstring is written where its object is defined."""
    names = [module.name for module in pkgutil.walk_packages(ndl.__path__, "needle.")]
    modules = [ndl, *(importlib.import_module(name) for name in names if "__main__" not in name)]
    finder = doctest.DocTestFinder()
    return [found for module in modules for found in finder.find(module) if found.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_the_examples_run(example: doctest.DocTest) -> None:
    report = io.StringIO()
    failed, _ = doctest.DocTestRunner().run(example, out=report.write)
    assert not failed, report.getvalue()
