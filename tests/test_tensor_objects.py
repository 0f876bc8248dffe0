"""Tensors as Python objects: identity, copying, truth, order, subclassing (CONTRACT 2.1, 2.2)."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, Value


class Parameter(Tensor):
    """As nn.Parameter will be."""


class Named(Tensor):
    """A subclass with a constructor of its own."""

    def __init__(self, name: str, n: int) -> None:
        super().__init__(np.arange(float(n)), requires_grad=True)
        self.name = name


def test_one_object_stands_for_one_node() -> None:
    x = Parameter(Tensor([1.0]))
    x.tag = "kept"
    y = x * 2
    z = y + x
    assert z.inputs[0] is y
    assert z.inputs[1] is x
    assert z.inputs[1].tag == "kept"
    assert [n for n in ndl.autograd.find_topo_sort([z]) if n is x]
    number = id(y)
    del y
    gc.collect()
    fresh = z.inputs[0]
    assert type(fresh) is Tensor
    assert fresh.numpy().tolist() == [2]
    assert z.inputs[0] is fresh, f"a second object for the node of {number}"


def test_hash_is_the_objects_own() -> None:
    a, b = Tensor([1.0]), Tensor([1.0])
    h = hash(a)
    state = {a: "a", b: "b"}
    assert state[a] == "a"
    assert state[b] == "b"
    a.data = Tensor([2.0])
    _ = (a * b).sum()
    assert hash(a) == h
    assert state[a] == "a"
    assert a in {a}
    assert len({a, b, a}) == 2


def test_comparisons_are_elementwise() -> None:
    t = Tensor([1.0, 2.0, 3.0])
    u = Tensor([3.0, 2.0, 1.0])
    for symbol in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
        for other in (u, 2, 2.0, np.array([3.0, 2.0, 1.0]), [3, 2, 1]):
            got = getattr(t, symbol)(other)
            right = other.numpy() if isinstance(other, Tensor) else other
            assert got.dtype == "bool"
            assert got.requires_grad is False
            assert np.array_equal(got.numpy(), getattr(t.numpy(), symbol)(np.asarray(right)))
    assert (2 < t).numpy().tolist() == [False, False, True]  # noqa: SIM300
    assert (np.array([2.0]) < t).numpy().tolist() == [False, False, True]


@pytest.mark.parametrize("other", [None, "text", object(), {}, type])
def test_comparisons_with_what_is_no_number(other: object) -> None:
    t = Tensor([1.0])
    assert (t == other) is False
    assert (t != other) is True
    assert (other == t) is False
    with pytest.raises(TypeError):
        t < other  # noqa: B015


def test_bool_len_iter_float_int_item() -> None:
    assert bool(Tensor([2.0])) is True
    assert bool(Tensor(0)) is False
    for several in (Tensor([1.0, 2.0]), Tensor(np.zeros(0))):
        with pytest.raises(ValueError, match="truth value"):
            bool(several)
    t = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(t) == 2
    assert [row.tolist() for row in t] == [[1, 2], [3, 4]]
    assert [len(row.inputs) for row in t] == [1, 1]
    for ask in (len, iter, list):
        with pytest.raises(TypeError):
            ask(Tensor(1.0))
    assert float(Tensor([2.5], requires_grad=False)) == 2.5
    assert int(Tensor(2.9)) == 2
    item = Tensor([[7]]).item()
    assert type(item) is int
    assert item == 7
    assert type(Tensor(1.0).item()) is float
    for ask in (float, int, Tensor.item):
        with pytest.raises((ValueError, TypeError)):
            ask(t)
    assert 3.0 in t
    assert 9.0 not in t


def test_getitem_is_basic_indexing() -> None:
    a = np.arange(24.0).reshape(2, 3, 4)
    t = Tensor(a)
    for key in (0, -1, (1, 2, 3), slice(None, None, -1), (..., 1), (slice(None), None, 0), ()):
        assert np.array_equal(t[key].numpy(), a[key])
    for key, kind in [(2, IndexError), ((0, 0, 0, 0), IndexError), ("a", TypeError)]:
        with pytest.raises(kind):
            t[key]
    with pytest.raises(TypeError):
        t[0] = 1


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_leaves_can_be_copied(clone: object) -> None:
    p = Parameter([[1.0, 2.0]], dtype="float32")
    p.note = ["x"]
    p.grad = Tensor([[1.0, 1.0]])
    q = clone(p)
    assert type(q) is Parameter
    assert q is not p
    assert q.dtype == "float32"
    assert q.requires_grad is True
    assert q.grad is None
    assert q.note == ["x"]
    assert np.array_equal(q.numpy(), p.numpy())
    q.cached_data[...] = 0
    assert p.numpy().tolist() == [[1, 2]]
    data = clone(Tensor([True], requires_grad=False))
    assert data.requires_grad is False
    assert data.dtype == "bool"
    named = clone(Named("n", 3))
    assert (type(named), named.name, named.tolist()) == (Named, "n", [0, 1, 2])


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
def test_op_results_cannot_be_copied(clone: object) -> None:
    y = Tensor([1.0]) * 2
    with pytest.raises(RuntimeError, match="detach"):
        clone(y)
    clone(y.detach())


def test_weak_references_and_attributes() -> None:
    t = Tensor([1.0])
    ref = weakref.ref(t)
    assert ref() is t
    del t
    assert ref() is None
    with pytest.raises(AttributeError):
        Tensor([1.0]).name = "x"
    p = Parameter([1.0])
    p.name = "x"
    assert p.name == "x"


def test_parameters_share_storage_and_results_are_plain() -> None:
    t = Tensor([1.0, 2.0], requires_grad=False)
    p = Parameter(t)
    assert p.requires_grad is True
    assert np.shares_memory(p.numpy(), t.numpy())
    assert type(p + p) is Tensor
    assert type(p.detach()) is Tensor
    assert isinstance(p, Value)
    named = Named("w", 3)
    assert type(named * 2) is Tensor
    (named * 2).sum().backward()
    assert named.grad.tolist() == [2, 2, 2]


def test_empty_objects() -> None:
    for empty in (Tensor.__new__(Tensor), Tensor.__new__(Tensor, 1, a=2), Value.__new__(Value)):
        for ask in (lambda e: e.requires_grad, lambda e: e.inputs, lambda e: e.is_leaf()):
            with pytest.raises(RuntimeError, match="empty"):
                ask(empty)
    empty = Tensor.__new__(Tensor)
    for ask in (lambda e: e.shape, repr, lambda e: e + 1, lambda e: ndl.add(e, e), Tensor.numpy):
        with pytest.raises(RuntimeError, match="empty"):
            ask(empty)
    hash(empty)
    del empty


def test_init_fills_once() -> None:
    x = Tensor([1.0, 2.0])
    t = Tensor.__new__(Tensor)
    t._init(ndl.EWiseAdd(), [x, x])
    assert t.numpy().tolist() == [2, 4]
    assert t.inputs[0] is x
    t.sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(RuntimeError):
        t._init(ndl.EWiseAdd(), [x, x])
    leaf = Tensor.__new__(Tensor)
    leaf._init(None, [], num_outputs=1, cached_data=np.ones(2), requires_grad=True)
    assert leaf.is_leaf()
    assert leaf.requires_grad is True
    assert leaf.tolist() == [1, 1]
    with pytest.raises(RuntimeError):
        x._init(None, [], cached_data=np.ones(2))
    assert x.tolist() == [1, 2]


def test_make_from_op() -> None:
    x, c = Tensor([1.0]), Tensor([2.0], requires_grad=False)
    y = Tensor.make_from_op(ndl.EWiseMul(), [x, c])
    assert isinstance(y.op, ndl.EWiseMul)
    assert y.inputs[0] is x
    assert y.requires_grad is True
    z = Tensor.make_from_op(ndl.EWiseMul(), (c, c))
    assert (z.op, z.inputs, z.requires_grad) == (None, [], False)
    assert Value.make_from_op(ndl.Exp(), [x]).inputs[0] is x
    assert Value.make_const(np.ones(1), requires_grad=True).requires_grad is True
    with pytest.raises(TypeError):
        Tensor.make_from_op("add", [x, c])
