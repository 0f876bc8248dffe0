"""DataLoader without workers (CONTRACT 9.1, 2.2): order, batches, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle.data import (
    Batch,
    DataLoader,
    MNISTDataset,
    NDArrayDataset,
    RandomCrop,
    RandomFlipHorizontal,
    Subset,
)

X = np.arange(22.0, dtype=np.float32).reshape(11, 2)
Y = np.arange(11, dtype=np.uint8)
DATA = NDArrayDataset(X, Y)


def firsts(loader: DataLoader) -> list[list[int]]:
    """The labels in each batch of a pass."""
    return [batch[-1].numpy().astype(int).tolist() for batch in loader]


def test_batches_in_order() -> None:
    loader = DataLoader(DATA, batch_size=4)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    for batch, start in zip(batches, (0, 4, 8), strict=True):
        x, y = batch
        assert isinstance(batch, tuple)
        assert isinstance(x, ndl.Tensor)
        np.testing.assert_array_equal(x.numpy(), X[start : start + 4])
        np.testing.assert_array_equal(y.numpy(), Y[start : start + 4])
        assert (x.dtype, y.dtype) == ("float32", "uint8")
        assert not x.requires_grad
        assert x.is_leaf()
    assert [indices.tolist() for indices in loader.ordering] == firsts(loader)


def test_one_field_is_a_tuple_of_one() -> None:
    (batch,) = DataLoader(NDArrayDataset(X), batch_size=100)
    assert len(batch) == 1
    np.testing.assert_array_equal(batch[0].numpy(), X)


@pytest.mark.parametrize(
    ("count", "size", "drop_last", "lengths"),
    [
        (10, 5, False, [5, 5]),
        (10, 5, True, [5, 5]),
        (10, 4, False, [4, 4, 2]),
        (10, 4, True, [4, 4]),
        (3, 4, False, [3]),
        (3, 4, True, []),
        (3, 1, True, [1, 1, 1]),
    ],
)
def test_lengths(count: int, size: int, drop_last: bool, lengths: list[int]) -> None:
    loader = DataLoader(NDArrayDataset(np.arange(count)), size, drop_last=drop_last)
    assert [len(x.numpy()) for (x,) in loader] == lengths
    assert len(loader) == len(lengths)
    assert [len(indices) for indices in loader.ordering] == lengths


def test_a_pass_takes_one_permutation_from_the_global_generator() -> None:
    loader = DataLoader(DATA, 4, shuffle=True)
    np.random.seed(5)
    orders = [np.random.permutation(11) for _ in range(2)]
    after = np.random.rand()
    np.random.seed(5)
    passes = [firsts(loader), firsts(loader)]
    assert np.random.rand() == after
    for batches, order in zip(passes, orders, strict=True):
        np.testing.assert_array_equal(np.concatenate(batches), order)
    assert passes[1] == [indices.tolist() for indices in loader.ordering]


def test_the_order_is_drawn_by_iter() -> None:
    np.random.seed(5)
    iterator = iter(DataLoader(DATA, 11, shuffle=True))
    drawn = np.random.rand()
    np.random.seed(5)
    order = np.random.permutation(11)
    assert drawn == np.random.rand()
    np.testing.assert_array_equal(next(iterator)[1].numpy(), Y[order])
    with pytest.raises(StopIteration):
        next(iterator)


def test_no_order_is_drawn_without_shuffle() -> None:
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    list(DataLoader(DATA, 3))
    assert np.random.rand() == expected


@pytest.mark.parametrize(
    "make",
    [np.random.default_rng, np.random.RandomState, lambda seed: seed],
    ids=["Generator", "RandomState", "seed"],
)
def test_own_generator(make: Callable[[int], Any]) -> None:
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    first, second = (DataLoader(DATA, 3, shuffle=True, rng=make(8)) for _ in range(2))
    passes = firsts(first), firsts(first)
    assert passes == (firsts(second), firsts(second))
    assert passes[0] != passes[1]
    assert np.random.rand() == expected


def test_a_copy_draws_from_the_global_generator_too() -> None:
    loader = DataLoader(NDArrayDataset(np.arange(10)), 3, shuffle=True)
    for copied in (copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):
        np.random.seed(2)
        order = np.random.permutation(10)
        np.random.seed(2)
        iter(copied)
        np.testing.assert_array_equal(np.concatenate(copied.ordering), order)


def test_two_passes_at_once_are_independent() -> None:
    loader = DataLoader(DATA, 4)
    assert [(a[1].numpy()[0], b[1].numpy()[0]) for a, b in zip(loader, loader, strict=True)] == [
        (0, 0),
        (4, 4),
        (8, 8),
    ]


def test_batches_compare_by_identity() -> None:
    a, b = DataLoader(DATA, 6)
    (again, _) = DataLoader(DATA, 6)
    assert a != b
    assert a != again
    assert not a == again  # noqa: SIM201 (both operators have to answer)
    assert a == Batch(a) == tuple(a)
    assert hash(a) == hash(Batch(a)) == hash(tuple(a))
    assert a != a[:1]
    assert a != 3
    assert len({a, Batch(a), again}) == 2
    copied = pickle.loads(pickle.dumps(a))
    assert type(copied) is Batch
    assert copied != a
    np.testing.assert_array_equal(copied[0].numpy(), a[0].numpy())


def test_batches_have_memory_of_their_own() -> None:
    arrays = X.copy(), Y.copy()
    loader = DataLoader(NDArrayDataset(*arrays), 4)
    batch = next(iter(loader))
    batch[0].cached_data[:] = 99
    arrays[1][:] = 7
    np.testing.assert_array_equal(arrays[0], X)
    np.testing.assert_array_equal(batch[1].numpy(), Y[:4])


def test_mnist_batches_are_what_slices_are(tiny_mnist) -> None:
    files = [tiny_mnist / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
    for transforms in (None, [RandomFlipHorizontal(), RandomCrop(1)]):
        dataset = MNISTDataset(*files, transforms)
        np.random.seed(2)
        slices = [dataset[start : start + 60] for start in range(0, 250, 60)]
        np.random.seed(2)
        for batch, expected in zip(DataLoader(dataset, 60), slices, strict=True):
            for tensor, array in zip(batch, expected, strict=True):
                np.testing.assert_array_equal(tensor.numpy(), array)
                assert tensor.dtype == array.dtype


@pytest.mark.parametrize(
    ("samples", "fields"),
    [
        ([1, 2, 3], [[1, 2, 3]]),
        ([(1, 2.5), (2, 3.5)], [[1, 2], [2.5, 3.5]]),
        ([[np.ones(2), True], [np.zeros(2), False]], [[[1.0, 1.0], [0.0, 0.0]], [True, False]]),
        ([ndl.Tensor([1.0]), ndl.Tensor([2.0])], [[[1.0], [2.0]]]),
        (X, [X]),
    ],
    ids=["numbers", "tuples", "lists", "tensors", "array"],
)
def test_anything_with_samples_will_do(samples: Any, fields: list[Any]) -> None:
    (batch,) = DataLoader(samples, 100)
    assert len(batch) == len(fields)
    for tensor, field in zip(batch, fields, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), field)
        assert tensor.dtype == np.asarray(field).dtype


def test_subset_of_a_list() -> None:
    assert firsts(DataLoader(Subset([(0, 5), (0, 6), (0, 7)], [2, 1]), 2)) == [[7, 6]]


def test_collate() -> None:
    ragged = [np.arange(n + 1.0) for n in range(4)]
    memory = np.empty((2, 4))

    def pad(samples: list[np.ndarray]) -> Any:
        memory[:] = 0
        for row, sample in zip(memory, samples, strict=True):
            row[: len(sample)] = sample
        return memory, [len(sample) for sample in samples]

    batches = list(DataLoader(ragged, 2, collate=pad))
    np.testing.assert_array_equal(batches[0][0].numpy(), [[0, 0, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(batches[1][1].numpy(), [3, 4])
    (alone,) = DataLoader(ragged, 4, collate=lambda samples: ndl.Tensor([len(samples)]))
    assert [t.tolist() for t in alone] == [[4]]


def test_training_with_batches_records_weights_only() -> None:
    w = ndl.Tensor(np.ones((2, 1)), dtype="float32")
    ((x, _),) = DataLoader(DATA, 11)
    (x @ w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy()[:, 0], X.sum(axis=0))


class Broken(NDArrayDataset):
    def __getitem__(self, index: Any) -> Any:
        raise KeyError(f"no file for sample {index}")


def consume(samples: Any, **options: Any) -> Callable[[], Any]:
    return lambda: list(DataLoader(samples, 4, **options))


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (consume(3), TypeError, "dataset: expected a Dataset (an object with __len__ and __getitem__)"),
    (consume(None), TypeError, "got NoneType"),
    (consume({0: 1}), TypeError, "got dict"),
    (consume("text"), TypeError, "got str"),
    (consume(iter([1])), TypeError, "got list_iterator"),
    (consume(NDArrayDataset), TypeError, "got the class NDArrayDataset"),
    (consume([]), ValueError, "dataset: expected at least one sample, got an empty data set"),
    (lambda: DataLoader(DATA, 0), ValueError, "batch_size: expected 1 or more, got 0"),
    (lambda: DataLoader(DATA, -3), ValueError, "batch_size: expected 1 or more, got -3"),
    (lambda: DataLoader(DATA, 2.0), TypeError, "batch_size: expected an integer, got float"),
    (lambda: DataLoader(DATA, "2"), TypeError, "batch_size: expected an integer, got str"),
    (consume(DATA, workers=-1), ValueError, "workers: expected 0 or more, got -1"),
    (consume(DATA, prefetch=0), ValueError, "prefetch: expected 1 or more, got 0"),
    (consume(DATA, worker_kind="fiber"), ValueError, "expected 'thread' or 'process', got 'fiber'"),
    (consume(DATA, collate=3), TypeError, "collate: expected a callable, got int"),
    (consume(DATA, rng="x"), TypeError, "rng: expected a numpy.random.Generator, a RandomState"),
    (
        consume([np.ones(2), np.ones(3)]),
        ndl.ShapeError,
        "expected samples of one shape, got (2,) and (3,) in field 0",
    ),
    (
        consume([(1, 2), (1,)]),
        ndl.ShapeError,
        "expected samples with one number of fields, got 1 and 2",
    ),
    (consume([(1, "a"), (2, "b")]), TypeError, "expected arrays or numbers, got dtype <U1 in fi"),
    (consume([None, None]), TypeError, "got dtype object in field 0"),
    (consume(DATA, collate=lambda samples: "text"), TypeError, "got dtype <U4 in field 0"),
    (consume(Broken(np.arange(3))), KeyError, "no file for sample 0"),
]


@pytest.mark.parametrize(("act", "kind", "message"), ERRORS, ids=[row[2] for row in ERRORS])
def test_errors(act: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
