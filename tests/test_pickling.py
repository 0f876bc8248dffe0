"""What can be pickled and copied: leaves, gradients, and results without a history to lose."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn

CLONES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda t, p=protocol: pickle.loads(pickle.dumps(t, p))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}


def cubed() -> tuple[Tensor, Tensor]:
    x = Tensor([1.0, 2.0])
    return x, (x * x * x).sum()


def gradient() -> Tensor:
    x, y = cubed()
    y.backward()
    return x.grad


def lazy_gradient() -> Tensor:
    with ndl.lazy():
        return gradient()


def second() -> Tensor:
    x, y = cubed()
    y.backward()
    x.grad.sum().backward()
    return x.grad


def accumulated() -> Tensor:
    x, y = cubed()
    y.backward()
    (x * x).sum().backward(accumulate=True)
    return x.grad


def pending() -> Tensor:
    x, c = Tensor([3.0, 12.0]), Tensor([1.0, 2.0], requires_grad=False)
    (x * c).sum().backward()
    return c.grad


def of_an_intermediate() -> Tensor:
    x = Tensor([1.0, 2.0])
    y = x * x
    (y * y * y).sum().backward()
    return y.grad


def of_a_parameter() -> Tensor:
    p = nn.Parameter([1.0, 2.0])
    (p * p * p).sum().backward()
    return p.grad


def given_as_seed() -> Tensor:
    """The adjoint of a sum is the seed itself, which has a history."""
    x, seed = Tensor([0.0, 0.0]), Tensor([1.5, 6.0]) * 2
    (x + 1).backward(seed)
    return x.grad


def assigned() -> Tensor:
    x, y = cubed()
    y.backward()
    x.grad = x.grad * 0.5
    return x.grad


def assigned_while_lazy() -> Tensor:
    with ndl.lazy():
        return assigned()


def held_alone() -> Tensor:
    x, y = cubed()
    y.backward()
    found, x.grad = x.grad, None
    return found


class Saved(ndl.TensorOp):
    """A rule that gives back what stands in the graph already."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        return np.exp(x)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return node


def of_a_rule() -> Tensor:
    x = Tensor(np.log([3.0, 12.0]))
    Saved()(x).sum().backward()
    return x.grad


GRADIENTS: dict[str, tuple[Callable[[], Tensor], list[float]]] = {
    "of a leaf": (gradient, [3, 12]),
    "lazy": (lazy_gradient, [3, 12]),
    "second order": (second, [6, 12]),
    "accumulated": (accumulated, [5, 16]),
    "pending": (pending, [3, 12]),
    "of an intermediate": (of_an_intermediate, [3, 48]),
    "of a parameter": (of_a_parameter, [3, 12]),
    "no longer anybody's": (held_alone, [3, 12]),
}

# What the user computed has a history that would be lost, whatever it serves as.
RESULTS = {
    "the seed": given_as_seed,
    "assigned": assigned,
    "assigned, lazy": assigned_while_lazy,
    "of a rule": of_a_rule,
}


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_serves_as_gradient_stays_a_result(name: str, clone: str) -> None:
    found = RESULTS[name]()
    with pytest.raises(RuntimeError, match="the result of an op, whose history would be lost"):
        CLONES[clone](found)


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("name", GRADIENTS)
def test_a_gradient_comes_back_as_a_leaf(name: str, clone: str) -> None:
    make, values = GRADIENTS[name]
    found = make()
    twin = CLONES[clone](found)
    assert type(twin) is Tensor
    np.testing.assert_allclose(twin.numpy(), values, rtol=1e-12)
    assert (twin.dtype, twin.op, twin.is_leaf(), twin.requires_grad) == (
        found.dtype,
        None,
        True,
        False,
    )
    twin.cached_data[...] = 0
    np.testing.assert_allclose(found.numpy(), values, rtol=1e-12)


def test_a_gradient_keeps_its_history_when_it_is_copied() -> None:
    x, y = cubed()
    y.backward()
    found = x.grad
    copy.deepcopy(found)
    found.sum().backward()
    assert x.grad.tolist() == [6, 12]


def unrecorded() -> Tensor:
    with ndl.no_grad():
        return Tensor([1.0]) * 2


def lazy_without_gradient() -> Tensor:
    with ndl.lazy():
        return Tensor([1.0], requires_grad=False) * 2


def lazy_unrecorded() -> Tensor:
    with ndl.lazy(), ndl.no_grad():
        return Tensor([1.0]) * 2


PLAIN: dict[str, Callable[[], Tensor]] = {
    "detached": lambda: (Tensor([1.0]) * 2).detach(),
    "of constants": lambda: Tensor([1.0], requires_grad=False) * 2,
    "of integers": lambda: Tensor([1], requires_grad=False) + 1,
    "comparison": lambda: Tensor([1.0]) > 0,
    "no_grad": unrecorded,
    "lazy": lazy_without_gradient,
    "lazy, no_grad": lazy_unrecorded,
}


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("name", PLAIN)
def test_a_result_that_needs_no_gradient_is_data(name: str, clone: str) -> None:
    found = PLAIN[name]()
    twin = CLONES[clone](found)
    assert (twin.tolist(), twin.dtype, twin.requires_grad) == (found.tolist(), found.dtype, False)


def with_history(lazy: bool) -> dict[str, Tensor]:
    with ndl.lazy(lazy):
        found = gradient()
        return {"a result": Tensor([1.0]) * 2, "of a gradient": found * 2, "row": found[0]}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("name", ["a result", "of a gradient", "row"])
def test_what_would_lose_its_history_says_so(name: str, clone: str, lazy: bool) -> None:
    found = with_history(lazy)[name]
    with pytest.raises(RuntimeError, match="result of an op, whose history would be lost") as error:
        CLONES[clone](found)
    assert str(error.value).endswith("hint: use detach()")
    CLONES[clone](found.detach())


def work(x: Tensor) -> tuple[Tensor, Tensor]:
    x.requires_grad = True
    y = (x * x).sum()
    y.backward()
    return x.grad, y.detach()


def test_gradients_come_back_from_a_pool() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(work, [Tensor([1.0, 2.0]), Tensor([3.0])])
    assert [(grad.tolist(), y.item()) for grad, y in found] == [([2, 4], 5), ([6], 9)]


def test_a_leaf_keeps_what_it_was() -> None:
    for flag in (True, False):
        x = Tensor([1.0], requires_grad=flag)
        other = Tensor([2.0])
        other.grad = x  # a leaf all the same
        for clone in CLONES.values():
            assert clone(x).requires_grad is flag
            assert clone(other).grad is None
