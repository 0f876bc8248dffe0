"""`needle.init`: which random numbers are drawn, how they are scaled, and what they become."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

import needle as ndl
from needle import init

BOUND = math.sqrt(6 / (30 + 20))

# Each row: a call, and what NumPy's global generator gives for it in float64.
DRAWN: dict[str, tuple[Callable[..., ndl.Tensor], Callable[[], object]]] = {
    "rand": (lambda **o: init.rand(3, 4, **o), lambda: np.random.rand(3, 4)),
    "rand, bounds": (
        lambda **o: init.rand(3, 4, low=-1, high=2.5, **o),
        lambda: np.random.rand(3, 4) * 3.5 - 1,
    ),
    "randn": (lambda **o: init.randn(2, 3, 2, **o), lambda: np.random.randn(2, 3, 2)),
    "randn, mean and std": (
        lambda **o: init.randn(5, mean=3, std=0.1, **o),
        lambda: np.random.randn(5) * 0.1 + 3,
    ),
    "xavier_uniform": (
        lambda **o: init.xavier_uniform(30, 20, gain=1.5, **o),
        lambda: np.random.rand(30, 20) * (2 * 1.5 * BOUND) - 1.5 * BOUND,
    ),
    "xavier_normal": (
        lambda **o: init.xavier_normal(30, 20, gain=0.5, **o),
        lambda: np.random.randn(30, 20) * (0.5 * math.sqrt(2 / 50)),
    ),
    "kaiming_uniform": (
        lambda **o: init.kaiming_uniform(30, 20, **o),
        lambda: np.random.rand(30, 20) * (2 * math.sqrt(6 / 30)) - math.sqrt(6 / 30),
    ),
    "kaiming_uniform, shape": (
        lambda **o: init.kaiming_uniform(27, 72, shape=(3, 3, 3, 8), **o),
        lambda: np.random.rand(3, 3, 3, 8) * (2 * math.sqrt(6 / 27)) - math.sqrt(6 / 27),
    ),
    "kaiming_uniform, text in third place": (
        lambda **o: init.kaiming_uniform(30, 20, "relu", **o),
        lambda: np.random.rand(30, 20) * (2 * math.sqrt(6 / 30)) - math.sqrt(6 / 30),
    ),
    "kaiming_normal": (
        lambda **o: init.kaiming_normal(30, 20, **o),
        lambda: np.random.randn(30, 20) * math.sqrt(2 / 30),
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_draws_from_numpys_global_generator(name):
    make, reference = DRAWN[name]
    np.random.seed(11)
    single, double = make(), make(dtype="float64", requires_grad=True)
    following = np.random.rand()
    np.random.seed(11)
    expected_single, expected_double = np.asarray(reference()), np.asarray(reference())
    # One draw for each tensor, no more: the next number is NumPy's next one.
    assert following == np.random.rand()
    assert single.dtype == np.float32
    assert single.requires_grad is False
    assert double.dtype == np.float64
    assert double.requires_grad is True
    # Scaled in float64 and then cast: an error of float64's size is lost in the cast but for
    # numbers next to the middle of two float32, hence one unit in the last place.
    np.testing.assert_array_max_ulp(
        single.numpy(), expected_single.astype(np.float32), maxulp=1, dtype=np.float32
    )
    np.testing.assert_allclose(double.numpy(), expected_double, rtol=1e-12, atol=1e-15)


# The same calls, and what they make of the uniform or normal numbers of a generator.
def uniform(rng, *shape):
    return rng.random(shape)


def normal(rng, *shape):
    return rng.standard_normal(shape)


FROM_GENERATOR = {
    "rand": (init.rand, (3, 4), uniform, (3, 4), 1.0, 0.0),
    "randn": (init.randn, (2, 3), normal, (2, 3), 1.0, 0.0),
    "rand, one number": (init.rand, (), uniform, (), 1.0, 0.0),
    "xavier_uniform": (init.xavier_uniform, (30, 20), uniform, (30, 20), 2 * BOUND, -BOUND),
    "xavier_normal": (init.xavier_normal, (30, 20), normal, (30, 20), math.sqrt(2 / 50), 0.0),
    "kaiming_uniform": (
        init.kaiming_uniform,
        (24, 5, (4, 6, 5)),
        uniform,
        (4, 6, 5),
        1.0,
        -0.5,
    ),
    "kaiming_normal": (init.kaiming_normal, (32, 5), normal, (32, 5), 0.25, 0.0),
}


@pytest.mark.parametrize("name", FROM_GENERATOR)
def test_draws_from_the_generator_that_is_named(name):
    make, args, draw, shape, scale, shift = FROM_GENERATOR[name]
    np.random.seed(1)
    rng, twin = np.random.default_rng(17), np.random.default_rng(17)
    for _ in range(2):
        expected = draw(twin, *shape) * scale + shift
        made = make(*args, dtype="float64", rng=rng)
        np.testing.assert_allclose(made.numpy(), expected, rtol=1e-12, atol=1e-15)
    assert rng.random() == twin.random()
    # A seed makes the same numbers each time.
    first = draw(np.random.default_rng(17), *shape) * scale + shift
    for seed in (17, np.int64(17)):
        made = make(*args, dtype="float64", rng=seed)
        np.testing.assert_allclose(made.numpy(), first, rtol=1e-12, atol=1e-15)
    # And the global generator has not moved.
    following = np.random.rand()
    np.random.seed(1)
    assert following == np.random.rand()


def test_randb_with_a_generator():
    kept = init.randb(200, 50, p=0.3, rng=5)
    expected = np.random.default_rng(5).random((200, 50)) <= 0.3
    np.testing.assert_array_equal(kept.numpy(), expected)


@pytest.mark.parametrize(
    ("rng", "kind", "message"),
    [
        ("a", TypeError, "a numpy.random.Generator, an integer seed or None, got str"),
        (1.5, TypeError, "a numpy.random.Generator, an integer seed or None, got float"),
        (-1, ValueError, "a seed of 0 or more, got -1"),
    ],
)
def test_what_is_no_generator(rng, kind, message):
    for make in (init.rand, init.randn, init.randb):
        with pytest.raises(kind, match=f"^rng: expected {message}$"):
            make(2, rng=rng)


def test_scales_in_float64_before_the_cast():
    np.random.seed(3)
    drawn = init.rand(1000, low=100.0, high=100.5)
    np.random.seed(3)
    expected = (np.random.rand(1000) * 0.5 + 100.0).astype(np.float32)
    np.testing.assert_array_equal(drawn.numpy(), expected)


def test_randb_is_true_with_probability_p():
    np.random.seed(2)
    kept = init.randb(200, 50, p=0.3)
    np.random.seed(2)
    np.testing.assert_array_equal(kept.numpy(), np.random.rand(200, 50) <= 0.3)
    assert kept.dtype == np.bool_
    assert init.randb(4, dtype="float32").dtype == np.float32
    assert init.randb(50, p=1.0).numpy().all()


@pytest.mark.parametrize(
    ("make", "value"), [(init.ones, 1.0), (init.zeros, 0.0), (init.constant, 1.0)]
)
def test_constants(make, value):
    for shape in ((2, 3), (), (0, 4), (5,)):
        made = make(*shape)
        assert made.shape == shape
        assert made.dtype == np.float32
        assert made.requires_grad is False
        np.testing.assert_array_equal(made.numpy(), np.full(shape, value, np.float32))
    assert make(2, dtype="int64", requires_grad=True).dtype == np.int64
    assert make(2, requires_grad=True).requires_grad is True


def test_constant_value():
    np.testing.assert_array_equal(init.constant(2, c=2.5).numpy(), np.float32([2.5, 2.5]))


@pytest.mark.parametrize("make", [init.ones, init.zeros, init.rand, init.randn, init.randb])
def test_shape_as_tuple_list_or_integers(make):
    assert make((2, 3)).shape == make([2, 3]).shape == make(2, np.int64(3)).shape == (2, 3)
    assert make().shape == make(()).shape == ()
    with pytest.raises(TypeError):
        make(2.0)
    with pytest.raises(TypeError):
        make("ab")
    with pytest.raises(ValueError, match=r"^shape: expected lengths of 0 or more, got \(2, -1\)$"):
        make(2, -1)


def test_like_takes_shape_and_dtype():
    like = ndl.Tensor(np.arange(6, dtype=np.float64).reshape(2, 3))
    for make, value in ((init.ones_like, 1), (init.zeros_like, 0)):
        made = make(like)
        assert made.shape == (2, 3)
        assert made.dtype == np.float64
        assert made.device == like.device
        assert made.requires_grad is False
        assert make(like, device=ndl.cpu(), requires_grad=True).requires_grad is True
        np.testing.assert_array_equal(made.numpy(), np.full((2, 3), value, np.float64))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float32", "float64", "int64"])
def test_one_hot_of_any_numeric_dtype(dtype):
    classes = np.array([[0, 3], [2, 2], [1, 0]])
    hot = init.one_hot(4, ndl.Tensor(classes, dtype=dtype))
    assert hot.shape == (3, 2, 4)
    assert hot.dtype == np.float32
    assert hot.requires_grad is False
    np.testing.assert_array_equal(hot.numpy(), np.eye(4)[classes])


def test_one_hot_of_a_scalar_and_other_dtypes():
    np.testing.assert_array_equal(init.one_hot(3, ndl.Tensor(1)).numpy(), [0, 1, 0])
    assert init.one_hot(3, ndl.Tensor([1]), dtype="bool", requires_grad=True).dtype == np.bool_
    assert init.one_hot(3, ndl.Tensor(np.zeros((0,), np.int64))).shape == (0, 3)


@pytest.mark.parametrize("wrong", [4, -1])
def test_one_hot_out_of_range(wrong):
    with pytest.raises(IndexError, match=f"class {wrong} is out of range for 4 classes"):
        init.one_hot(4, ndl.Tensor([0, wrong]))


@pytest.mark.parametrize(
    "call",
    [
        lambda: init.kaiming_uniform(4, 4, nonlinearity="tanh"),
        lambda: init.kaiming_uniform(4, 4, "tanh"),
        lambda: init.kaiming_normal(4, 4, nonlinearity="tanh"),
        lambda: init.kaiming_normal(4, 4, "sigmoid"),
    ],
)
def test_other_nonlinearity_is_an_assertion_error(call):
    with pytest.raises(AssertionError, match="only the nonlinearity 'relu'"):
        call()


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: init.xavier_uniform(0, 0), (0, 0)),
        (lambda: init.xavier_normal(0, 0), (0, 0)),
        (lambda: init.kaiming_uniform(0, 3), (0, 3)),
        (lambda: init.kaiming_normal(0, 3), (0, 3)),
        (lambda: init.kaiming_uniform(3, 0), (3, 0)),
    ],
)
def test_layers_without_inputs_or_outputs_have_no_weights(make, shape):
    assert make().shape == shape


INF, NAN = math.inf, math.nan
BOUNDS = "rand: expected finite bounds with low <= high, got"
REFUSED = [
    (lambda: init.rand(2, low=2, high=1), ValueError, f"{BOUNDS} 2 and 1"),
    (lambda: init.rand(2, low=-INF), ValueError, f"{BOUNDS} -inf and 1.0"),
    (lambda: init.rand(2, high=NAN), ValueError, f"{BOUNDS} 0.0 and nan"),
    (lambda: init.randn(2, std=-1), ValueError, "randn: expected a std of 0 or more, got -1"),
    (lambda: init.randn(2, std=NAN), ValueError, "randn: expected a std of 0 or more, got nan"),
    (lambda: init.randb(2, p=2), ValueError, "randb: expected p from 0 to 1, got 2"),
    (lambda: init.randb(2, p=NAN), ValueError, "randb: expected p from 0 to 1, got nan"),
    (lambda: init.xavier_uniform(-2, 1), ValueError, "fan: expected 0 or more, got -1"),
    (lambda: init.kaiming_uniform(-3, 3), ValueError, "fan: expected 0 or more, got -3"),
    (lambda: init.kaiming_normal(-3, 3), ValueError, "fan: expected 0 or more, got -3"),
    (lambda: init.constant(2, c=None), TypeError, "constant: expected a number, got NoneType"),
    (lambda: init.constant(2, c="a"), TypeError, "constant: expected a number, got str"),
    (lambda: init.constant(2, c=1j), TypeError, "constant: expected a number, got complex"),
    (lambda: init.constant(2, c=[1, 2]), TypeError, "constant: expected a number, got list"),
    (lambda: init.ones_like([1, 2]), TypeError, "ones_like: expected a Tensor, got list"),
    (lambda: init.zeros_like(np.ones(2)), TypeError, "zeros_like: expected a Tensor, got ndarray"),
    (
        lambda: init.one_hot(3, "a"),
        TypeError,
        "one_hot: expected numbers as classes, got dtype <U1",
    ),
    (
        lambda: init.one_hot(3, [NAN]),
        IndexError,
        "one_hot: class nan is out of range for 3 classes",
    ),
    (
        # In int32 it would be class 1.
        lambda: init.one_hot(3, ndl.Tensor([2**32 + 1])),
        IndexError,
        "one_hot: class 4294967297 is out of range for 3 classes",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_cannot_be(call, kind, message):
    state = np.random.get_state()[2]
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()
    assert np.random.get_state()[2] == state


def test_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError):
        init.xavier_uniform(2, 3, bogus=1)
    with pytest.raises(TypeError):
        init.rand(2, bogus=1)


def test_too_large_for_memory():
    with pytest.raises(MemoryError, match="1000000000000000"):
        init.zeros(10**15)


def test_exported_at_the_top():
    for name in ("ones", "zeros", "ones_like", "zeros_like"):
        assert getattr(ndl, name) is getattr(init, name)


@pytest.mark.parametrize(
    "make",
    [
        lambda t: init.constant(2, c=t),
        lambda t: init.rand(2, low=t),
        lambda t: init.rand(2, high=t * 3),
        lambda t: init.randn(2, mean=t),
        lambda t: init.randn(2, std=t),
        lambda t: init.xavier_uniform(2, 2, gain=t),
        lambda t: init.xavier_normal(2, 2, gain=t),
    ],
)
def test_a_tensor_whose_gradient_would_be_lost(make):
    with pytest.raises(TypeError, match=r"is a tensor that requires a gradient.*\nhint: compute"):
        make(ndl.Tensor(0.5))
    assert make(ndl.Tensor(0.5, requires_grad=False)).dtype == "float32"
