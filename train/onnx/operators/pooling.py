"""Pooling over windows, and over whole images."""

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


def _options(node: Node) -> dict[str, Any]:
    kernel = tuple(node.get("kernel_shape", ()))
    if len(kernel) not in (1, 2, 3):
        raise node.error(f"expected a kernel over 1, 2 or 3 axes, got {kernel}")
    ones = (1,) * len(kernel)
    return {
        "kernel_size": kernel,
        "stride": tuple(node.get("strides", ones)),
        "padding": axis_pads(node, kernel),
        "dilation": tuple(node.get("dilations", ones)),
        "ceil_mode": bool(node.get("ceil_mode", 0)),
        "wide_padding": True,  # ONNX allows more than half of the kernel
        "backend": node.backend,
    }


@layer("MaxPool")
def max_pool(node: Node) -> Module:
    """Return MaxPool1d, 2d or 3d; a function where the node gives the places of the maxima too."""
    options = _options(node)
    made: Module = _MAX[len(options["kernel_size"])](**options)
    return made if len(node.outputs) == 1 else PoolWithPlaces(node, made)


class PoolWithPlaces(Function):
    """Max pooling that gives the places of the maxima as well, counted over the whole input."""

    def __init__(self, node: Node, pool: Any) -> None:
        super().__init__(node, self._both, host=())
        self.pool = pool

    def _both(self, b: Backend, node: Node, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = b.shape(x)
        window: Window = self.pool.window(shape)
        options: dict[str, Any] = {
            "stride": window.stride,
            "padding": window.padding,
            "dilation": window.dilation,
        }
        y, places = b.max_pool(x, window.kernel_size, **options)
        if node.get("storage_order", 0):
            places = _column_major(b, places, window.size)
        images = b.arange(0, shape[0] * shape[1])
        first = b.multiply(b.reshape(images, (*shape[:2], *(1,) * len(window.size))), math.prod(window.size))
        return y, b.add(places, first)


def _column_major(b: Backend, places: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return row-major places as column-major ones: the first axis counts fastest."""
    total: Tensor | None = None
    step, rest = 1, places
    steps = [math.prod(size[:axis]) for axis in range(len(size))]
    for extent, step in zip(size[::-1], steps[::-1], strict=True):
        above = b.astype(b.divide(b.astype(rest, "float64"), float(extent)), "int64")
        place = b.subtract(rest, b.multiply(above, extent))
        term = b.multiply(place, step)
        total, rest = term if total is None else b.add(total, term), above
    assert total is not None
    return total


@layer("AveragePool")
def average_pool(node: Node) -> Module:
    """Return AvgPool1d, 2d or 3d: padding counts only where the node says so."""
    options = _options(node)
    counted = bool(node.get("count_include_pad", 0))
    made: Module = _AVERAGE[len(options["kernel_size"])](**options, count_include_pad=counted)
    return made


@layer("GlobalAveragePool")
def global_average_pool(node: Node) -> Module:
    """Return AdaptiveAvgPool of one place."""
    rank = node.rank(0) - 2
    if rank not in _GLOBAL:
        raise node.error(f"expected an input of 1, 2 or 3 spatial axes, got {rank}")
    made: Module = _GLOBAL[rank](1, backend=node.backend)
    return made


@function("GlobalMaxPool")
def global_max_pool(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return the maximum of each image: (N, C, *size) -> (N, C, 1, ...)."""
    return b.max(x, axis=tuple(range(2, len(b.shape(x)))), keepdims=True)
