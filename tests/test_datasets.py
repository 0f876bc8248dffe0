"""Data sets and transforms (CONTRACT 9.1): what a sample is, which random numbers it takes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle.data import (
    DataError,
    Dataset,
    MNISTDataset,
    NDArrayDataset,
    RandomCrop,
    RandomFlipHorizontal,
    Subset,
    Transform,
    random_split,
)
from needle.errors import ShapeError


@pytest.fixture
def tiny(tiny_mnist: Path) -> Callable[..., MNISTDataset]:
    """Makes a MNISTDataset of the 250 training pictures of 6 x 5."""
    names = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    return lambda transforms=None: MNISTDataset(*(tiny_mnist / name for name in names), transforms)


def test_real_mnist(mnist_folder: Path) -> None:
    dataset = MNISTDataset(
        str(mnist_folder / "t10k-images-idx3-ubyte.gz"),
        str(mnist_folder / "t10k-labels-idx1-ubyte.gz"),
    )
    reference = ndl.data.load_mnist(mnist_folder)
    assert len(dataset) == 10000
    picture, label = dataset[7]
    assert (picture.shape, picture.dtype) == ((28, 28, 1), np.float32)
    assert (label, label.dtype) == (reference.test_labels[7], np.uint8)
    pictures, labels = dataset[100:110]
    assert (pictures.shape, labels.shape) == ((10, 28, 28, 1), (10,))
    np.testing.assert_array_equal(pictures.reshape(10, 784), reference.test_images[100:110])
    np.testing.assert_array_equal(labels, reference.test_labels[100:110])


@pytest.mark.parametrize("transforms", [None, [np.sqrt]], ids=["plain", "transformed"])
@pytest.mark.parametrize("index", [0, -1, slice(3, 7), slice(5, 5), [2, 1], np.array([4, 4])])
def test_samples_are_the_callers_own(tiny, index: Any, transforms: Any) -> None:
    dataset = tiny(transforms)
    pictures, labels = dataset[index]
    expected = dataset.images[index]
    assert (pictures.shape, pictures.dtype) == (expected.shape, np.float32)
    assert np.shape(labels) == expected.shape[:-3]
    before = expected.copy()
    pictures[...] = 9
    np.testing.assert_array_equal(dataset.images[index], before)
    with pytest.raises(IndexError):
        dataset[250]


class Sized(Dataset):
    """Says how long it is, and answers to any index."""

    def __init__(self, count: int = 4, broken: int | None = None, transforms: Any = None) -> None:
        super().__init__(transforms)
        self.count, self.broken = count, broken

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index == self.broken:
            raise IndexError(f"no sample {index}")
        return self.apply_transforms(index**2)


def test_iterating_ends_at_the_length() -> None:
    dataset = Sized()
    assert [x for x in dataset] == list(dataset) == [*dataset] == [0, 1, 4, 9]  # noqa: C416
    assert list(enumerate(dataset)) == [(0, 0), (1, 1), (2, 4), (3, 9)]
    assert list(zip(dataset, dataset, strict=True))[3] == (9, 9)
    assert list(reversed(dataset)) == [9, 4, 1, 0]
    assert (sum(dataset), max(dataset), 4 in dataset, 16 in dataset) == (14, 9, True, False)
    assert (dataset[-1], dataset[1:3]) == (1, [1, 4])
    first = iter(dataset)
    assert (next(first), next(iter(dataset)), next(first)) == (0, 0, 1)
    assert list(Sized(0)) == []
    assert list(Sized(transforms=[lambda x: x + 1, float])) == [1.0, 2.0, 5.0, 10.0]
    assert list(Subset(dataset, [3, 1])) == [9, 1]
    assert [len(part) for part in random_split(dataset, [3, 1], rng=0)] == [3, 1]
    assert [x.tolist() for (x,) in ndl.data.DataLoader(dataset, 3)] == [[0, 1, 4], [9]]


def test_iterating_over_the_data_sets_of_needle(tiny) -> None:
    assert [sample[0].tolist() for sample in NDArrayDataset(np.arange(3))] == [0, 1, 2]
    labels = [label for _, label in tiny()]
    np.testing.assert_array_equal(labels, tiny().labels)


def test_an_index_error_in_a_sample_is_no_end() -> None:
    with pytest.raises(IndexError, match="no sample 2"):
        list(Sized(4, broken=2))


class Endless(Dataset):
    """Has forgotten to say how long it is."""

    def __getitem__(self, index: int) -> int:
        return index


@pytest.mark.parametrize("ask", [len, list, iter, reversed, ndl.data.DataLoader, lambda d: 3 in d])
def test_a_data_set_without_a_length_says_so(ask: Callable[[Any], object]) -> None:
    with pytest.raises(NotImplementedError, match="Endless: __len__ is not defined"):
        ask(Endless())
    with pytest.raises(NotImplementedError, match="Dataset: __getitem__ is not defined"):
        Dataset()[0]


def test_a_transform_may_write_into_its_picture(tiny) -> None:
    def darken(picture: np.ndarray) -> np.ndarray:
        picture *= 0.5
        return picture

    dataset = tiny([darken])
    np.testing.assert_array_equal(dataset[3][0], dataset.images[3] * 0.5)
    np.testing.assert_array_equal(dataset.take(np.array([3]))[0][0], dataset.images[3] * 0.5)


def test_a_transform_that_returns_nothing(tiny) -> None:
    message = r"^transforms: expected an array of numbers as the result, got NoneType$"
    with pytest.raises(TypeError, match=message):
        tiny([lambda picture: None])[0]


def test_transforms_run_in_order_on_each_picture(tiny) -> None:
    seen: list[tuple[int, ...]] = []

    def note(picture: np.ndarray) -> np.ndarray:
        seen.append(picture.shape)
        return picture + 1.0  # float32 stays float32

    dataset = tiny([note, lambda picture: picture.astype(np.float64) * 2])
    pictures, _ = dataset[1:4]
    assert seen == [(6, 5, 1)] * 3
    assert pictures.dtype == np.float32
    np.testing.assert_array_equal(pictures, (dataset.images[1:4] + 1) * 2)


def by_definition(picture: np.ndarray, flip: float, shift: np.ndarray, padding: int) -> np.ndarray:
    """A flip and a crop, written down element by element."""
    height, width = picture.shape[:2]
    flipped = picture[:, ::-1] if flip < 0.5 else picture
    out = np.zeros_like(picture)
    for i in range(height):
        for j in range(width):
            y, x = i + shift[0], j + shift[1]
            if 0 <= y < height and 0 <= x < width:
                out[i, j] = flipped[y, x]
    return out


@pytest.mark.parametrize("index", [slice(0, 20), "one by one", "take"])
def test_random_numbers_are_drawn_per_sample_in_order(tiny, index: Any) -> None:
    dataset = tiny([RandomFlipHorizontal(), RandomCrop(2)])
    np.random.seed(3)
    draws = [(np.random.rand(), np.random.randint(-2, 3, size=2)) for _ in range(20)]
    after = np.random.rand()
    np.random.seed(3)
    if index == "one by one":
        pictures = [dataset[i][0] for i in range(20)]
    else:
        pictures = dataset.take(np.arange(20))[0] if index == "take" else dataset[index][0]
    assert np.random.rand() == after
    for i, (flip, shift) in enumerate(draws):
        expected = by_definition(dataset.images[i], flip, shift, 2)
        np.testing.assert_array_equal(pictures[i], expected)


@pytest.mark.parametrize(("p", "flips"), [(0.0, 0), (1.0, 50)])
def test_flip_probability(p: float, flips: int) -> None:
    picture = np.arange(6.0).reshape(2, 3, 1)
    flipped = [RandomFlipHorizontal(p)(picture)[0, 0, 0] == 2 for _ in range(50)]
    assert sum(flipped) == flips


@pytest.mark.parametrize("shape", [(4, 7), (5, 5, 3)])
def test_crop_keeps_shape_and_dtype(shape: tuple[int, ...]) -> None:
    picture = np.ones(shape, dtype=np.uint8)
    assert {RandomCrop(9)(picture).sum() for _ in range(20)} - {picture.sum()}
    cropped = RandomCrop()(picture)
    assert (cropped.shape, cropped.dtype) == (shape, np.uint8)
    np.testing.assert_array_equal(RandomCrop(0)(picture), picture)


def test_ndarray_dataset() -> None:
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    dataset = NDArrayDataset(x, y)
    assert len(dataset) == 6
    sample = dataset[2]
    assert isinstance(sample, tuple)
    np.testing.assert_array_equal(sample[0], x[2])
    assert sample[1] == 2
    np.testing.assert_array_equal(dataset[1:3][0], x[1:3])
    assert len(NDArrayDataset(x)[0]) == 1
    lists = NDArrayDataset([1, 2, 3], ndl.Tensor([1.0, 2.0, 3.0]))
    assert lists[1] == (2, 2.0)


def test_subset_and_random_split() -> None:
    dataset = NDArrayDataset(np.arange(10) * 10)
    subset = Subset(dataset, [7, 3, -1])
    assert [subset[i] for i in range(3)] == [(70,), (30,), (90,)]
    np.testing.assert_array_equal(subset[:2][0], [70, 30])
    np.testing.assert_array_equal(Subset(subset, [2, 0]).take(np.array([1, 0]))[0], [70, 90])
    np.random.seed(0)
    order = np.random.permutation(10)
    np.random.seed(0)
    parts = random_split(dataset, [6, 4])
    np.testing.assert_array_equal(np.concatenate([part.indices for part in parts]), order)
    hundred = NDArrayDataset(range(100))
    assert [len(part) for part in random_split(dataset, [0.5, 0.25, 0.25], rng=1)] == [6, 2, 2]
    assert [len(part) for part in random_split(hundred, [0.29, 0.71])] == [29, 71]
    large = NDArrayDataset(np.zeros(5_000_000, dtype=np.bool_))
    for fraction in (0.4999996, 0.5000004):  # the sum is 1, but for less than one in a million
        parts = random_split(large, [fraction, fraction])
        assert [len(part) for part in parts] == [2_500_000, 2_500_000]
    same = [random_split(dataset, [5, 5], rng=7)[0].indices.tolist() for _ in range(2)]
    assert same[0] == same[1]


class Squares(Dataset):
    """As a user writes one: no `super().__init__()`, single integers only."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        assert type(index) is int
        return np.full((2,), index**2), index


def test_a_user_defines_two_methods() -> None:
    x, y = Squares().take(np.array([3, 1]))
    np.testing.assert_array_equal(x, [[9, 9], [1, 1]])
    np.testing.assert_array_equal(y, [3, 1])
    assert Squares().apply_transforms(3) == 3
    assert Subset(Squares(), [4])[0][1] == 4


def test_a_subclass_with_other_samples_has_other_batches(tiny) -> None:
    class Negative(NDArrayDataset):
        def __getitem__(self, index: Any) -> Any:
            return tuple(-field for field in super().__getitem__(index))

    class Brighter(MNISTDataset):
        def apply_transforms(self, x: Any) -> Any:
            return x + 1

        def __getitem__(self, index: Any) -> Any:
            return self.apply_transforms(self.images[index]), self.labels[index]

    np.testing.assert_array_equal(Negative(np.arange(3)).take(np.array([1, 2]))[0], [-1, -2])
    bright = copy.copy(tiny())
    bright.__class__ = Brighter
    np.testing.assert_array_equal(bright.take(np.array([5]))[0][0], bright.images[5] + 1)


def test_datasets_can_be_pickled(tiny) -> None:
    dataset = pickle.loads(pickle.dumps(tiny([RandomCrop(1)])))
    np.random.seed(0)
    first = dataset[0][0]
    np.random.seed(0)
    np.testing.assert_array_equal(first, tiny([RandomCrop(1)])[0][0])


@pytest.mark.parametrize(
    "act",
    [lambda: Dataset()[0], lambda: len(Dataset()), lambda: Transform()(np.zeros(1))],
)
def test_the_bases_are_abstract(act: Callable[[], Any]) -> None:
    with pytest.raises(NotImplementedError):
        act()


DATA = NDArrayDataset(np.arange(4))
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (NDArrayDataset, ValueError, "NDArrayDataset: expected at least one array, got none"),
    (
        lambda: NDArrayDataset(np.zeros((3, 2)), np.zeros(4)),
        ShapeError,
        "NDArrayDataset: expected arrays of one length, got shapes (3, 2), (4,)",
    ),
    (
        lambda: NDArrayDataset(np.float64(3)),
        ShapeError,
        "NDArrayDataset: expected arrays of one length, got shapes ()",
    ),
    (
        lambda: NDArrayDataset(np.arange(2), [[1.0, 2.0], [3.0, np.nan]], check_finite=True),
        DataError,
        "NDArrayDataset: array 1: expected finite numbers, found nan at (1, 1)",
    ),
    (
        lambda: Dataset(RandomCrop()),
        TypeError,
        "Dataset: transforms: expected a list of callables, got RandomCrop",
    ),
    (
        lambda: Dataset([RandomCrop(), 3]),
        TypeError,
        "Dataset: transforms: expected a list of callables, got int in it",
    ),
    (lambda: Subset(DATA, [0, 4]), IndexError, "index 4 is outside of a set of 4 samples"),
    (lambda: Subset(DATA, [0.5]), TypeError, "expected a list of integers, got float64 of"),
    (
        lambda: random_split(DATA, [1, 2]),
        ValueError,
        "random_split: expected counts that add up to 4 or fractions that add up to 1, got [1, 2]",
    ),
    (lambda: random_split(DATA, [0.5, 0.4]), ValueError, "got [0.5, 0.4]"),
    (lambda: random_split(DATA, [-1, 5]), ValueError, "got [-1, 5]"),
    (lambda: random_split(DATA, []), ValueError, "got []"),
    (lambda: random_split(DATA, [4], rng="x"), TypeError, "random_split: rng: expected a numpy"),
    (
        lambda: random_split(DATA, [4], rng=-1),
        ValueError,
        "random_split: rng: expected a seed of 0 or more, got -1",
    ),
    (lambda: RandomFlipHorizontal(1.5), ValueError, "p: expected a probability, got 1.5"),
    (lambda: RandomCrop(-1), ValueError, "RandomCrop: padding: expected 0 or more, got -1"),
    (lambda: RandomCrop(1.5), TypeError, "float"),
]


@pytest.mark.parametrize(("act", "kind", "message"), ERRORS, ids=[row[2] for row in ERRORS])
def test_errors(act: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_is_data_unless_asked() -> None:
    assert np.isnan(NDArrayDataset([np.nan])[0][0])
