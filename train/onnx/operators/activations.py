"""Activations: layers where Lamina has one, else a few ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ....backends import Backend, Tensor
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


def _plain(kind: Any) -> Callable[[Node], Module]:
    def build(node: Node) -> Module:
        found: Module = kind(backend=node.backend)
        return found

    return build


for _name, _kind in {"Relu": ReLU, "Sigmoid": Sigmoid, "Tanh": Tanh, "Softplus": Softplus}.items():
    layer(_name)(_plain(_kind))


@layer("LeakyRelu")
def leaky_relu(node: Node) -> Module:
    """Return LeakyReLU."""
    return LeakyReLU(float(node.get("alpha", 0.01)), backend=node.backend)


@layer("Elu")
def elu(node: Node) -> Module:
    """Return ELU."""
    return ELU(float(node.get("alpha", 1.0)), backend=node.backend)


@layer("Selu")
def selu(node: Node) -> Module:
    """Return SELU with the constants of the node."""
    found = SELU(backend=node.backend)
    found.alpha, found.scale = float(node.get("alpha", SELU.alpha)), float(node.get("gamma", SELU.scale))
    return found


@layer("Gelu")
def gelu(node: Node) -> Module:
    """Return GELU by tanh, the only one that there is."""
    if node.get("approximate", "none") != "tanh":
        raise node.error(
            "the exact GELU needs the error function, which Lamina lacks; export with approximate='tanh'"
        )
    return GELU(backend=node.backend)


@function("Swish")
def swish(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x σ(α x)."""
    return b.multiply(x, b.sigmoid(b.multiply(x, float(node.get("alpha", 1.0)))))


@layer("Softmax")
def softmax(node: Node) -> Module:
    """Return Softmax; before version 13 over all axes from one on, taken as one."""
    return _along_axis(node, Softmax)


@layer("LogSoftmax")
def log_softmax(node: Node) -> Module:
    """Return LogSoftmax; before version 13 over all axes from one on, taken as one."""
    return _along_axis(node, LogSoftmax)


def _along_axis(node: Node, kind: Any) -> Module:
    if node.version >= 13:
        found: Module = kind(int(node.get("axis", -1)), backend=node.backend)
        return found
    axis, rank = int(node.get("axis", 1)), node.rank(0)
    axis %= rank
    if axis == rank - 1:
        return kind(-1, backend=node.backend)  # type: ignore[no-any-return]
    shape = node.shape(0)
    assert shape is not None
    if None in shape[1:]:
        raise node.error(
            f"operator set {node.version} needs the extents of its input, which the file does not tell"
        )
    return Sequential(
        Flatten(axis, -1, backend=node.backend),
        kind(-1, backend=node.backend),
        Unflatten(axis, tuple(int(n or 0) for n in shape[axis:]), backend=node.backend),
    )


class Unflatten(Module):
    """The last axis cut into several again."""

    def __init__(self, axis: int, extents: tuple[int, ...], *, backend: Backend) -> None:
        super().__init__(backend)
        self.axis, self.extents = axis, extents

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., n) -> (..., *extents)."""
        self.keep(self.backend.shape(x))
        return self.backend.reshape(x, self.output_shape(self.backend.shape(x)))

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g in x's shape."""
        (shape,) = self.kept()
        return self.backend.reshape(grad_output, shape)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with the last axis cut."""
        return (*shape[: self.axis], *self.extents)


@function("PRelu")
def prelu(b: Backend, node: Node, x: Tensor, slope: Tensor) -> Tensor:
    """Return x where x > 0, else slope x; before version 7 a slope (C,) is one for each channel."""
    if node.version < 7 and len(b.shape(slope)) == 1:
        slope = b.reshape(slope, (-1, *(1,) * (len(b.shape(x)) - 2)))
    return b.where(b.greater(x, 0.0), x, b.multiply(x, slope))


@function("Softsign")
def softsign(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x / (1 + |x|)."""
    return b.divide(x, b.add(b.abs(x), 1.0))


@function("HardSigmoid")
def hard_sigmoid(b: Backend, node: Node, x: Tensor) -> Tensor:
    """α x + β held within [0, 1]."""
    return b.clip(b.add(b.multiply(x, float(node.get("alpha", 0.2))), float(node.get("beta", 0.5))), 0.0, 1.0)


@function("HardSwish")
def hard_swish(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x times (x / 6 + 1/2 held within [0, 1])."""
    return b.multiply(x, b.clip(b.add(b.multiply(x, 1.0 / 6.0), 0.5), 0.0, 1.0))


@function("ThresholdedRelu")
def thresholded_relu(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x where x > α, else 0."""
    return b.where(b.greater(x, float(node.get("alpha", 1.0))), x, 0.0)


@function("Celu")
def celu(b: Backend, node: Node, x: Tensor) -> Tensor:
    """max(x, 0) + min(α (e^(x / α) - 1), 0)."""
    alpha = float(node.get("alpha", 1.0))
    decay = b.subtract(b.exp(b.divide(b.minimum(x, 0.0), alpha)), 1.0)
    return b.add(b.relu(x), b.multiply(decay, alpha))


@function("Mish")
def mish(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x tanh(softplus(x))."""
    return b.multiply(x, b.tanh(b.softplus(x)))


@function("Shrink")
def shrink(b: Backend, node: Node, x: Tensor) -> Tensor:
    """0 within [-λ, λ]; outside, x brought nearer to 0 by the bias."""
    lambd, bias = float(node.get("lambd", 0.5)), float(node.get("bias", 0.0))
    below = b.where(b.less(x, -lambd), b.add(x, bias), 0.0)
    return b.where(b.greater(x, lambd), b.subtract(x, bias), below)


@function("Hardmax")
def hardmax(b: Backend, node: Node, x: Tensor) -> Tensor:
    """1 at the first maximum along the axis, else 0."""
    shape = b.shape(x)
    axis = int(node.get("axis", -1 if node.version >= 13 else 1)) % len(shape)
    if node.version < 13:
        flat = b.reshape(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
        return b.reshape(_first_hot(b, flat, 1), shape)
    return _first_hot(b, x, axis)


def _first_hot(b: Backend, x: Tensor, axis: int) -> Tensor:
    shape = b.shape(x)
    places = b.reshape(b.arange(0, shape[axis]), tuple(-1 if i == axis else 1 for i in range(len(shape))))
    return b.astype(b.equal(places, b.argmax(x, axis=axis, keepdims=True)), b.dtype(x))


@layer("Dropout")
def dropout(node: Node) -> Module:
    """Return Dropout; a function where the node gives the mask too, or is told whether this is training."""
    ratio = node.constant(1) if node.has(1) else node.get("ratio", 0.5)
    if ratio is None or node.has(2) or len(node.outputs) > 1:
        return Function(node, _masked, host=(1, 2))
    return Dropout(float(ratio), backend=node.backend)


def _masked(
    b: Backend, node: Node, x: Tensor, ratio: Any = None, training: Any = None
) -> tuple[Tensor, Tensor]:
    p = float(node.get("ratio", 0.5) if ratio is None else ratio)
    if training is None or not bool(training) or p == 0.0:
        return x, b.equal(x, x)
    drawn = Dropout(p, backend=b)(b.full(b.shape(x), 1.0, dtype=b.dtype(x)))
    return b.multiply(x, drawn), b.greater(drawn, 0.0)
