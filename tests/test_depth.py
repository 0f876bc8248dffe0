"""Depth without recursion: each test in a process with a stack of 1 MB (DESIGN 3)."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import gc
import numpy as np
import needle as ndl
from needle import Tensor, autograd

def counter():
    gc.collect()
    return autograd.TENSOR_COUNTER
"""


def run_on_a_small_stack(body: str) -> str:
    code = PRELUDE + textwrap.dedent(body) + "\nprint('done')\n"
    command = ["bash", "-c", 'ulimit -s 1024 && exec "$0" -c "$1"', sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:] or f"exit {done.returncode}"
    assert done.stdout.endswith("done\n")
    return done.stdout


@pytest.mark.parametrize("lazy", [False, True])
def test_a_chain_of_a_million_ops(lazy: bool) -> None:
    run_on_a_small_stack(f"""
        start = counter()
        x = Tensor([1.0, 2.0, 3.0, 4.0])
        with ndl.lazy({lazy}):
            y = x
            for _ in range(1_000_000):
                y = y * 1.0000001
            assert counter() >= start + 1_000_001
            y.backward()
            assert np.allclose(x.grad.numpy(), 1.0000001**1_000_000, rtol=1e-9)
            assert np.allclose(y.numpy(), x.numpy() * x.grad.numpy(), rtol=1e-9)
            assert len(autograd.find_topo_sort([y])) == 1_000_001
        del y, x
        assert counter() == start
        # Of this program alone: `ru_maxrss` begins with what the process had that started it.
        with open("/proc/self/status") as status:
            (peak,) = (int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
        assert peak < 10**9 or {lazy}, peak
    """)


def test_a_deep_chain_of_tensors_with_two_inputs_and_python_ops() -> None:
    run_on_a_small_stack("""
        class Half(ndl.TensorOp):
            def compute(self, a):
                return a * 0.5
            def gradient(self, out_grad, node):
                return out_grad * 0.5
        start = counter()
        half = Half()
        x = Tensor([1.0])
        y = x
        for _ in range(20_000):
            y = half(y) + half(y)
        y.backward()
        assert x.grad.item() == 1
        del x, y
        assert counter() == start
    """)


@pytest.mark.parametrize("keep", ["gradient", "value"])
def test_deep_second_derivatives(keep: str) -> None:
    run_on_a_small_stack(f"""
        start = counter()
        x = Tensor([1.0])
        y = x
        for _ in range(50_000):
            y = y * x * 1.0000001 / x
        y.backward()
        g = x.grad
        g.backward()
        assert np.isfinite(x.grad.item())
        if {keep!r} == "value":
            del g
        del x, y
        g = None
        assert counter() == start
    """)


def test_a_chain_of_gradients_is_dropped() -> None:
    run_on_a_small_stack("""
        start = counter()
        first = x = Tensor([1.0])
        for _ in range(300_000):
            g = Tensor([1.0])
            x.grad = g
            x = g
        del x, g
        assert counter() >= start + 300_001
        del first
        assert counter() == start
        class Parameter(Tensor):
            pass
        first = x = Parameter([1.0])
        for _ in range(300_000):
            g = Parameter([1.0])
            x.grad = g
            x = g
        del x, g, first
        assert counter() == start
    """)


def test_deep_lazy_graphs_of_data() -> None:
    run_on_a_small_stack("""
        start = counter()
        with ndl.lazy():
            x = Tensor([1.0], requires_grad=False)
            y = x
            for _ in range(500_000):
                y = y + 1
            assert y.shape == (1,)
            unread = y * 2
            assert y.item() == 500_001
        del x, y, unread
        assert counter() == start
    """)
