"""Threads that share the engine, kernels that let others run, children that compute."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor


def train(seed: int, steps: int = 150, lazy: bool = False) -> np.ndarray:
    """The weights of a small network after some steps."""
    random = np.random.RandomState(seed)
    x, y = Tensor(random.randn(20, 6), requires_grad=False), random.randn(20, 2)
    weights = [Tensor(random.randn(6, 10) * 0.4), Tensor(random.randn(10, 2) * 0.4)]
    with ndl.lazy(lazy):
        for _ in range(steps):
            error = ndl.tanh(x @ weights[0]) @ weights[1] - y
            (error * error).mean().backward()
            for w in weights:
                w.data = w.data - 0.05 * w.grad.data
        return np.concatenate([w.numpy().ravel() for w in weights])


def reference(seed: int, steps: int = 150) -> np.ndarray:
    """The same by hand, in NumPy."""
    random = np.random.RandomState(seed)
    x, y = random.randn(20, 6), random.randn(20, 2)
    a, b = random.randn(6, 10) * 0.4, random.randn(10, 2) * 0.4
    for _ in range(steps):
        hidden = np.tanh(x @ a)
        error = 2 * (hidden @ b - y) / 40
        grad_b = hidden.T @ error
        grad_a = x.T @ ((error @ b.T) * (1 - hidden**2))
        a, b = a - 0.05 * grad_a, b - 0.05 * grad_b
    return np.concatenate([a.ravel(), b.ravel()])


def in_threads(*bodies: Callable[[], Any]) -> list[Any]:
    results: list[Any] = [None] * len(bodies)

    def run(i: int) -> None:
        try:
            results[i] = bodies[i]()
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.mark.parametrize("lazy", [(False, False), (True, False), (True, True)])
def test_two_threads_train_two_networks(lazy: tuple[bool, bool]) -> None:
    start = ndl.autograd.TENSOR_COUNTER
    found = in_threads(*[lambda s=s, m=m: train(s, lazy=m) for s, m in enumerate(lazy)])
    for seed, weights in enumerate(found):
        np.testing.assert_allclose(weights, reference(seed), rtol=1e-9)
    assert start == ndl.autograd.TENSOR_COUNTER


def test_threads_share_one_graph() -> None:
    x = Tensor(np.linspace(0.1, 1, 2000))
    with ndl.lazy():
        shared = ndl.exp(ndl.sin(x) * 2)
        for _ in range(20):
            shared = ndl.tanh(shared * 1.1)
    expected = np.exp(np.sin(x.numpy()) * 2)
    for _ in range(20):
        expected = np.tanh(expected * 1.1)
    for array in in_threads(*[shared.numpy] * 4):
        np.testing.assert_allclose(array, expected, rtol=1e-12)
    loss = (shared * shared).sum()
    in_threads(*[loss.backward] * 4)
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_threads_build_read_and_drop_at_once() -> None:
    shared = Tensor(np.ones(50))

    def work() -> float:
        total = 0.0
        for i in range(300):
            y = (shared * i + 1).sum()
            y.backward()
            gradient = shared.grad
            assert gradient is not None
            total += y.item()
            assert len(ndl.autograd.find_topo_sort([y])) == 4
        return total

    expected = sum(50.0 * (i + 1) for i in range(300))
    assert in_threads(work, work, work) == [expected] * 3


@pytest.mark.parametrize(
    "kernel",
    [
        lambda a: a @ a,
        lambda a: ndl.exp(ndl.stack([a] * 4)),
        lambda a: ndl.logsumexp(ndl.stack([a] * 4), axes=(0,)),
    ],
    ids=["matmul", "exp", "logsumexp"],
)
def test_long_kernels_let_other_threads_run(kernel: Callable[[Tensor], Tensor]) -> None:
    a = Tensor(np.random.default_rng(0).normal(size=(2048, 2048)), requires_grad=False)
    # Without a switch of its own, a thread that holds the GIL keeps it until the kernel ends.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    running, stop = threading.Event(), threading.Event()
    counts = [0]

    def count() -> None:
        running.set()
        while not stop.is_set():
            counts[0] += 1
            time.sleep(0)  # gives the GIL back for a moment

    thread = threading.Thread(target=count)
    thread.start()
    try:
        running.wait()
        made = 0
        for _ in range(5):
            before = counts[0]
            kernel(a)
            made = max(made, counts[0] - before)
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()
    # Taking turns at the GIL at the start and end gives a few; running beside gives many.
    assert made > 100


def child(queue: Any, seed: int) -> None:
    big = Tensor(np.random.default_rng(seed).normal(size=(600, 600)))
    product = (big @ big).sum()
    product.backward()
    queue.put((train(seed, 30), float(product.numpy()), float(big.grad.sum().item())))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("lazy", [False, True])
def test_children_compute(method: str, lazy: bool) -> None:
    with ndl.lazy(lazy):
        held = Tensor(np.ones((600, 600))) @ Tensor(np.ones((600, 600)))  # pools are in use
        assert held.shape == (600, 600)
        context: Any = multiprocessing.get_context(method)
        queue = context.Queue()
        processes = [context.Process(target=child, args=(queue, seed)) for seed in (1, 1)]
        for process in processes:
            process.start()
        results = [queue.get(timeout=120) for _ in processes]
        for process in processes:
            process.join(timeout=60)
            assert process.exitcode == 0
    big = np.random.default_rng(1).normal(size=(600, 600))
    slopes = (big.sum(axis=0)[:, None] + big.sum(axis=1)[None, :]).T
    for weights, product, slope in results:
        np.testing.assert_allclose(weights, reference(1, 30), rtol=1e-9)
        np.testing.assert_allclose(product, (big @ big).sum(), rtol=1e-8)
        np.testing.assert_allclose(slope, slopes.sum(), rtol=1e-8, atol=1e-6)
    np.testing.assert_allclose(held.numpy(), 600.0)


FORK_UNDER_LOAD = """
import os, threading
import numpy as np
import needle as ndl
from needle import Tensor

stop = False
def load():
    x = Tensor(np.ones(5000))
    while not stop:
        y = ((x * 2).exp() + x).sum()
        y.backward()

threads = [threading.Thread(target=load) for _ in range(3)]
for t in threads:
    t.start()
failed = 0
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        x = Tensor(np.ones(5000))
        (x * x).sum().backward()
        os._exit(0 if x.grad.numpy()[0] == 2 else 1)
    failed += os.waitpid(pid, 0)[1] != 0
stop = True
for t in threads:
    t.join()
print("failed", failed)
"""


def test_a_fork_while_other_threads_hold_locks() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK_UNDER_LOAD],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "failed 0\n", done.stderr[-1000:]


def test_a_python_op_runs_under_the_gil_in_every_thread() -> None:
    class Slow(ndl.TensorOp):
        def compute(self, a: np.ndarray) -> np.ndarray:
            return np.array([sum(float(v) for v in a)])

        def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
            return out_grad.broadcast_to(node.inputs[0].shape)

    x = Tensor(np.arange(100.0))
    with ndl.lazy():
        y = Slow()(x * 2) + 1
    assert [a.tolist() for a in in_threads(*[y.numpy] * 4)] == [[9901.0]] * 4
