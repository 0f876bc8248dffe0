"""A step writes in place only where nobody can see it, whoever else holds a parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, optim

MAKERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
    "rmsprop": lambda p: optim.RMSProp(p, lr=0.1, momentum=0.9, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "lion": lambda p: optim.Lion(p, lr=0.1),
}
every_rule = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def warm(make: Any, *values: list[float]) -> tuple[list[Any], optim.Optimizer]:
    """Parameters with states, in memory that they alone own."""
    params = [Tensor(value) for value in values]
    for param in params:
        param.grad = Tensor(np.full(param.shape, 0.5), requires_grad=False)
    optimizer = make(params)
    optimizer.step()
    optimizer.step()
    return params, optimizer


@every_rule
def test_a_step_leaves_alone_what_is_not_its_own(make: Any) -> None:
    with_grad, without = Tensor([1.0, 2.0]), Tensor([3.0])
    before, kept = with_grad.detach(), with_grad.numpy()
    with_grad.grad = grad = Tensor([0.5, -0.5], requires_grad=False)
    optimizer = make([with_grad, without])
    optimizer.step()
    assert with_grad.grad is grad
    assert grad.tolist() == [0.5, -0.5]
    assert without.tolist() == [3.0]
    assert with_grad.tolist() != [1.0, 2.0]
    assert before.tolist() == kept.tolist() == [1.0, 2.0]
    assert with_grad.is_leaf()
    assert with_grad.requires_grad
    optimizer.reset_grad()
    assert with_grad.grad is None
    with_grad.grad = grad
    optimizer.zero_grad()
    assert with_grad.grad is None


@every_rule
def test_a_frozen_parameter_stays_whatever_its_gradient(make: Any) -> None:
    free, frozen = Tensor([1.0, 2.0]), Tensor([2.0, 1.0], requires_grad=False)
    optimizer = make([free, frozen])
    for _ in range(2):
        ((free * frozen - 3.0) ** 2).sum().backward()
        assert frozen.grad is not None
        optimizer.step()
    assert frozen.tolist() == [2.0, 1.0]
    assert free.tolist() != [1.0, 2.0]
    assert all(frozen not in getattr(optimizer, name) for name in optimizer._states)
    # It is trained as soon as it asks for it.
    frozen.requires_grad = True
    ((free * frozen - 3.0) ** 2).sum().backward()
    optimizer.step()
    assert frozen.tolist() != [2.0, 1.0]


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "detach": lambda p: p.detach(),
    "data": lambda p: p.data,
    "numpy": lambda p: p.numpy(),
    "alias": lambda p: p.cached_data,
    "tensor": Tensor,
    "reshape": lambda p: p.reshape((2, 1)),
    "slice": lambda p: p[1:],
    "broadcast": lambda p: p.broadcast_to((3, 2)),
    "dlpack": lambda p: np.from_dlpack(p.detach()),
}


def values(held: Any) -> Any:
    """What stands in what somebody holds, copied."""
    return np.array(held.numpy() if isinstance(held, Tensor) else held)


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
@every_rule
def test_what_somebody_holds_stays(make: Any, hold: Any) -> None:
    (param,), optimizer = warm(make, [1.0, 2.0])
    (twin,), reference = warm(make, [1.0, 2.0])
    held = hold(param)
    before = values(held)
    for _ in range(3):
        optimizer.step()
        reference.step()
        np.testing.assert_array_equal(values(held), before)
    assert param.tolist() == twin.tolist()
    # Let go of, it is written in place again, with the same results.
    del held
    for _ in range(3):
        optimizer.step()
        reference.step()
    assert param.tolist() == twin.tolist()


@every_rule
def test_states_that_somebody_holds_stay(make: Any) -> None:
    (param,), optimizer = warm(make, [1.0, 2.0])
    states = [getattr(optimizer, name).get(param) for name in optimizer._states]
    held = [(state.detach(), state.numpy()) for state in states if state is not None]
    before = [array.tolist() for _, array in held]
    optimizer.step()
    assert [tensor.tolist() for tensor, _ in held] == before
    assert [array.tolist() for _, array in held] == before
    after = [state.tolist() for state in states if state is not None]
    assert all(old != new for old, new in zip(before, after, strict=True))


@every_rule
def test_parameters_on_one_memory_go_their_own_ways(make: Any) -> None:
    first = Tensor([1.0, 2.0])
    second = Tensor(first)
    first.grad, second.grad = Tensor([1.0, 1.0]), Tensor([-1.0, -1.0])
    make([first, second]).step()
    alone, other = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    alone.grad, other.grad = first.grad, second.grad
    make([alone]).step()
    make([other]).step()
    assert first.tolist() == alone.tolist() != other.tolist() == second.tolist()


@every_rule
def test_a_gradient_on_the_memory_of_its_parameter_stays(make: Any) -> None:
    (param,), optimizer = warm(make, [1.0, 2.0])
    param.grad = param.detach()
    before = param.tolist()
    optimizer.step()
    assert param.grad.tolist() == before != param.tolist()


@every_rule
def test_arrays_of_others_are_not_written(make: Any) -> None:
    array = np.array([1.0, 2.0])
    param = ndl.from_numpy(array, requires_grad=True)
    param.grad = Tensor([1.0, 1.0])
    make([param]).step()
    assert array.tolist() == [1.0, 2.0] != param.tolist()


@every_rule
def test_a_lazy_loss_keeps_what_it_has_seen(make: Any) -> None:
    (w,), optimizer = warm(make, [3.0])
    value = w.item()
    with ndl.lazy():
        loss = w * w
        loss.backward()
        optimizer.step()
        assert loss.tolist() == [value * value]
    assert w.item() != value


@every_rule
def test_a_lazy_gradient_is_of_the_values_it_was_recorded_with(make: Any) -> None:
    (w,), optimizer = warm(make, [3.0])
    value = w.item()
    with ndl.lazy():
        (w * w).backward()
        grad = w.grad
        w.grad = Tensor([1.0])
        optimizer.step()
        assert grad.tolist() == [2 * value]


@every_rule
def test_a_pending_gradient_keeps_what_it_has_seen(make: Any) -> None:
    (w,), optimizer = warm(make, [3.0])
    value = w.item()
    x = Tensor([2.0], requires_grad=False)
    (x * w * w).backward()
    optimizer.step()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.tolist(), [value * value])


@every_rule
def test_a_backward_over_replaced_data_is_refused(make: Any) -> None:
    (w,), optimizer = warm(make, [3.0, 1.0])
    value = w.tolist()
    loss, linear = (w * w).sum(), (2 * w).sum()
    optimizer.step()
    assert loss.item() == sum(v * v for v in value)
    with pytest.raises(ndl.GradError, match="multiply: its gradient needs input 0, which was rep"):
        loss.backward()
    linear.backward()
    assert w.grad.tolist() == [2.0, 2.0]
    # What was released and would be computed from replaced data is refused as well.
    loss = ndl.exp(w * w)
    loss.backward()
    optimizer.step()
    with pytest.raises(ndl.GradError, match="was released and cannot be computed again"):
        loss.inputs[0].numpy()


@every_rule
def test_second_derivatives_before_and_after_a_step(make: Any) -> None:
    (w,), optimizer = warm(make, [3.0])
    value = w.item()
    (w**3).sum().backward()
    slope = w.grad
    slope.backward()
    assert w.grad.item() == pytest.approx(6 * value)
    w.grad = Tensor([1.0])
    optimizer.step()
    assert slope.item() == pytest.approx(3 * value * value)
    with pytest.raises(ndl.GradError, match="was replaced"):
        slope.backward()


def test_a_gradient_computed_in_the_step_may_take_hold_of_a_parameter() -> None:
    """Code of the user's runs while gradients are read: nothing was decided before."""
    held: list[Any] = []
    params = [Tensor([1.0]), Tensor([2.0])]

    class Grabs(ndl.TensorOp):
        def compute(self, x: Any) -> Any:
            held.append(params[0].detach())
            return x + 0.0

        def infer(self, x: Any) -> Any:
            return x

    params[0].grad = Tensor([1.0])
    with ndl.lazy():
        params[1].grad = Grabs()(Tensor([1.0], requires_grad=False))
    assert not held
    optim.SGD(params, lr=0.5).step()
    assert [h.tolist() for h in held] == [[1.0]]
    assert [p.tolist() for p in params] == [[0.5], [1.5]]


def test_data_that_is_replaced_in_the_step_stays_with_who_holds_it() -> None:
    """What a step read before code of the user's ran is not what it writes."""
    held: list[Any] = []
    params = [Tensor([1.0]), Tensor([2.0])]

    class Replaces(ndl.TensorOp):
        def compute(self, x: Any) -> Any:
            held.append(params[0].detach())
            params[0].data = Tensor([5.0])
            return x + 0.0

        def infer(self, x: Any) -> Any:
            return x

    params[0].grad = Tensor([1.0])
    with ndl.lazy():
        params[1].grad = Replaces()(Tensor([1.0], requires_grad=False))
    optim.SGD(params, lr=0.5).step()
    assert [h.tolist() for h in held] == [[1.0]]
    assert [p.tolist() for p in params] == [[4.5], [1.5]]


@every_rule
def test_an_error_in_one_parameter_changes_none(make: Any) -> None:
    params, optimizer = warm(make, [1.0, 2.0], [3.0])
    before = [param.tolist() for param in params]
    states = [{p: s.tolist() for p, s in getattr(optimizer, n).items()} for n in optimizer._states]
    params[1].grad = Tensor([1.0])
    params[1].data = Tensor([3.0, 4.0])
    with pytest.raises(ndl.ShapeError, match=r"a parameter of shape \(2,\) meets \(1,\)"):
        optimizer.step()
    assert params[0].tolist() == before[0]
    for name, state in zip(optimizer._states, states, strict=True):
        now = {p: s.tolist() for p, s in getattr(optimizer, name).items()}
        assert now == state


def test_nothing_leaks_over_many_steps() -> None:
    params, optimizer = warm(MAKERS["adam"], [1.0], [2.0])
    count = ndl.autograd.TENSOR_COUNTER
    for _ in range(100):
        optimizer.step()
    assert count == ndl.autograd.TENSOR_COUNTER
    assert params[0].is_leaf()
