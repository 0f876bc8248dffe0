"""NumPy's functions and ufuncs on tensors: each runs as an op, runs on values, or is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, _numpy

rng = np.random.default_rng(0)
X = rng.uniform(0.5, 2.0, size=(2, 3))
Y = rng.uniform(0.5, 2.0, size=(2, 3))
SQUARE = rng.uniform(0.5, 2.0, size=(3, 3))

Call = Callable[[Any], Any]

# A call of each function that an op answers to. `a` is an array, or a tensor of it.
AS_OPS: dict[str, list[Call]] = {
    "add": [lambda a: np.add(a, Y), lambda a: np.add(Y, a), lambda a: np.add(a, 2.0)],
    "add.reduce": [np.add.reduce, lambda a: np.add.reduce(a, axis=(0, 1), keepdims=True)],
    "subtract": [lambda a: np.subtract(Y, a), lambda a: np.subtract(a, a[0])],
    "multiply": [lambda a: np.multiply(Y, a), lambda a: np.multiply(np.float32(2), a)],
    "divide": [lambda a: np.divide(Y, a), lambda a: np.true_divide(a, 3)],
    "power": [lambda a: np.power(Y, a), lambda a: np.power(a, 2)],
    "negative": [np.negative],
    "maximum": [lambda a: np.maximum(a, Y)],
    "maximum.reduce": [np.maximum.reduce],
    "minimum": [lambda a: np.minimum(Y, a)],
    "minimum.reduce": [lambda a: np.minimum.reduce(a, axis=None)],
    "absolute": [np.abs],
    "sign": [np.sign],
    "sqrt": [np.sqrt],
    "exp": [np.exp],
    "log": [np.log],
    "log1p": [np.log1p],
    "sin": [np.sin],
    "cos": [np.cos],
    "tanh": [np.tanh],
    "equal": [lambda a: np.equal(a, X)],
    "not_equal": [lambda a: np.not_equal(X, a)],
    "less": [lambda a: np.less(Y, a)],
    "less_equal": [lambda a: np.less_equal(a, 1)],
    "greater": [lambda a: np.greater(np.float64(1), a)],
    "greater_equal": [lambda a: np.greater_equal(a, Y)],
    "where": [lambda a: np.where(X > 1, a, 0.0), lambda a: np.where(a > 1, Y, a)],
    "sum": [np.sum, lambda a: np.sum(a, axis=1, keepdims=True), lambda a: np.sum(a, (0, 1))],
    "mean": [np.mean, lambda a: np.mean(a, 0), lambda a: np.mean(a, axis=-1, keepdims=True)],
    "max": [np.max, lambda a: np.max(a, axis=0)],
    "amax": [np.amax],
    "min": [np.min, lambda a: np.min(a, axis=1)],
    "amin": [lambda a: np.amin(a, keepdims=True)],
    "var": [np.var, lambda a: np.var(a, axis=1, ddof=1), lambda a: np.var(a, correction=1)],
    "broadcast_to": [lambda a: np.broadcast_to(a, (4, 2, 3))],
    "reshape": [lambda a: np.reshape(a, (3, -1)), lambda a: np.reshape(a, -1)],
    "transpose": [np.transpose, lambda a: np.transpose(a[0]), lambda a: np.permute_dims(a, (0, 1)),
                  lambda a: np.transpose(np.reshape(a, (1, 2, 3)))],
    "matrix_transpose": [np.matrix_transpose],
    "linalg.matrix_transpose": [np.linalg.matrix_transpose],
    "astype": [lambda a: np.astype(a, np.float32)],
    "matmul": [lambda a: np.matmul(a, SQUARE), lambda a: np.matmul(X.T, a)],
    "linalg.matmul": [lambda a: np.linalg.matmul(a, SQUARE)],
    "take": [lambda a: np.take(a, [1, 5, 1]), lambda a: np.take(a, [[0, 2], [2, 1]], axis=1)],
    "stack": [lambda a: np.stack([a, Y]), lambda a: np.stack((Y, a, a), axis=-1),
              lambda a: np.stack(a, axis=1)],
    "concatenate": [lambda a: np.concatenate([a, Y]), lambda a: np.concatenate((a, a), axis=1),
                    lambda a: np.concat(a), lambda a: np.concatenate([a, Y], axis=None)],
}  # fmt: skip

# A call of each function that runs on values, where it takes more than one array.
ON_VALUES: dict[str, Call] = {
    "allclose": lambda a: np.allclose(a, Y),
    "argpartition": lambda a: np.argpartition(a, 1),
    "array_equal": lambda a: np.array_equal(X, a),
    "array_equiv": lambda a: np.array_equiv(a, X),
    "can_cast": lambda a: np.can_cast(np.asarray(X).dtype, a.dtype),
    "digitize": lambda a: np.digitize(a, [0.7, 1.5]),
    "diag_indices_from": lambda a: np.diag_indices_from(a[:, :2]),
    "einsum_path": lambda a: np.einsum_path("ij,kj->ik", a, a)[0],
    "floor_divide": lambda a: np.floor_divide(Y, a),
    "isclose": lambda a: np.isclose(a, 1.0),
    "isin": lambda a: np.isin(a, X[0]),
    "lexsort": np.lexsort,
    "may_share_memory": lambda a: np.may_share_memory(a, Y),
    "ravel_multi_index": lambda a: np.ravel_multi_index(((a > 1).astype(int)), (2, 2)),
    "searchsorted": lambda a: np.searchsorted([0.7, 1.5], a),
    "shares_memory": lambda a: np.shares_memory(Y, a),
    "unravel_index": lambda a: np.unravel_index((a > 1).astype(int), (2, 2)),
    "logical_and.reduce": np.logical_and.reduce,
    "logical_or.reduce": np.logical_or.reduce,
    "logical_xor.reduce": np.logical_xor.reduce,
}
WHOLE = {"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_count", "invert", "left_shift",
         "right_shift", "gcd", "lcm", "packbits", "unpackbits", "isnat"}  # fmt: skip
FILES = {"save", "savetxt", "savez", "savez_compressed"}


def dispatchable() -> dict[str, Any]:
    """Every public function of NumPy that asks its arguments, by the name that needle gives it."""
    found: dict[str, Any] = {}
    kinds = (type(np.sum), np.ufunc)
    for module in (np, np.linalg, np.fft, np.emath):
        for name in dir(module):
            function = getattr(module, name)
            if name.startswith("_") or not isinstance(function, kinds):
                continue
            where = "" if isinstance(function, np.ufunc) else f"{function.__module__}."
            found[f"{where}{function.__name__}".removeprefix("numpy.")] = function
    return found


FUNCTIONS = dispatchable()
REFUSED = sorted(FUNCTIONS.keys() - _numpy.OPS.keys() - _numpy.ON_VALUES - _numpy.UP_TO.keys())


def test_the_table_has_every_name() -> None:
    assert set(AS_OPS) == set(_numpy.OPS)
    ufunc_methods = {name for name in _numpy.OPS | dict.fromkeys(_numpy.ON_VALUES) if "." in name}
    plain = {name for name in ufunc_methods if not name.startswith("linalg.")}
    assert {name.rpartition(".")[2] for name in plain} == {"reduce"}
    missing = (_numpy.OPS.keys() | _numpy.ON_VALUES) - plain - FUNCTIONS.keys()
    # Functions that only some releases of NumPy have.
    assert missing <= {"matrix_transpose", "linalg.matmul", "linalg.matrix_transpose", "astype",
                       "unique_all", "unique_counts", "unique_inverse", "unique_values",
                       "bitwise_count"}  # fmt: skip
    assert len(REFUSED) > 200


def flat(value: Any) -> list[Any]:
    nested = isinstance(value, list | tuple)
    return [part for item in value for part in flat(item)] if nested else [value]


CALLS = [pytest.param(call, id=f"{name}-{i}") for name, all_ in AS_OPS.items()
         for i, call in enumerate(all_)]  # fmt: skip


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_an_op_answers(call: Call, lazy: bool) -> None:
    expected = call(X)
    with warnings.catch_warnings(), ndl.lazy(lazy):
        warnings.simplefilter("error")
        t = Tensor(X)
        result = call(t)
        assert type(result) is Tensor
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)
        if result.dtype == bool:
            assert not result.requires_grad
            return
        weights = rng.standard_normal(result.shape)
        (result * weights).sum().backward()
    assert t.grad is not None
    numeric = np.empty_like(X)
    h = 1e-6
    for i in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[i] = h
        # In float64, also where the function gives float32.
        above, below = (np.asarray(call(X + s), dtype=np.float64) for s in (step, -step))
        numeric[i] = ((above - below) * weights).sum() / (2 * h)
    loose = result.dtype == np.float32
    np.testing.assert_allclose(t.grad.numpy(), numeric, atol=0.3 if loose else 1e-7)


@pytest.mark.parametrize("name", sorted(_numpy.ON_VALUES - FILES))
def test_what_carries_no_derivative_runs_on_values(name: str) -> None:
    if name not in FUNCTIONS and not name.endswith(".reduce"):
        pytest.skip(f"this NumPy has no {name}")
    whole = (np.array([[1, 2, 3], [4, 5, 6]]), np.array([[1, 1, 2], [3, 3, 1]]))
    if name == "packbits":
        whole = (whole[0] > 2, whole[1] > 2)
    if name == "unpackbits":
        whole = (whole[0].astype("uint8"), whole[1].astype("uint8"))
    if name == "isnat":
        return  # of dates, which no tensor holds
    call = ON_VALUES.get(name)
    function = FUNCTIONS.get(name)
    if call is not None:
        expected, given = call(X), call(Tensor(X))
    else:
        assert function is not None
        values = whole if name in WHOLE else (X, Y)
        count = function.nin if isinstance(function, np.ufunc) else 1
        if name.endswith(("_from",)):
            values = (SQUARE,)
        expected = function(*values[:count])
        given = function(*[Tensor(value) for value in values[:count]])
    if name.startswith("empty"):
        assert given.shape == expected.shape
        return
    assert type(given) is type(expected)
    for one, other in zip(flat(given), flat(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_tensors_are_written_into_files(tmp_path: Any) -> None:
    t = Tensor(X)
    np.save(tmp_path / "a.npy", t)
    np.savetxt(tmp_path / "a.txt", t)
    np.savez(tmp_path / "a.npz", t, named=t)
    np.savez_compressed(tmp_path / "b.npz", named=t)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), X)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "a.txt"), X)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["named"], X)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npz")["named"], X)


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused(name: str) -> None:
    function, t = FUNCTIONS[name], Tensor(X)
    message = rf"np\.{name}: no op of needle answers to it.*lose the gradient\nhint: .*t\.numpy\(\)"
    if isinstance(function, np.ufunc):
        with pytest.raises(TypeError, match=message):
            function(*[t] * function.nin)
    else:
        with pytest.raises(TypeError, match=message):
            t.__array_function__(function, (Tensor,), (t,), {})


# Real calls: the refusal comes before anything of NumPy's looks at the tensor, and where the tensor
# stands in a list or is the second operand.
REFUSED_CALLS: dict[str, Call] = {
    "linalg.norm": np.linalg.norm,
    "dot": lambda a: np.dot(X.T, a),
    "clip": lambda a: np.clip(a, 0, 1),
    "std": np.std,
    "vstack": lambda a: np.vstack([X, a]),
    "hstack": lambda a: np.hstack([a, a]),
    "diff": np.diff,
    "roll": lambda a: np.roll(a, 1),
    "einsum": lambda a: np.einsum("ij,ij", X, a),
    "interp": lambda a: np.interp(a, [0, 1], [0, 1]),
    "interp by values": lambda a: np.interp(0.5, [0, 1, 2], a[0]),
    "cumsum": np.cumsum,
    "prod": np.prod,
    "sort": np.sort,
    "percentile": lambda a: np.percentile(a, 50),
    "percentile by q": lambda a: np.percentile(X, a),
    "linspace": lambda a: np.linspace(a[0, 0], 2, 3),
    "full_like": lambda a: np.full_like(X, a[0, 0]),
    "bincount": lambda a: np.bincount([0, 1, 1], weights=a[0]),
    "histogram": lambda a: np.histogram(a, weights=a),
    "copyto": lambda a: np.copyto(np.zeros((2, 3)), a),
    "put": lambda a: np.put(np.zeros(9), [0], a[0]),
    "add.at": lambda a: np.add.at(np.zeros((2, 3)), 0, a[0]),
    "add.accumulate": np.add.accumulate,
    "multiply.reduce": np.multiply.reduce,
    "multiply.outer": lambda a: np.multiply.outer(X, a),
    "add.reduceat": lambda a: np.add.reduceat(a, [0, 1]),
    "select": lambda a: np.select([X > 1], [a], 0.0),
    "piecewise": lambda a: np.piecewise(a, [X > 1], [1.0, 2.0]),
    "apply_along_axis": lambda a: np.apply_along_axis(np.sum, 0, a),
    "block": lambda a: np.block([[a, a]]),
    "where=": lambda a: np.sum(a, where=X > 1),
    "initial=": lambda a: np.max(a, initial=1.0),
    "dtype=": lambda a: np.sum(a, dtype=np.float32),
    "order=": lambda a: np.reshape(a, 6, order="F"),
    "ufunc where=": lambda a: np.exp(a, where=X > 1, out=X.copy()),
    "ufunc dtype=": lambda a: np.add(a, 1, dtype=np.float32),
    "out=": lambda a: np.exp(a, out=np.empty((2, 3))),
    "mode=": lambda a: np.take(a, [7], mode="clip"),
}


@pytest.mark.parametrize("whole", [False, True], ids=["float", "int"])
@pytest.mark.parametrize("call", REFUSED_CALLS.values(), ids=REFUSED_CALLS)
def test_refused_calls(call: Call, whole: bool) -> None:
    a = Tensor(np.arange(6).reshape(2, 3)) if whole else Tensor(X)
    with pytest.raises(TypeError, match=r"(?s)^np\.\S+: .*\nhint: "):
        call(a)


def test_a_keyword_that_the_op_lacks_is_named() -> None:
    with pytest.raises(TypeError, match=r"np\.sum: needle\.summation.* takes no 'where'"):
        np.sum(Tensor(X), where=X > 1)
    a = X.copy()
    with pytest.raises(TypeError, match=r"write a = a \+ t"):
        a += Tensor(Y)
    np.testing.assert_array_equal(a, X)


@pytest.mark.parametrize("call", REFUSED_CALLS.values(), ids=REFUSED_CALLS)
def test_where_no_gradient_is_lost_everything_runs(call: Call) -> None:
    expected = call(X)
    given = [call(Tensor(X, requires_grad=False))]
    with ndl.no_grad():
        given.append(call(Tensor(X)))
    for value in given:
        if isinstance(value, Tensor):
            value = value.numpy()
        for one, other in zip(flat(value), flat(expected), strict=True):
            np.testing.assert_array_equal(one, other)


def test_in_place_operators_write_values_where_no_gradient_is_lost() -> None:
    a = np.ones(3)
    a += Tensor([1.0, 2.0, 3.0], requires_grad=False)
    assert a.tolist() == [2.0, 3.0, 4.0]


def test_operators_with_an_array_on_the_left_record_what_operators_record() -> None:
    t = Tensor([1.0, 2.0])
    a = np.array([3.0, 4.0])
    for result, op in (
        (a * t, ndl.EWiseMul),
        (a + t, ndl.EWiseAdd),
        (a / t, ndl.EWiseDiv),
        (a**t, ndl.EWisePow),
        (np.float64(3) * t, ndl.MulScalar),
        (np.float32(3) + t, ndl.AddScalar),
        (np.int64(3) * t, ndl.MulScalar),
        (np.ones((3, 2)) @ t, ndl.MatMul),
    ):
        assert type(result.op) is op
        assert getattr(result.op, "scalar", 3) == 3
    assert (np.float64(3) * Tensor([1.0], dtype="float32")).dtype == np.float64
    assert (np.float32(3) * Tensor([1.0], dtype="float32")).dtype == np.float32
    assert (a < t).tolist() == [False, False]
    assert (a == t).dtype == bool


def test_the_operator_of_a_subclass_decides() -> None:
    class Loud(Tensor):
        def __rmul__(self, other: Any) -> Any:
            return "loud"

        def __radd__(self, other: Any) -> Any:
            return "loud"

    for left in (2.0, np.float64(2), np.ones(2)):
        assert left * Loud([1.0, 2.0]) == "loud"
        assert left + Loud([1.0, 2.0]) == "loud"
    assert type(np.ones(2) - Loud([1.0, 2.0])) is Tensor


MORE_FORMS: dict[str, Call] = {
    "where=True": lambda a: np.sum(a, where=True),
    "positional axis": lambda a: np.sum(a, 1),
    "no value": lambda a: np.sum(a, keepdims=np._NoValue),
    "all flat": lambda a: np.concatenate([a, Y], axis=None),
    "correction": lambda a: np.var(a, correction=1),
}


@pytest.mark.parametrize("call", MORE_FORMS.values(), ids=MORE_FORMS)
def test_other_forms_of_a_call(call: Call) -> None:
    t = Tensor(X)
    result = call(t)
    assert type(result) is Tensor
    assert result.requires_grad
    np.testing.assert_allclose(result.numpy(), call(X))


def test_two_names_of_one_argument_are_refused() -> None:
    for requires_grad in (True, False):
        with pytest.raises(ValueError, match="correction"):
            np.var(Tensor(X, requires_grad=requires_grad), ddof=1, correction=0)


def test_what_numpy_refuses_is_refused_and_what_it_means_else_runs() -> None:
    t, constant = Tensor(X), Tensor(X, requires_grad=False)
    square = SQUARE.copy()
    with pytest.raises(TypeError, match=r"write a = a \+ t"):
        square @= Tensor(SQUARE)
    np.testing.assert_array_equal(
        np.matmul(constant, SQUARE, axes=[(0, 1), (0, 1), (0, 1)]), X @ SQUARE
    )
    with pytest.raises(TypeError, match="takes no 'axes'"):
        np.matmul(t, SQUARE, axes=[(0, 1), (0, 1), (0, 1)])
    # Positions and truth values carry no derivative, however they are asked for.
    np.testing.assert_array_equal(np.where(t)[0], np.where(X)[0])
    np.testing.assert_array_equal(np.greater.outer(t, 1.0), np.greater.outer(X, 1.0))


def test_before_numpy_had_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(function: Any) -> Any:
        raise ValueError("no signature found for builtin")

    for cached in (_numpy._signature_of, _numpy._plan):
        cached.cache_clear()
    monkeypatch.setattr(_numpy.inspect, "signature", none)
    t = Tensor(X)
    assert np.where(X > 1, t, 0.0).requires_grad
    assert np.concatenate([t, Y], axis=1).shape == (2, 6)
    monkeypatch.undo()
    for cached in (_numpy._signature_of, _numpy._plan):
        cached.cache_clear()
