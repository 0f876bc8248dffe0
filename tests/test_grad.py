"""`needle.autograd.grad`: gradients by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import GradError, ShapeError, Tensor, TensorOp
from needle.autograd import grad


def lists(gradients: Any) -> list[Any]:
    return [None if gradient is None else gradient.tolist() for gradient in gradients]


@pytest.fixture(params=[False, True], ids=["eager", "lazy"], autouse=True)
def mode(request: pytest.FixtureRequest) -> Any:
    with ndl.lazy(request.param):
        yield


def test_by_leaves_and_by_intermediate_results() -> None:
    x, w = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    y = x * w
    z = (y * y).sum()
    gradients = grad(z, (x, w, y, z))
    assert type(gradients) is tuple
    assert lists(gradients) == [[18.0, 64.0], [6.0, 32.0], [6.0, 16.0], 1.0]
    assert [t.grad for t in (x, w, y, z)] == [None] * 4
    assert lists(grad(z, x)) == [[18.0, 64.0]]
    assert lists(grad([z], [x, x])) == [[18.0, 64.0]] * 2


def test_a_gradient_stays_where_backward_put_it() -> None:
    x = Tensor([1.0, 2.0])
    (x**2).sum().backward()
    kept = x.grad
    grad((x**3).sum(), x)
    assert x.grad is kept


def test_any_order() -> None:
    x = Tensor(2.0)
    value = x**5
    for expected in (80.0, 160.0, 240.0, 240.0, 120.0):
        (value,) = grad(value, x)
        assert value.item() == pytest.approx(expected)
    (first,) = grad(x**3, x)
    first.backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(12.0)


def test_weights() -> None:
    x = Tensor([1.0, 2.0])
    y = x**2
    assert lists(grad(y, x, Tensor([10.0, 1.0]))) == [[20.0, 4.0]]
    assert lists(grad(y, x, [Tensor([10.0, 1.0])])) == [[20.0, 4.0]]
    assert lists(grad(y, x, [None])) == [[2.0, 4.0]]
    assert lists(grad(y, x, np.array([10.0, 1.0]))) == [[20.0, 4.0]]
    assert lists(grad(y.sum(), x, 2)) == [[4.0, 8.0]]
    # A weight with a history is differentiated, too, but is no part of what is differentiated.
    v = Tensor([1.0, 1.0])
    (product,) = grad(y, x, v * x)
    assert product.tolist() == [2.0, 8.0]
    assert lists(grad(product, [v, x])) == [[2.0, 8.0], [4.0, 8.0]]


def test_several_outputs_in_one_sweep() -> None:
    calls = []

    class Double(TensorOp):
        def compute(self, a: Any) -> Any:
            return 2 * a

        def gradient(self, out_grad: Any, node: Any) -> Any:
            calls.append(out_grad)
            return 2 * out_grad

    x = Tensor([1.0, 2.0])
    y = Double()(x)
    outputs = [y.sum(), (y * y).sum(), y]
    weights = [Tensor(3.0), None, Tensor([1.0, 0.0])]
    # 3 * 2 + 2 * (2 y) + (2, 0)
    assert lists(grad(outputs, x, weights)) == [[16.0, 22.0]]
    assert len(calls) == 1
    assert lists(grad([y, y], x)) == [[4.0, 4.0]]
    # One output may depend on another.
    assert lists(grad([y, y.sum()], [y, x])) == [[2.0, 2.0], [4.0, 4.0]]
    single, double = Tensor([1.0], dtype="float32"), Tensor([1.0])
    gradients = grad([(single * 2).sum(), (double * single).sum()], [single, double])
    assert [g.dtype for g in gradients if g is not None] == ["float32", "float64"]
    assert lists(gradients) == [[3.0], [1.0]]


def test_inputs_that_nothing_depends_on() -> None:
    x, unused = Tensor([1.0, 2.0]), Tensor([[1.0, 2.0]], dtype="float32")
    y = (x * 2).sum()
    zeros = grad(y, [x, unused])[1]
    assert zeros is not None
    assert (zeros.tolist(), zeros.dtype) == ([[0.0, 0.0]], "float32")
    assert lists(grad(y, [x, unused], allow_unused=True)) == [[2.0, 2.0], [[0.0, 0.0]]]
    found = grad(y, [x, unused], allow_unused=True, materialize_grads=False)
    assert lists(found) == [[2.0, 2.0], None]
    for allow_unused in (None, False):
        with pytest.raises(GradError, match="grad: no output depends on input 1\nhint: allow"):
            grad(y, [x, unused], allow_unused=allow_unused, materialize_grads=False)
    with pytest.raises(ValueError, match="allow_unused=False forbids"):
        grad(y, [x], allow_unused=False)
    assert grad(y, []) == ()
    other = Tensor([1.0]) * 3
    z = x * 2
    assert lists(grad(z, other)) == [[0.0]]


def test_a_result_that_was_made_too_late_is_an_error() -> None:
    x = Tensor([1.0, 2.0])
    y = (x[0] * x[1]) ** 2
    with pytest.raises(GradError, match="grad: input 1 is a result that was made after the outp"):
        grad(y, [x, x[0]])
    assert lists(grad(y, [x, x[0]], allow_unused=True)) == [[8.0, 4.0], 0.0]
    # It may well be part of another output that was made later.
    part = x[0]
    assert lists(grad([y, part * 3], part)) == [3.0]


def test_items_of_a_tuple_are_named_one_by_one() -> None:
    m = Tensor([[1.0, 2.0], [3.0, 4.0]])
    rows = ndl.split(m, 0)
    parts = rows.tuple()
    loss = (parts[0] * parts[1]).sum()
    assert lists(grad(loss, parts)) == [[3.0, 4.0], [1.0, 2.0]]
    with pytest.raises(TypeError, match="got TensorTuple\nhint: keep its items"):
        grad(loss, rows)


def test_zeros_of_an_integer_input_are_integers() -> None:
    x = Tensor([1.0, 2.0])
    y = (x * 2).sum()
    integers = grad(y, Tensor([1, 2]))[0]
    assert integers is not None
    assert (integers.tolist(), integers.dtype) == ([0, 0], "int64")


def test_what_needs_no_gradient_is_refused() -> None:
    x, constant = Tensor([1.0]), Tensor([1.0], requires_grad=False)
    y = x * constant
    with pytest.raises(GradError, match="grad: input 1 does not require a gradient\nhint: "):
        grad(y, [x, constant])
    with pytest.raises(GradError, match="grad: output 0 does not require a gradient\nhint: "):
        grad(constant * 2, x)
    with ndl.no_grad():
        z = x * 2
    with pytest.raises(GradError, match="output 1 does not require a gradient"):
        grad([y, z], x)
    with pytest.raises(GradError, match="input 0 does not require"):
        grad(y, y.detach())


def test_what_does_not_fit_is_refused() -> None:
    x = Tensor([1.0, 2.0])
    y = x * 2
    with pytest.raises(ShapeError, match="out_grad has shape"):
        grad(y, x, Tensor(1.0))
    with pytest.raises(ValueError, match="expected 1 grad_outputs, one for each output, got 2"):
        grad(y, x, [None, None])
    with pytest.raises(TypeError, match="inputs expects a tensor or several, got float"):
        grad(y, [1.0])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="outputs expects a tensor or several, got ndarray"):
        grad([np.ones(2)], x)  # type: ignore[list-item]


def test_flags_from_pytorch_have_no_effect() -> None:
    x = Tensor(3.0)
    y = x**2
    for flag in (False, True):
        (gradient,) = grad(y, x, retain_graph=flag, create_graph=flag)
        assert lists(grad(gradient, x)) == [2.0]


def test_in_no_grad_the_gradient_has_no_history() -> None:
    x = Tensor(3.0)
    y = x**2
    with ndl.no_grad():
        (gradient,) = grad([y, y * 1.0][:1], x)
    assert gradient is not None
    assert gradient.item() == 6.0
    assert not gradient.requires_grad


def test_after_a_replaced_value_it_is_an_error() -> None:
    x = Tensor([3.0])
    y = x * x
    y.numpy()
    x.data = Tensor([4.0])
    with pytest.raises(GradError):
        grad(y, x)[0].numpy()  # type: ignore[union-attr]
