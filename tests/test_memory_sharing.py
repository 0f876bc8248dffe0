"""Who sees whose memory: snapshots, writable aliases, `.data`, zero copy in (CONTRACT 2.2)."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import needle as ndl
from needle import Tensor


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (0, 2), (700, 800)])
def test_numpy_is_a_read_only_view(shape: tuple[int, ...]) -> None:
    t = Tensor(np.ones(shape))
    view = t.numpy()
    assert type(view) is np.ndarray
    assert view.shape == shape
    assert view.flags.writeable is False
    assert address(view) == address(t.numpy()) == address(t.realize_cached_data())
    with pytest.raises(ValueError, match="read-only"):
        view[...] = 2
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.flags.writeable = True


def test_a_view_outlives_its_tensor_and_keeps_no_graph() -> None:
    start = ndl.autograd.TENSOR_COUNTER
    x = Tensor(np.arange(1000.0))
    y = x * 2
    view = y.numpy()
    del x, y
    gc.collect()
    assert start == ndl.autograd.TENSOR_COUNTER
    for _ in range(20):
        Tensor(np.full(1000, -1.0))
    assert np.array_equal(view, np.arange(1000.0) * 2)


def test_cached_data_is_a_writable_alias() -> None:
    t = Tensor([[1.0, 2.0], [3.0, 4.0]])
    raw = t.realize_cached_data()
    assert address(raw) == address(t.cached_data) == address(t.numpy())
    assert raw.size == 4
    raw.flat[1] += 10
    assert t.numpy()[0, 1] == 12
    assert (t * 2).numpy()[0, 1] == 24
    snapshot = t.numpy()
    t.cached_data[0, 0] = -1
    assert snapshot[0, 0] == -1


def test_results_held_before_a_raw_write_stay() -> None:
    x = Tensor([1.0, 2.0])
    y = x * 3
    before = y.numpy().copy()
    x.realize_cached_data()[0] = 100
    assert np.array_equal(y.numpy(), before)
    assert (x * 3).numpy()[0] == 300


def test_cached_data_is_settable() -> None:
    t = Tensor([1.0, 2.0])
    old = t.numpy()
    t.cached_data = np.array([5.0, 6.0])
    assert t.numpy().tolist() == [5, 6]
    assert old.tolist() == [1, 2]


def test_needle_never_writes_into_exported_memory() -> None:
    w = Tensor([1.0, 2.0])
    snapshot = w.numpy()
    best = w.detach()
    w.data = Tensor([7.0, 8.0])
    assert snapshot.tolist() == [1, 2]
    assert best.numpy().tolist() == [1, 2]
    w += 1
    assert snapshot.tolist() == [1, 2]


def test_detach_and_data_share_storage() -> None:
    x = Tensor([1.0, 2.0])
    y = x * 2
    for d in (y.detach(), y.data):
        assert address(d.numpy()) == address(y.numpy())
        assert (d.op, d.inputs, d.requires_grad) == (None, [], False)
        assert type(d) is Tensor
    assert (y.detach() * 2).op is None


def test_data_setter_rebinds() -> None:
    w = Tensor([[1.0, 2.0]], dtype="float32")
    g = Tensor([[0.5, 0.5]], dtype="float32")
    w.grad = g
    same = w
    w.data = Tensor([1.0, 2.0, 3.0], dtype="float32")
    assert same is w
    assert w.shape == (3,)
    assert w.requires_grad is True
    assert w.grad is g
    assert w.numpy().tolist() == [1, 2, 3]


def test_data_setter_refuses_what_is_no_tensor_of_the_dtype() -> None:
    w = Tensor([1.0], dtype="float32")
    for wrong in (np.ones(1, "float32"), [1.0], 1.0, None):
        with pytest.raises(AssertionError):
            w.data = wrong
    with pytest.raises(AssertionError, match=r"float32.*float64|float64.*float32"):
        w.data = Tensor([1.0])
    assert w.numpy().tolist() == [1]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (600, 700)])
def test_from_numpy_shares_memory(shape: tuple[int, ...]) -> None:
    a = np.ones(shape, "float32")
    t = ndl.from_numpy(a)
    assert t.requires_grad is False
    assert t.dtype == "float32"
    assert t.shape == shape
    assert address(t.numpy()) == address(a)
    a[...] = 5
    assert np.array_equal(t.numpy(), a)
    if a.size:
        t.cached_data[...] = 6
        assert np.all(a == 6)
    assert ndl.from_numpy(a, requires_grad=True).requires_grad is True


def test_from_numpy_honours_read_only() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    t = ndl.from_numpy(a)
    assert address(t.numpy()) == address(a)
    assert t.cached_data.flags.writeable is False
    assert (t + 1).cached_data.flags.writeable is True


def test_from_numpy_keeps_strides() -> None:
    base = np.arange(24.0).reshape(4, 6)
    for view in (base.T, base[1:3, ::2], base[:, 2], np.asfortranarray(base)):
        t = ndl.from_numpy(view)
        assert address(t.numpy()) == address(view)
        assert np.array_equal(t.numpy(), view)
        assert np.array_equal((t * 2).numpy(), view * 2)
    repeated = ndl.from_numpy(np.broadcast_to(np.arange(3.0), (4, 3)))
    assert repeated.cached_data.flags.writeable is False


def test_from_numpy_copies_what_it_cannot_use() -> None:
    base = np.arange(6.0)
    misaligned = np.frombuffer(b"x" + base.tobytes(), "u1")[1:].view("f8")
    for awkward in (base[::-1], base.astype(">f8"), misaligned):
        t = ndl.from_numpy(awkward)
        assert address(t.numpy()) != address(awkward)
        assert np.array_equal(t.numpy(), awkward)
        assert np.array_equal((t + t).numpy(), awkward + awkward)
    assert t.dtype.isnative


@pytest.mark.parametrize("given", [[1.0], 1.0, None, "a", Tensor([1.0])])
def test_from_numpy_takes_arrays_only(given: object) -> None:
    with pytest.raises(TypeError, match=r"from_numpy: expected numpy\.ndarray"):
        ndl.from_numpy(given)


def test_the_array_lives_as_long_as_the_tensor() -> None:
    t = ndl.from_numpy(np.full(1000, 3.0))
    gc.collect()
    np.full(1000, -1.0)
    assert np.all(t.numpy() == 3)


def test_dlpack_shares_memory_both_ways() -> None:
    t = Tensor(np.arange(5.0), requires_grad=False)
    out = np.from_dlpack(t)
    assert address(out) == address(t.numpy())
    a = np.arange(5.0)
    assert address(ndl.from_dlpack(a).numpy()) == address(a)
    assert ndl.from_dlpack(t).numpy().tolist() == a.tolist()
    with pytest.raises(TypeError, match="from_dlpack: expected an array with __dlpack__, got int"):
        ndl.from_dlpack(3)  # type: ignore[arg-type]


def test_array_protocol() -> None:
    t = Tensor([1.0, 2.0], requires_grad=False)
    assert address(np.asarray(t)) == address(t.numpy())
    copy = np.array(t)
    assert address(copy) != address(t.numpy())
    copy[0] = 5
    assert np.asarray(t, dtype="float32").dtype == "float32"
    with pytest.raises(ValueError, match="copy"):
        np.asarray(t, dtype="float32", copy=False)
    assert np.sum(t).item() == 3
    assert np.var(t).item() == 0.25
    assert np.var(t, ddof=1).item() == 0.5
    assert np.std(t) == 0.5
    np.testing.assert_allclose(t, [1, 2])
    assert [len(part) for part in np.array_split(t.cached_data, 2)] == [1, 1]


def test_views_made_by_ops_repeat_nothing_writable() -> None:
    t = Tensor([1.0, 2.0])
    wide = ndl.broadcast_to(t, (3, 2))
    assert wide.numpy().flags.writeable is False
    assert wide.cached_data.flags.writeable is False


def test_make_const_shares() -> None:
    a = np.arange(3.0)
    t = Tensor.make_const(a)
    assert address(t.numpy()) == address(a)
    assert t.requires_grad is False
    x = Tensor([1.0])
    c = Tensor.make_const(x, requires_grad=True)
    assert address(c.numpy()) == address(x.numpy())
    assert c.requires_grad is True
    assert c.op is None
