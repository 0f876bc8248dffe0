"""pandas, SciPy's sparse matrices, Matplotlib and plain array-likes beside tensors."""

from __future__ import annotations

import array
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import needle as ndl
from needle import GraphCutWarning, Tensor, optimize

VALUES = [3.0, 1.0, 2.0]

ARRAY_LIKES: dict[str, Any] = {
    "array": np.array(VALUES),
    "list": VALUES,
    "tuple": tuple(VALUES),
    "series": pd.Series(VALUES),
    "series of integers": pd.Series([3, 1, 2]),
    "index": pd.Index(VALUES),
    "frame": pd.DataFrame({"a": [3.0], "b": [1.0], "c": [2.0]}),
    "array.array": array.array("d", VALUES),
    "memoryview": memoryview(array.array("f", VALUES)),
    "array of float32": np.array(VALUES, dtype="float32"),
}
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "pow", "lt", "eq")
}


@pytest.mark.parametrize("function", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("other", ARRAY_LIKES.values(), ids=ARRAY_LIKES)
def test_array_likes_are_constants_on_both_sides(
    function: Callable[[Any, Any], Any], other: Any
) -> None:
    numbers = np.array([0.5, 1.5, 2.0])
    plain = np.asarray(other)
    for swapped in (False, True):
        t = Tensor(numbers)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = function(other, t) if swapped else function(t, other)
        expected = function(plain, numbers) if swapped else function(numbers, plain)
        assert type(result) is Tensor
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)
        if result.dtype == bool:
            continue
        result.sum().backward()
        h = 1e-6
        above, below = (
            function(plain, numbers + s) if swapped else function(numbers + s, plain)
            for s in (h, -h)
        )
        numeric = ((above - below) / (2 * h)).reshape(-1, 3).sum(axis=0)
        assert t.grad is not None
        np.testing.assert_allclose(t.grad.numpy(), numeric, rtol=1e-5, atol=1e-8)


def test_a_fit_on_a_data_frame() -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 2.5, 5.5, 6.5]})
    a, b = Tensor(1.0), Tensor(0.5)
    loss = ((frame.y - (a * frame.x + b)) ** 2).mean()
    loss.backward()
    rest = (frame.y - (frame.x + 0.5)).to_numpy()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.item() == pytest.approx(-2 * (rest * frame.x).mean())
    assert b.grad.item() == pytest.approx(-2 * rest.mean())


def test_what_is_no_array_is_left_to_the_other_side() -> None:
    class Unit:
        def __rmul__(self, other: object) -> str:
            return "unit"

    class Aloof(Unit):
        __array_ufunc__ = None

        def __array__(self, dtype: object = None, copy: object = None) -> Any:
            raise AssertionError

    t = Tensor(VALUES)
    assert t * Unit() == "unit"
    assert t * Aloof() == "unit"
    assert t != "text"
    for other in ("text", b"bytes", None, {1: 2}, {1.0}, object(), Unit):
        with pytest.raises(TypeError):
            t + other


def test_masks_and_matrices_are_refused() -> None:
    t = Tensor([[1.0, 2.0]])
    assert (t * np.ma.masked_array([1.0, 2.0])).tolist() == [[1.0, 4.0]]
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    for act in (lambda: t * masked, lambda: Tensor(masked), lambda: ndl.from_numpy(masked),
                lambda: ndl.add(t, masked)):  # fmt: skip
        with pytest.raises(TypeError, match=r"masked elements\nhint: .*filled"):
            act()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix([[1.0, 2.0]])
    for act in (lambda: t * matrix, lambda: matrix * t, lambda: t @ matrix.T):
        with pytest.raises(TypeError, match=r"numpy\.matrix.*\nhint: pass numpy\.asarray"):
            act()
    assert Tensor(matrix).shape == (1, 2)


def test_sparse_matrices_take_the_value_and_say_so() -> None:
    matrix = scipy.sparse.csr_array(np.array([[1.0, 0.0], [2.0, 3.0]]))
    t = Tensor([1.0, 2.0])
    for act in (lambda: matrix @ t, lambda: t @ matrix, lambda: matrix.dot(t)):
        with pytest.warns(GraphCutWarning) as caught:
            value = act()
        assert caught[0].filename == __file__
        assert isinstance(value, np.ndarray)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with ndl.no_grad():
                np.testing.assert_array_equal(act(), value)
    with pytest.raises(TypeError):
        t + matrix


def test_a_frame_that_multiplies_takes_the_value_and_says_so() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    t = Tensor([1.0, 2.0])
    with pytest.warns(GraphCutWarning):
        assert list(frame @ t) == [7.0, 10.0]
    product = t @ frame
    assert type(product) is Tensor
    assert product.requires_grad
    assert product.tolist() == [5.0, 11.0]


PLOTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "plot y": lambda plt, x, y: plt.plot(y),
    "plot": lambda plt, x, y: plt.plot(x, y),
    "plot twice": lambda plt, x, y: plt.plot(x, x),
    "semilogy": lambda plt, x, y: plt.semilogy(x, y),
    "loglog": lambda plt, x, y: plt.loglog(x, y),
    "step": lambda plt, x, y: plt.step(x, y),
    "scatter": lambda plt, x, y: plt.scatter(x, y),
    "bar": lambda plt, x, y: plt.bar(x, y),
    "hist": lambda plt, x, y: plt.hist(y),
    "fill_between": lambda plt, x, y: plt.fill_between(x, y),
    "list of tensors": lambda plt, x, y: plt.plot([y[0], y[1]]),
    "axhline": lambda plt, x, y: plt.axhline(y[0]),
    "imshow": lambda plt, x, y: plt.imshow(y.reshape(1, 3)),
}


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_plots(plot: Callable[[Any, Any, Any], Any]) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    def draw(requires_grad: bool) -> None:
        x = Tensor([1.0, 2.0, 3.0], requires_grad=requires_grad)
        figure = plt.figure()
        try:
            plot(plt, x, ndl.exp(x))
            figure.canvas.draw()
        finally:
            plt.close(figure)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        draw(requires_grad=True)
    assert {(warning.category, warning.filename) for warning in caught} == {
        (GraphCutWarning, __file__)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(requires_grad=False)


@pytest.mark.parametrize(
    "start",
    [pd.Series(VALUES), array.array("d", VALUES), range(3), tuple(VALUES), Tensor(VALUES), [1, 2]],
    ids=lambda start: type(start).__name__,
)
def test_solvers_take_what_tensor_takes(start: Any) -> None:
    found = optimize.minimize(lambda x: ((x - 1.5) ** 2).sum(), start)
    np.testing.assert_allclose(np.asarray(found.x.numpy() if isinstance(found.x, Tensor)
                                          else found.x), 1.5, atol=1e-6)  # fmt: skip
    roots = optimize.root(lambda x: x - 1.5, start)
    assert roots.success
    rest = optimize.least_squares(lambda x: x - 1.5, start)
    assert rest.success
