"""Normalising layers: they shift and scale activations to mean 0 and variance 1."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, SupportsIndex

from needle import init
from needle.autograd import Tensor
from needle.errors import ShapeError
from needle.nn import functional as F
from needle.nn.module import Module
from needle.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from needle.autograd import Device

__all__ = ["BatchNorm1d", "LayerNorm", "LayerNorm1d", "RMSNorm"]


class BatchNorm1d(Module):
    """Normalises each of the `dim` columns of (n, dim): in training over the batch, in evaluation
    with the running mean and variance that training has gathered.

    `weight` (ones) and `bias` (zeros) are (dim,); so are the buffers `running_mean` (zeros) and
    `running_var` (ones), which become `(1 - momentum) * old + momentum * batch` in each training
    pass. Variances are biased. `needle.nn.functional.batch_norm` has formula and source.

    Called, it raises ShapeError for another shape than (n, dim).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        dim: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: Device | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.momentum = momentum
        self.weight = Parameter(init.ones(dim, device=device, dtype=dtype))
        self.bias = Parameter(init.zeros(dim, device=device, dtype=dtype))
        self.register_buffer("running_mean", init.zeros(dim, device=device, dtype=dtype))
        self.register_buffer("running_var", init.ones(dim, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        if len(shape) != 2 or shape[1] != self.dim:
            raise ShapeError(f"BatchNorm1d: expected shape (n, {self.dim}), got {shape}")
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}, momentum={self.momentum}"


class LayerNorm(Module):
    """Normalises over the last axes, whose lengths are `normalized_shape`, an integer or several.

    `weight` (ones) and `bias` (zeros) have that shape; without `elementwise_affine` both are
    None, without `bias` the latter. `needle.nn.functional.layer_norm` has formula and source.

    Called, it raises ShapeError for an input that does not end in that shape.
    """

    def __init__(
        self,
        normalized_shape: SupportsIndex | Sequence[SupportsIndex],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__()
        sizes = normalized_shape
        several = sizes if isinstance(sizes, Sequence) else (sizes,)
        self.normalized_shape = tuple(operator.index(size) for size in several)
        self.eps = eps
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if elementwise_affine:
            self.weight = Parameter(init.ones(self.normalized_shape, device=device, dtype=dtype))
        if elementwise_affine and bias:
            self.bias = Parameter(init.zeros(self.normalized_shape, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class LayerNorm1d(Module):
    """Normalises each row of (n, dim); `weight` (ones) and `bias` (zeros) are (dim,).

    It is `LayerNorm` for two dimensions. Called, it raises ShapeError for another shape than
    (n, dim).
    """

    def __init__(
        self,
        dim: int,
        eps: float = 1e-5,
        device: Device | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.weight = Parameter(init.ones(dim, device=device, dtype=dtype))
        self.bias = Parameter(init.zeros(dim, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        if len(shape) != 2 or shape[1] != self.dim:
            raise ShapeError(f"LayerNorm1d: expected shape (n, {self.dim}), got {shape}")
        return F.layer_norm(x, (self.dim,), self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}"


class RMSNorm(Module):
    """Divides by the root mean square over the last axis, of length `dim`.

    `weight` (ones) is (dim,). `needle.nn.functional.rms_norm` has formula and source. Called, it
    raises ShapeError for another last dimension.
    """

    def __init__(
        self,
        dim: int,
        eps: float = 1e-5,
        device: Device | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.weight = Parameter(init.ones(dim, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1:] != (self.dim,):
            raise ShapeError(f"RMSNorm: expected shape (..., {self.dim}), got {x.shape}")
        return F.rms_norm(x, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}"
