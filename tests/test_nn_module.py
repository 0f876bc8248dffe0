"""Module: what it finds in its attributes, modes, containers, repr (CONTRACT 7)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn import Module, Parameter


class Nest(Module):
    """Parameters and modules in attributes, dicts, lists and tuples, in a mixed order."""

    def __init__(self) -> None:
        super().__init__()
        self.last = Parameter([1.0])
        self.plain = Tensor([9.0])
        self.layers = [nn.Linear(2, 3), (nn.Dropout(), nn.Linear(3, 1, bias=False))]
        self.table = {"gain": Parameter([2.0]), "deep": {"norm": nn.BatchNorm1d(1)}, 7: "text"}
        self.none = None
        self.first = Parameter([3.0])

    def forward(self, x: Tensor) -> Tensor:
        inner, (drop, outer) = self.layers
        out = outer(drop(inner(x))) * self.table["gain"] + self.last + self.first
        return self.table["deep"]["norm"](out)


NAMES = [
    "last",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.1.weight",
    "table.gain",
    "table.deep.norm.weight",
    "table.deep.norm.bias",
    "first",
]


class Tied(Module):
    """One parameter under two names, and a module that knows its owner."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(2, 2, bias=False)
        self.b = nn.Linear(2, 2, bias=False)
        self.b.weight = self.a.weight
        self.again = self.a
        self.a.owner = self
        self.loop: list[Any] = [self.b]
        self.loop.append(self.loop)


def test_parameters_in_order_of_insertion() -> None:
    net = Nest()
    assert [name for name, _ in net.named_parameters()] == NAMES
    found = net.parameters()
    assert isinstance(found, list)
    assert found[0] is net.last
    assert found[1] is net.layers[0].weight
    assert found[4] is net.table["gain"]
    assert found[-1] is net.first
    assert [name for name, _ in net.named_parameters(recurse=False)] == [
        "last",
        "table.gain",
        "first",
    ]
    assert net.parameters(recurse=False)[2] is net.first


def test_buffers_are_no_parameters() -> None:
    net = Nest()
    norm = net.table["deep"]["norm"]
    assert [name for name, _ in net.named_buffers()] == [
        "table.deep.norm.running_mean",
        "table.deep.norm.running_var",
    ]
    assert net.named_buffers()[0][1] is norm.running_mean
    assert type(norm.running_mean) is Tensor
    assert norm.running_mean.requires_grad is False


def test_a_plain_tensor_over_a_parameter() -> None:
    layer = nn.Linear(2, 2)
    layer.weight = Tensor([[1.0, 0.0], [0.0, 2.0]], dtype="float32")
    layer.bias = Tensor([10.0, 20.0], dtype="float32")
    assert layer.parameters() == []
    assert list(layer.state_dict()) == []
    assert layer(Tensor([[1.0, 1.0]], dtype="float32")).tolist() == [[11.0, 22.0]]
    layer.weight = Tensor([[1.0, 2.0]], dtype="float32")
    assert layer(Tensor([[3.0]], dtype="float32")).tolist() == [[13.0, 26.0]]
    layer.weight = Tensor([[1.0, 0.0], [0.0, 2.0]], dtype="float32")
    layer.bias = None
    assert layer(Tensor([[1.0, 1.0]], dtype="float32")).tolist() == [[1.0, 2.0]]
    layer.bias = Parameter([[1.0, 1.0]], dtype="float32")
    assert [name for name, _ in layer.named_parameters()] == ["bias"]


def test_a_plain_tensor_over_a_buffer_is_the_buffer() -> None:
    norm = nn.BatchNorm1d(2)
    norm.running_mean = Tensor([1.0, 2.0], dtype="float32")
    assert norm.state_dict()["running_mean"].tolist() == [1, 2]
    with pytest.raises(TypeError, match=r"^register_buffer: expected a Tensor, got list$"):
        norm.register_buffer("steps", [1])
    norm.register_buffer("steps", Tensor(0, requires_grad=False))
    assert [name for name, _ in norm.named_buffers()][-1] == "steps"
    # The names belong to the object, not to the class.
    assert len(nn.BatchNorm1d(2).named_buffers()) == 2


def test_shared_parameters_and_cycles() -> None:
    net = Tied()
    assert [name for name, _ in net.named_parameters()] == ["a.weight"]
    assert net.parameters()[0] is net.a.weight
    assert [name for name, _ in net.named_modules()] == ["", "a", "b"]
    assert net.a.children() == [net]
    assert "Tied(...)" in repr(net)


def test_modules_that_share_modules_are_entered_once() -> None:
    # Thirty layers that each hold all before them: 2 ** 30 paths lead to the first.
    layers: list[Module] = []
    for _ in range(30):
        layer = nn.Linear(1, 1)
        layer.before = list(layers)
        layers.append(layer)
    net = nn.Sequential(layers[-1])
    assert [module for module in net.modules() if module is not net] == [layers[-1], *layers[:-1]]
    assert len(net.parameters()) == 60
    seen: list[Module] = []
    net.eval().apply(seen.append)
    assert seen == [*layers, net]
    assert not any(layer.training for layer in layers)
    assert repr(net).count("1, 1, bias=True") == 30


def test_apply_in_a_cycle() -> None:
    net = Tied()
    seen: list[Module] = []
    net.apply(seen.append)
    assert seen == [net.a, net.b, net]


def test_children_and_modules() -> None:
    net = Nest()
    norm, (drop, outer) = net.table["deep"]["norm"], net.layers[1]
    assert net.children() == net._children() == [net.layers[0], drop, outer, norm]
    assert net.modules() == [net, *net.children()]
    assert [name for name, _ in net.named_children()] == [
        "layers.0",
        "layers.1.0",
        "layers.1.1",
        "table.deep.norm",
    ]
    stack = nn.Sequential(nn.Residual(nn.Linear(1, 1)), nn.ReLU())
    assert [type(m).__name__ for m in stack.children()] == ["Residual", "ReLU"]
    assert [type(m).__name__ for m in stack._children()] == ["Residual", "Linear", "ReLU"]


def test_apply_visits_inner_modules_first() -> None:
    net = nn.Sequential(nn.Residual(nn.Linear(1, 1)), nn.ReLU())
    seen: list[str] = []
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "Residual", "ReLU", "Sequential"]


def test_train_and_eval_reach_every_module() -> None:
    net = Nest()
    assert [m.training for m in net.modules()] == [True] * 5
    assert net.eval() is net
    assert [m.training for m in net.modules()] == [False] * 5
    assert net.train() is net
    assert [m.training for m in net.modules()] == [True] * 5
    assert net.train(False).training is False


def test_modules_without_super_init_work() -> None:
    class Bare(Module):
        def __init__(self) -> None:
            self.weight = Parameter([2.0])

        def forward(self, x: Tensor) -> Tensor:
            return x * self.weight

    bare = Bare()
    assert bare.training is True
    assert bare(Tensor([3.0])).tolist() == [6]
    assert bare.eval().training is False


def test_forward_must_be_defined_and_gets_all_arguments() -> None:
    with pytest.raises(NotImplementedError, match=r"^Module: forward is not defined$"):
        Module()(1)

    class Sum(Module):
        def forward(self, *args: int, extra: int = 0) -> int:
            return sum(args) + extra

    assert Sum()(1, 2, extra=4) == 7


def test_reset_grad() -> None:
    net = nn.Linear(2, 1)
    net(Tensor(np.ones((3, 2), np.float32), requires_grad=False)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.reset_grad()
    assert all(p.grad is None for p in net.parameters())


# Parameter


def test_parameter() -> None:
    t = Tensor([1.0, 2.0], requires_grad=False)
    p = Parameter(t)
    assert isinstance(p, Tensor)
    assert p.requires_grad is True
    assert p.is_leaf()
    t.cached_data[0] = 5.0
    assert p.tolist() == [5, 2]
    assert type(p * 2) is type(p.sum()) is type(p.reshape((2, 1))) is Tensor
    assert type(p.detach()) is Tensor
    assert repr(p) == "needle.nn.Parameter([5. 2.])"
    assert str(p) == "[5. 2.]"
    assert Parameter([1], dtype="float32", requires_grad=False).requires_grad is False
    p.note = "mine"
    twin = copy.deepcopy(p)
    assert type(twin) is Parameter
    assert twin.note == "mine"
    assert nn.Parameter is Parameter
    assert nn.Module is Module


def test_a_parameter_of_a_result_is_a_leaf() -> None:
    p = Parameter(Tensor([1.0]) * 2)
    (p * 3).backward()
    assert p.grad.tolist() == [3]
    assert p.inputs == []


# Containers


def test_sequential() -> None:
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    x = Tensor([[1.0, -2.0]], dtype="float32")
    np.testing.assert_array_equal(net(x).numpy(), c(b(a(x))).numpy())
    assert net.modules == (a, b, c)
    assert net.modules[1] is b
    assert net.modules() == [net, a, b, c]
    assert len(net) == 3
    assert list(net) == [a, b, c]
    assert net[-1] is c
    assert net[:2].modules == (a, b)
    assert [name for name, _ in net.named_parameters()][:2] == [
        "modules.0.weight",
        "modules.0.bias",
    ]
    net.modules = [b]
    assert net(x).tolist() == [[1, 0]]
    assert nn.Sequential()(5) == 5
    assert nn.Sequential(ndl.exp, b)(x).shape == (1, 2)
    with pytest.raises(
        TypeError, match=r"^Sequential: expected modules or functions, got NoneType at 1$"
    ):
        nn.Sequential(a, None)


def test_residual() -> None:
    net = nn.Residual(nn.Linear(2, 2))
    x = Tensor([[1.0, -2.0]], dtype="float32")
    np.testing.assert_array_equal(net(x).numpy(), (net.fn(x) + x).numpy())
    assert len(net.parameters()) == 2


# repr


def test_repr_of_a_network() -> None:
    class Net(Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10, False))
            self.scale = Parameter(1.0)

    assert repr(Net()) == (
        "Net(\n"
        "  (body): Sequential(\n"
        "    (modules.0): Linear(784, 100, bias=True)"
        "  # weight (784, 100), bias (1, 100): 78,500 parameters\n"
        "    (modules.1): ReLU()\n"
        "    (modules.2): Linear(100, 10, bias=False)  # weight (100, 10): 1,000 parameters\n"
        "  )  # 79,500 parameters\n"
        ")  # scale (): 79,501 parameters"
    )


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.Identity(), "Identity()"),
        (nn.Dropout(0.1), "Dropout(p=0.1)"),
        (nn.Softmax(1), "Softmax(axis=1)"),
        (nn.LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
        (nn.HuberLoss(), "HuberLoss(reduction='mean', delta=1.0)"),
        (nn.RMSNorm(1), "RMSNorm(1, eps=1e-05)  # weight (1,): 1 parameter"),
        (nn.Embedding(9, 2), "Embedding(9, 2)  # weight (9, 2): 18 parameters"),
        (
            nn.BatchNorm1d(3),
            "BatchNorm1d(3, eps=1e-05, momentum=0.1)  # weight (3,), bias (3,): 6 parameters",
        ),
        (
            nn.LayerNorm1d(3),
            "LayerNorm1d(3, eps=1e-05)  # weight (3,), bias (3,): 6 parameters",
        ),
        (
            nn.LayerNorm((2, 3), bias=False),
            "LayerNorm((2, 3), eps=1e-05)  # weight (2, 3): 6 parameters",
        ),
        (nn.Sequential(), "Sequential()"),
        (nn.Residual(nn.Tanh()), "Residual(\n  (fn): Tanh()\n)"),
    ],
)
def test_repr_of_layers(module: Module, text: str) -> None:
    assert repr(module) == text
