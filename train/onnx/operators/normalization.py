"""Normalisation: Lamina's layers, or Functions for nodes with several outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....backends import Backend, Tensor, Window
from ....backends.host import Host
from ....layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm, Module
from ..graph import Function
from ..node import Node
from ..registry import function, layer

_PER_GROUP = 2**16
_BATCH: dict[int, Any] = {2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d, 5: BatchNorm3d}


@layer("BatchNormalization", weights=(1, 2, 3, 4))
def batch_norm(node: Node) -> Module:
    """Return BatchNorm1d, BatchNorm2d or BatchNorm3d, in ONNX's convention of momentum and variance."""
    rank = node.rank(0)
    if rank not in _BATCH:
        raise node.error(f"expected an input of 2 to 5 axes, got {rank}")
    names = ("weight", "bias", "running_mean", "running_var")
    state: dict[str, Any] = {name: node.weight(i, name) for i, name in enumerate(names, start=1)}
    norm: Module = _BATCH[rank](
        len(state["weight"]),
        node.get("epsilon", 1e-5),
        node.get("momentum", 0.9),
        momentum_of="old",
        biased_running_variance=True,
        backend=node.backend,
    )
    norm.load_state_dict({**state, "num_batches_tracked": np.zeros((), np.int64)})
    return TrainingBatchNorm(node, norm) if node.get("training_mode", 0) else norm


class TrainingBatchNorm(Function):
    """Batch normalisation with the batch's statistics, even in evaluation; returns the running ones too."""

    def __init__(self, node: Node, norm: Any) -> None:
        super().__init__(node, self._outputs)
        self.norm = norm

    def _outputs(self, b: Backend, node: Node, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        y = self.norm.train().forward(x)
        return y, self.norm.running_mean.data, self.norm.running_var.data


@layer("LayerNormalization", weights=(1, 2))
def layer_norm(node: Node) -> Module:
    """Return LayerNorm; a Function for more outputs, or for weights that the file does not store."""
    weight, bias = node.constant(1), node.constant(2)
    rank = node.rank(0)
    inner = rank - node.axis(node.get("axis", -1), rank)
    if weight is None or (bias is None and node.has(2)) or inner == rank or weight.ndim != inner:
        return Function(node, _layer_norm)
    norm = LayerNorm(weight.shape, node.get("epsilon", 1e-5), bias=bias is not None, backend=node.backend)
    norm.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return norm if len(node.outputs) == 1 else NormWithMoments(node, norm)


class NormWithMoments(Function):
    """Layer normalisation that also returns the mean and the inverse deviation."""

    def __init__(self, node: Node, norm: LayerNorm) -> None:
        super().__init__(node, self._outputs)
        self.norm = norm

    def _outputs(self, b: Backend, node: Node, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        return self.norm.forward(x), *_normalized(b, node, x)[1:]


def _layer_norm(
    b: Backend, node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    x_hat, mean, inverse = _normalized(b, node, x)
    y = b.multiply(x_hat, scale)
    return (y if bias is None else b.add(y, bias)), mean, inverse


def _normalized(b: Backend, node: Node, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x less its mean, over its deviation, the mean and the inverse deviation over the last axes."""
    return b.normalize(x, axis=_last_axes(b, node, x), epsilon=node.get("epsilon", 1e-5))


def _last_axes(b: Backend, node: Node, x: Tensor) -> tuple[int, ...]:
    """Return the axes from the node's `axis` on."""
    rank = len(b.shape(x))
    return tuple(range(node.axis(node.get("axis", -1), rank), rank))


@layer("GroupNormalization", weights=(1, 2))
def group_norm(node: Node) -> Module:
    """Return GroupNorm; before version 21 the file has one weight per group."""
    return _group_norm(node, node.get("num_groups"))


@layer("InstanceNormalization", weights=(1, 2))
def instance_norm(node: Node) -> Module:
    """Return GroupNorm with one channel per group."""
    return _group_norm(node, len(node.weight(1, "scale")))


def _group_norm(node: Node, groups: int) -> Module:
    weights = {"weight": node.weight(1, "scale"), "bias": node.weight(2, "bias")}
    shape, count = node.shape(0), len(weights["weight"])
    channels = count if shape is None or shape[1] is None else shape[1]
    if channels > count * _PER_GROUP:
        raise node.error(f"expected at most {_PER_GROUP:,} channels for a weight, got {channels} for {count}")
    norm = GroupNorm(groups, channels, node.get("epsilon", 1e-5), backend=node.backend)
    state: dict[str, Host] = {name: np.repeat(w, channels // count) for name, w in weights.items()}
    norm.load_state_dict(state)
    return norm


@function("MeanVarianceNormalization")
def mean_variance_norm(b: Backend, node: Node, x: Tensor) -> Tensor:
    """(x - mean) / (deviation + 1e-9) over the axes."""
    axes = tuple(node.get("axes", (0, 2, 3)))
    deviation = b.sqrt(b.var(x, axis=axes, keepdims=True))
    centred, _ = b.centre(x, axis=axes)
    return b.divide(centred, b.add(deviation, 1e-9))


@function("LpNormalization")
def lp_norm(b: Backend, node: Node, x: Tensor) -> Tensor:
    """x / ‖x‖ along an axis, by the norm of order 1 or 2; 0 if the norm is 0."""
    axis = node.get("axis", -1)
    if node.get("p", 2) == 1:
        norm = b.sum(b.abs(x), axis=axis, keepdims=True)
    else:
        norm = b.sqrt(b.sum(b.square(x), axis=axis, keepdims=True))
    return b.where(b.equal(norm, 0.0), b.full((), 0.0, dtype=b.dtype(x)), b.divide(x, norm))


@function("RMSNormalization")
def rms_norm(b: Backend, node: Node, x: Tensor, scale: Tensor) -> Tensor:
    """x / √(mean of x² over the last axes + ε), times the scale."""
    square = b.mean(b.square(x), axis=_last_axes(b, node, x), keepdims=True)
    return b.multiply(b.divide(x, b.sqrt(b.add(square, node.get("epsilon", 1e-5)))), scale)


@function("LRN")
def local_response_norm(b: Backend, node: Node, x: Tensor) -> Tensor:
    """x / (k + α/n Σ x² over the n channels around each)^β (Krizhevsky et al. 2012, section 3.3)."""
    size = node.get("size")
    shape = b.shape(x)
    square = b.reshape(b.square(x), (shape[0], 1, shape[1], math.prod(shape[2:])))
    below = (size - 1) // 2
    padded = b.pad(square, ((0, 0), (0, 0), (below, size - 1 - below), (0, 0)))
    window = Window.of(b.shape(padded)[2:], (size, 1))
    columns = b.reshape(b.unfold(padded, window), (shape[0], size, *shape[1:]))
    total = b.multiply(b.sum(columns, axis=1), node.get("alpha", 1e-4) / size)
    return b.divide(x, b.pow(b.add(total, node.get("bias", 1.0)), node.get("beta", 0.75)))
