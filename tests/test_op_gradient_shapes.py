"""Shapes of gradients of ops written in Python: none is ever repeated (DESIGN 13).

A gradient has the shape of its input, or one that broadcasting the input to the output gives; then
it is summed. References are NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import ShapeError, Tensor, TensorOp, TensorTupleOp

Shape = tuple[int, ...]


def op_of(compute: Callable[..., Any], gradient: Callable[..., Any], base: type = TensorOp) -> Any:
    body = {"compute": staticmethod(compute), "gradient": staticmethod(gradient)}
    return type("Own", (base,), body)()


def square(gradient: Callable[[Tensor, Tensor], Any]) -> Any:
    return op_of(lambda x: x * x, gradient)


def leaf(shape: Shape) -> Tensor:
    return Tensor(np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape))


# What a rule returns for an input of shape (2,) of an op that squares it.
REPEATED: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "a sum": lambda g, n: (g * 2 * n.inputs[0]).sum(),
    "a sum of one dimension": lambda g, n: (g * 2 * n.inputs[0]).sum(keepdims=True),
    "a Python float": lambda g, n: 2.0,
    "a Python int": lambda g, n: 0,
    "a NumPy scalar": lambda g, n: np.float32(2),
    "an array without dimensions": lambda g, n: np.array(2.0),
    "an array of one": lambda g, n: np.ones(1),
    "a list of one array": lambda g, n: [np.ones(1)],
    "more dimensions": lambda g, n: np.ones((1, 1)),
    "the Jacobian": lambda g, n: np.diag(2 * n.inputs[0].numpy()),
    "another length": lambda g, n: np.ones(3),
    "a batch that is none": lambda g, n: np.ones((3, 2)),
}


def eager(op: Any) -> None:
    op(leaf((2,))).sum().backward()


def lazy(op: Any) -> None:
    with ndl.lazy():
        op(leaf((2,))).sum().backward()


def pending(op: Any) -> None:
    """The gradient by a leaf that does not require one."""
    both = op_of(lambda x, w: x * x * w, lambda g, n: (op.gradient(g, n), None))
    x = Tensor([1.0, 2.0], requires_grad=False)
    both(x, Tensor([1.0, 1.0])).sum().backward()
    _ = x.grad.numpy()


def accumulated(op: Any) -> None:
    x = leaf((2,))
    (x * 1).sum().backward()
    op(x).sum().backward(accumulate=True)


def seeded(op: Any) -> None:
    op(leaf((2,))).backward(Tensor([1.0, 3.0]))


def inside(op: Any) -> None:
    x = leaf((2,))
    (op(x * 2) * x).sum().backward()


def second(op: Any) -> None:
    """The op is met by the second sweep alone."""
    x = leaf((2,))
    op_of(lambda x: x**3, lambda g, n: g * 3 * op(n.inputs[0]))(x).sum().backward()
    x.grad.sum().backward()


def by_hand(op: Any) -> None:
    y = op(leaf((2,)))
    y.op.gradient_as_tuple(Tensor([1.0, 1.0]), y)


def with_others(op: Any) -> None:
    ndl.autograd.compute_gradient_of_variables(op(leaf((2,))), Tensor([1.0, 1.0]))


ROUTES = [eager, lazy, pending, accumulated, seeded, inside, second, by_hand, with_others]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("rule", REPEATED.values(), ids=REPEATED)
def test_no_route_repeats_a_gradient(rule: Any, route: Callable[[Any], None]) -> None:
    with pytest.raises(ShapeError, match=r"^Own: gradient for input 0 \(x\) has shape \(.*\), but"):
        route(square(rule))


@pytest.mark.parametrize("route", ROUTES)
def test_a_right_rule_passes_on_every_route(route: Callable[[Any], None]) -> None:
    route(square(lambda g, n: g * 2 * n.inputs[0]))
    route(square(lambda g, n: (g * 2 * n.inputs[0]).reshape((1, 2))))


def test_the_messages() -> None:
    with pytest.raises(ShapeError) as caught:
        eager(square(REPEATED["a sum"]))
    assert str(caught.value) == (
        "Own: gradient for input 0 (x) has shape (), but the input has shape (2,)\n"
        "hint: return one entry for each of the input: a gradient is never repeated "
        "(and is None, not 0, where nothing flows)"
    )
    with pytest.raises(ShapeError) as caught:
        eager(square(REPEATED["the Jacobian"]))
    assert str(caught.value) == (
        "Own: gradient for input 0 (x) has shape (2, 2), but the input has shape (2,)\n"
        "hint: return the shape of the input; a gradient is summed only along axes that "
        "broadcasting to the output, (2,), has stretched"
    )


# The input, the other operand, the gradient's shape, and whether broadcasting explains it.
BROADCASTS: list[tuple[Shape, Shape, Shape, bool]] = [
    ((2,), (3, 2), (3, 2), True),
    ((2,), (3, 2), (1, 2), True),
    ((2,), (3, 2), (3, 1, 2), False),
    ((2,), (3, 2), (4, 2), False),
    ((2,), (3, 2), (3, 1), False),
    ((2,), (3, 2), (), False),
    ((3, 1), (3, 2), (3, 2), True),
    ((3, 1), (3, 2), (1, 3, 1), True),
    ((3, 1), (3, 2), (3, 4), False),
    ((3, 1), (3, 2), (3,), False),
    ((3, 1), (3, 2), (1, 1), False),
    ((1, 3), (2, 3), (3,), False),
    ((), (3, 2), (3, 2), True),
    ((), (3, 2), (2,), True),
    ((), (3, 2), (1,), True),
    ((), (3, 2), (3,), False),
    ((1,), (3, 2), (), False),
    ((1,), (4,), (4,), True),
    ((1,), (0,), (0,), True),
    ((2,), (5, 3, 2), (5, 1, 2), True),
    ((0,), (3, 0), (3, 0), True),
    ((0,), (3, 0), (1,), False),
]


@pytest.mark.parametrize("lazy_mode", [False, True])
@pytest.mark.parametrize(("shape", "other", "given", "explained"), BROADCASTS)
def test_what_broadcasting_explains_is_summed(
    shape: Shape, other: Shape, given: Shape, explained: bool, lazy_mode: bool
) -> None:
    values = np.arange(1.0, 1 + np.prod(given, dtype=int)).reshape(given)
    op = op_of(lambda x, y: x + y, lambda g, n: (Tensor(values), g))
    x = leaf(shape)
    with ndl.lazy(lazy_mode):
        if not explained:
            with pytest.raises(ShapeError, match=r"^Own: gradient for input 0 \(x\) has shape"):
                op(x, leaf(other)).backward()
            return
        op(x, leaf(other)).backward()
    padded = (1,) * (values.ndim - len(shape)) + shape
    axes = tuple(i for i in range(values.ndim) if padded[i] != values.shape[i])
    expected = values.sum(axis=axes, keepdims=True).reshape(shape)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_an_axis_that_a_product_keeps_is_summed_over() -> None:
    """A matrix that meets a batch: its gradient is longer where the output is."""

    def gradient(g: Tensor, n: Tensor) -> Any:
        a, b = n.inputs
        return g @ b.transpose((-1, -2)), a.transpose((-1, -2)) @ g

    a, b = leaf((2, 3)), leaf((5, 3, 4))
    op_of(np.matmul, gradient)
    op_of(lambda a, b: a @ b, gradient)(a, b).sum().backward()
    x, y = leaf((2, 3)), leaf((5, 3, 4))
    (x @ y).sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), x.grad.numpy())
    np.testing.assert_array_equal(b.grad.numpy(), y.grad.numpy())


def test_each_input_is_told_by_place_and_name() -> None:
    op = op_of(lambda image, kernel: image * kernel, lambda g, n: (g, 1.0))
    with pytest.raises(ShapeError, match=r"input 1 \(kernel\) has shape \(\), .* \(2,\)"):
        op(leaf((2,)), leaf((2,))).backward()
    op = op_of(lambda *all: all[0] * all[1], lambda g, n: (g, 1.0))
    with pytest.raises(ShapeError, match=r"^Own: gradient for input 1 has shape"):
        op(leaf((2,)), leaf((2,))).backward()


def test_ops_with_several_results() -> None:
    """Any of the outputs may explain a shape."""

    def parts(x: np.ndarray) -> tuple[np.ndarray, ...]:
        return x * np.ones((3, 2)), x.sum()

    x = leaf((2,))
    op_of(parts, lambda g, n: g[0] + g[1] * np.ones((3, 2)) / 3, TensorTupleOp)(x)[0].backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])
    for wrong in ((), (1,), (4, 2), (2, 2)):
        op = op_of(parts, lambda g, n, wrong=wrong: np.ones(wrong), TensorTupleOp)
        with pytest.raises(ShapeError, match=r"^Own: gradient for input 0 \(x\) has shape"):
            op(leaf((2,)))[0].backward()


def test_gradients_of_tuples_fit_place_by_place() -> None:
    x, y = leaf((2,)), leaf((3,))
    given = [Tensor([1.0, 2.0]), Tensor([4.0])]
    op = op_of(lambda pair: pair[0].sum() + pair[1].sum(), lambda g, n: ndl.make_tuple(*given))
    with pytest.raises(ShapeError) as caught:
        op(ndl.make_tuple(x, y)).backward()
    assert str(caught.value) == (
        "Own: gradient for input 0 (pair) has shape (1,) at place 1, but the input has shape "
        "(3,) there\nhint: return a tuple of tensors of the shapes of the input"
    )
    given[1] = Tensor([4.0, 5.0, 6.0])
    op(ndl.make_tuple(x, y)).backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([1, 2], [4, 5, 6])


def test_subclasses_of_native_ops() -> None:
    class Exp(ndl.Exp):
        def gradient(self, out_grad: Tensor, node: Tensor) -> Any:
            return (out_grad * node).sum()

    class Power(ndl.PowerScalar):
        def compute(self, x: np.ndarray) -> Any:
            return x**self.scalar

    with pytest.raises(ShapeError, match=r"^Exp: gradient for input 0 "):
        Exp()(leaf((2,))).backward()
    x = leaf((2,))
    Power(3)(x).backward()
    assert x.grad.tolist() == [3, 12]


def test_gradient_as_tuple_fits_and_keeps_objects() -> None:
    x, y = leaf((2,)), leaf((3, 2))
    kept = Tensor([1.0, 2.0])
    op = op_of(lambda x, y: x + y, lambda g, n: [kept, g])
    node = op(x, y)
    ones = Tensor(np.ones((3, 2)))
    first, second = op.gradient_as_tuple(ones, node)
    assert first is kept
    assert second is ones
    op = op_of(lambda x, y: x + y, lambda g, n: (g, None))
    first, second = op.gradient_as_tuple(ones, op(x, y))
    assert (first.tolist(), second) == ([3, 3], None)
    op = op_of(lambda x: x * 1, lambda g, n: np.array([5.0, 6.0]))
    (only,) = op.gradient_as_tuple(kept, op(x))
    assert isinstance(only, Tensor)
    assert only.tolist() == [5, 6]


@pytest.mark.parametrize("given", [(), (1,), (1, 1), (3, 2), (1, 2)])
def test_an_adjoint_has_the_shape_of_the_result(given: Shape) -> None:
    x = leaf((2,))
    for node in (x * x, ndl.exp(x), x + x, square(lambda g, n: g * 2 * n.inputs[0])(x)):
        with pytest.raises(ShapeError, match=r"out_grad has shape .*, expected \(2,\)"):
            node.op.gradient_as_tuple(Tensor(np.ones(given)), node)
        with pytest.raises(ShapeError, match=r"out_grad has shape .*, expected \(2,\)"):
            node.backward(Tensor(np.ones(given)))


def test_adjoints_of_several_results_have_their_shapes() -> None:
    x = leaf((2,))
    op = op_of(lambda x: (x * 1, x.sum()), lambda g, n: g[0] + g[1], TensorTupleOp)
    parts = op(x)
    right, wrong = ndl.make_tuple(x, x[0]), ndl.make_tuple(x[:1], x[0])
    assert op.gradient_as_tuple(right, parts)[0].tolist() == [2, 3]
    with pytest.raises(ShapeError, match=r"^Own: out_grad has shape \(1,\), expected \(2,\)"):
        op.gradient_as_tuple(wrong, parts)
    first = ndl.TupleGetItem(0)(parts)
    with pytest.raises(ShapeError, match=r"out_grad has shape \(1,\), expected \(2,\)"):
        first.op.gradient_as_tuple(x[:1], first)
