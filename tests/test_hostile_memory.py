"""Input that reached foreign memory or asked for all of it: each in a process of its own."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

RunPython = Callable[..., subprocess.CompletedProcess[str]]

BEFORE = """
import itertools
import numpy as np
import needle as ndl
from needle import Tensor, _core

def raises(expected, body, *words):
    try:
        result = body()
    except expected as error:
        for word in words:
            assert word in str(error), (word, str(error))
        return
    raise AssertionError(f"{type(result).__name__} instead of {expected}")
"""

CASES = {
    "an op object on a smaller array": """
        op = Tensor(np.zeros(10**6))[500_000:500_010].op
        small = Tensor(np.arange(3.0))
        raises(IndexError, lambda: op(small), "range", "size 3")
        raises(IndexError, lambda: op.compute(np.arange(3.0)), "size 3")
        with ndl.lazy():
            raises(IndexError, lambda: op(small))
        node = Tensor(np.zeros(10**6))[500_000:500_010]
        raises((IndexError, ndl.GradError), lambda: op.gradient(node, small * 1))
        x = Tensor(np.zeros((4, 5)))[1:3, ::-2]
        assert np.array_equal(x.op.compute(np.arange(20.0).reshape(4, 5)),
                              np.arange(20.0).reshape(4, 5)[1:3, ::-2])
    """,
    "data that an index replaces": """
        class Key:
            def __index__(self):
                x.data = Tensor(np.zeros(2))
                return 900
        x = Tensor(np.zeros(1000))
        raises(IndexError, lambda: x[Key():950])
        x = Tensor(np.zeros(1000))
        raises(IndexError, lambda: x[Key()])
    """,
    "an array-like of another size the second time": """
        class Shrinking:
            size = 100_000
            def __array__(self, dtype=None, copy=None):
                size, self.size = self.size, 3
                return np.ones(size)
        assert ndl.getitem(Shrinking(), slice(90_000, 90_010)).shape == (10,)
        raises(ValueError, lambda: ndl.put(Shrinking(), (3,), slice(None)))
    """,
    "arguments in another order": """
        big = Tensor(np.ones(100_000))
        raises(ndl.ShapeError, lambda: ndl.put(big, index=slice(None), shape=(3,)), "(3,)")
        raises(ndl.ShapeError, lambda: ndl.put(big, shape=(3,), index=slice(None)), "(3,)")
        raises(ndl.ShapeError, lambda: ndl.put(big, index=slice(None), shape=(-3,)), "negative")
        three = Tensor(np.ones(3))
        for put in (ndl.put(three, index=slice(1, 4), shape=(5,)),
                    ndl.put(index=slice(1, 4), a=three, shape=(5,)),
                    ndl.ops.Put(index=slice(1, 4), shape=(5,))(three),
                    ndl.put(three, (5,), index=slice(1, 4))):
            assert put.numpy().tolist() == [0, 1, 1, 1, 0]
    """,
    "more parts than memory holds": """
        wide = ndl.broadcast_to(Tensor([1.0]), (2**40,))
        raises(MemoryError, lambda: ndl.split(wide, 0), "1099511627776")
        raises(MemoryError, lambda: ndl.split(ndl.zeros(0, 2**40), 1), "1099511627776")
        with ndl.lazy():
            raises(MemoryError, lambda: ndl.split(wide, 0))
        for body in (lambda: wide.var(), lambda: ndl.softmax(wide),
                     lambda: ndl.concat([wide, wide]),
                     lambda: ndl.take(Tensor([1.0]), wide.astype("int64")),
                     lambda: ndl.cross_entropy(wide, Tensor(0))):
            raises(MemoryError, body)
    """,
    "more dimensions than there are": """
        one = Tensor([1.0])
        raises(ndl.ShapeError, lambda: one.reshape([1] * 65), "64")
        raises(ndl.ShapeError, lambda: one.reshape(range(10**12)), "64")
        raises(ndl.ShapeError, lambda: one.reshape(itertools.repeat(1)), "64")
        raises(ndl.ShapeError, lambda: one.sum(axes=itertools.count()), "64")
        deep = one.reshape([1] * 64)
        raises(ndl.ShapeError, lambda: ndl.stack([deep, deep]), "64")
        raises(ndl.ShapeError, lambda: deep[None], "64")
        raises(ndl.ShapeError, lambda: one.broadcast_to([1] * 65), "64")
        raises(OverflowError, lambda: one.reshape(2**64), "64-bit")
    """,
    "lengths that multiply to too much": """
        wide = ndl.broadcast_to(Tensor([1.0]), (2**62,))
        for body in (lambda: ndl.concat([wide] * 4), lambda: ndl.stack([wide] * 4),
                     lambda: wide.reshape((2**62, 1)) * wide,
                     lambda: wide.broadcast_to((4, 2**62)),
                     lambda: wide.reshape((2**62, 1)) @ wide.reshape((1, 2**62)),
                     lambda: ndl.take(wide.reshape((1, 2**62)), Tensor([0] * 4)),
                     lambda: ndl.put(Tensor([1.0]), (2**40, 2**40), (0, slice(0, 1))),
                     lambda: ndl.zeros(0, 2**40).broadcast_to((2**40, 0, 2**40))):
            raises((ndl.ShapeError, MemoryError), body)
    """,
    "very many rows of nothing": """
        empty = Tensor(np.zeros((2**40, 0)))
        assert ndl.concat([empty, empty], 1).shape == (2**40, 0)
        assert ndl.stack([empty, empty]).shape == (2, 2**40, 0)
        for body in (lambda: empty + empty, lambda: ndl.softmax(empty),
                     lambda: empty.reshape(0, 2**40), lambda: empty @ ndl.zeros(0, 0),
                     lambda: ndl.transpose(empty) * 2, lambda: ndl.take(empty, Tensor([0]), axis=0),
                     lambda: ndl.where(empty > 0, 1, empty),
                     lambda: empty.astype("int8"), lambda: empty.sum(axes=0)):
            assert body().size == 0
    """,
    "lists that do not end": """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        class Endless(list):
            def __iter__(self):
                return itertools.repeat(one)
        class Long:
            def __len__(self):
                return 2**62
            def __length_hint__(self):
                return 2**62
            def __getitem__(self, i):
                raise IndexError
        one = Tensor([1.0])
        raises(MemoryError, lambda: ndl.stack(Endless()))
        raises(MemoryError, lambda: ndl.stack([one] * 10**7), "10000000 tensors")
        raises(MemoryError, lambda: ndl.autograd.find_topo_sort(Endless()))
        for body in (lambda: _core.gradients(one.sum(), Long()), lambda: _core.global_norm(Long()),
                     lambda: ndl.autograd.find_topo_sort(Long()), lambda: one.sum(axes=Long())):
            body()
    """,
    "a kept program on data of another shape": """
        def graph(n, m):
            x = Tensor(np.zeros((1, 8)))
            x * 1  # its node is older than that of `c * 1.0`
            c = Tensor(np.zeros((n, 8)))
            out = ndl.softmax(c * 1.0 + x, -1)
            if m != n:
                c.data = Tensor(np.zeros((m, 8)))
            return x, out
        for _ in range(2):
            for n in (4, 64, 3_000_000):
                x, out = graph(n, 4)
                (gradient,) = _core.gradients(out, [x], None)
                assert gradient.shape == (1, 8) and not gradient.numpy().any()
                x, out = graph(n, 4)
                (tangent,) = _core.tangents([out], [x], [Tensor(np.ones((1, 1, 8)))])
                assert tangent.shape == (1, n, 8) and not tangent.numpy().any()
    """,
    "data that is replaced while a program reads": """
        class Replacing(ndl.TensorOp):
            def infer(self, *types):
                return types[0]
            def compute(self, c):
                y.data = Tensor(np.full((3_000_000, 8), 7.0))
                return np.ones((4, 8))
            def gradient(self, out_grad, node):
                return out_grad
        with ndl.lazy():
            x = Tensor(np.ones((4, 8)))
            y = ndl.softmax(x, -1)
            out = y * Replacing()(Tensor(np.ones((4, 8)), requires_grad=False))
            raises(ndl.GradError, lambda: _core.gradients(out, [x], None), "replaced")

        class Shrinking(ndl.TensorOp):
            def infer(self, *types):
                return types[0]
            def compute(self, c):
                seed.cached_data = np.ones((1, 4))
                return c * 1
            def gradient(self, out_grad, node):
                return out_grad
        x = Tensor(np.ones((2_000_000, 4)))
        out = ndl.softmax(x, -1)
        _core.gradients(out, [x], Tensor(np.ones((2_000_000, 4))))
        with ndl.lazy():
            seed = Shrinking()(Tensor(np.ones((2_000_000, 4)), requires_grad=False))
        raises((ndl.GradError, ndl.ShapeError), lambda: _core.gradients(out, [x], seed))
    """,
    "memory that comes back many times": """
        w = Tensor(np.zeros(3))
        for _ in range(60_000):
            w.cached_data -= 1.0
        assert w.numpy().tolist() == [-60_000.0] * 3
        for again in (lambda t: ndl.from_dlpack(t.detach()),
                      lambda t: ndl.from_numpy(t.numpy()),
                      lambda t: Tensor.make_const(t.numpy()),
                      lambda t: ndl.from_numpy(t.cached_data),
                      lambda t: ndl.from_numpy(np.from_dlpack(t.detach()))):
            t = w
            for _ in range(60_000):
                t = again(t)
            assert t.numpy().ctypes.data == w.numpy().ctypes.data
            del t
        class Subclass(np.ndarray):
            pass
        t = w
        for _ in range(60_000):  # an array class of the user's hides whose memory it is
            t = ndl.from_numpy(t.numpy().view(Subclass))
        del t
    """,
    "another number of operands": """
        for row in _core.op_table():
            for op, inputs in row["samples"]:
                if not row["variadic"]:
                    arrays = [x.numpy() for x in inputs]
                    raises(TypeError, lambda: op.compute(*arrays[1:]), "operand")
                    raises(TypeError, lambda: op.compute(*arrays, *arrays), "operand")
                    raises(TypeError, lambda: op(*inputs[1:]), "operand")
    """,
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_reaches_foreign_memory(name: str, run_python: RunPython) -> None:
    done = run_python(BEFORE + textwrap.dedent(CASES[name]))
    assert (done.returncode, done.stderr) == (0, "")


def test_labels_and_indices_that_another_thread_writes(run_python: RunPython) -> None:
    code = """
        import threading, time
        labels = np.zeros(20_000, "int64")
        logits = Tensor(np.zeros((20_000, 4), "float32"), requires_grad=True)
        table = Tensor(np.zeros((4, 2)), requires_grad=True)
        alias = ndl.from_numpy(labels)
        stop = False

        def write():
            while not stop:
                labels[:] = 2**40
                labels[:] = 0

        writer = threading.Thread(target=write)
        writer.start()
        results = {True: 0, False: 0}
        end = time.time() + 4
        while time.time() < end:
            for body in (lambda: ndl.cross_entropy(logits, alias).backward(),
                         lambda: ndl.take(table, alias).sum().backward()):
                try:
                    body()
                except (IndexError, ndl.GradError):
                    results[False] += 1
                else:
                    results[True] += 1
        stop = True
        writer.join()
        assert all(results.values()), results
    """
    done = run_python(BEFORE + textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (0, "")


def test_memory_of_ours_is_used_and_not_borrowed() -> None:
    t = Tensor([1.0, 2.0, 3.0, 4.0])
    same = ndl.from_numpy(t.cached_data[1:])
    same.cached_data[0] = 7
    assert t.numpy().tolist() == [1, 7, 3, 4]
    frozen = ndl.from_numpy(t.numpy())
    assert not frozen.cached_data.flags.writeable
    bits = ndl.from_numpy(t.cached_data.view("int32")[3:5])  # not a whole float64 from the start
    assert bits.numpy().tolist() == t.numpy().view("int32")[3:5].tolist()
    odd = ndl.from_numpy(t.cached_data.view("u1")[3:])
    assert odd.numpy().tolist() == t.numpy().view("u1")[3:].tolist()


def test_an_index_reads_as_it_was() -> None:
    x = Tensor(np.arange(5.0))
    for key in (slice(-9, None, -1), slice(4, 2), slice(3, None, 2**62), slice(None, None, -2)):
        picked = x[key]
        assert np.array_equal(np.arange(5.0)[picked.op.index], picked.numpy()), key


def test_a_tuple_has_no_data_of_its_own() -> None:
    t = Tensor.__new__(Tensor)
    t._init(ndl.ops.MakeTensorTuple(), [Tensor([1.0, 2.0]), Tensor([3.0])])
    with pytest.raises(TypeError, match="tuple"):
        t.cached_data = np.ones(3)


def test_many_parts_take_no_longer_each() -> None:
    parts = list(ndl.split(Tensor(np.zeros((2**16, 1))), 0))  # quadratic, it took two minutes
    assert len(parts) == 2**16
    assert len(list(ndl.make_tuple(*parts))) == 2**16
