"""What needle costs before it does anything: the time to import it, and its size."""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import needle

from .. import machine
from ..child import run_python
from ..figures import Bound, Figure, Unit
from ..peers import JAX, NEEDLE, NUMPY, PYTORCH
from ..timing import Block, Contestant, Plan, Sample, compete

_CHILD = """\
import time
{before}
begin = time.perf_counter()
import {module}
print(time.perf_counter() - begin)
"""


def imports(plan: Plan) -> list[Figure]:
    """import needle where NumPy is imported already, beside the imports of the others"""
    contestants = [
        Contestant(NEEDLE, _import_block("needle", "import numpy")),
        Contestant(NUMPY, _import_block("numpy")),
    ]
    for name, module in ((PYTORCH, "torch"), (JAX, "jax")):
        if find_spec(module):
            contestants.append(Contestant(name, _import_block(module, "import numpy")))
    samples = compete(contestants, plan.at_most(7).without_threads())[""]
    return [Figure("import", "import needle, after NumPy", samples, [Bound(0.015)])]


def _import_block(module: str, before: str = "") -> Block:
    code = _CHILD.format(module=module, before=before)
    return lambda: {"": float(run_python("-c", code))}


def size(_plan: Plan) -> list[Figure]:
    """the size of the extension module, and of the package deflated as in a wheel"""
    extension = machine.extension()
    sizes: list[tuple[str, str, int, list[Bound]]] = [
        ("extension", "size of the extension module", extension.stat().st_size, []),
        ("wheel", "size of the package in a wheel", _deflated(extension), [Bound(5e6)]),
    ]
    return [
        Figure(f"size/{key}", title, {NEEDLE: Sample((float(count),))}, bounds, Unit.BYTES)
        for key, title, count, bounds in sizes
    ]


def _deflated(extension: Path) -> int:
    """The size of a wheel: a zip file of the package's Python sources and its extension."""
    folder = Path(needle.__file__ or "").parent
    files = [path for path in sorted(folder.rglob("*.py*")) if path.suffix in (".py", ".pyi")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (*files, extension):
            archive.write(path, path.relative_to(folder))
    return buffer.tell()
