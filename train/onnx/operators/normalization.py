"""Normalisation: layers, and functions where a node gives more than the result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....backends import Backend, Tensor
from ....layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm, Module
from ..graph import Function
from ..node import Host, Node
from ..registry import function, layer

_BATCH: dict[int, Any] = {2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d, 5: BatchNorm3d}


@layer("BatchNormalization", weights=(1, 2, 3, 4))
def batch_norm(node: Node) -> Module:
    """Return BatchNorm1d, 2d or 3d, its momentum of the old value and its running variance biased."""
    rank = node.rank(0)
    if rank not in _BATCH:
        raise node.error(f"expected an input of 2 to 5 axes, got {rank}")
    names = ("weight", "bias", "running_mean", "running_var")
    state: dict[str, Any] = {name: node.weight(i, name) for i, name in enumerate(names, start=1)}
    made = _BATCH[rank](
        len(state["weight"]),
        float(node.get("epsilon", 1e-5)),
        float(node.get("momentum", 0.9)),
        momentum_of="old",
        biased_running_variance=True,
        backend=node.backend,
    )
    made.load_state_dict({**state, "num_batches_tracked": np.zeros((), np.int64)})
    if node.get("training_mode", 0):
        return TrainingBatchNorm(node, made)
    return made  # type: ignore[no-any-return]


class TrainingBatchNorm(Function):
    """Batch normalisation by the batch's statistics, also in evaluation; it gives the running ones, too."""

    def __init__(self, node: Node, norm: Any) -> None:
        super().__init__(node, self._all, host=())
        self.norm = norm

    def _all(self, b: Backend, node: Node, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        y = self.norm.train().forward(x)
        return y, self.norm.running_mean.data, self.norm.running_var.data


@layer("LayerNormalization", weights=(1, 2))
def layer_norm(node: Node) -> Module:
    """Return LayerNorm; a function where there are more outputs, or weights that the file does not hold."""
    weight, bias = node.constant(1), node.constant(2)
    rank = node.rank(0)
    inner = rank - int(node.get("axis", -1)) % rank
    held = weight is not None and (bias is not None or not node.has(2))
    if not held or weight is None or inner == rank or weight.ndim != inner:
        return Function(node, _layer_norm, host=())
    made = LayerNorm(
        weight.shape, float(node.get("epsilon", 1e-5)), bias=bias is not None, backend=node.backend
    )
    made.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return made if len(node.outputs) == 1 else NormWithMoments(node, made)


class NormWithMoments(Function):
    """Layer normalisation that gives mean and inverse deviation as well."""

    def __init__(self, node: Node, norm: LayerNorm) -> None:
        super().__init__(node, self._all, host=())
        self.norm = norm

    def _all(self, b: Backend, node: Node, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        return self.norm.forward(x), *_moments(b, node, x)


def _layer_norm(
    b: Backend, node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    mean, inverse = _moments(b, node, x)
    y = b.multiply(b.multiply(b.subtract(x, mean), inverse), scale)
    return (y if bias is None else b.add(y, bias)), mean, inverse


def _moments(b: Backend, node: Node, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and inverse deviation over the last axes."""
    rank = len(b.shape(x))
    axes = tuple(range(int(node.get("axis", -1)) % rank, rank))
    variance = b.var(x, axis=axes, keepdims=True)
    inverse = b.divide(1.0, b.sqrt(b.add(variance, float(node.get("epsilon", 1e-5)))))
    return b.mean(x, axis=axes, keepdims=True), inverse


@layer("GroupNormalization", weights=(1, 2))
def group_norm(node: Node) -> Module:
    """Return GroupNorm; before version 21 the weights are one for each group."""
    return _grouped(node, int(node.get("num_groups")))


@layer("InstanceNormalization", weights=(1, 2))
def instance_norm(node: Node) -> Module:
    """Return GroupNorm with each channel a group of its own."""
    return _grouped(node, len(node.weight(1, "scale")))


def _grouped(node: Node, groups: int) -> Module:
    scale, bias = node.weight(1, "scale"), node.weight(2, "bias")
    shape = node.shape(0)
    channels = len(scale) if shape is None or shape[1] is None else int(shape[1])
    made = GroupNorm(groups, channels, float(node.get("epsilon", 1e-5)), backend=node.backend)
    made.load_state_dict({"weight": _each(scale, channels), "bias": _each(bias, channels)})
    return made


def _each(values: Host, channels: int) -> Host:
    return np.repeat(values, channels // len(values))


@function("MeanVarianceNormalization")
def mean_variance_norm(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return (x - mean) / (deviation + 1e-9) over the axes."""
    axes = tuple(node.get("axes", (0, 2, 3)))
    deviation = b.sqrt(b.var(x, axis=axes, keepdims=True))
    return b.divide(b.subtract(x, b.mean(x, axis=axes, keepdims=True)), b.add(deviation, 1e-9))


@function("LpNormalization")
def lp_norm(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x over its norm of order 1 or 2 along an axis; 0 where that is 0."""
    axis = int(node.get("axis", -1))
    if int(node.get("p", 2)) == 1:
        norm = b.sum(b.abs(x), axis=axis, keepdims=True)
    else:
        norm = b.sqrt(b.sum(b.square(x), axis=axis, keepdims=True))
    return b.where(b.equal(norm, 0.0), b.full((), 0.0, dtype=b.dtype(x)), b.divide(x, norm))


@function("RMSNormalization")
def rms_norm(b: Backend, node: Node, x: Tensor, scale: Tensor) -> Tensor:
    """Return x over the root of its mean square along the last axes, times the scale."""
    rank = len(b.shape(x))
    axes = tuple(range(int(node.get("axis", -1)) % rank, rank))
    square = b.mean(b.square(x), axis=axes, keepdims=True)
    return b.multiply(b.divide(x, b.sqrt(b.add(square, float(node.get("epsilon", 1e-5))))), scale)


@function("LRN")
def local_response_norm(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x / (k + α/n Σ x² over n channels around each)^β (Krizhevsky et al. 2012, section 3.3)."""
    size = int(node.get("size"))
    shape = b.shape(x)
    square = b.reshape(b.square(x), (shape[0], 1, shape[1], math.prod(shape[2:])))
    below = (size - 1) // 2
    padded = b.pad(square, ((0, 0), (0, 0), (below, size - 1 - below), (0, 0)))
    columns = b.reshape(b.unfold(padded, (size, 1)), (shape[0], size, *shape[1:]))
    total = b.multiply(b.sum(columns, axis=1), float(node.get("alpha", 1e-4)) / size)
    return b.divide(x, b.pow(b.add(total, float(node.get("bias", 1.0))), float(node.get("beta", 0.75))))
