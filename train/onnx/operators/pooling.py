"""Pooling over windows and over whole images."""

from __future__ import annotations

import math
from typing import Any

from ....backends import Backend, Tensor
from ....backends.windows import Window
from ....layers import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    Module,
)
from ..graph import Function
from ..node import Node
from ..registry import function, layer
from .window import axis_pads

_MAX: dict[int, Any] = {1: MaxPool1d, 2: MaxPool2d, 3: MaxPool3d}
_AVERAGE: dict[int, Any] = {1: AvgPool1d, 2: AvgPool2d, 3: AvgPool3d}
_GLOBAL: dict[int, Any] = {1: AdaptiveAvgPool1d, 2: AdaptiveAvgPool2d, 3: AdaptiveAvgPool3d}


_LARGEST_KERNEL = 2**20


def _options(node: Node) -> dict[str, Any]:
    kernel = tuple(node.get("kernel_shape", ()))
    if len(kernel) not in (1, 2, 3):
        raise node.error(f"expected a kernel over 1, 2 or 3 axes, got {kernel}")
    if math.prod(kernel) > _LARGEST_KERNEL:
        raise node.error(f"expected a kernel of at most {_LARGEST_KERNEL:,} elements, got {kernel}")
    ones = (1,) * len(kernel)
    return {
        "kernel_size": kernel,
        "stride": tuple(node.get("strides", ones)),
        "padding": axis_pads(node, kernel),
        "dilation": tuple(node.get("dilations", ones)),
        "ceil_mode": bool(node.get("ceil_mode", 0)),
        "wide_padding": True,  # ONNX allows padding above half the kernel
        "backend": node.backend,
    }


@layer("MaxPool")
def max_pool(node: Node) -> Module:
    """Return MaxPool1d, MaxPool2d or MaxPool3d; a Function if the node outputs indices too."""
    options = _options(node)
    pool: Module = _MAX[len(options["kernel_size"])](**options)
    return pool if len(node.outputs) == 1 else PoolWithIndices(node, pool)


class PoolWithIndices(Function):
    """Max pooling that also returns the indices of the maxima in the flattened input."""

    def __init__(self, node: Node, pool: Any) -> None:
        super().__init__(node, self._outputs)
        self.pool = pool

    def _outputs(self, b: Backend, node: Node, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = b.shape(x)
        window: Window = self.pool.window(shape)
        y, indices = b.max_pool(x, window)
        if node.get("storage_order", 0):
            indices = _column_major(b, indices, window.size)
        images = b.arange(0, shape[0] * shape[1])
        first = b.multiply(b.reshape(images, (*shape[:2], *(1,) * len(window.size))), math.prod(window.size))
        return y, b.add(indices, first)


def _column_major(b: Backend, indices: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return column-major indices (the first axis counts fastest) for row-major ones."""
    total, rest = b.multiply(indices, 0), indices
    for axis in range(len(size) - 1, -1, -1):
        quotient = b.astype(b.divide(b.astype(rest, "float64"), float(size[axis])), "int64")
        coordinate = b.subtract(rest, b.multiply(quotient, size[axis]))
        total = b.add(total, b.multiply(coordinate, math.prod(size[:axis])))
        rest = quotient
    return total


@layer("AveragePool")
def average_pool(node: Node) -> Module:
    """Return AvgPool1d, AvgPool2d or AvgPool3d."""
    options = {**_options(node), "count_include_pad": bool(node.get("count_include_pad", 0))}
    pool: Module = _AVERAGE[len(options["kernel_size"])](**options)
    return pool


@layer("GlobalAveragePool")
def global_average_pool(node: Node) -> Module:
    """Return AdaptiveAvgPool with an output of size 1."""
    rank = node.rank(0) - 2
    if rank not in _GLOBAL:
        raise node.error(f"expected an input of 1, 2 or 3 spatial axes, got {rank}")
    pool: Module = _GLOBAL[rank](1, backend=node.backend)
    return pool


@function("GlobalMaxPool")
def global_max_pool(b: Backend, node: Node, x: Tensor) -> Tensor:
    """The maximum of each image: (N, C, *size) -> (N, C, 1, ...)."""
    return b.max(x, axis=tuple(range(2, len(b.shape(x)))), keepdims=True)
