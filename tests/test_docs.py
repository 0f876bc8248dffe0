"""The documents hold: their Python runs, and what they name and quote is there.

In a fenced block, `python` is run, all blocks of a file in one session; a `text` block right after
a program is its output. A path after the language marks a quotation of that file. The output of a
`console` block is compared but for its numbers and paths.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import needle as ndl
from needle.cli import run
from needle.cli.commands import needle as command

ROOT = Path(__file__).parents[1]
# The user's documents are run; the others are checked for what they name and quote.
RUN = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ALL = [*RUN, *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "ARCHITECTURE"))]
ALL = [path for path in ALL if path.exists()]

# Every file and folder of ours, from the root.
FOLDERS = ("crates", "python", "tests", "benchmarks", "docs", "examples", "tools", ".ci")
FILES = [f"/{path.name}" for path in ROOT.iterdir()] + [
    f"/{path.relative_to(ROOT).as_posix()}"
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*")
]

# Files that a command makes, and that no checkout has.
MADE = {".venv", "site", "weights.npz", "run.npz", "run.jsonl", "curve.png", "data/mnist"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, what follows that, its text, and the line it begins in."""

    language: str
    info: str
    text: str
    line: int


def blocks(path: Path) -> list[Block]:
    found: list[Block] = []
    opening: tuple[str, int] | None = None
    body: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("```"):
            body.append(line)
        elif opening is None:
            opening, body = (line[3:], number), []
        else:
            language, _, info = opening[0].partition(" ")
            text = "".join(f"{line}\n" for line in body)
            found.append(Block(language, info.strip(), text, opening[1]))
            opening = None
    assert opening is None, f"{path.name}:{opening}: the block has no end"
    return found


def prose(path: Path) -> str:
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def spans(path: Path) -> set[str]:
    """What stands between single backticks."""
    return set(re.findall(r"`([^`\n]+)`", prose(path)))


def shell_lines(path: Path) -> Iterator[list[str]]:
    """Every command in the document, as words."""
    for block in blocks(path):
        if block.language == "sh":
            yield from (words for line in block.text.splitlines() if (words := _words(line)))
        elif block.language == "console":
            lines = block.text.splitlines()
            yield from (_words(line[2:]) for line in lines if line.startswith("$ "))
    starts = ("make ", "needle ", "python ", "cargo ", "pip ", "maturin ", ".venv/")
    yield from (_words(span) for span in spans(path) if span.startswith(starts))


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", RUN, ids=name_of)
def test_the_python_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "load_digits" in path.read_text(encoding="utf-8"):
        pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    session: dict[str, Any] = {"__name__": "__main__"}
    # The sentinel gives the last program a neighbour.
    for block, following in itertools.pairwise([*blocks(path), Block("", "", "", 0)]):
        if block.language != "python" or block.info:
            continue
        if ">>>" in block.text:
            _run_examples(block, path, session)
        else:
            output = _run_program(block, path, session)
            expected = following.text if following.language == "text" else ""
            assert output == expected, f"{path.name}:{block.line}: other output"


def _run_examples(block: Block, path: Path, session: dict[str, Any]) -> None:
    name = f"{path.name}:{block.line}"
    parser = doctest.DocTestParser()
    test = parser.get_doctest(block.text, session, name, str(path), block.line)
    test.globs = session  # not the copy, so that names last
    report = io.StringIO()
    failed, _ = doctest.DocTestRunner().run(test, out=report.write, clear_globs=False)
    assert not failed, report.getvalue()


def _run_program(block: Block, path: Path, session: dict[str, Any]) -> str:
    # The empty lines give a traceback the line numbers of the document.
    code = compile("\n" * block.line + block.text, str(path), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, session)
    return output.getvalue()


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_quotations_are_still_there(path: Path) -> None:
    for block in blocks(path):
        if block.info:
            source = (ROOT / block.info).read_text(encoding="utf-8")
            place = f"{path.name}:{block.line}"
            assert _squeezed(block.text) in _squeezed(source), f"{place}: not in {block.info}"


def _squeezed(code: str) -> str:
    """Without layout, which a formatter may change."""
    return re.sub(r",(?=[)\]}])", "", re.sub(r"\s+", "", code))


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file) if file else path
        assert linked.exists(), f"{path.name}: {target} is not there"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(linked), flags=re.M)
            slugs = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in slugs, f"{path.name}: {target} has no such heading"


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_named_files_exist(path: Path) -> None:
    pattern = r"[\w.-]+/|[\w./-]+/[\w.-]*|[\w-]+\.(?:py|pyi|rs|md|toml|lock|npz|png)"
    for span in spans(path):
        if re.fullmatch(pattern, span) and span.rstrip("/") not in MADE:
            # From the root, or the end of a path that is plain from the context.
            known = f"/{span.rstrip('/')}".replace("/./", "/")
            there = any(file.endswith(known) for file in FILES)
            assert there, f"{path.name}: {span} is not there"


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_named_objects_exist(path: Path) -> None:
    if path.read_text(encoding="utf-8").startswith("<!-- Made by"):
        return  # made from the objects; tests of its own say that it is fresh
    for span in spans(path):
        if match := re.match(r"(?:needle|ndl)((?:\.\w+)+)(?:$|\()", span):
            found: Any = ndl
            place = "needle"
            for part in match[1].split(".")[1:]:
                place = f"{place}.{part}"
                try:
                    found = getattr(found, part)
                except AttributeError:
                    found = importlib.import_module(place)


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_named_commands_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    manifests = [text.read_text(encoding="utf-8") for text in ROOT.glob("crates/*/Cargo.toml")]
    crates = {name for text in manifests for name in re.findall(r'^name = "([\w-]+)"', text, re.M)}
    for words in shell_lines(path):
        line = " ".join(words)
        if words[0] == "make":
            goals = [word for word in words[1:] if "=" not in word]
            assert set(goals) <= targets, f"{path.name}: {line}"
        elif words[0] == "needle" or words[1:3] == ["-m", "needle"]:
            _check_needle(words[1:] if words[0] == "needle" else words[3:])
        elif words[1:3] == ["-m", "benchmarks"]:
            _check_benchmarks(words[3:])
        elif words[0] == "cargo" and "-p" in words:
            assert words[words.index("-p") + 1] in crates, f"{path.name}: {line}"
        elif words[1:3] == ["-m", "pytest"]:
            files = [word for word in words[3:] if word.endswith(".py")]
            assert all((ROOT / file).exists() for file in files), f"{path.name}: {line}"
        elif words[1] == "-m" and words[2].startswith("tools"):
            module = ROOT / words[2].replace(".", "/")
            assert module.is_dir() or module.with_suffix(".py").exists(), f"{path.name}: {line}"
        elif words[0] == "pip":
            _check_extras(words)
        elif words[0] == "python" and words[1].startswith("examples/"):
            _check_example(words[1], words[2:])
        else:
            known = {"cargo", "maturin", ".venv/bin/ruff"}
            assert words[0] in known, f"{path.name}: {line}: is that a command?"


def _check_needle(words: list[str]) -> None:
    """click parses the words without running them: a wrong option raises."""
    group: Any = command
    context = group.make_context("needle", [], resilient_parsing=True)
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        group = group.get_command(context, words.pop(0))
        assert group is not None
        context = group.make_context(group.name, [], context, resilient_parsing=True)
    options = {name for parameter in group.params for name in parameter.opts}
    options |= set(context.help_option_names)
    assert {word for word in words if word.startswith("-")} <= options


def _check_benchmarks(words: list[str]) -> None:
    source = (ROOT / "benchmarks" / "__main__.py").read_text(encoding="utf-8")
    for option, value in itertools.pairwise([*words, ""]):
        if option.startswith("--"):
            assert f'"{option}"' in source
        if option == "--rows":
            rows = (ROOT / "benchmarks" / "rows" / "__init__.py").read_text(encoding="utf-8")
            assert all(f'"{row}":' in rows for row in value.split(","))


def _check_example(script: str, words: list[str]) -> None:
    source = (ROOT / script).read_text(encoding="utf-8")
    assert all(f'"{word}"' in source for word in words if word.startswith("--")), script


def _check_extras(words: list[str]) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extras in re.findall(r"\.\[(.*)\]", " ".join(words)):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", project, flags=re.M)


def test_options_in_the_readme_exist() -> None:
    named = {span for span in spans(ROOT / "README.md") if span.startswith("--")}
    assert named
    for span in named:
        _check_needle(["train", "mnist", span.split()[0]])


def _consoles() -> list[Any]:
    return [
        pytest.param(block, id=f"{name_of(path)}:{block.line}")
        for path in RUN
        for block in blocks(path)
        if block.language == "console"
    ]


@pytest.mark.parametrize("block", _consoles())
def test_output_of_the_command(
    block: Block, tiny_mnist: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, _, expected = block.text.partition("\n")
    program, *words = _words(line.removeprefix("$ "))
    assert program == "needle"
    if "digits" in words:
        pytest.importorskip("sklearn")
    if "--data" in words:
        words[words.index("--data") + 1] = str(tiny_mnist)
    assert run(words) == 0
    assert _masked(capsys.readouterr().out) == _masked(expected)


def _masked(output: str) -> str:
    """Numbers and the origin of the data do not count."""
    return re.sub(r"\d+", "0", re.sub(r" from .*?:", " from:", output))


# A row of docs/kinks.md: name, `f`, `point`, `gradient`.
KINK = re.compile(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$", flags=re.M)
KINKS = KINK.findall((ROOT / "docs" / "kinks.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("f", "point", "expected"), [k[1:] for k in KINKS], ids=[k[0] for k in KINKS]
)
def test_kinks_are_as_documented(f: str, point: str, expected: str) -> None:
    names = {"ndl": ndl, "inf": np.inf, "nan": np.nan}
    x = ndl.Tensor(eval(point, names))
    eval(f, names, {"x": x}).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), eval(expected, names), rtol=1e-6, atol=1e-300)


def test_every_tested_kink_is_documented() -> None:
    source = (ROOT / "tests" / "test_kinks.py").read_text(encoding="utf-8")
    tested = re.findall(r'^    \("(.+?)", (?:ndl|lambda)', source, flags=re.M)
    assert sorted(tested) == sorted(kink[0] for kink in KINKS)


def test_the_benchmark_table_has_its_place() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    begin, end = "<!-- bench -->", "<!-- /bench -->"
    assert readme.count(begin) == readme.count(end) == 1
    inside = readme.split(begin)[1].split(end)[0]
    assert "make bench" in inside
