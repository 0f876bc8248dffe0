"""What optimisers share: parameters, groups of them, and the state that can be saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from needle._core import Tensor
from needle.errors import DTypeError, ShapeError
from needle.optim.clipping import clip_grad_norm
from needle.optim.params import tensors
from needle.optim.settings import Setting, check_state, natural

Params = Iterable[Tensor] | Iterable[Mapping[str, Any]]
Group = dict[str, Any]


class Optimizer:
    """What optimisers share. Subclasses say how to `step`, and those of needle what a step of one
    group is: `_step_group`.

    `params` are tensors, or groups: dicts with the tensors under `"params"` and settings of
    their own beside them. `.params` is the flat list of all tensors, `.param_groups` the list of
    groups, each with all its settings. A setting such as `.lr` is also an attribute: reading
    gives the first group's, assigning sets it in all groups.

    Raises TypeError for what is not a Tensor or of a setting that does not exist, ValueError for
    no parameters at all, for a parameter that is there twice, and for settings out of range.
    """

    # Dicts from parameters to tensors, and plain attributes, that are the optimiser's state.
    _states: ClassVar[tuple[str, ...]] = ()
    _counters: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Params, **settings: Any) -> None:
        self._defaults = {name: self._checked(name, value) for name, value in settings.items()}
        self.params: list[Tensor] = []
        self.param_groups: list[Group] = []
        for group in _groups(params):
            self.add_param_group(group)
        for name in self._states:
            setattr(self, name, {})

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a group: a dict with tensors under `"params"` and settings that differ.

        Raises as the constructor, and then adds nothing.
        """
        if not isinstance(group, Mapping):
            raise TypeError(f"group: expected a dict, got {type(group).__name__}")
        if "params" not in group:
            raise ValueError("params: a group needs the key 'params'")
        added = tensors(group["params"])
        if not added:
            raise ValueError("params: expected at least one parameter")
        known = set(self.params)
        for param in added:
            if param in known:
                raise ValueError("params: a parameter is there twice")
            known.add(param)
        given = {key: value for key, value in group.items() if key != "params"}
        checked = {name: self._checked(name, value) for name, value in given.items()}
        self.param_groups.append({"params": added, **self._defaults, **checked})
        self.params.extend(added)

    def step(self) -> None:
        """Change every parameter that has a gradient. If an error is raised, none is changed."""
        if len(self.param_groups) > 1:
            for group in self.param_groups:
                self._step_group(group, only_check=True)
        for group in self.param_groups:
            self._step_group(group, only_check=False)

    def _step_group(self, group: Group, *, only_check: bool) -> None:
        """Change the parameters of a group, or find out whether that would raise an error."""
        raise NotImplementedError(f"{type(self).__name__}: step is not defined")

    def reset_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for param in self.params:
            param.grad = None

    def zero_grad(self) -> None:
        """The same as `reset_grad()`, under PyTorch's name."""
        self.reset_grad()

    def clip_grad_norm(self, max_norm: float = 0.25) -> float:
        """Scale all gradients down together if their common L2 norm is above `max_norm`.

        Returns the norm that they had.
        """
        return clip_grad_norm(self.params, max_norm)

    def state_dict(self) -> dict[str, Any]:
        """All that a later step depends on but parameters and gradients: a dict of numbers,
        strings, lists and tensors.

        States are lists with an entry for each of `.params`, None where there is none yet. The
        tensors keep their values when the optimiser goes on.
        """
        place = {param: i for i, param in enumerate(self.params)}
        states = {
            name: [found.detach() if (found := kept.get(p)) is not None else None for p in place]
            for name in self._states
            for kept in [getattr(self, name)]
        }
        groups = [
            {**group, "params": [place[param] for param in group["params"]]}
            for group in self.param_groups
        ]
        counters = {name: getattr(self, name) for name in self._counters}
        return {"optimizer": type(self).__name__, **counters, **states, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another optimiser of the same kind, on parameters of the same shapes, was.

        Raises ValueError (ShapeError, where a shape differs), TypeError (DTypeError, where a
        dtype differs), and then changes nothing.
        """
        names = {*self._counters, *self._states, "param_groups"}
        check_state(state, "optimizer", self, names)
        counters = {name: natural(name, state[name]) for name in self._counters}
        states = {name: self._loaded(name, state[name]) for name in self._states}
        groups = self._loaded_groups(state["param_groups"])
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)
        for name, value in {**counters, **states}.items():
            setattr(self, name, value)

    def _loaded(self, name: str, values: Any) -> dict[Tensor, Tensor]:
        if not isinstance(values, list | tuple) or len(values) != len(self.params):
            raise ValueError(f"{name}: expected a list with {len(self.params)} entries")
        return {
            param: _like(name, i, param, value)
            for i, (param, value) in enumerate(zip(self.params, values, strict=True))
            if value is not None
        }

    def _loaded_groups(self, groups: Any) -> list[Group]:
        own = self.state_dict()["param_groups"]
        places = [group["params"] for group in own]
        if not isinstance(groups, list) or not all(isinstance(g, Mapping) for g in groups):
            raise TypeError("param_groups: expected a list of dicts")
        if [group.get("params") for group in groups] != places:
            raise ValueError(f"param_groups: expected groups of the parameters {places}")
        loaded = []
        for group, mine in zip(groups, own, strict=True):
            if missing := sorted(set(mine) - set(group)):
                raise ValueError(f"param_groups: a group lacks {', '.join(missing)}")
            settings = {name: value for name, value in group.items() if name != "params"}
            loaded.append({name: self._checked(name, value) for name, value in settings.items()})
        return loaded

    def _checked(self, name: str, value: Any) -> Any:
        setting = getattr(type(self), name, None)
        if not isinstance(setting, Setting):
            raise TypeError(f"{name}: {type(self).__name__} has no such setting")
        return setting.check(value)


def _groups(params: Any) -> list[Mapping[str, Any]]:
    if isinstance(params, Tensor):
        raise TypeError("params: expected a list of tensors, got a Tensor\nhint: [tensor]")
    if isinstance(params, Iterator):
        params = list(params)
    listed = isinstance(params, list | tuple)
    if listed and params and all(isinstance(item, Mapping) for item in params):
        return list(params)
    return [{"params": params}]


def _like(name: str, place: int, param: Tensor, value: Any) -> Tensor:
    """A state as a tensor of its own, where it fits the parameter."""
    if not isinstance(value, Tensor | np.ndarray):
        raise TypeError(f"{name}: expected tensors, got {type(value).__name__} at {place}")
    if value.shape != param.shape:
        raise ShapeError(f"{name}: expected shape {param.shape} at {place}, got {value.shape}")
    if value.dtype != param.dtype:
        raise DTypeError(f"{name}: expected {param.dtype} at {place}, got {value.dtype}")
    # An array is copied; a tensor is shared, and the next step writes elsewhere.
    return value.detach() if isinstance(value, Tensor) else Tensor(value, requires_grad=False)
