"""Convolutions, matrix products and Col2Im."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backends import Backend, Tensor, Window
from ....backends.host import Host
from ....layers import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Linear,
    Module,
)
from ....layers.initializers import Constant
from ..graph import Function
from ..node import Node
from ..registry import function, layer
from .window import Sides, axis_pads, spatial_size

_CONVOLUTIONS: dict[int, Any] = {1: Conv1d, 2: Conv2d, 3: Conv3d}
_TRANSPOSED: dict[int, Any] = {1: ConvTranspose1d, 2: ConvTranspose2d, 3: ConvTranspose3d}
_ZEROS = {"weight_init": Constant(0.0), "bias_init": Constant(0.0)}  # replaced by the file's weights


def _load(module: Module, weight: Host, bias: Host | None) -> Module:
    module.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return module


def _kind(node: Node, kinds: dict[int, Any], weight: Host) -> Any:
    rank = weight.ndim - 2
    if rank not in kinds:
        raise node.error(f"expected 1, 2 or 3 spatial axes, got a weight {weight.shape} with {rank}")
    return kinds[rank]


@layer("Conv", weights=(1, 2))
def convolution(node: Node) -> Module:
    """Return Conv1d, Conv2d or Conv3d."""
    weight = node.weight(1, "weight")
    bias = node.weight(2, "bias") if node.has(2) else None
    rank, group = weight.ndim - 2, node.get("group", 1)
    options = {
        "stride": node.get("strides", (1,) * rank),
        "padding": axis_pads(node, weight.shape[2:]),
        "dilation": node.get("dilations", (1,) * rank),
        "groups": group,
        "bias": bias is not None,
    }
    kind = _kind(node, _CONVOLUTIONS, weight)
    channels = weight.shape[1] * group
    module = kind(channels, weight.shape[0], weight.shape[2:], **options, **_ZEROS, backend=node.backend)
    return _load(module, weight, bias)


@layer("ConvTranspose", weights=(1, 2))
def transposed(node: Node) -> Module:
    """Return ConvTranspose1d, ConvTranspose2d or ConvTranspose3d."""
    weight = node.weight(1, "weight")
    bias = node.weight(2, "bias") if node.has(2) else None
    group = node.get("group", 1)
    padding, output_padding = _transposed_padding(node, weight.shape[2:])
    module = _kind(node, _TRANSPOSED, weight)(
        weight.shape[0],
        weight.shape[1] * group,
        weight.shape[2:],
        node.get("strides", (1,) * (weight.ndim - 2)),
        padding,
        output_padding,
        group,
        bias is not None,
        node.get("dilations", (1,) * (weight.ndim - 2)),
        **_ZEROS,
        backend=node.backend,
    )
    return _load(module, weight, bias)


def _transposed_padding(node: Node, kernel: tuple[int, ...]) -> tuple[Sides, tuple[int, ...]]:
    """Return (before, after) and the output padding for each axis; the output's size may decide both."""
    ones, rule = (1,) * len(kernel), node.get("auto_pad", "NOTSET")
    extra = node.get("output_padding", (0,) * len(kernel))
    goal = node.get("output_shape")
    if goal is None and not rule.startswith("SAME"):
        return axis_pads(node, kernel), extra
    stride, dilation, size = node.get("strides", ones), node.get("dilations", ones), spatial_size(node)
    goal = tuple(n * s for n, s in zip(size, stride, strict=True)) if goal is None else goal[-len(kernel) :]
    unpadded = (
        (n - 1) * s + d * (k - 1) + 1 + o
        for n, s, d, k, o in zip(size, stride, dilation, kernel, extra, strict=True)
    )
    surplus = [n - g for n, g in zip(unpadded, goal, strict=True)]
    halves = [(n // 2, n - n // 2) if rule == "SAME_UPPER" else (n - n // 2, n // 2) for n in surplus]
    # Negative padding after is output padding.
    extra = tuple(o + max(-after, 0) for o, (_, after) in zip(extra, halves, strict=True))
    return tuple((max(before, 0), max(after, 0)) for before, after in halves), extra


@layer("Gemm", weights=(1, 2))
def general_product(node: Node) -> Module:
    """Return Linear if the file stores the matrix and a bias (O,), else a Function: α A B + β C."""
    weight, bias = node.constant(1), node.constant(2)
    if weight is None or node.get("transA", 0) or (node.has(2) and bias is None):
        return Function(node, _gemm)
    outputs = weight.shape[0] if node.get("transB", 0) else weight.shape[1]
    if bias is not None and bias.size not in (1, outputs):
        return Function(node, _gemm)
    weight = (weight if node.get("transB", 0) else weight.T) * np.float32(node.get("alpha", 1.0))
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), (outputs,)) * np.float32(node.get("beta", 1.0))
    return _linear(node, weight, bias)


@layer("MatMul", weights=(1,))
def product(node: Node) -> Module:
    """Return Linear if the file stores the second matrix, else a Function."""
    weight, shape = node.constant(1), node.shape(0)
    if weight is None or weight.ndim != 2 or (shape is not None and len(shape) < 2):
        return Function(node, _matmul)
    return _linear(node, weight.T, None)


def _linear(node: Node, weight: Host, bias: Host | None) -> Module:
    module = Linear(weight.shape[1], weight.shape[0], bias is not None, **_ZEROS, backend=node.backend)
    return _load(module, np.ascontiguousarray(weight), bias)


def _gemm(b: Backend, node: Node, x: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
    x = b.permute_dims(x, (1, 0)) if node.get("transA", 0) else x
    y = b.permute_dims(y, (1, 0)) if node.get("transB", 0) else y
    total = b.multiply(b.matmul(x, y), node.get("alpha", 1.0))
    return total if z is None else b.add(total, b.multiply(z, node.get("beta", 1.0)))


def _matmul(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """x y; a vector is a row on the left and a column on the right."""
    left, right = b.shape(x), b.shape(y)
    x = b.reshape(x, (1, *left)) if len(left) == 1 else x
    y = b.reshape(y, (*right, 1)) if len(right) == 1 else y
    z = b.matmul(x, y)
    shape = list(b.shape(z))
    if len(right) == 1:
        shape.pop()
    if len(left) == 1:
        shape.pop(-1 if len(right) == 1 else -2)
    return b.reshape(z, tuple(shape))


@function("Col2Im", host=(1, 2))
def columns_to_image(b: Backend, node: Node, columns: Tensor, size: Host, block: Host) -> Tensor:
    """`fold`: add columns back to their places in the image."""
    rank = len(size)
    pads = node.get("pads", (0,) * (2 * rank))
    window = Window.of(
        tuple(int(n) for n in size),
        tuple(int(n) for n in block),
        node.get("strides", (1,) * rank),
        tuple(zip(pads[:rank], pads[rank:], strict=True)),
        node.get("dilations", (1,) * rank),
    )
    return b.fold(columns, window)
