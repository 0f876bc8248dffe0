"""Functions of tensors as SciPy calls them: of one flat vector, with their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from needle import _core
from needle._core import Tensor
from needle.errors import GradError
from needle.optimize.structure import Structure, Vector, outputs

Function = Callable[..., Any]


# Elements, over all directions, that go through the graph at once.
_AT_ONCE = 1 << 20
# Directions that go together in any case: some multiples of what the graph holds itself.
_FEW = 8


def _in_mode(no_grad: bool, run: Callable[..., Any], *args: Any) -> Any:
    """What `run(*args)` gives without recording, or with it, whatever the mode of the thread is."""
    # No context manager: this runs in every evaluation.
    if _core.get_thread_mode()[1] == no_grad:
        return run(*args)
    scope = _core.enter_scope(None, no_grad)
    try:
        return run(*args)
    finally:
        _core.exit_scope(scope)


def recorded(run: Callable[..., Any], *args: Any) -> Any:
    """What `run(*args)` gives, with a history."""
    return _in_mode(False, run, *args)


def unrecorded(run: Callable[..., Any], *args: Any) -> Any:
    """What `run(*args)` gives, without a history."""
    return _in_mode(True, run, *args)


class _Evaluated:
    """A function at one point: the graph of the last evaluation answers all questions there."""

    def __init__(self, who: str, function: Function, at: Structure, args: Any) -> None:
        self.who = who
        self.structure = at
        self._function = function
        # As SciPy has it, a single argument needs no tuple around it.
        self._args = args if isinstance(args, tuple | list) else (args,)
        self._at = b""
        self._reached = False
        self.leaves: list[Tensor] = []

    def move(self, x: Vector) -> None:
        """Evaluate at `x`, if that has not been done."""
        # SciPy may write into its vector later on, so the graph stands on a copy, the only one.
        # As bytes it is compared in a fraction of the time that arrays take.
        copy = np.asarray(x, dtype=np.float64).tobytes()
        if copy == self._at:
            return
        first = not self.leaves
        self._at = b""
        self.leaves = self.structure.tensors(np.frombuffer(copy), requires_grad=True)
        self.take(recorded(self._function, self.structure.build(self.leaves), *self._args))
        if first:
            self.check_start()
        self._at = copy

    def take(self, result: Any) -> None:
        """Keep the result of the function."""
        raise NotImplementedError

    def check_start(self) -> None:
        """Raise where the values at the start cannot be used."""
        raise NotImplementedError

    def check_reached(self, derivatives: Iterable[Tensor | None]) -> None:
        """Raise GradError where there is no derivative at all; once there was, no more."""
        if not self._reached and all(derivative is None for derivative in derivatives):
            raise GradError(f"{self.who}: the result does not depend on x through needle's ops")
        self._reached = True

    def _gradients(self, of: Tensor, seed: Tensor | None) -> list[Tensor | None]:
        """The gradients of `of`, without a history."""
        found = _core.gradients(of, self.leaves, seed)
        return self._swept(of, seed, unrecorded) if found is None else found

    def _swept(self, of: Tensor, seed: Tensor | None, mode: Function) -> list[Tensor | None]:
        for leaf in self.leaves:
            leaf.grad = None
        mode(of.backward, seed)
        return [leaf.grad for leaf in self.leaves]


class Objective(_Evaluated):
    """A function with one number as its result: value, gradient, Hessian times a vector.

    With `second`, gradients are recorded, as Hessians need it.
    """

    second = False
    _value = np.nan
    _grads: Sequence[Tensor | None] | None = None

    def take(self, result: Any) -> None:
        """Keep the result, which must be a tensor of one element."""
        if not isinstance(result, Tensor):
            kind = type(result).__name__
            raise TypeError(f"{self.who}: expected the function to return a tensor, got {kind}")
        if result.size != 1:
            raise ValueError(f"{self.who}: expected a scalar result, got shape {result.shape}")
        self._result, self._value, self._grads = result, float(result.item()), None

    def check_start(self) -> None:
        """Raise ValueError for a value that is not finite."""
        if not np.isfinite(self._value):
            raise ValueError(f"{self.who}: expected a finite value at x0, got {self._value}")

    def value(self, x: Vector) -> float:
        """The value."""
        self.move(x)
        return self._value

    def gradient(self, x: Vector) -> Vector:
        """The gradient; zeros for a parameter that the function ignores."""
        return self.structure.vector(self._gradient(x))

    def _gradient(self, x: Vector) -> Sequence[Tensor | None]:
        self.move(x)
        if self._grads is None:
            depends = self._result.requires_grad
            if not depends:
                found = []
            elif self.second:
                found = self._swept(self._result, None, recorded)
            else:
                found = self._gradients(self._result, None)
            self.check_reached(found)
            self._grads = found
        return self._grads

    def hessp(self, x: Vector, vector: Vector) -> Vector:
        """The Hessian times a vector, as the gradient of the gradient times that vector."""
        # A constant gradient has no history, and adds nothing.
        pairs = zip(self._gradient(x), self._directions(vector), strict=True)
        moving = [(g, d) for g, d in pairs if g is not None and g.requires_grad]
        if not moving:
            return np.zeros_like(self.structure.start)
        if len(moving) == 1:
            found = self._gradients(*moving[0])
        else:
            slope = recorded(lambda: _core.stack([(g * d).sum() for g, d in moving]).sum())
            found = self._gradients(slope, None)
        return self.structure.vector(found)

    def _directions(self, vector: Vector) -> list[Tensor]:
        copy = np.array(vector, dtype=np.float64).reshape(-1)
        return self.structure.tensors(copy, requires_grad=False)

    def hessian(self, x: Vector) -> NDArray[np.float64]:
        """The Hessian: one product for each column."""
        columns = [self.hessp(x, unit) for unit in np.eye(self.structure.start.size)]
        return np.stack(columns, axis=1)


class Residuals(_Evaluated):
    """A function with a vector, or a structure of tensors, as its result: values, Jacobian."""

    def take(self, result: Any) -> None:
        """Keep the tensors of the result."""
        self._results = outputs(result, self.who)
        self.sizes = [result.size for result in self._results]

    def check_start(self) -> None:
        """Raise ValueError for a value that is not finite."""
        if not self._results or not all(np.isfinite(r.numpy()).all() for r in self._results):
            raise ValueError(f"{self.who}: expected finite values at x0")

    def value(self, x: Vector) -> Vector:
        """All residuals, one after the other."""
        self.move(x)
        parts = [result.numpy().ravel() for result in self._results]
        return np.concatenate(parts, dtype=np.float64)

    def jacobian(self, x: Vector) -> NDArray[np.float64]:
        """The Jacobian: all columns at once in forward mode where there are no more parameters
        than residuals, and only ops of needle; else row by row in reverse mode.
        """
        self.move(x)
        jacobian = np.zeros((sum(self.sizes), self.structure.start.size))
        if jacobian.shape[1] <= jacobian.shape[0]:
            try:
                reached = self._columns(jacobian)
            except GradError:  # an op of the user's, which has no rule for forward mode
                jacobian[:] = 0.0
                reached = self._rows(jacobian)
        else:
            reached = self._rows(jacobian)
        self.check_reached(reached)
        return jacobian

    def _columns(self, jacobian: NDArray[np.float64]) -> list[Tensor | None]:
        reached: list[Tensor | None] = []
        count = jacobian.shape[1]
        step = count
        if count > _FEW:
            # Many directions at once, few enough that all that lies between stays moderate.
            elements = _core.graph_elements(self._results)
            step = max(1, _AT_ONCE // max(count, elements))
        for first in range(0, count, step):
            columns = slice(first, first + step)
            directions = np.eye(min(step, count - first), count, first)
            tangents = self._tangents(directions)
            row = 0
            for tangent, size in zip(tangents, self.sizes, strict=True):
                if tangent is not None:
                    part = tangent.numpy().reshape(len(directions), size)
                    jacobian[row : row + size, columns] = part.T
                row += size
            reached += tangents
        return reached

    def _tangents(self, directions: NDArray[np.float64]) -> list[Tensor | None]:
        """How the results move along directions of the flat vector, stacked."""
        moves, first = [], 0
        for leaf in self.leaves:
            part = directions[:, first : first + leaf.size]
            shape = (len(directions), *leaf.shape)
            moves.append(_core.from_numpy(np.ascontiguousarray(part).reshape(shape)))
            first += leaf.size
        return _core.tangents(self._results, self.leaves, moves)

    def _rows(self, jacobian: NDArray[np.float64]) -> list[Tensor | None]:
        reached: list[Tensor | None] = []
        first = 0
        for result, size in zip(self._results, self.sizes, strict=True):
            # What depends on no parameter has zeros.
            for i, unit in enumerate(np.eye(size) if result.requires_grad else ()):
                seed = Tensor(unit.reshape(result.shape), dtype=result.dtype, requires_grad=False)
                found = self._gradients(result, seed)
                jacobian[first + i] = self.structure.vector(found)
                reached += found
            first += size
        return reached
