"""Forward hooks of modules: their order, what they may change, how they are taken out."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from needle import Tensor, nn
from needle.nn import Module, Parameter


def test_hooks_run_in_order_and_may_change_what_passes() -> None:
    layer = nn.Identity()
    seen: list[Any] = []
    first = layer.register_forward_pre_hook(lambda module, args: seen.append(("pre", *args)))
    layer.register_forward_pre_hook(lambda module, args: args[0] + 1)
    layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    layer.register_forward_hook(lambda module, args, out: seen.append((module, *args, out)))
    second = layer.register_forward_hook(lambda module, args, out: -out)
    assert layer(3) == -8
    assert seen == [("pre", 3), (layer, 8, 8)]
    first.remove()
    first.remove()
    second.remove()
    seen.clear()
    assert layer(3) == 8
    assert seen == [(layer, 8, 8)]


def test_a_hook_as_context_and_one_that_removes_itself() -> None:
    layer, calls = nn.Identity(), []
    with layer.register_forward_hook(lambda *all: calls.append("with")):
        layer(1)
    handle = layer.register_forward_hook(lambda *all: (handle.remove(), calls.append("once"))[1])
    layer.register_forward_hook(lambda *all: calls.append("both"))
    layer(1)
    layer(1)
    assert calls == ["with", "once", "both", "both"]
    with pytest.raises(TypeError, match=r"^hook: expected a function, got int$"):
        layer.register_forward_hook(3)
    assert nn.Identity()(2) == 2


def test_a_module_as_hook_is_no_child() -> None:
    layer = nn.Linear(2, 2)
    layer.register_forward_pre_hook(lambda module, args: None)

    class Watch(Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = Parameter([0.0])

        def forward(self, module: Module, args: Any, out: Any) -> None:
            self.called = True

    watch = Watch()
    layer.register_forward_hook(watch)
    layer(Tensor([[1.0, 2.0]], dtype="float32"))
    assert watch.called
    assert len(layer.parameters()) == 2
    assert layer.children() == []


def test_hooks_of_a_copy_are_its_own() -> None:
    layer, calls = nn.Identity(), []
    handle = layer.register_forward_hook(lambda *all: calls.append(1))
    twin = copy.deepcopy(layer)
    handle.remove()
    layer(1)
    assert calls == []
    twin(1)
    assert calls == [1]
