"""Ctrl-C, threads at the end of the interpreter, and stacks that end, all below needle's frames."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable

import pytest

RunPython = Callable[..., subprocess.CompletedProcess[str]]

BEFORE = """
import os, signal, sys, threading, time
import numpy as np
import needle as ndl
from needle import Tensor

class Doubled(ndl.TensorOp):
    def compute(self, a):
        spin()
        return a * 2
    def gradient(self, out_grad, node):
        spin()
        return out_grad * 2

class Key:
    def __index__(self):
        spin()
        return 1

class Like:
    def __array__(self, dtype=None, copy=None):
        spin()
        return np.zeros(2)

class Lengths:
    def __iter__(self):
        spin()
        yield 2

def spin():
    for _ in range(200):
        pass

def refused(body):
    try:
        body()
    except TypeError:
        return
    raise AssertionError

x = Tensor([1.0, 2.0])
doubled = Doubled()
BODIES = {
    "user op": lambda: doubled(doubled(x)).backward(),
    "index": lambda: x[Key()],
    "array-like": lambda: Tensor(Like()),
    "iterable": lambda: x.reshape(Lengths()),
    "refused dtype": lambda: refused(lambda: Tensor([1.0], dtype="no dtype")),
    "refused index": lambda: refused(lambda: x[1.5]),
    "refused operand": lambda: refused(lambda: ndl.exp(Key)),
    "text": lambda: (str(x), repr(x), repr((x * 2).op), f"{x}"),
}
"""

BODIES = ["user op", "index", "array-like", "iterable"]
BODIES += ["refused dtype", "refused index", "refused operand", "text"]

INTERRUPTS = """
body = BODIES[sys.argv[1]]
caught = 0
done = False

inside = False

def send():
    for sent in range(25):
        time.sleep(0.002)
        while not inside:
            time.sleep(0.0002)
        os.kill(os.getpid(), signal.SIGINT)
        until = time.time() + 20
        while caught <= sent and time.time() < until:
            time.sleep(0.0002)
        if caught != sent + 1:
            break
    global done
    done = True

sender = threading.Thread(target=send)
sender.start()
while not done:
    try:
        inside = True
        while not done:
            body()
    except KeyboardInterrupt:
        inside = False
        caught += 1
sender.join()
print(caught)
"""

ENDS = """
body = BODIES[sys.argv[1]]
running = threading.Event()

def work():
    while True:
        body()
        running.set()

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
running.wait()
time.sleep(0.005)
"""

DEEP = """
class Nested(ndl.TensorOp):
    def compute(self, a):
        return Nested()(Tensor(a)).numpy()
    def gradient(self, out_grad, node):
        return out_grad

class Backwards(ndl.TensorOp):
    def compute(self, a):
        return a * 1
    def gradient(self, out_grad, node):
        Backwards()(Tensor([1.0])).backward()
        return out_grad

class DeepKey:
    def __index__(self):
        x[self]
        return 0

class DeepLike:
    def __array__(self, dtype=None, copy=None):
        return Tensor(self).numpy()

def run():
    for body in (lambda: Nested()(x), lambda: Backwards()(x).backward(),
                 lambda: x[DeepKey()], lambda: Tensor(DeepLike())):
        try:
            body()
        except RecursionError as error:
            print("recursion" in str(error))

threading.stack_size(2 << 20)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def run_case(run_python: RunPython, code: str, case: str = "") -> subprocess.CompletedProcess[str]:
    return run_python(f"import sys; sys.argv[1:] = [{case!r}]\n{BEFORE}{textwrap.dedent(code)}")


@pytest.mark.parametrize(
    "body",
    [
        "user op",
        "index",
        "array-like",
        "iterable",
        "refused dtype",
        "refused index",
        "refused operand",
        "text",
    ],
)
def test_every_interrupt_is_raised_once(body: str, run_python: RunPython) -> None:
    done = run_case(run_python, INTERRUPTS, body)
    assert (done.returncode, done.stdout, done.stderr) == (0, "25\n", "")


@pytest.mark.parametrize("body", ["user op", "index", "array-like"])
def test_daemon_threads_in_user_code_end_quietly(body: str, run_python: RunPython) -> None:
    for _ in range(5):
        done = run_case(run_python, ENDS, body)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_user_code_that_calls_itself_is_a_recursion_error_on_small_stacks(
    run_python: RunPython,
) -> None:
    done = run_case(run_python, DEEP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n" * 4, "")
