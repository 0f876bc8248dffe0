"""Data sets: collections of samples that can be counted and indexed.

A sample is a tuple of fields, such as a picture and its label, or a single field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from needle.data.collate import stack_samples, values_of
from needle.data.errors import DataError
from needle.data.rng import Rng, as_rng
from needle.errors import ShapeError

Array = NDArray[Any]
Indices = NDArray[np.intp]


class Dataset:
    """Base of data sets: subclasses define `__getitem__` and `__len__`.

    Iterating gives the samples 0 to `len(dataset) - 1`, in order. `transforms` are callables from
    array to array, applied in the order of the list.
    Raises TypeError if `transforms` is not a list or tuple of callables.
    """

    transforms: Sequence[Callable[[Any], Any]] | None = None

    def __init__(self, transforms: Sequence[Callable[[Any], Any]] | None = None) -> None:
        if transforms is not None:
            listed = isinstance(transforms, list | tuple)
            wrong = [t for t in transforms if not callable(t)] if listed else [transforms]
            if wrong:
                raise TypeError(
                    f"{type(self).__name__}: transforms: expected a list of callables, "
                    f"got {type(wrong[0]).__name__}{' in it' if listed else ''}"
                )
        self.transforms = transforms

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Whoever says what a sample is must not inherit a shortcut that takes other ones.
        own = vars(cls)
        if "take" not in own and ("__getitem__" in own or "apply_transforms" in own):
            cls.take = Dataset.take  # type: ignore[method-assign]

    def __getitem__(self, index: Any) -> Any:
        """The sample of that index."""
        raise NotImplementedError(f"{type(self).__name__}: __getitem__ is not defined")

    def __len__(self) -> int:
        """The number of samples."""
        raise NotImplementedError(f"{type(self).__name__}: __len__ is not defined")

    def __iter__(self) -> Iterator[Any]:
        """The samples in order. An IndexError of theirs is an error, not the end."""
        # Without this Python would go on until an IndexError, which need not come.
        return (self[index] for index in range(len(self)))

    def apply_transforms(self, x: Any) -> Any:
        """`x` after all transforms, in their order."""
        for transform in self.transforms or ():
            x = transform(x)
        return x

    def take(self, indices: Indices) -> tuple[Array, ...]:
        """The samples of those indices, stacked: one array of shape (n, ...) for each field.

        A `DataLoader` makes its batches of them, without a copy: the arrays must be new ones.
        This one asks for sample after sample; a subclass whose data lies in arrays overrides it.
        Raises ShapeError or TypeError, naming the field, if samples do not fit together.
        """
        return stack_samples([self[index] for index in indices.tolist()])


class NDArrayDataset(Dataset):
    """Arrays of one length, side by side: sample `i` has the `i`-th entry of each.

    The arrays are kept, not copied, as `.arrays`; anything that `numpy.asarray` takes will do.
    `dataset[slice]` and `dataset[indices]` give a tuple of arrays, one for each field.

    Raises ValueError without arrays, ShapeError if their lengths differ and, with `check_finite`,
    DataError if one holds NaN or infinity.
    """

    def __init__(self, *arrays: ArrayLike, check_finite: bool = False) -> None:
        super().__init__()
        if not arrays:
            raise ValueError("NDArrayDataset: expected at least one array, got none")
        self.arrays: tuple[Array, ...] = tuple(values_of(array) for array in arrays)
        shapes = [array.shape for array in self.arrays]
        if () in shapes or len({shape[0] for shape in shapes}) > 1:
            shown = ", ".join(map(str, shapes))
            raise ShapeError(f"NDArrayDataset: expected arrays of one length, got shapes {shown}")
        if check_finite:
            for i, array in enumerate(self.arrays):
                _require_finite(i, array)

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        """A tuple with the entry, or entries, of each array."""
        return tuple(array[index] for array in self.arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def take(self, indices: Indices) -> tuple[Array, ...]:
        """The samples of those indices, by one selection from each array."""
        return tuple(array[indices] for array in self.arrays)


class Subset(Dataset):
    """The samples of `dataset` whose indices are given, in that order.

    Raises IndexError if an index is not one of the data set.
    """

    def __init__(self, dataset: Dataset, indices: ArrayLike) -> None:
        super().__init__()
        chosen = np.asarray(indices)
        # An empty list is float64.
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise TypeError(
                f"Subset: indices: expected a list of integers, "
                f"got {chosen.dtype} of shape {chosen.shape}"
            )
        count = len(dataset)
        outside = chosen[(chosen < -count) | (chosen >= count)]
        if outside.size:
            raise IndexError(f"Subset: index {outside[0]} is outside of a set of {count} samples")
        self.dataset = dataset
        self.indices: Indices = chosen.astype(np.intp)

    def __getitem__(self, index: Any) -> Any:
        """The sample, or with a slice what the underlying data set gives for these indices."""
        chosen = self.indices[index]
        return self.dataset[int(chosen) if isinstance(chosen, np.integer) else chosen]

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Indices) -> tuple[Array, ...]:
        """The samples of those indices, taken from the underlying data set at once."""
        return take_samples(self.dataset, self.indices[indices])


def take_samples(dataset: Any, indices: Indices) -> tuple[Array, ...]:
    """`dataset.take(indices)`, also for what is a data set without being a `Dataset`."""
    if isinstance(dataset, Dataset):
        return dataset.take(indices)
    return stack_samples([dataset[index] for index in indices.tolist()])


def random_split(
    dataset: Dataset, lengths: Sequence[float], *, rng: Rng | int | None = None
) -> list[Subset]:
    """Subsets of those lengths without a common sample, chosen by one random permutation.

    `lengths` are counts that add up to the size of the set, or fractions that add up to 1; what
    rounding leaves over goes to the first subsets, one each. `rng` is a generator or a seed, by
    default NumPy's global generator. Raises ValueError if the lengths do not add up.
    """
    counts = _counts(len(dataset), lengths)
    order = as_rng(rng, "random_split").permutation(len(dataset))
    parts = np.split(order, np.cumsum(counts)[:-1])
    return [Subset(dataset, part) for part in parts]


def _counts(total: int, lengths: Sequence[float]) -> list[int]:
    if all(isinstance(length, int | np.integer) and length >= 0 for length in lengths):
        if lengths and sum(lengths) == total:
            return [int(length) for length in lengths]
    elif all(0 <= length <= 1 for length in lengths) and abs(sum(lengths) - 1) < 1e-6:
        # The small number takes back the rounding of products such as 0.29 * 100. Fractions that
        # add up to almost 1 are scaled: in a large set that makes a difference.
        scale = total / sum(lengths)
        counts = [int(scale * length + 1e-9) for length in lengths]
        for i in range(total - sum(counts)):
            counts[i] += 1
        return counts
    raise ValueError(
        f"random_split: expected counts that add up to {total} or fractions that add up to 1, "
        f"got {list(lengths)}"
    )


def _require_finite(position: int, array: Array) -> None:
    if array.dtype.kind != "f":
        return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(cast("list[int]", bad[0].tolist()))
        raise DataError(
            f"NDArrayDataset: array {position}: expected finite numbers, "
            f"found {array[place]} at {place}"
        )
