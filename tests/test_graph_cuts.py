"""Where a graph is cut: conversions that are announced, and those that are meant."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import GraphCutWarning, Tensor, _numpy

X = np.random.default_rng(0).uniform(0.5, 2.0, size=(2, 3))

Call = Callable[[Any], Any]

CONVERSIONS: dict[str, Call] = {
    "array": lambda a: np.array([a[0, 0], a[0, 1]]),
    "asarray": np.asarray,
    "asarray_chkfinite": np.asarray_chkfinite,
    "ascontiguousarray": np.ascontiguousarray,
    "full": lambda a: np.full(3, a[0, 0]),
    "arange": lambda a: np.arange(a[0, 0]),
    "sum of a list": lambda a: np.sum([a[0, 0], a[0, 1]]),
    "method": lambda a: X.T.dot(a),
    "assignment": lambda a: np.zeros(3).__setitem__(0, a[0, 0]),
    "fill_diagonal": lambda a: np.fill_diagonal(np.zeros((2, 2)), a[0, 0]),
    "assignment of a row": lambda a: np.zeros(3).__setitem__(slice(None), a[0]),
    "float": lambda a: float(a[0, 0]),
    "complex": lambda a: complex(a[0, 0]),
    "math": lambda a: math.exp(a[0, 0]),
    "generator": lambda a: np.random.default_rng(0).normal(a),
    "legacy generator": lambda a: np.random.normal(a),
    "vectorize": lambda a: np.vectorize(abs)(a),
    "broadcast": lambda a: np.broadcast(a, 1),
    "nditer": lambda a: list(np.nditer(a)),
    "polynomial": lambda a: np.polynomial.Polynomial(a[0]),
    "masked": np.ma.masked_invalid,
    "dlpack": np.from_dlpack,
}


@pytest.mark.parametrize("call", CONVERSIONS.values(), ids=CONVERSIONS)
def test_conversions_are_announced(call: Call) -> None:
    with pytest.warns(GraphCutWarning) as caught:
        call(Tensor(X))
    line = call.__code__.co_firstlineno if hasattr(call, "__code__") else None
    for warning in caught:
        assert warning.filename == __file__
        if line and __file__ == call.__code__.co_filename:
            assert warning.lineno == line
        assert f"line {warning.lineno} of {'test_graph_cuts.py'}" in str(warning.message)
        assert "t.numpy()" in str(warning.message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ndl.no_grad():
            call(Tensor(X))
        call(Tensor(X, requires_grad=False))


SILENT: dict[str, Call] = {
    "numpy": lambda t: t.numpy(),
    "item": lambda t: t[0].item(),
    "tolist": lambda t: t.tolist(),
    "detach": lambda t: np.asarray(t.detach()),
    "data": lambda t: np.asarray(t.data),
    "cached_data": lambda t: t.cached_data,
    "int": lambda t: int(t[0]),
    "bool": lambda t: bool(t[0]),
    "comparison": lambda t: t[0] < 3 and 3.0 in t,
    "text": lambda t: f"{t} {t!r} {t[0]:.3f}",
    "integers": lambda t: np.asarray(t.astype(int)) + float(Tensor(3)),
    "bools": lambda t: np.asarray(t > 1),
    "assertions": lambda t: np.testing.assert_allclose(t, [1.0, 2.0, 3.0]),
    "approx": lambda t: t[0] == pytest.approx(1.0),
    "leaf": lambda t: Tensor(t * 2),
    "hash": hash,
}


@pytest.mark.parametrize("call", SILENT.values(), ids=SILENT)
def test_what_is_meant_is_silent(call: Call) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(Tensor([1.0, 2.0, 3.0]))


def test_once_for_each_line() -> None:
    t = Tensor([1.0, 2.0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            float(t[0])
            np.array([t[0], t[1]])
    assert len(caught) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error", GraphCutWarning)
        for _ in range(2):
            with pytest.raises(GraphCutWarning):
                float(t[0])


def test_a_file_beside_the_package_is_the_users(tmp_path: Any) -> None:
    code = compile("float(t[0])", f"{_numpy._HERE[:-1]}_demo.py", "exec")
    with pytest.warns(GraphCutWarning, match="needle_demo.py"):
        exec(code, {"t": Tensor([1.0]), "__name__": "needle_demo"})


def test_code_that_is_typed_in_warns_for_each_piece() -> None:
    names: dict[str, Any] = {"t": Tensor([1.0, 2.0]), "__name__": "__main__"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for text in ("float(t[0])", "float(t[1])", "float(t[0])"):
            exec(compile(text, "<stdin>", "exec"), names)
        exec(compile("for _ in range(3): float(t[0])", "<stdin>", "exec"), names)
    assert len(caught) in (3, 4)  # the third is the first again, where Python kept that


def test_needle_takes_no_value_from_a_result_without_a_word() -> None:
    class Samples(ndl.data.Dataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: Any) -> Any:
            return t[index] * 2

    t = Tensor([[1.0, 2.0], [3.0, 4.0]])
    for act in (
        lambda: next(iter(ndl.data.DataLoader(Samples(), 2))),
        lambda: ndl.data.NDArrayDataset(t * 2),
        lambda: ndl.from_dlpack(t * 2),
    ):
        with pytest.warns(GraphCutWarning, match="test_graph_cuts"):
            act()
        with warnings.catch_warnings(), ndl.no_grad():
            warnings.simplefilter("error")
            act()
