# Made by `make generate` from the op table and tools/core.pyi.in: edit these instead.
from collections.abc import Iterable, Iterator, Sequence
from types import EllipsisType
from typing import Any, ClassVar, Final, Self, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from needle.device import Device

__version__: Final[str]

# Operands: what functions take, and what operators take, which leave the rest to the other side.
_TensorLike: TypeAlias = Tensor | ArrayLike
_Number: TypeAlias = float | np.number[Any] | np.bool
_ArrayOperand: TypeAlias = NDArray[Any] | list[Any] | tuple[Any, ...]
_Operand: TypeAlias = Tensor | _Number | _ArrayOperand

# Parameters of ops.
_Shape: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
_Axes: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
_Key: TypeAlias = SupportsIndex | slice | EllipsisType | None
_Index: TypeAlias = _Key | tuple[_Key, ...]
# TensorTuple has a method of the name `tuple`.
_Tensors: TypeAlias = tuple[Tensor, ...]
_Args: TypeAlias = tuple[Any, ...]

class Value:
    """A value in a graph: a tensor or a tuple of tensors."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def _init(
        self,
        op: Op | None,
        inputs: Iterable[Any],
        *,
        num_outputs: int = 1,
        cached_data: Tensor | ArrayLike | None = None,
        requires_grad: bool | None = None,
    ) -> None:
        """Fills an empty object with the result of `op` on `inputs`, once."""

    @classmethod
    def make_const(cls, data: _TensorLike, *, requires_grad: bool = False) -> Tensor:
        """A leaf on the memory of `data`, a tensor or a NumPy array; see `Tensor.make_const`."""

    @classmethod
    def make_from_op(cls, op: Op, inputs: Iterable[Any]) -> Any:
        """The result of `op` on `inputs`."""

    @property
    def op(self) -> Op | None:
        """The op that made this value, `None` for a leaf."""

    # Each is a Tensor, or a TensorTuple: which one, only the op knows.
    @property
    def inputs(self) -> list[Any]:
        """The values that the op was applied to, `[]` for a leaf."""

    def is_leaf(self) -> bool:
        """Whether no op made this value."""

    @property
    def num_outputs(self) -> int:
        """How many tensors this value stands for."""

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this value; assignable on a leaf.

        A result keeps the graph that it was made by. So `w -= lr * w.grad` is no step of a
        training: `w` becomes a result, and the graph of all steps before grows with it. Write
        `w.data = w - lr * w.grad`, or `w = (w - lr * w.grad).detach()`.
        """

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None: ...
    def __hash__(self) -> int: ...

class Tensor(Value):
    """A multi-dimensional array that remembers how it was computed.

    `array` is a number, a NumPy array or nested lists of numbers, which are copied, or a tensor, of
    which the values alone are taken: the result is a leaf. Its dtype is kept, NumPy's for Python's
    numbers (float64, int64, bool), unless `dtype` names another. `device` is `cpu()`, the only one
    there is. With `requires_grad`, what is computed from the tensor is recorded, and `backward()`
    on it puts a gradient into `.grad`.

    Raises TypeError for what is not made of numbers, for lists of tensors (`needle.stack` joins
    them) and for another device, DTypeError for a dtype that needle does not have, ValueError
    for lists of unequal length.
    """

    # pandas leaves `series * tensor` to Tensor.
    __pandas_priority__: ClassVar[int]
    __array_priority__: ClassVar[int]
    def __init__(
        self,
        array: _TensorLike,
        *,
        device: Device | None = None,
        dtype: DTypeLike | None = None,
        requires_grad: bool = True,
    ) -> None: ...
    @staticmethod
    def make_const(data: _TensorLike, requires_grad: bool = False) -> Tensor:
        """A leaf on the memory of `data`, a tensor or a NumPy array, without a copy: writes
        through the array are seen by the tensor. Anything else, and an array with negative
        strides, foreign byte order or misaligned elements, is copied.

        Raises TypeError for what is not made of numbers, DTypeError for a dtype that needle does
        not have.
        """

    @staticmethod
    def make_from_op(op: Op, inputs: Iterable[Any]) -> Any:
        """The result of `op` on `inputs`: a leaf if no input requires a gradient."""

    @property
    def grad(self) -> Tensor | None:
        """The gradient: `None` before the first backward, then a tensor of this shape."""

    @grad.setter
    def grad(self, grad: Tensor | None) -> None: ...
    def backward(self, out_grad: _TensorLike | None = None, *, accumulate: bool = False) -> None:
        """Computes the gradients of this tensor (the sum of its elements, or weighted by
        `out_grad`) by every tensor that it depends on and that is still held, and puts them
        into `.grad`, replacing what was there (adding to it with `accumulate=True`).

        Raises GradError for a tensor that does not require a gradient, ShapeError for an
        `out_grad` of another shape.
        """

    def detach(self) -> Tensor:
        """A new leaf on the same memory that does not require a gradient."""

    @property
    def data(self) -> Tensor:
        """The same as `detach()`; assigning a tensor of equal dtype puts its memory in the
        place of this one's, whatever its shape.
        """

    @data.setter
    def data(self, value: Tensor) -> None: ...
    def numpy(self) -> NDArray[Any]:
        """The values as a read-only NumPy array on this memory: no copy, at any size."""

    def realize_cached_data(self) -> NDArray[Any]:
        """The raw array: a writable NumPy alias of this memory. What is computed after a write
        sees it; what is held already does not.
        """

    @property
    def cached_data(self) -> NDArray[Any]:
        """The raw array, as `realize_cached_data()`; assigning an array replaces it."""

    @cached_data.setter
    def cached_data(self, value: NDArray[Any]) -> None: ...
    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the dimensions."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""

    @property
    def ndim(self) -> int:
        """Number of dimensions."""

    @property
    def size(self) -> int:
        """Number of elements."""

    @property
    def device(self) -> Device:
        """The device the tensor lives on."""

    @property
    def T(self) -> Tensor:
        """All dimensions reversed; of a matrix, its transpose."""

    def item(self) -> Any:
        """The only element as a Python number. Raises ValueError for any other size."""

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""

    def __add__(self, other: _Operand, /) -> Tensor: ...
    def __radd__(self, other: _Operand, /) -> Tensor: ...
    def __sub__(self, other: _Operand, /) -> Tensor: ...
    def __rsub__(self, other: _Operand, /) -> Tensor: ...
    def __mul__(self, other: _Operand, /) -> Tensor: ...
    def __rmul__(self, other: _Operand, /) -> Tensor: ...
    def __truediv__(self, other: _Operand, /) -> Tensor: ...
    def __rtruediv__(self, other: _Operand, /) -> Tensor: ...
    def __pow__(self, other: _Operand, modulo: None = None, /) -> Tensor: ...
    def __rpow__(self, other: _Operand, modulo: None = None, /) -> Tensor: ...
    def __matmul__(self, other: Tensor | _ArrayOperand, /) -> Tensor: ...
    def __rmatmul__(self, other: _ArrayOperand, /) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    # Elementwise, and so not what `object` promises.
    def __eq__(self, other: object, /) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, other: object, /) -> Tensor: ...  # type: ignore[override]
    # Any: NumPy's stubs claim these for its own classes, as they do not see `__array_ufunc__`.
    def __lt__(self, other: Any, /) -> Tensor: ...
    def __le__(self, other: Any, /) -> Tensor: ...
    def __gt__(self, other: Any, /) -> Tensor: ...
    def __ge__(self, other: Any, /) -> Tensor: ...
    def __hash__(self) -> int: ...
    def __getitem__(self, key: _Index, /) -> Tensor: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __contains__(self, item: object, /) -> bool: ...
    def __bool__(self) -> bool: ...
    def __float__(self) -> float: ...
    def __int__(self) -> int: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """NumPy's protocol: the read-only view, or a copy where dtype or `copy` ask for one. Warns
        with GraphCutWarning where a gradient would have flowed through the tensor.
        """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, /, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's protocol for ufuncs: the op that answers to the name. A ufunc without an op runs
        on values where no gradient is lost, else TypeError.
        """

    def __array_function__(
        self, func: Any, types: Iterable[type], args: _Args, kwargs: dict[str, Any]
    ) -> Any:
        """NumPy's protocol for its other functions, by the same rule."""

    def __dlpack__(self, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy, by value: a tensor with the same data, dtype and class and without a
        gradient. A leaf keeps its `requires_grad`; a gradient, and a result that requires none,
        comes back as a leaf that requires none.

        Raises RuntimeError for any other result of an op, whose history would be lost.
        """

    def negate(self) -> Tensor:
        """Elementwise `-a`.

        Shape and dtype of `a`; integers without sign wrap as in NumPy. Raises DTypeError for
        bool.
        """

    def abs(self) -> Tensor:
        """Elementwise absolute value.

        Shape and dtype of `a`. The derivative is the sign, 0 at 0.
        """

    def sign(self) -> Tensor:
        """Elementwise sign: -1, 0 or 1; NaN for NaN.

        Shape and dtype of `a`. The derivative is 0 everywhere.
        """

    def sqrt(self) -> Tensor:
        """Elementwise square root; NaN below 0.

        Shape of `a`; integers give floats. The derivative is `1 / (2 sqrt(a))`, infinite at 0: a
        zero adjoint there gives 0.
        """

    def exp(self) -> Tensor:
        """Elementwise exponential.

        Shape of `a`; integers give floats. The derivative is the value itself.
        """

    def log(self) -> Tensor:
        """Elementwise natural logarithm; -inf at 0, NaN below.

        Shape of `a`; integers give floats. The derivative is `1 / a`.
        """

    def log1p(self) -> Tensor:
        """Elementwise natural logarithm of `1 + a`, to the last digits for small `a`; -inf at
        -1, NaN below.

        Shape of `a`; integers give floats. The derivative is `1 / (1 + a)`.
        """

    def sin(self) -> Tensor:
        """Elementwise sine of angles in radians.

        Shape of `a`; integers give floats.
        """

    def cos(self) -> Tensor:
        """Elementwise cosine of angles in radians.

        Shape of `a`; integers give floats.
        """

    def tanh(self) -> Tensor:
        """Elementwise hyperbolic tangent.

        Shape of `a`; integers give floats. The derivative is `1 - tanh(a)^2`, without
        cancellation at either end.
        """

    def sigmoid(self) -> Tensor:
        """Elementwise logistic function `1 / (1 + exp(-a))`, without overflow at either end.

        Shape of `a`; integers give floats. The derivative is `sigmoid(a) sigmoid(-a)`.
        """

    def relu(self) -> Tensor:
        """Elementwise `max(a, 0)`; NaN for NaN.

        Shape and dtype of `a`. The derivative is 1 above 0 and 0 elsewhere, 0 at 0 included; the
        second derivative is 0.
        """

    def erf(self) -> Tensor:
        """Elementwise error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to
        `a`.

        Shape of `a`; integers give floats. The derivative is `2 / sqrt(pi) exp(-a^2)`.
        """

    def softplus(self) -> Tensor:
        """Elementwise `log(1 + exp(a))`, without overflow: a smooth rectifier.

        Shape of `a`; integers give floats. The derivative is `sigmoid(a)`.
        """

    def gelu(self) -> Tensor:
        """Elementwise `a F(a)` with the distribution function `F` of the standard normal
        distribution, `F(a) = (1 + erf(a / sqrt(2))) / 2` (Hendrycks and Gimpel 2016, the exact
        form).

        Shape of `a`; integers give floats; 0 at -inf.
        """

    def silu(self) -> Tensor:
        """Elementwise `a sigmoid(a)`, also known as swish (Hendrycks and Gimpel 2016;
        Ramachandran, Zoph and Le 2017).

        Shape of `a`; integers give floats; 0 at -inf.
        """

    @overload
    def sum(self, axes: _Axes = None, keepdims: bool = False) -> Tensor:
        """Sum over `axes`: `None` for all, an integer or several.

        Reduced axes go away, or stay with length 1 with `keepdims`. Integers and bool are summed
        in 64 bits. `axes=()` reduces nothing. Raises AxisError for an axis that `a` does not
        have or that is named twice.
        """

    @overload
    def sum(self, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
    @overload
    def mean(self, axes: _Axes = None, keepdims: bool = False) -> Tensor:
        """Arithmetic mean over `axes`: `None` for all, an integer or several.

        Reduced axes go away, or stay with length 1 with `keepdims`. Integers give float64; the
        mean of nothing is NaN. A sum that overflows does no harm. Raises AxisError for an axis
        that `a` does not have or that is named twice.
        """

    @overload
    def mean(self, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
    @overload
    def max(self, axes: _Axes = None, keepdims: bool = False) -> Tensor:
        """Largest element over `axes`: `None` for all, an integer or several; NaN where any is
        NaN.

        Reduced axes go away, or stay with length 1 with `keepdims`. Elements that tie share the
        gradient equally. Raises AxisError for an axis that `a` does not have or that is named
        twice, ValueError where a reduced axis is empty.
        """

    @overload
    def max(self, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
    @overload
    def min(self, axes: _Axes = None, keepdims: bool = False) -> Tensor:
        """Smallest element over `axes`: `None` for all, an integer or several; NaN where any is
        NaN.

        Reduced axes go away, or stay with length 1 with `keepdims`. Elements that tie share the
        gradient equally. Raises AxisError for an axis that `a` does not have or that is named
        twice, ValueError where a reduced axis is empty.
        """

    @overload
    def min(self, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
    @overload
    def var(
        self,
        axes: _Axes = None,
        keepdims: bool = False,
        correction: SupportsIndex = 0,
    ) -> Tensor:
        """Variance over `axes`: the mean of the squared distances from the mean.

        The sum of the squares is divided by the number of elements less `correction`: 0 for the
        biased variance, 1 for the unbiased one; `axes` and `keepdims` are as in `summation`.
        Integers give float64; without more elements than `correction` it is NaN or infinite, and
        infinite where it is larger than the dtype can hold. Raises AxisError for an axis that
        `a` does not have or that is named twice.
        """

    @overload
    def var(
        self,
        *,
        axis: _Axes,
        keepdims: bool = False,
        correction: SupportsIndex = 0,
    ) -> Tensor: ...
    @overload
    def broadcast_to(self, shape: _Shape) -> Tensor:
        """`a` with axes of length 1 repeated, and new leading axes, to `shape`.

        A view: nothing is copied. Raises ShapeError where `a` does not broadcast to `shape`.
        """

    @overload
    def broadcast_to(self, *shape: SupportsIndex) -> Tensor: ...
    @overload
    def reshape(self, shape: _Shape) -> Tensor:
        """The elements of `a` in row-major order under another `shape`; one length may be -1.

        A view where the memory allows it. Raises ShapeError where the sizes differ.
        """

    @overload
    def reshape(self, *shape: SupportsIndex) -> Tensor: ...
    @overload
    def transpose(self, axes: _Axes = None) -> Tensor:
        """`a` with two axes swapped: the two given, or the last two.

        A view: nothing is copied. What has fewer than two dimensions stays as it is. Not a
        permutation of all axes: see `permute`. Raises AxisError for an axis that `a` does not
        have.
        """

    @overload
    def transpose(self, *axes: SupportsIndex) -> Tensor: ...
    @overload
    def permute(self, axes: _Axes = None) -> Tensor:
        """`a` with its axes in another order: axis `i` of the result is axis `axes[i]` of `a`;
        reversed for `None`.

        A view: nothing is copied. Raises AxisError for an axis that `a` does not have or that is
        named twice, ShapeError where one is missing.
        """

    @overload
    def permute(self, *axes: SupportsIndex) -> Tensor: ...
    def astype(self, dtype: DTypeLike) -> Tensor:
        """The values of `a` in another dtype.

        Floats become integers by truncation, numbers become bool by `!= 0`, as in NumPy. The
        gradient passes between float dtypes; none flows through integers or bool. Raises
        DTypeError for a dtype that needle does not have.
        """

    def matmul(self, b: _TensorLike) -> Tensor:
        """Matrix product `a @ b` by NumPy's rules.

        (..., m, k) @ (..., k, n) gives (..., m, n); leading axes broadcast; a 1-D operand is a
        row on the left and a column on the right, and its axis goes away. The dtype is the
        promoted one. Raises ShapeError where the inner dimensions differ or an operand has none.
        """

    @overload
    def logsumexp(self, axes: _Axes = None, keepdims: bool = False) -> Tensor:
        """`log(sum(exp(a)))` over `axes`: `None` for all, an integer or several.

        Stable: the maximum is taken out first. Reduced axes go away, or stay with length 1 with
        `keepdims`; integers give floats. The gradient is the softmax over the axes, and 0 where
        all elements are -inf. Raises AxisError for an axis that `a` does not have or that is
        named twice, ValueError where a reduced axis is empty.
        """

    @overload
    def logsumexp(self, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
    def softmax(self, axis: SupportsIndex = -1) -> Tensor:
        """`exp(a) / sum(exp(a))` along `axis`.

        Stable: the maximum is taken out first. NaN where all elements are -inf, or one is inf.
        Shape of `a`; integers give floats. Raises AxisError for an axis that `a` does not have.
        """

    def log_softmax(self, axis: SupportsIndex = -1) -> Tensor:
        """`a - logsumexp(a)` along `axis`: the logarithm of the softmax.

        Stable: the maximum is taken out first, and a share near 1 keeps the digits of its
        logarithm. NaN as in `softmax`. Shape of `a`; integers give floats. Raises AxisError for
        an axis that `a` does not have.
        """

    def split(self, axis: SupportsIndex = 0) -> TensorTuple:
        """The slices of `a` along `axis`, without that axis, as a TensorTuple.

        The inverse of `stack`. Raises AxisError for an axis that `a` does not have.
        """

class TensorTuple(Value):
    """A tuple of tensors, as ops with several results give it."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: SupportsIndex, /) -> Tensor: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __add__(self, other: TensorTuple, /) -> TensorTuple: ...
    def __radd__(self, other: TensorTuple, /) -> TensorTuple: ...
    def tuple(self) -> _Tensors:
        """The tensors as a Python tuple."""

    def detach(self) -> TensorTuple:
        """A tuple of leaves on the same memory that do not require gradients."""

class Op:
    """An operator: what it computes and how it is differentiated.

    Subclass TensorOp (or TensorTupleOp), and define `compute(self, *arrays)` on NumPy
    arrays and `gradient(self, out_grad, node)` on tensors.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Applies the operator."""

    # This form alone lets a subclass name its own operands.
    def compute(self, *args: Any, **kwargs: Any) -> Any:
        """The values of the result from those of the operands, as NumPy arrays."""

    def gradient(self, out_grad: Any, node: Any) -> Any:
        """The adjoint of each input of `node`, a result of this op, from `out_grad`, the adjoint
        of that result (a TensorTuple where it is one).

        It is a tensor where there is one input, else a tuple with a tensor for each, or `None`
        where nothing flows. It has the shape of its input, or one that broadcasting the input to
        the output gives: then it is summed over the axes that were stretched. Computed with
        tensors, from `node.inputs` and from `node` itself, it can be differentiated again.

        Subclasses define it: raises NotImplementedError where they do not. A sweep raises
        ShapeError for a gradient of any other shape. Needle's own ops raise GradError for a node
        that they did not make.
        """

    def gradient_as_tuple(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        """`gradient` as a tuple, whatever form it has, each tensor in the shape of its input."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

class TensorOp(Op):
    """An operator with one tensor as its result."""

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor: ...

class TensorTupleOp(Op):
    """An operator with a TensorTuple as its result."""

    def __call__(self, *args: Any, **kwargs: Any) -> TensorTuple: ...

def from_numpy(a: NDArray[Any], *, requires_grad: bool = False) -> Tensor:
    """A tensor on the memory of a NumPy array, without a copy. Writes through the array are
    seen by the tensor; a read-only array gives a read-only tensor. Negative strides, foreign
    byte order and misaligned elements are copied.

    Raises TypeError for anything but an array, DTypeError for a dtype needle does not have.
    """

def from_dlpack(x: Any) -> Tensor:
    """A tensor on the memory of an array of another library, by the DLPack protocol: writes
    through either are seen by the other. It requires no gradient; read-only memory gives a
    read-only tensor. What `from_numpy` copies is copied here.

    Raises TypeError for an object without `__dlpack__`, DTypeError for a dtype needle does not
    have, BufferError for memory that the CPU cannot reach.
    """

def _rebuild(cls: type[Value], data: NDArray[Any], requires_grad: bool) -> Any:
    """What unpickling calls: an object of `cls` on a copy of the data, without its `__init__`."""

def find_topo_sort(node_list: Iterable[Value]) -> list[Any]:
    """The nodes that `node_list` depends on, inputs before their consumers: post-order
    depth-first from left to right, each once, the last of the list at the end.
    """

def gradients(
    root: Tensor, leaves: Sequence[Tensor], seed: Tensor | None = None
) -> list[Tensor | None] | None:
    """The gradients of the sum of `root`, weighted by `seed` (of the shape of `root`), by each of
    `leaves`, without a history and without setting `.grad`; None for one that it does not depend
    on. What is to be done is written down once for all graphs of one structure.

    None instead of a list where ops of the user's are on the way, the graph is very large, or the
    seed of an integer is of another dtype: `root.backward()` is for these. Raises ShapeError for a
    seed of another shape, GradError where data that a rule reads was replaced.
    """

def tangents(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], tangents: Sequence[Tensor]
) -> list[Tensor | None]:
    """Forward mode: how `outputs` move when `inputs` move along `tangents`, in several directions
    at once. The tangents of each input, and those of each output, are stacked along a new first
    axis, and have no history; None for an output that depends on none of the inputs. What is to be
    done is written down once for all graphs of one structure.

    Raises ValueError for another number of tangents than inputs, no inputs or no directions,
    ShapeError for tangents whose shape is not `(n, *input.shape)` with one n for all, GradError
    where an op of the user's stands between.
    """

def gradients_by(
    roots: Sequence[Tensor], seeds: list[Tensor | None], inputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients of the sum of all elements of `roots`, weighted by `seeds`, by each of
    `inputs`, as `backward()` finds them; no `.grad` is written. None for one that no root depends
    on.
    """

def made_after(tensor: Tensor, others: Sequence[Tensor]) -> bool:
    """Whether an op made `tensor` after it made all of `others`, which so cannot depend on it."""

def graph_elements(outputs: Sequence[Tensor]) -> int:
    """How many elements all values have that `outputs` depend on, their own included: what a
    sweep may have to keep for one direction.
    """

def get_lazy_mode() -> bool:
    """Whether results wait until they are read, in threads that have not said otherwise."""

def set_lazy_mode(lazy: bool) -> None:
    """Sets what `get_lazy_mode` gives."""

def get_thread_mode() -> tuple[bool | None, bool]:
    """The mode of this thread: (lazy or None for the process's, no_grad)."""

def enter_scope(lazy: bool | None, no_grad: bool | None) -> int:
    """Begins a scope in this thread, and returns its number. `None` leaves a part of the mode as
    it is.
    """

def exit_scope(number: int) -> None:
    """Ends the scope of that number, of whatever thread; one that has ended is left alone."""

def get_tensor_counter() -> int:
    """Live tensor objects plus live nodes without one."""

def set_tensor_counter(value: int) -> None:
    """Makes the counter stand at `value` now."""

def get_num_threads() -> int:
    """How many threads a kernel may use."""

def set_num_threads(n: int) -> None:
    """Sets how many threads a kernel may use, 1 to 256; results do not depend on it.

    Raises ValueError for any other number.
    """

def get_isa() -> str:
    """The instruction set in use: scalar, avx2 or avx512."""

def sgd_step(
    params: Sequence[Tensor],
    velocities: dict[Tensor, Tensor],
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    only_check: bool = False,
) -> None:
    """Gradient descent over all parameters that have a gradient."""

def adam_step(
    params: Sequence[Tensor],
    means: dict[Tensor, Tensor],
    squares: dict[Tensor, Tensor],
    *,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    only_check: bool = False,
) -> None:
    """A step of Adam, or AdamW, over all parameters that have a gradient."""

def rmsprop_step(
    params: Sequence[Tensor],
    squares: dict[Tensor, Tensor],
    means: dict[Tensor, Tensor],
    velocities: dict[Tensor, Tensor],
    *,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
    centered: bool,
    only_check: bool = False,
) -> None:
    """A step of RMSProp over all parameters that have a gradient."""

def adagrad_step(
    params: Sequence[Tensor],
    sums: dict[Tensor, Tensor],
    *,
    lr: float,
    eps: float,
    weight_decay: float,
    start: float,
    only_check: bool = False,
) -> None:
    """A step of Adagrad over all parameters that have a gradient."""

def lion_step(
    params: Sequence[Tensor],
    means: dict[Tensor, Tensor],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    only_check: bool = False,
) -> None:
    """A step of Lion over all parameters that have a gradient."""

def global_norm(tensors: Sequence[Tensor]) -> float:
    """The L2 norm of all elements of all tensors together, computed in float64."""

def empty_cache() -> None:
    """Returns the memory that waits for reuse to the system."""

def op_table() -> list[dict[str, Any]]:
    """One dict per op: name, class, names in NumPy, doc, inputs, params, whether it is
    differentiable and has several results, and samples (attributes and input tensors, float64 or
    bool).
    """

def numpy_names() -> dict[str, str]:
    """The names in NumPy that ops answer to, each with the name of the op."""

def is_recorded(tensor: Value) -> bool:
    """Whether a gradient flows through what is computed from `tensor` now: not in `no_grad`, and
    not where it is bool.
    """

def op_names() -> list[str]:
    """The function and the class name of every op."""

class EWiseAdd(TensorOp):
    """Elementwise sum `a + b`."""

    def __init__(self) -> None: ...

class AddScalar(TensorOp):
    """Elementwise sum `a + scalar`."""

    scalar: Final[float]
    def __init__(self, scalar: _Number) -> None: ...

class EWiseSub(TensorOp):
    """Elementwise difference `a - b` as one node."""

    def __init__(self) -> None: ...

class EWiseMul(TensorOp):
    """Elementwise product `a * b`."""

    def __init__(self) -> None: ...

class MulScalar(TensorOp):
    """Elementwise product `a * scalar`."""

    scalar: Final[float]
    def __init__(self, scalar: _Number) -> None: ...

class EWiseDiv(TensorOp):
    """Elementwise quotient `a / b`."""

    def __init__(self) -> None: ...

class DivScalar(TensorOp):
    """Elementwise quotient `a / scalar`."""

    scalar: Final[float]
    def __init__(self, scalar: _Number) -> None: ...

class Negate(TensorOp):
    """Elementwise `-a`."""

    def __init__(self) -> None: ...

class ChainProduct(TensorOp):
    """Elementwise product that is 0 wherever either factor is exactly 0, even against an
    infinity or NaN.
    """

    def __init__(self) -> None: ...

class EWisePow(TensorOp):
    """Elementwise power `a ** b`."""

    def __init__(self) -> None: ...

class PowerScalar(TensorOp):
    """Elementwise power `a ** scalar`."""

    scalar: Final[float]
    def __init__(self, scalar: _Number) -> None: ...

class PowerLess(TensorOp):
    """Elementwise `a ** (b - steps)` without the rounding of `b - steps`, of which a base far
    from 1 would make much: what the derivatives of `power` are made of.
    """

    steps: Final[int]
    def __init__(self, steps: SupportsIndex = 1) -> None: ...

class Maximum(TensorOp):
    """Elementwise larger of `a` and `b`; NaN where either is NaN."""

    def __init__(self) -> None: ...

class Minimum(TensorOp):
    """Elementwise smaller of `a` and `b`; NaN where either is NaN."""

    def __init__(self) -> None: ...

class Abs(TensorOp):
    """Elementwise absolute value."""

    def __init__(self) -> None: ...

class Sign(TensorOp):
    """Elementwise sign: -1, 0 or 1; NaN for NaN."""

    def __init__(self) -> None: ...

class Sqrt(TensorOp):
    """Elementwise square root; NaN below 0."""

    def __init__(self) -> None: ...

class Exp(TensorOp):
    """Elementwise exponential."""

    def __init__(self) -> None: ...

class Log(TensorOp):
    """Elementwise natural logarithm; -inf at 0, NaN below."""

    def __init__(self) -> None: ...

class Log1p(TensorOp):
    """Elementwise natural logarithm of `1 + a`, to the last digits for small `a`; -inf at -1,
    NaN below.
    """

    def __init__(self) -> None: ...

class Sin(TensorOp):
    """Elementwise sine of angles in radians."""

    def __init__(self) -> None: ...

class Cos(TensorOp):
    """Elementwise cosine of angles in radians."""

    def __init__(self) -> None: ...

class Tanh(TensorOp):
    """Elementwise hyperbolic tangent."""

    def __init__(self) -> None: ...

class Sigmoid(TensorOp):
    """Elementwise logistic function `1 / (1 + exp(-a))`, without overflow at either end."""

    def __init__(self) -> None: ...

class ReLU(TensorOp):
    """Elementwise `max(a, 0)`; NaN for NaN."""

    def __init__(self) -> None: ...

class Erf(TensorOp):
    """Elementwise error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to
    `a`.
    """

    def __init__(self) -> None: ...

class Softplus(TensorOp):
    """Elementwise `log(1 + exp(a))`, without overflow: a smooth rectifier."""

    def __init__(self) -> None: ...

class GELU(TensorOp):
    """Elementwise `a F(a)` with the distribution function `F` of the standard normal
    distribution, `F(a) = (1 + erf(a / sqrt(2))) / 2` (Hendrycks and Gimpel 2016, the exact
    form).
    """

    def __init__(self) -> None: ...

class SiLU(TensorOp):
    """Elementwise `a sigmoid(a)`, also known as swish (Hendrycks and Gimpel 2016; Ramachandran,
    Zoph and Le 2017).
    """

    def __init__(self) -> None: ...

class LeakyReLU(TensorOp):
    """Elementwise `a` above 0, else `slope * a`; NaN for NaN (Maas, Hannun and Ng 2013)."""

    slope: Final[float]
    def __init__(self, slope: _Number = 0.01) -> None: ...

class Equal(TensorOp):
    """Elementwise `a == b` as a bool tensor."""

    def __init__(self) -> None: ...

class NotEqual(TensorOp):
    """Elementwise `a != b` as a bool tensor."""

    def __init__(self) -> None: ...

class Less(TensorOp):
    """Elementwise `a < b` as a bool tensor."""

    def __init__(self) -> None: ...

class LessEqual(TensorOp):
    """Elementwise `a <= b` as a bool tensor."""

    def __init__(self) -> None: ...

class Greater(TensorOp):
    """Elementwise `a > b` as a bool tensor."""

    def __init__(self) -> None: ...

class GreaterEqual(TensorOp):
    """Elementwise `a >= b` as a bool tensor."""

    def __init__(self) -> None: ...

class Where(TensorOp):
    """Elementwise `a` where `condition` is true, else `b`."""

    def __init__(self) -> None: ...

class Summation(TensorOp):
    """Sum over `axes`: `None` for all, an integer or several."""

    axes: Final[int | tuple[int, ...] | None]
    keepdims: Final[bool]
    def __init__(self, axes: _Axes = None, keepdims: bool = False) -> None: ...

class Mean(TensorOp):
    """Arithmetic mean over `axes`: `None` for all, an integer or several."""

    axes: Final[int | tuple[int, ...] | None]
    keepdims: Final[bool]
    def __init__(self, axes: _Axes = None, keepdims: bool = False) -> None: ...

class Max(TensorOp):
    """Largest element over `axes`: `None` for all, an integer or several; NaN where any is NaN."""

    axes: Final[int | tuple[int, ...] | None]
    keepdims: Final[bool]
    def __init__(self, axes: _Axes = None, keepdims: bool = False) -> None: ...

class Min(TensorOp):
    """Smallest element over `axes`: `None` for all, an integer or several; NaN where any is NaN."""

    axes: Final[int | tuple[int, ...] | None]
    keepdims: Final[bool]
    def __init__(self, axes: _Axes = None, keepdims: bool = False) -> None: ...

class Var(TensorOp):
    """Variance over `axes`: the mean of the squared distances from the mean."""

    axes: Final[int | tuple[int, ...] | None]
    keepdims: Final[bool]
    correction: Final[int]
    def __init__(
        self,
        axes: _Axes = None,
        keepdims: bool = False,
        correction: SupportsIndex = 0,
    ) -> None: ...

class BroadcastTo(TensorOp):
    """`a` with axes of length 1 repeated, and new leading axes, to `shape`."""

    shape: Final[tuple[int, ...]]
    def __init__(self, shape: _Shape) -> None: ...

class Reshape(TensorOp):
    """The elements of `a` in row-major order under another `shape`; one length may be -1."""

    shape: Final[tuple[int, ...]]
    def __init__(self, shape: _Shape) -> None: ...

class Transpose(TensorOp):
    """`a` with two axes swapped: the two given, or the last two."""

    axes: Final[int | tuple[int, ...] | None]
    def __init__(self, axes: _Axes = None) -> None: ...

class Permute(TensorOp):
    """`a` with its axes in another order: axis `i` of the result is axis `axes[i]` of `a`;
    reversed for `None`.
    """

    axes: Final[int | tuple[int, ...] | None]
    def __init__(self, axes: _Axes = None) -> None: ...

class AsType(TensorOp):
    """The values of `a` in another dtype."""

    dtype: Final[np.dtype[Any]]
    def __init__(self, dtype: DTypeLike) -> None: ...

class MatMul(TensorOp):
    """Matrix product `a @ b` by NumPy's rules."""

    def __init__(self) -> None: ...

class TransposedMatMul(TensorOp):
    """`a @ b` of two matrices, of which the first (if `left`) and the second (if `right`) are
    transposed before.
    """

    left: Final[bool]
    right: Final[bool]
    def __init__(self, left: bool = False, right: bool = False) -> None: ...

class Linear(TensorOp):
    """`a @ weight + bias`: a linear layer in one op."""

    def __init__(self) -> None: ...

class LogSumExp(TensorOp):
    """`log(sum(exp(a)))` over `axes`: `None` for all, an integer or several."""

    axes: Final[int | tuple[int, ...] | None]
    keepdims: Final[bool]
    def __init__(self, axes: _Axes = None, keepdims: bool = False) -> None: ...

class Softmax(TensorOp):
    """`exp(a) / sum(exp(a))` along `axis`."""

    axis: Final[int]
    def __init__(self, axis: SupportsIndex = -1) -> None: ...

class LogSoftmax(TensorOp):
    """`a - logsumexp(a)` along `axis`: the logarithm of the softmax."""

    axis: Final[int]
    def __init__(self, axis: SupportsIndex = -1) -> None: ...

class LayerNorm(TensorOp):
    """`(a - mean) / sqrt(variance + eps)` along `axis`, with the biased variance (Ba, Kiros and
    Hinton 2016, without gain and bias).
    """

    eps: Final[float]
    axis: Final[int]
    def __init__(self, eps: _Number = 1e-05, axis: SupportsIndex = -1) -> None: ...

class LayerNormGradient(TensorOp):
    """`r (g - mean(g) - y mean(g y))` along `axis`, with `y = layer_norm(a)` and `r = 1 /
    sqrt(variance + eps)`: the adjoint behind a layer normalisation.
    """

    eps: Final[float]
    axis: Final[int]
    def __init__(self, eps: _Number = 1e-05, axis: SupportsIndex = -1) -> None: ...

class RMSNorm(TensorOp):
    """`a / sqrt(mean(a^2) + eps)` along `axis` (Zhang and Sennrich 2019, without gain)."""

    eps: Final[float]
    axis: Final[int]
    def __init__(self, eps: _Number = 1e-05, axis: SupportsIndex = -1) -> None: ...

class RMSNormGradient(TensorOp):
    """`r (g - y mean(g y))` along `axis`, with `y = rms_norm(a)` and `r = 1 / sqrt(mean(a^2) +
    eps)`: the adjoint behind a root-mean-square normalisation.
    """

    eps: Final[float]
    axis: Final[int]
    def __init__(self, eps: _Number = 1e-05, axis: SupportsIndex = -1) -> None: ...

class CrossEntropy(TensorOp):
    """The mean over all rows of the last axis of `-sum(target * log_softmax(logits))`."""

    def __init__(self) -> None: ...

class CrossEntropyGradient(TensorOp):
    """`g (sum(target) softmax(logits) - target) / rows`: the adjoint of the logits behind
    `cross_entropy`.
    """

    def __init__(self) -> None: ...

class LogisticLoss(TensorOp):
    """Elementwise `target softplus(-logits) + (1 - target) softplus(logits)`: the cross-entropy
    `-t log(p) - (1 - t) log(1 - p)` of `p = sigmoid(logits)` and targets `t`, without
    cancellation in either tail.
    """

    def __init__(self) -> None: ...

class LogisticResidual(TensorOp):
    """Elementwise `sigmoid(logits) - target`, as `(1 - target) sigmoid(logits) - target
    sigmoid(-logits)`: small without cancellation where the target is 0 or 1. It is the
    derivative of `logistic_loss`.
    """

    def __init__(self) -> None: ...

class TanhGradient(TensorOp):
    """Elementwise `g (1 - tanh(a)^2)`: the adjoint behind `tanh(a)`, 0 wherever a factor is 0."""

    def __init__(self) -> None: ...

class SigmoidGradient(TensorOp):
    """Elementwise `g s (1 - s)` with `s = sigmoid(a)`: the adjoint behind `sigmoid(a)`, 0
    wherever a factor is 0.
    """

    def __init__(self) -> None: ...

class TanhCurvature(TensorOp):
    """Elementwise `-2 g tanh(a) (1 - tanh(a)^2)`: `g` times the second derivative of `tanh(a)`,
    0 wherever a factor is 0.
    """

    def __init__(self) -> None: ...

class SigmoidCurvature(TensorOp):
    """Elementwise `g s (1 - s) (1 - 2 s)` with `s = sigmoid(a)`: `g` times the second derivative
    of `sigmoid(a)`, 0 wherever a factor is 0.
    """

    def __init__(self) -> None: ...

class TanhThird(TensorOp):
    """Elementwise `g (1 - t^2) (6 t^2 - 2)` with `t = tanh(a)`: `g` times the third derivative
    of `tanh(a)`, 0 wherever a factor is 0.
    """

    def __init__(self) -> None: ...

class SigmoidThird(TensorOp):
    """Elementwise `g s (1 - s) (1 - 6 s (1 - s))` with `s = sigmoid(a)`: `g` times the third
    derivative of `sigmoid(a)`, 0 wherever a factor is 0.
    """

    def __init__(self) -> None: ...

class ErfGradient(TensorOp):
    """Elementwise `g 2 / sqrt(pi) exp(-a^2)`: the adjoint behind `erf(a)`, 0 wherever a factor
    is 0.
    """

    def __init__(self) -> None: ...

class NormalGradient(TensorOp):
    """Elementwise `g exp(-a^2 / 2) / sqrt(2 pi)`: the adjoint behind the distribution function
    of the standard normal distribution, 0 wherever a factor is 0.
    """

    def __init__(self) -> None: ...

class GeluGradient(TensorOp):
    """Elementwise `g (F(a) + a f(a))` with the normal distribution function `F` and density `f`:
    the adjoint behind `gelu(a)`, 0 wherever a factor is 0.
    """

    def __init__(self) -> None: ...

class SiluGradient(TensorOp):
    """Elementwise `g s (1 + a (1 - s))` with `s = sigmoid(a)`: the adjoint behind `silu(a)`, 0
    wherever a factor is 0.
    """

    def __init__(self) -> None: ...

class ReluGradient(TensorOp):
    """Elementwise `g` where `y` is above 0, else 0: the adjoint behind `relu(y)`."""

    def __init__(self) -> None: ...

class SoftmaxGradient(TensorOp):
    """`y (g - sum(g y))` along `axis`: the adjoint behind `y = softmax(a)`."""

    axis: Final[int]
    def __init__(self, axis: SupportsIndex = -1) -> None: ...

class LogSoftmaxGradient(TensorOp):
    """`g - exp(y) sum(g)` along `axis`: the adjoint behind `y = log_softmax(a)`."""

    axis: Final[int]
    def __init__(self, axis: SupportsIndex = -1) -> None: ...

class Stack(TensorOp):
    """Tensors of equal shape along a new `axis` (0 to ndim)."""

    axis: Final[int]
    def __init__(self, axis: SupportsIndex = 0) -> None: ...

class Split(TensorTupleOp):
    """The slices of `a` along `axis`, without that axis, as a TensorTuple."""

    axis: Final[int]
    def __init__(self, axis: SupportsIndex = 0) -> None: ...

class Concat(TensorOp):
    """Tensors one after the other along an existing `axis`."""

    axis: Final[int]
    def __init__(self, axis: SupportsIndex = 0) -> None: ...

class GetItem(TensorOp):
    """`a[index]` for integers, slices, `...` and `None`, by NumPy's rules."""

    index: Final[tuple[_Key, ...]]
    def __init__(self, index: _Index) -> None: ...

class Put(TensorOp):
    """Zeros of `shape` with `a` at a basic `index`: the transpose of `getitem`."""

    shape: Final[tuple[int, ...]]
    index: Final[tuple[_Key, ...]]
    def __init__(self, shape: _Shape, index: _Index) -> None: ...

class Take(TensorOp):
    """The slices of `a` at `indices` along `axis`, as NumPy's `take`: the rows of a table, say."""

    axis: Final[int]
    def __init__(self, axis: SupportsIndex = 0) -> None: ...

class TakeGradient(TensorOp):
    """Zeros of `shape` to which the slices of `g` are added at `indices` along `axis`: the
    adjoint of `take`.
    """

    shape: Final[tuple[int, ...]]
    axis: Final[int]
    def __init__(self, shape: _Shape, axis: SupportsIndex = 0) -> None: ...

class MakeTensorTuple(TensorTupleOp):
    """A TensorTuple of the given tensors, which may differ in shape and dtype."""

    def __init__(self) -> None: ...

class TupleGetItem(TensorOp):
    """Element `index` of a TensorTuple."""

    index: Final[int]
    def __init__(self, index: SupportsIndex) -> None: ...

class FusedAddScalars(TensorTupleOp):
    """The TensorTuple `(a + c0, a + c1)`."""

    c0: Final[float]
    c1: Final[float]
    def __init__(self, c0: _Number, c1: _Number) -> None: ...

def add(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise sum `a + b`.

    Shapes broadcast as in NumPy; the dtype is the promoted one (bool: logical or). Raises
    ShapeError where the shapes do not fit.
    """

def add_scalar(a: _TensorLike, scalar: _TensorLike) -> Tensor:
    """Elementwise sum `a + scalar`.

    A Python number keeps the dtype of `a` (an integer tensor with a float becomes float64); a
    NumPy scalar promotes. Raises OverflowError for an integer that the dtype cannot hold.
    """

def subtract(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise difference `a - b` as one node.

    Shapes broadcast as in NumPy; the dtype is the promoted one. The operator `a - b` on tensors
    records `Negate` and `EWiseAdd` instead. Raises ShapeError where the shapes do not fit,
    DTypeError for two bool operands.
    """

def multiply(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise product `a * b`.

    Shapes broadcast as in NumPy; the dtype is the promoted one (bool: logical and). Raises
    ShapeError where the shapes do not fit.
    """

def mul_scalar(a: _TensorLike, scalar: _TensorLike) -> Tensor:
    """Elementwise product `a * scalar`.

    A Python number keeps the dtype of `a` (an integer tensor with a float becomes float64); a
    NumPy scalar promotes. Raises OverflowError for an integer that the dtype cannot hold.
    """

def divide(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise quotient `a / b`.

    Shapes broadcast as in NumPy. Integers are divided in float64. Division by zero follows IEEE.
    Raises ShapeError where the shapes do not fit.
    """

def divide_scalar(a: _TensorLike, scalar: _TensorLike) -> Tensor:
    """Elementwise quotient `a / scalar`.

    A Python number keeps the dtype of a float `a`; integers are divided in float64. Division by
    zero follows IEEE.
    """

def negate(a: _TensorLike) -> Tensor:
    """Elementwise `-a`.

    Shape and dtype of `a`; integers without sign wrap as in NumPy. Raises DTypeError for bool.
    """

def chain_product(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise product that is 0 wherever either factor is exactly 0, even against an
    infinity or NaN.

    Derivative rules multiply adjoint and derivative with it, so that a branch that was not taken
    cannot poison a gradient. Shapes broadcast; the dtype is the promoted one. Raises ShapeError
    where the shapes do not fit.
    """

def power(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise power `a ** b`.

    Shapes broadcast as in NumPy; the dtype is the promoted one. Derivatives: `b a^(b-1)` by `a`
    (0 where `b` is 0), `a^b ln a` by `b` (0 where `a` is 0). Raises ShapeError where the shapes
    do not fit, ValueError for an integer to a negative integer power.
    """

def power_scalar(a: _TensorLike, scalar: _TensorLike) -> Tensor:
    """Elementwise power `a ** scalar`.

    A Python number keeps the dtype of `a` (an integer tensor to a float power becomes float64).
    Derivative: `scalar * a^(scalar-1)`, and 0 for the exponent 0. Raises ValueError for an
    integer tensor to a negative integer power.
    """

def power_less(a: _TensorLike, b: _TensorLike, steps: SupportsIndex = 1) -> Tensor:
    """Elementwise `a ** (b - steps)` without the rounding of `b - steps`, of which a base far
    from 1 would make much: what the derivatives of `power` are made of.

    `steps` is 1 or 2. Shapes broadcast as in NumPy; the dtype is the promoted one, integers give
    floats. Derivatives: `(b - steps) a^(b-steps-1)` by `a` (0 where `b` is `steps`),
    `a^(b-steps) ln a` by `b` (0 where `a` is 0). Raises ShapeError where the shapes do not fit,
    ValueError for other steps.
    """

def maximum(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise larger of `a` and `b`; NaN where either is NaN.

    Shapes broadcast; the dtype is the promoted one. At ties the derivative is 1/2 for each.
    Raises ShapeError where the shapes do not fit.
    """

def minimum(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise smaller of `a` and `b`; NaN where either is NaN.

    Shapes broadcast; the dtype is the promoted one. At ties the derivative is 1/2 for each.
    Raises ShapeError where the shapes do not fit.
    """

def abs(a: _TensorLike) -> Tensor:
    """Elementwise absolute value.

    Shape and dtype of `a`. The derivative is the sign, 0 at 0.
    """

def sign(a: _TensorLike) -> Tensor:
    """Elementwise sign: -1, 0 or 1; NaN for NaN.

    Shape and dtype of `a`. The derivative is 0 everywhere.
    """

def sqrt(a: _TensorLike) -> Tensor:
    """Elementwise square root; NaN below 0.

    Shape of `a`; integers give floats. The derivative is `1 / (2 sqrt(a))`, infinite at 0: a
    zero adjoint there gives 0.
    """

def exp(a: _TensorLike) -> Tensor:
    """Elementwise exponential.

    Shape of `a`; integers give floats. The derivative is the value itself.
    """

def log(a: _TensorLike) -> Tensor:
    """Elementwise natural logarithm; -inf at 0, NaN below.

    Shape of `a`; integers give floats. The derivative is `1 / a`.
    """

def log1p(a: _TensorLike) -> Tensor:
    """Elementwise natural logarithm of `1 + a`, to the last digits for small `a`; -inf at -1,
    NaN below.

    Shape of `a`; integers give floats. The derivative is `1 / (1 + a)`.
    """

def sin(a: _TensorLike) -> Tensor:
    """Elementwise sine of angles in radians.

    Shape of `a`; integers give floats.
    """

def cos(a: _TensorLike) -> Tensor:
    """Elementwise cosine of angles in radians.

    Shape of `a`; integers give floats.
    """

def tanh(a: _TensorLike) -> Tensor:
    """Elementwise hyperbolic tangent.

    Shape of `a`; integers give floats. The derivative is `1 - tanh(a)^2`, without cancellation
    at either end.
    """

def sigmoid(a: _TensorLike) -> Tensor:
    """Elementwise logistic function `1 / (1 + exp(-a))`, without overflow at either end.

    Shape of `a`; integers give floats. The derivative is `sigmoid(a) sigmoid(-a)`.
    """

def relu(a: _TensorLike) -> Tensor:
    """Elementwise `max(a, 0)`; NaN for NaN.

    Shape and dtype of `a`. The derivative is 1 above 0 and 0 elsewhere, 0 at 0 included; the
    second derivative is 0.
    """

def erf(a: _TensorLike) -> Tensor:
    """Elementwise error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to
    `a`.

    Shape of `a`; integers give floats. The derivative is `2 / sqrt(pi) exp(-a^2)`.
    """

def softplus(a: _TensorLike) -> Tensor:
    """Elementwise `log(1 + exp(a))`, without overflow: a smooth rectifier.

    Shape of `a`; integers give floats. The derivative is `sigmoid(a)`.
    """

def gelu(a: _TensorLike) -> Tensor:
    """Elementwise `a F(a)` with the distribution function `F` of the standard normal
    distribution, `F(a) = (1 + erf(a / sqrt(2))) / 2` (Hendrycks and Gimpel 2016, the exact
    form).

    Shape of `a`; integers give floats; 0 at -inf.
    """

def silu(a: _TensorLike) -> Tensor:
    """Elementwise `a sigmoid(a)`, also known as swish (Hendrycks and Gimpel 2016; Ramachandran,
    Zoph and Le 2017).

    Shape of `a`; integers give floats; 0 at -inf.
    """

def leaky_relu(a: _TensorLike, slope: _Number = 0.01) -> Tensor:
    """Elementwise `a` above 0, else `slope * a`; NaN for NaN (Maas, Hannun and Ng 2013).

    Shape of `a`; integers give floats. The derivative is 1 above 0 and `slope` elsewhere,
    `slope` at 0 included.
    """

def equal(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise `a == b` as a bool tensor.

    Shapes broadcast as in NumPy; operands are compared in their promoted dtype, uint64 and
    integers with a sign as the whole numbers that they are. No gradient flows through a
    comparison. Raises ShapeError where the shapes do not fit.
    """

def not_equal(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise `a != b` as a bool tensor.

    Shapes broadcast as in NumPy; operands are compared in their promoted dtype, uint64 and
    integers with a sign as the whole numbers that they are. No gradient flows through a
    comparison. Raises ShapeError where the shapes do not fit.
    """

def less(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise `a < b` as a bool tensor.

    Shapes broadcast as in NumPy; operands are compared in their promoted dtype, uint64 and
    integers with a sign as the whole numbers that they are. No gradient flows through a
    comparison. Raises ShapeError where the shapes do not fit.
    """

def less_equal(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise `a <= b` as a bool tensor.

    Shapes broadcast as in NumPy; operands are compared in their promoted dtype, uint64 and
    integers with a sign as the whole numbers that they are. No gradient flows through a
    comparison. Raises ShapeError where the shapes do not fit.
    """

def greater(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise `a > b` as a bool tensor.

    Shapes broadcast as in NumPy; operands are compared in their promoted dtype, uint64 and
    integers with a sign as the whole numbers that they are. No gradient flows through a
    comparison. Raises ShapeError where the shapes do not fit.
    """

def greater_equal(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise `a >= b` as a bool tensor.

    Shapes broadcast as in NumPy; operands are compared in their promoted dtype, uint64 and
    integers with a sign as the whole numbers that they are. No gradient flows through a
    comparison. Raises ShapeError where the shapes do not fit.
    """

def where(condition: _TensorLike, a: _TensorLike, b: _TensorLike) -> Tensor:
    """Elementwise `a` where `condition` is true, else `b`.

    All three broadcast together; `condition` is bool (numbers count as true where they are not
    0), the dtype is the promoted one of `a` and `b`. The gradient selects too: what was not
    chosen gets exactly 0, whatever its value. Raises ShapeError where the shapes do not fit.
    """

@overload
def summation(a: _TensorLike, axes: _Axes = None, keepdims: bool = False) -> Tensor:
    """Sum over `axes`: `None` for all, an integer or several.

    Reduced axes go away, or stay with length 1 with `keepdims`. Integers and bool are summed in
    64 bits. `axes=()` reduces nothing. Raises AxisError for an axis that `a` does not have or
    that is named twice.
    """

@overload
def summation(a: _TensorLike, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
@overload
def mean(a: _TensorLike, axes: _Axes = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over `axes`: `None` for all, an integer or several.

    Reduced axes go away, or stay with length 1 with `keepdims`. Integers give float64; the mean
    of nothing is NaN. A sum that overflows does no harm. Raises AxisError for an axis that `a`
    does not have or that is named twice.
    """

@overload
def mean(a: _TensorLike, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
@overload
def max(a: _TensorLike, axes: _Axes = None, keepdims: bool = False) -> Tensor:
    """Largest element over `axes`: `None` for all, an integer or several; NaN where any is NaN.

    Reduced axes go away, or stay with length 1 with `keepdims`. Elements that tie share the
    gradient equally. Raises AxisError for an axis that `a` does not have or that is named twice,
    ValueError where a reduced axis is empty.
    """

@overload
def max(a: _TensorLike, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
@overload
def min(a: _TensorLike, axes: _Axes = None, keepdims: bool = False) -> Tensor:
    """Smallest element over `axes`: `None` for all, an integer or several; NaN where any is NaN.

    Reduced axes go away, or stay with length 1 with `keepdims`. Elements that tie share the
    gradient equally. Raises AxisError for an axis that `a` does not have or that is named twice,
    ValueError where a reduced axis is empty.
    """

@overload
def min(a: _TensorLike, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
@overload
def var(
    a: _TensorLike,
    axes: _Axes = None,
    keepdims: bool = False,
    correction: SupportsIndex = 0,
) -> Tensor:
    """Variance over `axes`: the mean of the squared distances from the mean.

    The sum of the squares is divided by the number of elements less `correction`: 0 for the
    biased variance, 1 for the unbiased one; `axes` and `keepdims` are as in `summation`.
    Integers give float64; without more elements than `correction` it is NaN or infinite, and
    infinite where it is larger than the dtype can hold. Raises AxisError for an axis that `a`
    does not have or that is named twice.
    """

@overload
def var(
    a: _TensorLike,
    *,
    axis: _Axes,
    keepdims: bool = False,
    correction: SupportsIndex = 0,
) -> Tensor: ...
def broadcast_to(a: _TensorLike, shape: _Shape) -> Tensor:
    """`a` with axes of length 1 repeated, and new leading axes, to `shape`.

    A view: nothing is copied. Raises ShapeError where `a` does not broadcast to `shape`.
    """

def reshape(a: _TensorLike, shape: _Shape) -> Tensor:
    """The elements of `a` in row-major order under another `shape`; one length may be -1.

    A view where the memory allows it. Raises ShapeError where the sizes differ.
    """

def transpose(a: _TensorLike, axes: _Axes = None) -> Tensor:
    """`a` with two axes swapped: the two given, or the last two.

    A view: nothing is copied. What has fewer than two dimensions stays as it is. Not a
    permutation of all axes: see `permute`. Raises AxisError for an axis that `a` does not have.
    """

def permute(a: _TensorLike, axes: _Axes = None) -> Tensor:
    """`a` with its axes in another order: axis `i` of the result is axis `axes[i]` of `a`;
    reversed for `None`.

    A view: nothing is copied. Raises AxisError for an axis that `a` does not have or that is
    named twice, ShapeError where one is missing.
    """

def astype(a: _TensorLike, dtype: DTypeLike) -> Tensor:
    """The values of `a` in another dtype.

    Floats become integers by truncation, numbers become bool by `!= 0`, as in NumPy. The
    gradient passes between float dtypes; none flows through integers or bool. Raises DTypeError
    for a dtype that needle does not have.
    """

def matmul(a: _TensorLike, b: _TensorLike) -> Tensor:
    """Matrix product `a @ b` by NumPy's rules.

    (..., m, k) @ (..., k, n) gives (..., m, n); leading axes broadcast; a 1-D operand is a row
    on the left and a column on the right, and its axis goes away. The dtype is the promoted one.
    Raises ShapeError where the inner dimensions differ or an operand has none.
    """

def transposed_matmul(
    a: _TensorLike,
    b: _TensorLike,
    left: bool = False,
    right: bool = False,
) -> Tensor:
    """`a @ b` of two matrices, of which the first (if `left`) and the second (if `right`) are
    transposed before.

    Nothing is copied for it: the adjoints of products are made of it. The dtype is the promoted
    one. Raises ShapeError where an operand is no matrix or the inner dimensions differ.
    """

def linear(a: _TensorLike, weight: _TensorLike, bias: _TensorLike) -> Tensor:
    """`a @ weight + bias`: a linear layer in one op.

    (..., k) @ (k, n) plus (n,) or (1, n) gives (..., n), for a single row too. The dtype is the
    promoted one of all three. Raises ShapeError where the shapes do not fit.
    """

@overload
def logsumexp(a: _TensorLike, axes: _Axes = None, keepdims: bool = False) -> Tensor:
    """`log(sum(exp(a)))` over `axes`: `None` for all, an integer or several.

    Stable: the maximum is taken out first. Reduced axes go away, or stay with length 1 with
    `keepdims`; integers give floats. The gradient is the softmax over the axes, and 0 where all
    elements are -inf. Raises AxisError for an axis that `a` does not have or that is named
    twice, ValueError where a reduced axis is empty.
    """

@overload
def logsumexp(a: _TensorLike, *, axis: _Axes, keepdims: bool = False) -> Tensor: ...
def softmax(a: _TensorLike, axis: SupportsIndex = -1) -> Tensor:
    """`exp(a) / sum(exp(a))` along `axis`.

    Stable: the maximum is taken out first. NaN where all elements are -inf, or one is inf. Shape
    of `a`; integers give floats. Raises AxisError for an axis that `a` does not have.
    """

def log_softmax(a: _TensorLike, axis: SupportsIndex = -1) -> Tensor:
    """`a - logsumexp(a)` along `axis`: the logarithm of the softmax.

    Stable: the maximum is taken out first, and a share near 1 keeps the digits of its logarithm.
    NaN as in `softmax`. Shape of `a`; integers give floats. Raises AxisError for an axis that
    `a` does not have.
    """

def layer_norm(a: _TensorLike, eps: _Number = 1e-05, axis: SupportsIndex = -1) -> Tensor:
    """`(a - mean) / sqrt(variance + eps)` along `axis`, with the biased variance (Ba, Kiros and
    Hinton 2016, without gain and bias).

    Shape of `a`; integers give floats. Squares that overflow the dtype, or vanish in it, do no
    harm. Raises ShapeError where the axis has no elements, AxisError for an axis that `a` does
    not have.
    """

def layer_norm_gradient(
    g: _TensorLike,
    a: _TensorLike,
    eps: _Number = 1e-05,
    axis: SupportsIndex = -1,
) -> Tensor:
    """`r (g - mean(g) - y mean(g y))` along `axis`, with `y = layer_norm(a)` and `r = 1 /
    sqrt(variance + eps)`: the adjoint behind a layer normalisation.

    `g` and `a` have one shape; integers give floats. Raises ShapeError where the shapes differ
    or the axis has no elements, AxisError for an axis that they do not have.
    """

def rms_norm(a: _TensorLike, eps: _Number = 1e-05, axis: SupportsIndex = -1) -> Tensor:
    """`a / sqrt(mean(a^2) + eps)` along `axis` (Zhang and Sennrich 2019, without gain).

    Shape of `a`; integers give floats. Squares that overflow the dtype, or vanish in it, do no
    harm. Raises ShapeError where the axis has no elements, AxisError for an axis that `a` does
    not have.
    """

def rms_norm_gradient(
    g: _TensorLike,
    a: _TensorLike,
    eps: _Number = 1e-05,
    axis: SupportsIndex = -1,
) -> Tensor:
    """`r (g - y mean(g y))` along `axis`, with `y = rms_norm(a)` and `r = 1 / sqrt(mean(a^2) +
    eps)`: the adjoint behind a root-mean-square normalisation.

    `g` and `a` have one shape; integers give floats. Raises ShapeError where the shapes differ
    or the axis has no elements, AxisError for an axis that they do not have.
    """

def cross_entropy(logits: _TensorLike, target: _TensorLike) -> Tensor:
    """The mean over all rows of the last axis of `-sum(target * log_softmax(logits))`.

    `target` holds probabilities, one-hot rows for instance, in the shape of `logits`; or, with
    one dimension less, the number of the class of each row, in any dtype. The result has no
    dimensions; integers give floats. Raises ShapeError where the shapes do not fit or there is
    no last axis with elements, IndexError for a number that is no class, ValueError for one that
    is not whole.
    """

def cross_entropy_gradient(g: _TensorLike, logits: _TensorLike, target: _TensorLike) -> Tensor:
    """`g (sum(target) softmax(logits) - target) / rows`: the adjoint of the logits behind
    `cross_entropy`.

    `g` has no dimensions, `logits` and `target` are as in `cross_entropy`; labels stand for rows
    of zeros with a one. Integers give floats. Raises ShapeError where the shapes do not fit,
    IndexError for a number that is no class, ValueError for one that is not whole.
    """

def logistic_loss(logits: _TensorLike, target: _TensorLike) -> Tensor:
    """Elementwise `target softplus(-logits) + (1 - target) softplus(logits)`: the cross-entropy
    `-t log(p) - (1 - t) log(1 - p)` of `p = sigmoid(logits)` and targets `t`, without
    cancellation in either tail.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. At an
    infinite logit it is 0 where the target is the matching 0 or 1, else infinite. The
    derivatives are `sigmoid(logits) - target` and `-logits`. Raises ShapeError where the shapes
    do not fit.
    """

def logistic_residual(logits: _TensorLike, target: _TensorLike) -> Tensor:
    """Elementwise `sigmoid(logits) - target`, as `(1 - target) sigmoid(logits) - target
    sigmoid(-logits)`: small without cancellation where the target is 0 or 1. It is the
    derivative of `logistic_loss`.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def tanh_gradient(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g (1 - tanh(a)^2)`: the adjoint behind `tanh(a)`, 0 wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def sigmoid_gradient(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g s (1 - s)` with `s = sigmoid(a)`: the adjoint behind `sigmoid(a)`, 0
    wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def tanh_curvature(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `-2 g tanh(a) (1 - tanh(a)^2)`: `g` times the second derivative of `tanh(a)`,
    0 wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def sigmoid_curvature(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g s (1 - s) (1 - 2 s)` with `s = sigmoid(a)`: `g` times the second derivative
    of `sigmoid(a)`, 0 wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def tanh_third(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g (1 - t^2) (6 t^2 - 2)` with `t = tanh(a)`: `g` times the third derivative
    of `tanh(a)`, 0 wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def sigmoid_third(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g s (1 - s) (1 - 6 s (1 - s))` with `s = sigmoid(a)`: `g` times the third
    derivative of `sigmoid(a)`, 0 wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def erf_gradient(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g 2 / sqrt(pi) exp(-a^2)`: the adjoint behind `erf(a)`, 0 wherever a factor
    is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def normal_gradient(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g exp(-a^2 / 2) / sqrt(2 pi)`: the adjoint behind the distribution function
    of the standard normal distribution, 0 wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def gelu_gradient(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g (F(a) + a f(a))` with the normal distribution function `F` and density `f`:
    the adjoint behind `gelu(a)`, 0 wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def silu_gradient(g: _TensorLike, a: _TensorLike) -> Tensor:
    """Elementwise `g s (1 + a (1 - s))` with `s = sigmoid(a)`: the adjoint behind `silu(a)`, 0
    wherever a factor is 0.

    Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises
    ShapeError where the shapes do not fit.
    """

def relu_gradient(g: _TensorLike, y: _TensorLike) -> Tensor:
    """Elementwise `g` where `y` is above 0, else 0: the adjoint behind `relu(y)`.

    Shapes broadcast as in NumPy; the dtype is the promoted one. The derivative by `y` is 0.
    Raises ShapeError where the shapes do not fit.
    """

def softmax_gradient(g: _TensorLike, y: _TensorLike, axis: SupportsIndex = -1) -> Tensor:
    """`y (g - sum(g y))` along `axis`: the adjoint behind `y = softmax(a)`.

    `g` and `y` have one shape; integers give floats. Raises ShapeError where the shapes differ,
    AxisError for an axis that they do not have.
    """

def log_softmax_gradient(g: _TensorLike, y: _TensorLike, axis: SupportsIndex = -1) -> Tensor:
    """`g - exp(y) sum(g)` along `axis`: the adjoint behind `y = log_softmax(a)`.

    `g` and `y` have one shape; integers give floats. Raises ShapeError where the shapes differ,
    AxisError for an axis that they do not have.
    """

def stack(args: TensorTuple | Sequence[_TensorLike], axis: SupportsIndex = 0) -> Tensor:
    """Tensors of equal shape along a new `axis` (0 to ndim).

    `args` is a list or tuple of tensors, or a TensorTuple. The dtype is the promoted one. Raises
    ShapeError where the shapes differ, AxisError for an axis out of range, ValueError without
    tensors.
    """

def split(a: _TensorLike, axis: SupportsIndex = 0) -> TensorTuple:
    """The slices of `a` along `axis`, without that axis, as a TensorTuple.

    The inverse of `stack`. Raises AxisError for an axis that `a` does not have.
    """

def concat(args: TensorTuple | Sequence[_TensorLike], axis: SupportsIndex = 0) -> Tensor:
    """Tensors one after the other along an existing `axis`.

    `args` is a list or tuple of tensors whose shapes agree in every other axis. The dtype is the
    promoted one. Raises ShapeError where they do not agree and for single numbers, AxisError for
    an axis out of range, ValueError without tensors.
    """

def getitem(a: _TensorLike, index: _Index) -> Tensor:
    """`a[index]` for integers, slices, `...` and `None`, by NumPy's rules.

    A view: nothing is copied. Raises IndexError for an index out of range or too many of them.
    """

def put(a: _TensorLike, shape: _Shape, index: _Index) -> Tensor:
    """Zeros of `shape` with `a` at a basic `index`: the transpose of `getitem`.

    Dtype of `a`. Raises ShapeError where the index picks another shape than `a` has, IndexError
    where it does not suit `shape`.
    """

def take(a: _TensorLike, indices: _TensorLike, axis: SupportsIndex = 0) -> Tensor:
    """The slices of `a` at `indices` along `axis`, as NumPy's `take`: the rows of a table, say.

    The axes of `indices` stand in place of `axis`; negative numbers count from the end, and any
    dtype will do whose values are whole. The gradient of a slice that was taken twice is the
    sum. Raises IndexError for a number out of bounds, ValueError for one that is not whole,
    AxisError for an axis that `a` does not have.
    """

def take_gradient(
    g: _TensorLike,
    indices: _TensorLike,
    shape: _Shape,
    axis: SupportsIndex = 0,
) -> Tensor:
    """Zeros of `shape` to which the slices of `g` are added at `indices` along `axis`: the
    adjoint of `take`.

    Dtype of `g`. Raises ShapeError where `g` does not have the shape that `take` gives,
    IndexError, ValueError and AxisError as `take` does.
    """

def make_tuple(*args: _TensorLike) -> TensorTuple:
    """A TensorTuple of the given tensors, which may differ in shape and dtype."""

def tuple_get_item(
    value: TensorTuple,
    index: SupportsIndex,
    *,
    fold_const: bool = True,
) -> Tensor:
    """Element `index` of a TensorTuple.

    Of a tuple that `make_tuple` built, that very tensor, unless `fold_const` is false. Raises
    AssertionError for anything but a TensorTuple, IndexError for an index out of range.
    """

def fused_add_scalars(a: _TensorLike, c0: _Number, c1: _Number) -> TensorTuple:
    """The TensorTuple `(a + c0, a + c1)`.

    The dtypes are those of the sums with a scalar.
    """
