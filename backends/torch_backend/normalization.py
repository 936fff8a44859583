"""Normalisation by torch's own kernels, where their rounding of a large mean does no harm.

torch subtracts a mean that is rounded to the tensor's dtype: with a mean of r deviations the result is off by
r units in the last place. If r is above a few, the definition serves, which corrects the mean.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from typing_extensions import override

from ..base import Backend
from ..normalize import Rule, rule
from ..options import number
from ..protocol import Axis, Shape
from .handles import Array

_Tensor = torch.Tensor
_aten = torch.ops.aten
_FEW = 8.0
"""The largest mean, in deviations, that torch's kernels get."""

_ROWS = 1024
"""The most rows (N, C) that torch gets: it adds them up one after the other."""


class Plan(NamedTuple):
    """Which of torch's kernels takes a call, and the sizes that it asks for."""

    kind: Literal["batch", "layer", "group"]
    sizes: Shape


class TorchNormalization(Backend):
    """The overrides."""

    @override
    def normalize(
        self, x: Array, weight: Array = None, bias: Array = None, *, axis: Axis, epsilon: float
    ) -> Any:
        if self.device == "cpu" and _alike(x, weight, bias):
            own = (None if t is None else t.shape for t in (weight, bias))
            how = rule("normalize", x.shape, axis, *own)
            plan = _plan(x.shape, how, None if weight is None else weight.shape)
            if plan is not None:
                epsilon = number("normalize", "epsilon", epsilon, least=0)
                y, mean, inverse = _forward(plan, x, _flat(plan, weight), _flat(plan, bias), epsilon)
                if _near(mean, inverse):
                    return y, _shaped(mean, how.moments), _shaped(inverse, how.moments)
        return super().normalize(x, weight, bias, axis=axis, epsilon=epsilon)

    @override
    def normalize_grad(
        self,
        grad: Array,
        x: Array,
        mean: Array,
        inverse: Array,
        weight: Array = None,
        *,
        axis: Axis,
        input_gradient: bool = True,
    ) -> Any:
        if self.device == "cpu" and _alike(x, grad, mean, inverse, weight) and grad.shape == x.shape:
            own = None if weight is None else weight.shape
            how = rule("normalize_grad", x.shape, axis, own)
            plan = _plan(x.shape, how, own)
            if plan is not None and mean.shape == inverse.shape == how.moments and _near(mean, inverse):
                wanted = [input_gradient, weight is not None, weight is not None]
                dx, *others = _backward(plan, grad, x, mean, inverse, _flat(plan, weight), wanted)
                if weight is None:
                    return dx, None, None
                return (dx if input_gradient else None), *(_shaped(t, weight.shape) for t in others)
        return super().normalize_grad(
            grad, x, mean, inverse, weight, axis=axis, input_gradient=input_gradient
        )


def _alike(x: Array, *others: Array) -> bool:
    """Return whether all are floating tensors of one dtype in row-major order; others may be None."""
    if type(x) is not _Tensor or not x.is_floating_point() or not x.is_contiguous():
        return False
    return all(t is None or (type(t) is _Tensor and t.dtype is x.dtype and t.is_contiguous()) for t in others)


@functools.lru_cache(maxsize=1024)
def _plan(shape: Shape, how: Rule, weight: Shape | None) -> Plan | None:
    """Return the kernel for a call; None where the definition serves."""
    rank, size = len(shape), math.prod(shape)
    kept = tuple(a for a in range(rank) if a not in how.axes)
    if how.size < 2 or not size:  # torch refuses groups of one element
        return None
    own = None if weight is None else (*(1,) * (rank - len(weight)), *weight)
    if kept == (1,) and own in (None, how.moments):
        if shape[0] == how.size > _ROWS:
            return None
        return Plan("batch", shape)
    if kept != tuple(range(len(kept))):
        return None
    inner = shape[len(kept) :]
    if own in (None, (*(1,) * len(kept), *inner)):
        return Plan("layer", inner)
    if rank == 4 and len(kept) == 2 and own == (1, *shape[1:3], 1):
        return Plan("group", (shape[0], shape[1] * shape[2], shape[3], shape[1]))
    return None


def _flat(plan: Plan, x: Array) -> Array:
    """Return a weight in the shape that a kernel asks for."""
    if x is None:
        return None
    return _shaped(x, plan.sizes) if plan.kind == "layer" else x.reshape(-1)


def _shaped(x: Array, shape: Shape) -> Array:
    return x if x.shape == shape else x.view(shape)


def _near(mean: Array, inverse: Array) -> bool:
    """Return whether every mean is few deviations from 0; False for NaN."""
    # numpy, on the same memory: an op of torch takes three times as long on few numbers.
    return bool(np.abs(mean.numpy() * inverse.numpy()).max() <= _FEW)


def _forward(plan: Plan, x: Array, weight: Array, bias: Array, epsilon: float) -> Any:
    """Return y, the mean and the inverse deviation."""
    if plan.kind == "layer":
        return _aten.native_layer_norm.default(x, plan.sizes, weight, bias, epsilon)
    if plan.kind == "group":
        return _aten.native_group_norm.default(x, weight, bias, *plan.sizes, epsilon)
    return _aten.native_batch_norm.default(x, weight, bias, None, None, True, 0.0, epsilon)


def _backward(
    plan: Plan, grad: Array, x: Array, mean: Array, inverse: Array, weight: Array, wanted: list[bool]
) -> Any:
    """Return the gradients of x, weight and bias."""
    if plan.kind == "layer":
        return _aten.native_layer_norm_backward.default(
            grad, x, plan.sizes, mean, inverse, weight, weight, wanted
        )
    if plan.kind == "group":
        moments = mean.view(plan.sizes[0], -1), inverse.view(plan.sizes[0], -1)
        return _aten.native_group_norm_backward.default(grad, x, *moments, weight, *plan.sizes, wanted)
    moments = mean.view(-1), inverse.view(-1)
    # The epsilon is in the inverse deviation.
    return _aten.native_batch_norm_backward.default(grad, x, weight, None, None, *moments, True, 0.0, wanted)
