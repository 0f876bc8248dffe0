"""Batch, layer and root-mean-square normalisation, all with the biased variance."""

from __future__ import annotations

import math

import numpy as np

from needle import ops
from needle.autograd import Tensor
from needle.errors import ShapeError

__all__ = ["batch_norm", "layer_norm", "rms_norm"]


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`(x - mean) / sqrt(var + eps) * weight + bias` for each column of `x`, (n, k).

    Mean and variance are, in training, those of the batch, and the running ones, (k,), become
    `(1 - momentum) * old + momentum * batch`, without a gradient; otherwise they are the running
    ones. Without running ones they are always those of the batch. Weight and bias are (k,).

    The batch's own variance may be larger than its dtype can hold, which does the result no harm;
    the running one takes the largest finite number for it, so it comes back with later batches.

    Ioffe and Szegedy, "Batch normalization", ICML 2015, but for the running variance, which is
    biased here too. Raises ShapeError for an `x` of other than two dimensions, and for an empty
    batch.
    """
    shape = x.shape
    if len(shape) != 2:
        raise ShapeError(f"batch_norm: expected 2 dimensions, got shape {shape}")
    if running_mean is None or running_var is None or training:
        if not shape[0]:
            raise ShapeError(f"batch_norm: expected at least 1 row, got shape {shape}")
        result = _affine(ops.layer_norm(x, eps, axis=0), weight, bias)
    else:
        # Detached: else a backward pass would leave gradients on the statistics.
        centred, var = x - running_mean.data, running_var.data
        slope = (var + eps) ** -0.5
        # Multiplied first, because both are small.
        result = _affine(centred, slope if weight is None else weight * slope, bias)
    if training and running_mean is not None and running_var is not None:
        batch = x.data
        _move(running_mean, ops.mean(batch, axes=0), momentum)
        largest = float(np.finfo(running_var.dtype).max)
        _move(running_var, ops.minimum(ops.var(batch, axes=0), largest), momentum)
    return result


def layer_norm(
    x: Tensor,
    normalized_shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`(x - mean) / sqrt(var + eps) * weight + bias`, with mean and variance over the last axes
    of `x`, whose lengths are `normalized_shape`. Weight and bias have that shape.

    Ba, Kiros and Hinton, "Layer normalization", 2016. Raises ShapeError for an `x` that does not
    end in `normalized_shape`, or where that is empty.
    """
    shape, axes = x.shape, len(normalized_shape)
    if not axes or shape[-axes:] != normalized_shape:
        raise ShapeError(
            f"layer_norm: expected a shape that ends in {normalized_shape}, got {shape}"
        )
    if axes == 1:
        return _affine(ops.layer_norm(x, eps), weight, bias)
    rows = x.reshape((*shape[:-axes], math.prod(normalized_shape)))
    return _affine(ops.layer_norm(rows, eps).reshape(shape), weight, bias)


def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """`x / sqrt(mean(x^2) + eps) * weight`, with the mean over the last axis; weight is (k,).

    Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019.
    """
    return _affine(ops.rms_norm(x, eps), weight, None)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        x = x * weight
    return x if bias is None else x + bias


def _move(running: Tensor, batch: Tensor, momentum: float) -> None:
    """The running value, the same object, a step closer to the batch's."""
    moved = running * (1 - momentum) + batch * momentum
    running.data = moved.astype(running.dtype)
