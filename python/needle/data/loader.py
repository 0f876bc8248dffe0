"""`DataLoader`: batches of a data set, in order or shuffled, made here or by workers."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from needle.data.collate import Array, Batch, as_batch, own_arrays
from needle.data.dataset import Indices, take_samples
from needle.data.rng import Rng, as_rng, draw_seed, seeded

Collate = Callable[[list[Any]], Any]


class DataLoader:
    """Batches of the samples of `dataset`: tuples with one tensor for each field.

    >>> from needle.data import NDArrayDataset
    >>> loader = DataLoader(NDArrayDataset(np.arange(5.0)), batch_size=2)
    >>> [x.tolist() for (x,) in loader]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]

    Each `iter` is a new pass. With `shuffle` it draws its order by one `permutation` of `rng`, a
    generator or a seed, by default NumPy's global generator. `.ordering` has the indices of each
    batch of the latest pass. The last batch may be shorter, unless `drop_last` leaves it out.

    `dataset` has `__len__` and `__getitem__`. `collate` makes a batch, an array or several, of a
    list of samples; without it fields are stacked. The tensors require no gradient.

    `workers` of the kind "thread" or "process" make batches ahead, `prefetch` for each worker. The
    batches are the same with any number of workers, and come in the same order. A pass with workers
    draws 4 bytes from `rng` after the order: with them each batch has a seed of its own.

    Raises TypeError or ValueError, naming the parameter, for one that cannot be; an empty data set
    is a ValueError.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        rng: Rng | int | None = None,
        drop_last: bool = False,
        collate: Collate | None = None,
        workers: int = 0,
        worker_kind: Literal["thread", "process"] = "thread",
        prefetch: int = 2,
    ) -> None:
        self.dataset = _checked_dataset(dataset)
        self.batch_size = _at_least(1, "batch_size", batch_size)
        self.shuffle = shuffle
        # None stays None: a copy of the loader, too, is to draw from the global generator.
        self.rng = None if rng is None else as_rng(rng, "DataLoader")
        self.drop_last = drop_last
        if collate is not None and not callable(collate):
            raise TypeError(
                f"DataLoader: collate: expected a callable, got {type(collate).__name__}"
            )
        self.collate = collate
        self.workers = _at_least(0, "workers", workers)
        if worker_kind not in ("thread", "process"):
            raise ValueError(
                f"DataLoader: worker_kind: expected 'thread' or 'process', got {worker_kind!r}"
            )
        self.worker_kind = worker_kind
        self.prefetch = _at_least(1, "prefetch", prefetch)
        self.ordering = self._cut(np.arange(len(dataset)))

    def __len__(self) -> int:
        """The number of batches."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """A pass over the data; what is random is drawn now, not at the first batch."""
        count, rng = len(self.dataset), as_rng(self.rng, "DataLoader")
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        self.ordering = self._cut(order)
        if self.workers:
            return self._from_workers(draw_seed(rng))
        make = _MakeBatch(self.dataset, self.collate)
        return (as_batch(make(indices)) for indices in self.ordering)

    def _from_workers(self, seed: int) -> Iterator[Batch]:
        # Imported here: it brings multiprocessing along.
        from needle.data.workers import map_in_order

        process = self.worker_kind == "process"
        make = _MakeSeeded(_MakeBatch(self.dataset, self.collate), own_process=process)
        jobs = [(indices, (seed, i)) for i, indices in enumerate(self.ordering)]
        count = min(self.workers, len(jobs))
        ahead = count * self.prefetch
        for arrays in map_in_order(make, jobs, workers=count, ahead=ahead, processes=process):
            yield as_batch(arrays)

    def _cut(self, order: Indices) -> list[Indices]:
        size = self.batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        if self.drop_last and batches and len(batches[-1]) < size:
            batches.pop()
        return batches


@dataclass(frozen=True, slots=True)
class _MakeBatch:
    """From indices to the arrays of a batch; an object, so that it can be sent to a process."""

    dataset: Any
    collate: Collate | None

    def __call__(self, indices: Indices) -> tuple[Array, ...]:
        if self.collate is None:
            return take_samples(self.dataset, indices)
        return own_arrays(self.collate([self.dataset[index] for index in indices.tolist()]))


@dataclass(frozen=True, slots=True)
class _MakeSeeded:
    """The same in a worker, with a seed for each batch: who makes it then makes no difference."""

    make: _MakeBatch
    own_process: bool

    def __call__(self, job: tuple[Indices, tuple[int, int]]) -> tuple[Array, ...]:
        indices, seed = job
        if self.own_process:
            # The global generators are the worker's alone: transforms that use them are served too.
            np.random.seed(seed)
            random.seed(repr(seed))
            return self.make(indices)
        with seeded(seed):
            return self.make(indices)


def _checked_dataset(dataset: Any) -> Any:
    kind = type(dataset)
    sized = hasattr(kind, "__len__") and hasattr(kind, "__getitem__")
    if not sized or isinstance(dataset, Mapping | str | bytes):
        raise TypeError(
            "DataLoader: dataset: expected a Dataset (an object with __len__ and __getitem__), "
            f"got {'the class ' + dataset.__name__ if isinstance(dataset, type) else kind.__name__}"
        )
    if len(dataset) == 0:
        raise ValueError("DataLoader: dataset: expected at least one sample, got an empty data set")
    return dataset


def _at_least(least: int, name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"DataLoader: {name}: expected an integer, got {type(value).__name__}"
        ) from None
    if number < least:
        raise ValueError(f"DataLoader: {name}: expected {least} or more, got {number}")
    return number
