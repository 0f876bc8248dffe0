"""What Python's operators record and what they give (CONTRACT 2.3)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.autograd import find_topo_sort

Binary = Callable[[Any, Any], Any]
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
A = np.array([[1.0, 2.0, 3.0], [0.5, 1.5, 2.5]])
B = np.array([2.0, 1.0, 3.0])


def names(t: Tensor) -> list[str]:
    """The classes of the ops of a graph, in topological order, leaves left out."""
    return [type(n.op).__name__ for n in find_topo_sort([t]) if n.op is not None]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (operator.add, ["EWiseAdd"]),
        (operator.mul, ["EWiseMul"]),
        (operator.truediv, ["EWiseDiv"]),
        (operator.pow, ["EWisePow"]),
        (operator.sub, ["Negate", "EWiseAdd"]),
        (operator.matmul, ["MatMul"]),
    ],
)
def test_two_tensors(op: Binary, expected: list[str]) -> None:
    x, y = Tensor(A), Tensor(B)
    z = op(x, y)
    assert names(z) == expected
    assert len(find_topo_sort([z])) == 2 + len(expected)
    assert z.inputs[0] is x
    np.testing.assert_allclose(z.numpy(), op(A, B), rtol=1e-14)


@pytest.mark.parametrize("c", [2, 2.5, -1.5, 0, True, np.float32(2.5), np.int64(3)])
@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (operator.add, "AddScalar"),
        (operator.mul, "MulScalar"),
        (operator.truediv, "DivScalar"),
        (operator.pow, "PowerScalar"),
    ],
)
def test_tensor_and_number(op: Binary, expected: str, c: Any) -> None:
    x = Tensor(A)
    with np.errstate(divide="ignore"):
        z, right = op(x, c), op(A, c)
    assert names(z) == [expected]
    assert z.inputs == [x] or z.inputs[0] is x
    assert z.op.scalar == c
    np.testing.assert_allclose(z.numpy(), right, rtol=1e-14)


def test_minus_a_number_adds_its_negative() -> None:
    z = Tensor(A) - 1.5
    assert names(z) == ["AddScalar"]
    assert z.op.scalar == -1.5
    assert np.array_equal(z.numpy(), A - 1.5)


@pytest.mark.parametrize("n", [3, 5000])  # recorded under one lock, and step by step
@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True)])
def test_a_difference_has_a_negation_to_read(n: int, needs: tuple[bool, bool]) -> None:
    random = np.random.default_rng(n)
    a, b = random.standard_normal(n), random.standard_normal((2, n))
    x, y = (Tensor(v, requires_grad=need) for v, need in zip((a, b), needs, strict=True))
    z = x - y
    assert names(z) == ["Negate", "EWiseAdd"]
    assert np.array_equal(z.numpy(), a - b)
    negated = z.inputs[1]
    assert negated.requires_grad is needs[1]
    assert np.array_equal(negated.numpy(), -b)
    (z * z).sum().backward()
    assert np.allclose(x.grad.numpy(), 2 * (a - b).sum(axis=0))
    if needs[1]:
        assert np.allclose(y.grad.numpy(), -2 * (a - b))


def test_a_number_minus_a_tensor_is_exact() -> None:
    special = [0.0, -0.0, 1.5, np.inf, -np.inf, np.nan, 5e-324]
    for number in (*special, 3, np.float64(0.1), np.float32(0.1)):
        for dtype in ("float32", "float64", "int8", "uint8", "int64"):
            values = np.array(special if dtype.startswith("f") else [0, 1, 7], dtype)
            z = number - Tensor(values)
            with np.errstate(all="ignore"):
                expected = number - values
            assert z.dtype == expected.dtype
            assert np.array_equal(z.numpy(), expected, equal_nan=True)
            zeros = expected == 0
            assert np.array_equal(np.signbit(z.numpy()[zeros]), np.signbit(expected[zeros]))


def test_negation() -> None:
    z = -Tensor(A)
    assert names(z) == ["Negate"]
    assert np.array_equal(z.numpy(), -A)


def test_the_posts_graph_of_nine_nodes() -> None:
    a = Tensor([[1.0, 2.0], [3.0, 4.0]])
    b = Tensor([[5.0, 6.0], [7.0, 8.0]])
    c = a @ b + b - a
    order = find_topo_sort([c])
    expected = [a, b, "MatMul", "EWiseAdd", "Negate", "EWiseAdd"]
    assert [type(n.op).__name__ if n.op else n for n in order] == expected


@pytest.mark.parametrize("op", ARITHMETIC)
@pytest.mark.parametrize("c", [2, 2.5, np.float64(1.5), np.float32(2), B, B.tolist(), B[:1]])
def test_reflected_forms(op: Binary, c: Any) -> None:
    x = Tensor(A)
    z = op(c, x)
    right = op(np.asarray(c), A)
    assert isinstance(z, Tensor)
    np.testing.assert_allclose(z.numpy(), right, rtol=1e-14)
    assert z.dtype == right.dtype
    z.sum().backward()
    assert x.grad.shape == x.shape


def test_reflected_sum_and_product_are_one_node() -> None:
    x = Tensor(A)
    assert names(3 + x) == ["AddScalar"]
    assert names(3 * x) == ["MulScalar"]
    assert np.array_equal(sum([x, x, x]).numpy(), A * 3)


def test_reflected_values_and_gradients() -> None:
    x = Tensor([2.0, 4.0])
    for make, value, gradient in [
        (lambda: 3 - x, [1, -1], [-1, -1]),
        (lambda: 8 / x, [4, 2], [-2, -0.5]),
        (lambda: 2**x, [4, 16], [4 * np.log(2), 16 * np.log(2)]),
    ]:
        y = make()
        np.testing.assert_allclose(y.numpy(), value)
        y.backward()
        np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-14)


@pytest.mark.parametrize("op", ARITHMETIC)
@pytest.mark.parametrize("array", [B, B.tolist(), tuple(B), B.astype("float32"), B[:1], A])
def test_array_likes_are_constants(op: Binary, array: Any) -> None:
    x = Tensor(A)
    z = op(x, array)
    right = op(A, np.asarray(array))
    np.testing.assert_allclose(z.numpy(), right, rtol=1e-14)
    assert z.dtype == right.dtype
    z.sum().backward()
    assert x.grad.shape == A.shape


def test_matmul_with_arrays_on_either_side() -> None:
    x = Tensor(A)
    for array in (A.T, A.T.tolist()):
        np.testing.assert_allclose((x @ array).numpy(), A @ A.T, rtol=1e-14)
        np.testing.assert_allclose((array @ x).numpy(), A.T @ A, rtol=1e-14)
    for wrong in (3, 2.5, None, "a"):
        with pytest.raises(TypeError):
            x @ wrong
        with pytest.raises(TypeError):
            wrong @ x


def test_functions_take_array_scalars() -> None:
    x = Tensor(A)
    c = np.array([1.7])
    for function, right in [
        (ndl.add_scalar, A + c),
        (ndl.mul_scalar, A * c),
        (ndl.divide_scalar, A / c),
        (ndl.power_scalar, A**c),
    ]:
        np.testing.assert_allclose(function(x, scalar=c).numpy(), right, rtol=1e-14)
        np.testing.assert_allclose(function(x, scalar=2).numpy(), function(x, 2).numpy())


@pytest.mark.parametrize("op", [*ARITHMETIC, operator.matmul, operator.lt])
@pytest.mark.parametrize("other", [None, "text", object(), {}, {1, 2}])
def test_foreign_operands_are_type_errors(op: Binary, other: object) -> None:
    x = Tensor(A)
    for left, right in ((x, other), (other, x)):
        with pytest.raises(TypeError):
            op(left, right)


def test_a_foreign_class_may_answer() -> None:
    class Foreign:
        def __radd__(self, other: object) -> str:
            return "mine"

    assert Tensor(A) + Foreign() == "mine"


def test_in_place_operators_rebind() -> None:
    x = Tensor([1.0, 2.0])
    y = x
    y += 1
    y *= 2
    y -= Tensor([1.0, 1.0])
    y /= 2
    assert y is not x
    assert x.tolist() == [1, 2]
    assert y.tolist() == [1.5, 2.5]
    y.backward()
    assert x.grad.tolist() == [1, 1]


def test_unsigned_and_bool_differences_wrap_as_numpys() -> None:
    a, b = np.array([1, 2], "uint8"), np.array([2, 1], "uint8")
    assert np.array_equal((Tensor(a) - Tensor(b)).numpy(), a - b)
    assert np.array_equal((Tensor(a) - 2).numpy(), a - 2)
    assert np.array_equal((5 - Tensor(a)).numpy(), 5 - a)
    assert (Tensor(a) - 2).dtype == "uint8"


def test_power_with_three_arguments() -> None:
    with pytest.raises(TypeError):
        pow(Tensor([2]), 2, 3)


def test_a_difference_whose_negation_is_read_later() -> None:
    x, y = Tensor([5.0, 1.0]), Tensor([2.0, 3.0])
    z = x - y
    minus = z.inputs[1]
    assert isinstance(minus.op, ndl.Negate)
    assert minus.inputs[0] is y
    assert minus.numpy().tolist() == [-2, -3]
    z.backward()
    assert y.grad.tolist() == [-1, -1]
    assert minus.grad.tolist() == [1, 1]
