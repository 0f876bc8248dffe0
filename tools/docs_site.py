"""What the documentation site needs beyond mkdocs.yml: hooks of MkDocs, an extension of Griffe.

Documents keep their paths from the root of the repository, so links that work there work in the
site, and the README is its front page. The API pages are made here, one for each public module.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from griffe import Class, Docstring, Extension, Module
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md")
LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)")
API = "docs/api/"

# Pages that leave out what stands on others: a sentence that says so, options for mkdocstrings.
ELSEWHERE: dict[str, tuple[str, dict[str, Any]]] = {
    "needle": (
        "Every function of [the operations](../ops.md) is a member of `needle` too, and so are "
        "`ones`, `zeros` and their kin from [needle.init](needle.init.md), and `save`, `load` and "
        "those for checkpoints from [needle.saving](needle.saving.md).",
        {"filters": ["!^_[^_]", "!^(save|load|ones|zeros)"]},
    ),
    "needle.autograd": (
        "The classes are those of [needle](needle.md).",
        {"filters": ["!^_[^_]", "!^[A-Z][a-z]"]},
    ),
}


def documents() -> list[Path]:
    """The Markdown files of the site, those that are written by hand."""
    return [path for pattern in DOCUMENTS for path in sorted(ROOT.glob(pattern))]


def linked_files() -> set[Path]:
    """The pictures, programs and licences that the documents link to."""
    files = {
        (document.parent / target).resolve()
        for document in documents()
        for target in LINK.findall(document.read_text(encoding="utf-8"))
    }
    return {file for file in files if file.is_file() and file.suffix != ".md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the theme, the documents and what they link to, and the API pages."""
    kept = [file for file in files if file.src_dir != config.docs_dir]
    for path in [*documents(), *sorted(linked_files())]:
        name = path.relative_to(ROOT).as_posix()
        kept.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    for name in sorted(_paths(config.nav)):
        if name.startswith(API):
            kept.append(File.generated(config, name, content=_api_page(Path(name).stem)))
    return Files(kept)


def _api_page(module: str) -> str:
    text, options = ELSEWHERE.get(module, ("", {}))
    return f"# {module}\n\n{text}\n\n::: {module}\n    options: {json.dumps(options)}\n"


def _paths(nav: Any) -> set[str]:
    if isinstance(nav, str):
        return {nav}
    items = nav.values() if isinstance(nav, dict) else nav
    return {path for item in items for path in _paths(item)}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Names examples as the console of Python that they are, and quotations by their file."""
    markdown = re.sub(r"^```python\n(?=>>>)", "```pycon\n", markdown, flags=re.M)
    return re.sub(r"^```(\w+) (\S+)$", r'```\1 title="\2"', markdown, flags=re.M)


class Examples(Extension):
    """Puts the examples in docstrings into fenced blocks."""

    def on_package(self, *, pkg: Module, **_: object) -> None:
        """Called when a package has been read."""
        _fence_all(pkg)


def _fence_all(place: Module | Class) -> None:
    for member in [place, *place.members.values()]:
        if member.is_alias:
            continue
        if member.docstring is not None:
            _fence(member.docstring)
        if isinstance(member, Module | Class) and member is not place:
            _fence_all(member)


def _fence(docstring: Docstring) -> None:
    """Fence each paragraph that begins with a prompt, without its remarks to doctest."""
    paragraphs = re.split(r"\n\s*\n", docstring.value)
    docstring.value = "\n\n".join(
        f"```pycon\n{re.sub(r' *# doctest:.*', '', text)}\n```" if text.startswith(">>>") else text
        for text in paragraphs
    )
