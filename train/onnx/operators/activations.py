"""Activations: Lamina's layers, or a few ops if there is no such layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from ....backends import Backend, Tensor
from ....backends.protocol import Shape
from ....layers import (
    ELU,
    GELU,
    SELU,
    Dropout,
    Flatten,
    LeakyReLU,
    LogSoftmax,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from ..graph import Function
from ..node import Node
from ..registry import function, layer

_LAYERS: dict[str, Callable[[Node], Module]] = {
    "Relu": lambda node: ReLU(backend=node.backend),
    "Sigmoid": lambda node: Sigmoid(backend=node.backend),
    "Tanh": lambda node: Tanh(backend=node.backend),
    "Softplus": lambda node: Softplus(backend=node.backend),
    "LeakyRelu": lambda node: LeakyReLU(node.get("alpha", 0.01), backend=node.backend),
    "Elu": lambda node: ELU(node.get("alpha", 1.0), backend=node.backend),
}
_FORMULAS: dict[str, Callable[..., Tensor]] = {
    # x σ(α x)
    "Swish": lambda b, node, x: b.multiply(x, b.sigmoid(b.multiply(x, node.get("alpha", 1.0)))),
    # x / (1 + |x|)
    "Softsign": lambda b, node, x: b.divide(x, b.add(b.abs(x), 1.0)),
    # x clip(x / 6 + 1/2, 0, 1)
    "HardSwish": lambda b, node, x: b.multiply(x, b.clip(b.add(b.multiply(x, 1 / 6), 0.5), 0.0, 1.0)),
    # x if x > α, else 0
    "ThresholdedRelu": lambda b, node, x: b.where(b.greater(x, node.get("alpha", 1.0)), x, 0.0),
    # x tanh(softplus(x))
    "Mish": lambda b, node, x: b.multiply(x, b.tanh(b.softplus(x))),
}

for _name, _build in _LAYERS.items():
    layer(_name)(_build)
for _name, _compute in _FORMULAS.items():
    function(_name)(_compute)


@layer("Selu")
def selu(node: Node) -> Module:
    """Return SELU with the node's constants."""
    module = SELU(backend=node.backend)
    module.alpha, module.scale = node.get("alpha", SELU.alpha), node.get("gamma", SELU.scale)
    return module


@layer("Gelu")
def gelu(node: Node) -> Module:
    """Return GELU, exact or by the tanh."""
    return GELU(node.get("approximate", "none"), backend=node.backend)


@layer("Softmax")
def softmax(node: Node) -> Module:
    """Return Softmax along one axis; before version 13 over all axes from `axis` on."""
    return _along_axis(node, Softmax)


@layer("LogSoftmax")
def log_softmax(node: Node) -> Module:
    """Return LogSoftmax along one axis; before version 13 over all axes from `axis` on."""
    return _along_axis(node, LogSoftmax)


def _along_axis(node: Node, kind: type[Softmax | LogSoftmax]) -> Module:
    if node.version >= 13:
        return kind(node.get("axis", -1), backend=node.backend)
    rank = node.rank(0)
    axis = node.axis(node.get("axis", 1), rank)
    if axis == rank - 1:
        return kind(-1, backend=node.backend)
    shape = node.shape(0)
    assert shape is not None
    if None in shape[1:]:
        raise node.error(
            f"operator set {node.version} needs its input's shape, which the file does not tell; "
            "export with operator set 13 or later"
        )
    return Sequential(
        Flatten(axis, -1, backend=node.backend),
        kind(-1, backend=node.backend),
        Unflatten(axis, tuple(n or 0 for n in shape[axis:]), backend=node.backend),
    )


class Unflatten(Module):
    """Split the last axis into several: (..., n) -> (..., *sizes)."""

    def __init__(self, axis: int, sizes: Shape, *, backend: Backend) -> None:
        super().__init__(backend)
        self.axis, self.sizes = axis, sizes

    @override
    def forward(self, x: Tensor) -> Tensor:
        shape = self.backend.shape(x)
        self.keep(shape)
        return self.backend.reshape(x, self.output_shape(shape))

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g in x's shape."""
        (shape,) = self.kept()
        return self.backend.reshape(grad_output, shape)

    @override
    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[: self.axis], *self.sizes)


@function("PRelu")
def prelu(b: Backend, node: Node, x: Tensor, slope: Tensor) -> Tensor:
    """x if x > 0, else slope x; before version 7 a slope (C,) has one value per channel."""
    if node.version < 7 and len(b.shape(slope)) == 1:
        slope = b.reshape(slope, (-1, *(1,) * (len(b.shape(x)) - 2)))
    return b.where(b.greater(x, 0.0), x, b.multiply(x, slope))


@function("HardSigmoid")
def hard_sigmoid(b: Backend, node: Node, x: Tensor) -> Tensor:
    """clip(α x + β, 0, 1)."""
    return b.clip(b.add(b.multiply(x, node.get("alpha", 0.2)), node.get("beta", 0.5)), 0.0, 1.0)


@function("Celu")
def celu(b: Backend, node: Node, x: Tensor) -> Tensor:
    """max(x, 0) + min(α (e^(x / α) - 1), 0)."""
    alpha = node.get("alpha", 1.0)
    decay = b.subtract(b.exp(b.divide(b.minimum(x, 0.0), alpha)), 1.0)
    return b.add(b.relu(x), b.multiply(decay, alpha))


@function("Shrink")
def shrink(b: Backend, node: Node, x: Tensor) -> Tensor:
    """x + bias if x < -λ, x - bias if x > λ, else 0."""
    lambd, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    below = b.where(b.less(x, -lambd), b.add(x, bias), 0.0)
    return b.where(b.greater(x, lambd), b.subtract(x, bias), below)


@function("Hardmax")
def hardmax(b: Backend, node: Node, x: Tensor) -> Tensor:
    """1 at the first maximum along the axis, else 0; before version 13 over all axes from `axis` on."""
    shape = b.shape(x)
    axis = node.axis(node.get("axis", -1 if node.version >= 13 else 1), len(shape))
    if node.version >= 13:
        return _first_maximum(b, x, axis)
    flat = b.reshape(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
    return b.reshape(_first_maximum(b, flat, 1), shape)


def _first_maximum(b: Backend, x: Tensor, axis: int) -> Tensor:
    shape = b.shape(x)
    indices = b.reshape(b.arange(0, shape[axis]), tuple(-1 if i == axis else 1 for i in range(len(shape))))
    return b.astype(b.equal(indices, b.argmax(x, axis=axis, keepdims=True)), b.dtype(x))


@layer("Dropout")
def dropout(node: Node) -> Module:
    """Return Dropout; a Function if the node outputs the mask, or takes an input that turns training on."""
    ratio = node.constant(1) if node.has(1) else node.get("ratio", 0.5)
    if ratio is None or node.has(2) or len(node.outputs) > 1:
        return Function(node, _dropout_with_mask, host=(1, 2))
    return Dropout(float(ratio), backend=node.backend)


def _dropout_with_mask(
    b: Backend, node: Node, x: Tensor, ratio: Any = None, training: Any = None
) -> tuple[Tensor, Tensor]:
    p = float(node.get("ratio", 0.5) if ratio is None else ratio)
    if training is None or not bool(training) or p == 0.0:
        return x, b.equal(x, x)
    scale = Dropout(p, backend=b)(b.full(b.shape(x), 1.0, dtype=b.dtype(x)))
    return b.multiply(x, scale), b.greater(scale, 0.0)
