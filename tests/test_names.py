"""What the public modules show, and what is said of names that they do not have."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, _elsewhere

# All packages, and the modules that users import from.
PUBLIC = [
    "needle",
    *(m.name for m in pkgutil.walk_packages(ndl.__path__, "needle.") if m.ispkg),
    "needle.apps.mlp_resnet",
    "needle.apps.simple_ml",
    "needle.apps.training",
    "needle.autograd",
    "needle.backend_selection",
    "needle.errors",
    "needle.optim.schedules",
    "needle.testing",
]
# Reachable, and left out of a star import, because they would hide Python's own.
HIDING = {"abs", "max", "min"}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_module_shows_its_names_and_nothing_stray(name: str) -> None:
    module = importlib.import_module(name)
    shown = set(dir(module))
    assert set(module.__all__) <= shown
    assert shown - set(module.__all__) <= (HIDING if name in ("needle", "needle.ops") else set())
    assert [missing for missing in shown if not hasattr(module, missing)] == []
    assert len(module.__all__) == len(set(module.__all__))


def test_names_that_are_imported_late_are_shown() -> None:
    assert {"nn", "optim", "data", "save", "load_checkpoint"} <= set(dir(ndl))
    assert {"LBFGS", "schedules"} <= set(dir(ndl.optim))
    assert ndl.optim.LBFGS.__name__ == "LBFGS"


def test_a_star_import_of_every_module() -> None:
    for name in PUBLIC:
        names: dict[str, object] = {}
        exec(f"from {name} import *", names)
        assert set(names) - {"__builtins__"} == set(importlib.import_module(name).__all__)


A, B = np.array([0.5, 1.5, -2.0]), np.array([-1.0, 2.0, 0.25])
P = np.array([0.5, 1.5, 2.0])

# What NumPy, or a formula, makes of the operands of the table.
REFERENCES: dict[str, Callable[..., Any]] = {
    "clamp": lambda a, b: np.clip(a, -1.0, 1.0),
    "clip": lambda a, b: np.clip(a, -1.0, 1.0),
    "masked_fill": lambda a, b: np.where(a > 0, 7.0, a),
    "logsigmoid": lambda a, b: np.log(1 / (1 + np.exp(-a))),
    "rsqrt": lambda a, b: 1 / np.sqrt(a),
    "swish": lambda a, b: a / (1 + np.exp(-a)),
    "div": np.divide,
    "mul": np.multiply,
    "sub": np.subtract,
    "pow": lambda a, b: np.power(a, 2),
    "neg": lambda a, b: np.negative(a),
    "eq": np.equal,
    "ne": np.not_equal,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "bmm": np.dot,
    "mm": np.dot,
    "mv": np.dot,
    "cat": lambda a, b: np.concatenate([a, b]),
    "concatenate": lambda a, b: np.concatenate([a, b]),
    "norm": lambda a, b: np.linalg.norm(a),
    "expand_dims": lambda a, b: np.expand_dims(a, 0),
    "unsqueeze": lambda a, b: np.expand_dims(a, 0),
    "flatten": lambda a, b: a.flatten(),
    "ravel": lambda a, b: np.ravel(a),
    "index_select": lambda a, b: np.take(a, [0, 1]),
    "squeeze": lambda a, b: np.squeeze(a),
}
BINARY = {"true_divide", "logaddexp", "dot", "allclose"}
BINARY |= {"array_equal"}


@pytest.mark.parametrize("name", _elsewhere.OPS)
def test_what_the_table_says_to_write_is_the_function(name: str) -> None:
    positive = name in {"log2", "log10", "rsqrt"}
    a, b = (P if positive else A), B
    given = {"ndl": ndl, "np": np, "math": math, "low": -1.0, "high": 1.0, "value": 7.0}
    found = eval(_elsewhere.OPS[name], given | {"a": Tensor(a), "b": Tensor(b), "condition": a > 0})
    binary = REFERENCES.get(name, getattr(np, name, None))
    assert binary is not None
    unary = name not in REFERENCES and name not in BINARY
    expected = binary(a) if unary else binary(a, b)
    values = found.numpy() if isinstance(found, Tensor) else found
    np.testing.assert_allclose(values, expected, rtol=1e-13, atol=1e-16)
    assert np.shape(values) == np.shape(expected)


@pytest.mark.parametrize("name", ["expm1"])
def test_small_arguments_keep_their_digits(name: str) -> None:
    a = np.array([1e-300, -1e-12, 3e-9, 700.0, -745.0])
    found = eval(_elsewhere.OPS[name], {"ndl": ndl, "a": Tensor(a)})
    np.testing.assert_allclose(found.numpy(), getattr(np, name)(a), rtol=1e-14)


TABLES = {
    "ops": _elsewhere.OPS,
    "makers": _elsewhere.MAKERS,
    "networks": _elsewhere.NETWORKS,
    "optimizers": _elsewhere.OPTIMIZERS,
    "data": _elsewhere.DATA,
}


@pytest.mark.parametrize("table", [name for name in TABLES if name != "ops"])
def test_what_the_tables_name_is_there(table: str) -> None:
    optimizer = ndl.optim.SGD([Tensor([1.0])])
    given = {"ndl": ndl, "np": np, "a": Tensor([1.0]), "optimizer": optimizer}
    state = np.random.get_state()
    try:
        for text in TABLES[table].values():
            # Sentences and what needs a loss have no value here.
            if "=" in text.partition("(")[0] or "loss" in text:
                continue
            eval(text, given)
    finally:
        np.random.set_state(state)


# `functional` has some of the names in the table of ops, under their own meaning.
@pytest.mark.parametrize("module", [m for m in _elsewhere.TABLES if m != "needle.nn.functional"])
def test_the_tables_have_no_names_that_are_there(module: str) -> None:
    found = importlib.import_module(module)
    for table in _elsewhere.TABLES[module]:
        assert [name for name in table if name in found.__all__] == []


UNKNOWN = [
    ("needle", "clip", "did you mean ndl.minimum(ndl.maximum(a, low), high)?"),
    ("needle", "cat", "did you mean ndl.concat([a, b])?"),
    ("needle", "tensor", "did you mean ndl.Tensor([1.0, 2.0])?"),
    ("needle", "square", "did you mean a * a?"),
    ("needle", "sofmax", "did you mean softmax or logsoftmax"),
    ("needle", "TENSOR", "did you mean Tensor?"),
    ("needle", "Module", "did you mean ndl.nn.Module?"),
    ("needle", "SGD", "did you mean ndl.optim.SGD?"),
    ("needle.ops", "concatenate", "did you mean ndl.concat([a, b])?"),
    ("needle.ops", "zeros", "did you mean ndl.zeros?"),
    ("needle.nn", "Relu", "did you mean ReLU?"),
    ("needle.nn", "ModuleList", "did you mean a list, as in self.layers = [...]?"),
    ("needle.nn.functional", "clip", "did you mean ndl.minimum(ndl.maximum(a, low), high)?"),
    ("needle.optim", "Adamw", "did you mean AdamW?"),
    ("needle.optim", "lr_scheduler", "did you mean ndl.optim.schedules?"),
    ("needle.optim", "CosineLR", "did you mean ndl.optim.schedules.CosineLR?"),
    ("needle.optim.schedules", "CosineAnnealingLR", "did you mean ndl.optim.schedules.CosineLR("),
    ("needle.data", "TensorDataset", "did you mean ndl.data.NDArrayDataset?"),
    ("needle.init", "eye", "did you mean ndl.Tensor(np.eye(3))?"),
    ("needle.autograd", "LAZY_MOD", "did you mean LAZY_MODE?"),
    ("needle.saving", "safe", "did you mean save?"),
    ("needle.errors", "GradientError", "did you mean GradError?"),
    ("needle.optimize", "minimise", "did you mean minimize?"),
]


@pytest.mark.parametrize(("module", "name", "hint"), UNKNOWN)
def test_an_unknown_name_has_a_hint(module: str, name: str, hint: str) -> None:
    with pytest.raises(AttributeError) as error:
        getattr(importlib.import_module(module), name)
    assert str(error.value).startswith(f"module '{module}' has no attribute '{name}'\nhint: {hint}")


def test_a_package_that_was_not_imported(run_python: Callable[..., Any]) -> None:
    done = run_python("import needle; needle.cli")
    assert done.stderr.endswith("module 'needle' has no attribute 'cli'\nhint: import needle.cli\n")


@pytest.mark.parametrize("name", ["xyzzy", "__wrapped__", "_private", "__path"])
@pytest.mark.parametrize("module", ["needle", "needle.nn", "needle.optim.schedules"])
def test_what_nobody_meant_has_none(module: str, name: str) -> None:
    with pytest.raises(AttributeError) as error:
        getattr(importlib.import_module(module), name)
    assert str(error.value) == f"module '{module}' has no attribute '{name}'"
