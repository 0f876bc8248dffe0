"""Writes THIRD-PARTY.md: the licences of the crates that are linked into the extension module.

Run as ``python -m tools.notices`` after a change of dependencies. It reads the sources that
cargo has fetched, so it needs cargo; the test of freshness only compares names and versions.
"""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "THIRD-PARTY.md"
HEAD = """# Third-party notices

The extension module of needle contains the following crates, under the licences below.
`python -m tools.notices` writes this file.
"""


def linked() -> list[dict[str, str]]:
    """The crates that `needle-python` links, proc macros and build tools left out."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    data = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    start = next(i for i, package in packages.items() if package["name"] == "needle-python")
    found, stack = set[str](), [start]
    while stack:
        here = stack.pop()
        if here in found:
            continue
        found.add(here)
        for dep in nodes[here]["deps"]:
            normal = any(kind["kind"] is None for kind in dep["dep_kinds"])
            kinds = [kind for target in packages[dep["pkg"]]["targets"] for kind in target["kind"]]
            if normal and "proc-macro" not in kinds:
                stack.append(dep["pkg"])
    foreign = [packages[i] for i in found if packages[i]["source"] is not None]
    return sorted(foreign, key=lambda package: (package["name"], package["version"]))


def licence_texts(package: dict[str, str]) -> list[str]:
    """The licence files of a crate; of a choice, the MIT one is enough."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(
        path for path in folder.iterdir() if path.name.upper().startswith(("LICEN", "COPYING"))
    )
    mit = [path for path in files if "MIT" in path.name.upper()]
    chosen = [path for path in mit or files if path.is_file()]
    return [path.read_text(encoding="utf-8", errors="replace").strip() for path in chosen]


def render() -> str:
    """The whole file; equal texts stand once."""
    by_text: dict[str, list[str]] = {}
    for package in linked():
        name = f"{package['name']} {package['version']} ({package['license']})"
        text = "\n\n".join(licence_texts(package)) or f"See {package['repository']}"
        by_text.setdefault(text, []).append(name)
    parts = [HEAD]
    for text, names in by_text.items():
        title = "\n".join(f"- {name}" for name in names)
        parts.append(f"{title}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
