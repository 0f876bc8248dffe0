"""Run as a script by memory.py: prints the bytes by which the peak rose during some work."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # a child knows no current folder

from benchmarks.rows.million_child import peak_memory
from benchmarks.rows.mnist_data import problem
from benchmarks.rows.mnist_steps import needle_epoch, torch_epoch


def mnist(library: Any) -> Callable[[], object]:
    """An epoch; the data counts, since each library keeps it in its own way."""
    data = problem()
    return lambda: (torch_epoch(library, data) if is_torch(library) else needle_epoch(data))()


def function(library: Any) -> Callable[[], object]:
    """A function of 1e7 elements and its gradient."""
    array = np.random.default_rng(0).standard_normal(10_000_000, dtype=np.float32)
    x = leaf(library, array)
    tanh, exp = library.tanh, library.exp
    return lambda: (tanh(x * 0.8 + 0.1) * exp(-(x * x))).sum().backward()


def layers(library: Any) -> Callable[[], object]:
    """Forward and backward of 20 layers."""
    random = np.random.default_rng(0)
    weights = [
        leaf(library, random.standard_normal((512, 512), dtype=np.float32) / np.float32(23))
        for _ in range(20)
    ]
    x = leaf(library, random.standard_normal((1000, 512), dtype=np.float32))

    def step() -> None:
        hidden = x
        for weight in weights:
            hidden = library.tanh(hidden @ weight)
        (hidden * hidden).sum().backward()

    return step


def is_torch(library: Any) -> bool:
    """Whether it is PyTorch."""
    return bool(library.__name__ == "torch")


def leaf(library: Any, array: Any) -> Any:
    """A tensor that requires a gradient."""
    if is_torch(library):
        return library.from_numpy(array).requires_grad_()
    return library.Tensor(library.from_numpy(array), requires_grad=True)


def fresh_peak() -> int:
    """The memory in use now, from which on a peak is counted anew where the system can do that."""
    # Where it is not Linux, what was loaded counts as the peak so far.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def main() -> None:
    """Do the work that the first argument names with the library that the second names."""
    work, name = sys.argv[1:3]
    library = __import__(name)
    # Whatever a library allocates once, at its first operation, is not the work's.
    tiny = leaf(library, np.ones((2, 2), np.float32))
    library.tanh(tiny @ tiny).sum().backward()
    run = {"mnist": mnist, "function": function, "layers": layers}[work](library)
    before = fresh_peak()
    run()
    print(peak_memory() - before)


if __name__ == "__main__":
    main()
