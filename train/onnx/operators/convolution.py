"""Convolutions, products with matrices, and what unfold and fold do."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backends import Backend, Tensor
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
from ..node import Host, Node
from ..registry import function, layer
from .window import axis_pads, spatial_size

_CONVOLUTIONS: dict[int, Any] = {1: Conv1d, 2: Conv2d, 3: Conv3d}
_TRANSPOSED: dict[int, Any] = {1: ConvTranspose1d, 2: ConvTranspose2d, 3: ConvTranspose3d}
_EMPTY = {"weight_init": Constant(0.0), "bias_init": Constant(0.0)}  # the file's weights come after


def _filled(module: Module, weight: Host, bias: Host | None) -> Module:
    state = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    module.load_state_dict(state)
    return module


def _kind(node: Node, kinds: dict[int, Any], weight: Host) -> Any:
    rank = weight.ndim - 2
    if rank not in kinds:
        raise node.error(f"expected 1, 2 or 3 spatial axes, its weight {weight.shape} has {rank}")
    return kinds[rank]


@layer("Conv", weights=(1, 2))
def convolution(node: Node) -> Module:
    """Return Conv1d, Conv2d or Conv3d."""
    weight = node.weight(1, "weight")
    bias = node.weight(2, "bias") if node.has(2) else None
    rank, group = weight.ndim - 2, int(node.get("group", 1))
    options = {
        "stride": node.get("strides", (1,) * rank),
        "padding": axis_pads(node, weight.shape[2:]),
        "dilation": node.get("dilations", (1,) * rank),
        "groups": group,
        "bias": bias is not None,
    }
    kind = _kind(node, _CONVOLUTIONS, weight)
    channels = weight.shape[1] * group
    made = kind(channels, weight.shape[0], weight.shape[2:], **options, **_EMPTY, backend=node.backend)
    return _filled(made, weight, bias)


@layer("ConvTranspose", weights=(1, 2))
def transposed(node: Node) -> Module:
    """Return ConvTranspose1d, 2d or 3d; an output_shape, or SAME, decides the padding."""
    weight = node.weight(1, "weight")
    bias = node.weight(2, "bias") if node.has(2) else None
    rank, group, kernel = weight.ndim - 2, int(node.get("group", 1)), weight.shape[2:]
    stride, dilation = node.get("strides", (1,) * rank), node.get("dilations", (1,) * rank)
    beyond = node.get("output_padding", (0,) * rank)
    wanted = node.get("output_shape")
    pads = axis_pads(node, kernel) if not node.get("auto_pad", "NOTSET").startswith("SAME") else None
    if wanted is not None or pads is None:
        size = spatial_size(node)
        goal = tuple(n * s for n, s in zip(size, stride, strict=True)) if wanted is None else wanted[-rank:]
        full = (
            (n - 1) * s + d * (k - 1) + 1 + o
            for n, s, d, k, o in zip(size, stride, dilation, kernel, beyond, strict=True)
        )
        surplus = [f - g for f, g in zip(full, goal, strict=True)]
        upper = node.get("auto_pad", "NOTSET") == "SAME_UPPER"
        halves = [(n // 2, n - n // 2) if upper else (n - n // 2, n // 2) for n in surplus]
        beyond = tuple(o + max(-after, 0) for o, (_, after) in zip(beyond, halves, strict=True))
        pads = tuple((max(before, 0), max(after, 0)) for before, after in halves)
    made = _kind(node, _TRANSPOSED, weight)(
        weight.shape[0],
        weight.shape[1] * group,
        kernel,
        stride,
        pads,
        beyond,
        group,
        bias is not None,
        dilation,
        **_EMPTY,
        backend=node.backend,
    )
    return _filled(made, weight, bias)


@layer("Gemm", weights=(1, 2))
def general_product(node: Node) -> Module:
    """Return Linear where the file holds the matrix and a bias (O,), else a function: α A B + β C."""
    weight = node.constant(1)
    bias = node.constant(2)
    if weight is None or node.get("transA", 0) or (node.has(2) and bias is None):
        return Function(node, _gemm, host=())
    outputs = weight.shape[0] if node.get("transB", 0) else weight.shape[1]
    if bias is not None and bias.size not in (1, outputs):
        return Function(node, _gemm, host=())
    weight = (weight if node.get("transB", 0) else weight.T) * np.float32(node.get("alpha", 1.0))
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), (outputs,)) * np.float32(node.get("beta", 1.0))
    return _linear(node, weight, bias)


@layer("MatMul", weights=(1,))
def product(node: Node) -> Module:
    """Return Linear where the file holds the second matrix, else a function."""
    weight = node.constant(1)
    shape = node.shape(0)
    if weight is None or weight.ndim != 2 or (shape is not None and len(shape) < 2):
        return Function(node, _matmul, host=())
    return _linear(node, weight.T, None)


def _linear(node: Node, weight: Host, bias: Host | None) -> Module:
    made = Linear(weight.shape[1], weight.shape[0], bias is not None, **_EMPTY, backend=node.backend)
    return _filled(made, np.ascontiguousarray(weight), bias)


def _gemm(b: Backend, node: Node, x: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
    x = b.permute_dims(x, (1, 0)) if node.get("transA", 0) else x
    y = b.permute_dims(y, (1, 0)) if node.get("transB", 0) else y
    total = b.multiply(b.matmul(x, y), float(node.get("alpha", 1.0)))
    return total if z is None else b.add(total, b.multiply(z, float(node.get("beta", 1.0))))


def _matmul(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """Return the product; a vector is a row on the left, a column on the right."""
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
    """Return columns added back to where they came from: `fold`."""
    rank = len(size)
    pads = node.get("pads", (0,) * (2 * rank))
    return b.fold(
        columns,
        tuple(int(n) for n in size),
        tuple(int(n) for n in block),
        stride=tuple(node.get("strides", (1,) * rank)),
        padding=tuple(zip(pads[:rank], pads[rank:], strict=True)),
        dilation=tuple(node.get("dilations", (1,) * rank)),
    )
