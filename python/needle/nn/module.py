"""Module: what layers, losses and networks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self, TypeAlias

from numpy.typing import NDArray

from needle.autograd import Tensor
from needle.nn.describe import describe
from needle.nn.hooks import HookHandle, Hooks
from needle.nn.parameter import Parameter
from needle.nn.state import StateKeys, load, snapshot

__all__ = ["Module"]

Container: TypeAlias = "Module | dict[Any, Any] | list[Any] | tuple[Any, ...]"


class Module:
    """A part of a network: parameters, other modules, and a forward pass.

    A subclass calls `super().__init__()`, assigns parameters and modules to attributes, alone or
    in dicts, lists and tuples, and defines `forward`. An attribute is looked at when it is asked
    for, so assigning over it is all it takes to exchange a parameter: a plain tensor in its place
    is used, and is not trained.

    Names of parameters and modules are paths from the module, in the order of assignment:
    `"layers.0.weight"`. What can be reached by several paths is listed once, under the first.
    """

    training = True
    # Names of the attributes that hold buffers.
    _buffers: frozenset[str] = frozenset()
    # Made with the first hook of their kind: most modules have none.
    _forward_pre_hooks: Hooks | None = None
    _forward_hooks: Hooks | None = None

    def __init__(self) -> None:
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The result of the module; subclasses define it. Callers call the module itself."""
        raise NotImplementedError(f"{type(self).__name__}: forward is not defined")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result of `forward`, with the hooks before and after it."""
        for before in self._forward_pre_hooks or ():
            changed = before(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        result = self.forward(*args, **kwargs)
        for after in self._forward_hooks or ():
            changed = after(self, args, result)
            if changed is not None:
                result = changed
        return result

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> HookHandle:
        """Calls `hook(module, args)` before each forward pass; what it returns, unless None,
        takes the place of the positional arguments (a tuple, or the only one).
        """
        self._forward_pre_hooks = self._forward_pre_hooks or Hooks()
        return self._forward_pre_hooks.add(hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> HookHandle:
        """Calls `hook(module, args, result)` after each forward pass; what it returns, unless
        None, takes the place of the result.
        """
        self._forward_hooks = self._forward_hooks or Hooks()
        return self._forward_hooks.add(hook)

    def parameters(self, recurse: bool = True) -> list[Parameter]:
        """Every parameter once: of this module and, unless `recurse` is False, of those inside."""
        return [parameter for _, parameter in self.named_parameters(recurse)]

    def named_parameters(self, recurse: bool = True) -> list[tuple[str, Parameter]]:
        """Every parameter with its name."""
        found = walk(self, deep=recurse)
        return [(name, item) for name, item in found if isinstance(item, Parameter)]

    def named_buffers(self) -> list[tuple[str, Tensor]]:
        """Every buffer with its name: tensors that are saved and not trained."""
        found = ((n, item) for n, item in walk(self) if isinstance(item, Tensor))
        return [(n, item) for n, item in found if not isinstance(item, Parameter)]

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Assigns `tensor` to the attribute `name`, and makes it part of the state dict.

        A buffer is a plain tensor, such as a running mean. Whatever tensor the attribute holds
        later is the buffer then. Raises TypeError for anything but a tensor.
        """
        if not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer: expected a Tensor, got {type(tensor).__name__}")
        setattr(self, name, tensor)
        self._buffers = self._buffers | {name}

    def children(self) -> list[Module]:
        """The modules directly in this one."""
        return [module for _, module in self.named_children()]

    def named_children(self) -> list[tuple[str, Module]]:
        """The modules directly in this one, with their names."""
        return [(n, item) for n, item in walk(self, deep=False) if isinstance(item, Module)]

    def modules(self) -> list[Module]:
        """This module and all inside it, at any depth."""
        return [module for _, module in self.named_modules()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """This module, under the name `""`, and all inside it, at any depth."""
        inner = [(n, item) for n, item in walk(self) if isinstance(item, Module)]
        return [("", self), *inner]

    def _children(self) -> list[Module]:
        """All modules inside this one, at any depth."""
        return [module for _, module in self.named_modules()[1:]]

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Calls `function` with every module once, inner ones first, this one last."""
        for module in _inner_first(self, {id(self)}):
            function(module)
        return self

    def train(self, mode: bool = True) -> Self:
        """Sets `training` of this module and of all inside it."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Clears `training` of this module and of all inside it."""
        return self.train(False)

    def reset_grad(self) -> None:
        """Sets the gradient of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all parameters and buffers by name, detached from the graph.

        What has several names is in it under each of them, as one tensor. Raises ValueError
        where two different ones have the same name.
        """
        return snapshot(_tensors(self))

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor | NDArray[Any]], strict: bool = True
    ) -> StateKeys:
        """Copies the values of a state dict into the parameters and buffers, which stay the same
        objects. All is checked before anything changes.

        Values are tensors or NumPy arrays, of the shape and dtype of what they are for. Returns
        the names that were missing from `state_dict` and those that were unexpected in it. Raises
        ValueError if there are any, unless `strict` is False; ShapeError, DTypeError and TypeError
        for a value that does not fit.
        """
        return load(_tensors(self), state_dict, strict)

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses, such as `"p=0.5"`; subclasses define it."""
        return ""

    def __repr__(self) -> str:
        return describe(self)


def walk(
    root: Container, *, deep: bool = True, every_path: bool = False
) -> Iterator[tuple[str, Parameter | Tensor | Module]]:
    """Parameters, buffers and modules in `root`, each with the path to it, depth first and in
    order of insertion. Without `deep`, modules are not entered.

    What is found by several paths comes once, under the first; with `every_path` it comes under
    each, but nothing is entered from within itself.
    """
    return _walk(root, "", {id(root)}, deep, every_path)


def _walk(
    root: Container, path: str, passed: set[int], deep: bool, every_path: bool
) -> Iterator[tuple[str, Parameter | Tensor | Module]]:
    """`passed` are the objects not to come to again: all before or, with `every_path`, those
    around this one.
    """
    buffers = root._buffers if isinstance(root, Module) else ()
    for key, item in _entries(root):
        if not isinstance(item, (Tensor, Module, dict, list, tuple)) or id(item) in passed:
            continue
        name = f"{path}.{key}" if path else str(key)
        if isinstance(item, Tensor):
            if not isinstance(item, Parameter) and key not in buffers:
                continue
            yield name, item
        else:
            if isinstance(item, Module):
                yield name, item
            if deep or not isinstance(item, Module):
                passed.add(id(item))
                yield from _walk(item, name, passed, deep, every_path)
        if every_path:
            passed.discard(id(item))
        else:
            passed.add(id(item))


def _entries(root: object) -> Iterable[tuple[object, object]]:
    if isinstance(root, (list, tuple)):
        return enumerate(root)
    return root.items() if isinstance(root, dict) else vars(root).items()


def _inner_first(module: Module, passed: set[int]) -> Iterator[Module]:
    for child in module.children():
        if id(child) not in passed:
            passed.add(id(child))
            yield from _inner_first(child, passed)
    yield module


def _tensors(module: Module) -> list[tuple[str, Tensor]]:
    found = walk(module, every_path=True)
    return [(name, item) for name, item in found if isinstance(item, Tensor)]
