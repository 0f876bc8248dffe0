"""The functions of needle.autograd: order, sums, the engine by its own name (CONTRACT 3)."""

from __future__ import annotations

import pytest

from needle import Tensor, autograd


def test_compute_gradient_of_variables_is_the_engine() -> None:
    x = Tensor([1.0, 2.0])
    y = x * x
    autograd.compute_gradient_of_variables(y, Tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    autograd.compute_gradient_of_variables(y, None)
    assert x.grad.tolist() == [2, 4]


def test_sum_node_list_adds_from_the_left_without_a_zero() -> None:
    a, b, c = Tensor([1.0]), Tensor([2.0]), Tensor([3.0])
    total = autograd.sum_node_list([a, b, c])
    assert total.tolist() == [6]
    assert total.inputs[1] is c
    assert total.inputs[0].inputs[0] is a
    assert autograd.sum_node_list([a]) is a


def test_find_topo_sort() -> None:
    a, b = Tensor([[0.9]]), Tensor([[0.8]])
    c = a * b
    d = c + b
    e = d * a + c
    order = autograd.find_topo_sort([e])
    assert [n is m for n, m in zip(order[:4], (a, b, c, d), strict=True)] == [True] * 4
    assert order[-1] is e
    assert len(order) == 6
    assert len(autograd.find_topo_sort([d, e])) == 6
    assert [n.numpy().shape for n in order] == [(1, 1)] * 6
    assert autograd.find_topo_sort([]) == []
    with pytest.raises(TypeError):
        autograd.find_topo_sort([1])


def test_topo_sort_dfs() -> None:
    a, b = Tensor([1.0]), Tensor([2.0])
    c = a * b + a
    order: list[Tensor] = []
    visited: set[Tensor] = set()
    autograd.topo_sort_dfs(c, visited, order)
    assert len(order) == len(visited) == 4
    assert all(x is y for x, y in zip(order, autograd.find_topo_sort([c]), strict=True))
    autograd.topo_sort_dfs(c, visited, order)
    assert len(order) == 4
    only: list[Tensor] = []
    autograd.topo_sort_dfs(c, {a: True}, only)
    assert [n is a for n in only].count(True) == 0
