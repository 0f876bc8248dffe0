"""Which files are generated, and from what.

The op table is read from the built extension, so that Rust stays the only place that lists
ops; what the table does not know (the classes, the modes) stands in the template `core.pyi.in`.
"""

from pathlib import Path

from tools import reference, stubs
from tools.table import read_table

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(__file__).with_name("core.pyi.in")


def generated_files() -> dict[str, str]:
    """The content of every generated file, by its path from the root of the repository."""
    ops = read_table()
    template = TEMPLATE.read_text(encoding="utf-8")
    return {
        "python/needle/_core.pyi": stubs.core_stub(template, ops),
        "python/needle/ops/__init__.pyi": stubs.ops_stub(ops),
        "docs/ops.md": reference.page(ops),
    }


def main() -> None:
    """Write the files that are missing or stale, and name them."""
    for name, text in generated_files().items():
        path = ROOT / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {name}")
