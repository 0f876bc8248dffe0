"""The distribution `needle-autodiff`: its metadata, and the hints that name it."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from needle import _optional

ROOT = Path(__file__).parents[1]


def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_name_is_the_one_in_the_hints() -> None:
    assert project()["name"] == _optional.DISTRIBUTION == "needle-autodiff"
    assert project()["scripts"] == {"needle": "needle.cli:main"}


def test_the_oldest_python_is_the_first_that_is_listed() -> None:
    listed = [
        text.rpartition(" ")[2]
        for text in project()["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", text)
    ]
    assert project()["requires-python"] == f">={listed[0]}"
    assert listed == sorted(listed, key=lambda version: int(version.partition(".")[2]))
    assert "Operating System :: POSIX :: Linux" in project()["classifiers"]


def test_no_text_installs_the_other_needle() -> None:
    extras = project()["optional-dependencies"]
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "Makefile"]
    for folder in ("python", "docs", "examples", "tools", "benchmarks", "crates"):
        files += [
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in (".py", ".pyi", ".md", ".in", ".rs", ".toml")
        ]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"install ['\"]?needle(?!-autodiff)\b", text), path
        assert not re.search(r"\bneedle\[[a-z]", text), path
        for found in re.findall(r"(?:needle-autodiff|'\.)\[([a-z,]+)\]", text):
            assert set(found.split(",")) <= set(extras), path


@pytest.mark.parametrize("library", _optional.LIBRARIES)
def test_a_library_that_is_missing(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, extra = _optional.LIBRARIES[library]
    assert any(
        re.match(rf"{name}\b", wanted, re.IGNORECASE)
        for wanted in project()["optional-dependencies"][extra]
    )
    for module in (library, f"{library}.part"):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ModuleNotFoundError) as error:
            _optional.load(module, "this needs")
        hint = f"pip install 'needle-autodiff[{extra}]'"
        assert str(error.value) == f"this needs {name}\nhint: {hint}"
        assert error.value.name == library


def test_what_a_library_lacks_itself_is_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "PIL").mkdir()
    (tmp_path / "PIL" / "__init__.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in [name for name in sys.modules if name.partition(".")[0] == "PIL"]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        _optional.load("PIL", "this needs")
