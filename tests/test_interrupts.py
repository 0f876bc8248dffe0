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

class Truth:
    def __bool__(self):
        spin()
        return True

class Zero:
    def __index__(self):
        spin()
        return 0

LARGE = np.ones(500_000)

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
    "truth": lambda: ndl.summation(x, 0, Truth()),
    "axis": lambda: x.sum(Zero()),
    "copy": lambda: Tensor(LARGE),
    "text": lambda: (str(x), repr(x), repr((x * 2).op), f"{x}"),
}
"""

BODIES = ["user op", "index", "array-like", "iterable"]
BODIES += ["refused dtype", "refused index", "refused operand", "text", "truth", "axis", "copy"]

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

class DeepAxis:
    def __index__(self):
        x.sum(self)
        return 0

class DeepAxes:
    def __iter__(self):
        x.sum(self)
        yield 0

class DeepItem:
    def __iter__(self):
        return self
    def __next__(self):
        x.sum(self)
        raise StopIteration

class DeepTruth:
    def __bool__(self):
        ndl.summation(x, 0, self)
        return True

class DeepMethod(ndl.TensorOp):
    @property
    def compute(self):
        DeepMethod()(x)
    def gradient(self, out_grad, node):
        return out_grad

def run():
    sys.setrecursionlimit(int(sys.argv[1]))
    for body in (lambda: Nested()(x), lambda: Backwards()(x).backward(),
                 lambda: x[DeepKey()], lambda: Tensor(DeepLike()), lambda: x.sum(DeepAxis()),
                 lambda: x.sum(DeepAxes()), lambda: x.sum(DeepItem()), lambda: DeepMethod()(x),
                 lambda: ndl.summation(x, 0, DeepTruth())):
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


@pytest.mark.parametrize(
    "body", ["user op", "index", "array-like", "iterable", "text", "truth", "axis", "copy"]
)
def test_daemon_threads_in_user_code_end_quietly(body: str, run_python: RunPython) -> None:
    for _ in range(3):
        done = run_case(run_python, ENDS, body)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("limit", ["1000", "100000"])
def test_user_code_that_calls_itself_is_a_recursion_error_on_small_stacks(
    limit: str, run_python: RunPython
) -> None:
    done = run_case(run_python, DEEP, limit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n" * 9, "")


def test_a_finaliser_may_call_when_the_interpreter_ends(run_python: RunPython) -> None:
    code = """
    class Last:
        def __init__(self):
            self.x = x
        def __del__(self, write=os.write):
            write(1, b"sum " + str(self.x.sum().item()).encode())
    sys.keep = Last()
    """
    done = run_case(run_python, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "sum 3.0", "")


def test_what_an_index_raises_is_passed_on(run_python: RunPython) -> None:
    code = """
    class Raising:
        def __init__(self, error):
            self.error = error
        def __index__(self):
            if isinstance(self.error, BaseException):
                raise self.error
            return self.error
    for body in (lambda key: x[key], lambda key: x.sum(key), lambda key: ndl.split(x, key)):
        for error in (OverflowError("mine"), KeyboardInterrupt("mine"), KeyError("mine")):
            try:
                body(Raising(error))
            except BaseException as found:
                assert found is error, repr(found)
        try:
            body(Raising("text"))
        except TypeError:
            print("refused")
    """
    done = run_case(run_python, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n" * 3, "")
