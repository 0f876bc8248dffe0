"""Depth without recursion, and nothing left over: each in a process with a 1 MB stack."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import gc, os, resource
import numpy as np
import needle as ndl
from needle import Tensor, autograd

def counter():
    gc.collect()
    return autograd.TENSOR_COUNTER

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
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
        x = Tensor([1.0, 2.0, 3.0, 4.0], dtype="float32")
        with ndl.lazy({lazy}):
            y = x
            for _ in range(1_000_000):
                y = y * 1.0000001
            assert counter() >= start + 1_000_001
            y.backward()
            assert np.allclose(x.grad.numpy(), 1.1051709, rtol=0.05)
            assert np.allclose(y.numpy(), x.numpy() * x.grad.numpy(), rtol=1e-3)
            assert len(autograd.find_topo_sort([y])) == 1_000_001
        del y, x
        assert counter() == start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        assert peak < 10**9, peak
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


TRAINING = """
    random = np.random.RandomState(0)
    X, Y = random.randn(16, 8).astype("float32"), random.randn(16, 1).astype("float32")
    w1, w2 = (Tensor(random.randn(*s) * 0.3, dtype="float32") for s in ((8, 16), (16, 1)))

    def step(style):
        global w1, w2
        x, y = (Tensor(a, requires_grad=style == "batches") for a in (X, Y))
        error = ndl.tanh(x @ w1) @ w2 - y
        loss = (error * error).mean()
        loss.backward()
        if style == "data":
            for w in (w1, w2):
                w.data = w - 0.01 * w.grad.detach()
        elif style == "clear":
            for w in (w1, w2):
                w.data = w.data - 0.01 * w.grad.data
                w.grad = None
        else:
            w1 = (w1 - 0.01 * w1.grad).detach()
            w2 = (w2 - 0.01 * w2.grad).detach()
        return loss.item()

    def train(style, lazy):
        with ndl.lazy(lazy):
            first = step(style)
            for _ in range(500):
                step(style)
            before, live = resident(), counter()
            for _ in range(STEPS):
                last = step(style)
            grown = resident() - before
            assert counter() == live, (style, lazy, live, counter())
            assert grown < 1_000_000, (style, lazy, grown)
            assert last < first
"""


@pytest.mark.parametrize("style", ["data", "clear", "detach", "batches"])
@pytest.mark.parametrize("lazy", [False, True])
def test_memory_is_flat_over_training_steps(style: str, lazy: bool) -> None:
    steps = 10_000 if not lazy else 4_000
    run_on_a_small_stack(
        textwrap.dedent(TRAINING).replace("STEPS", str(steps)) + f"\ntrain({style!r}, {lazy})\n"
    )


def test_ops_that_store_their_inputs_do_not_leak() -> None:
    run_on_a_small_stack("""
        class Storing(ndl.TensorOp):
            def __init__(self, *tensors):
                self.tensors = tensors
                self.arrays = []
            def compute(self, a):
                self.arrays.append(a)
                return a * 2
            def gradient(self, out_grad, node):
                self.inputs = node.inputs
                self.out_grad = out_grad
                return out_grad * 2
        start = counter()
        for _ in range(200):
            x = Tensor(np.ones(10))
            y = x * 3
            loss = (Storing(x, y)(y) * x).sum()
            loss.backward()
            del x, y, loss
        assert counter() == start
    """)


def test_a_failed_op_leaves_nothing() -> None:
    run_on_a_small_stack("""
        class Failing(ndl.TensorOp):
            def compute(self, a):
                return a * 1
            def gradient(self, out_grad, node):
                raise KeyError("x")
        start = counter()
        for lazy in (False, True):
            for _ in range(50):
                with ndl.lazy(lazy):
                    x = Tensor([1.0, 2.0])
                    y = Failing()(x * 2).exp()
                    try:
                        y.backward()
                    except KeyError:
                        pass
                    try:
                        y + Tensor([1.0, 2.0, 3.0])
                    except ValueError:
                        pass
                    del x, y
        assert counter() == start
    """)


def test_subclasses_with_cycles_are_collected() -> None:
    run_on_a_small_stack("""
        class Parameter(Tensor):
            pass
        start = counter()
        for _ in range(100):
            p = Parameter([1.0])
            p.me = p
            p.other = [p, p * 2]
        del p
        assert counter() == start
    """)
