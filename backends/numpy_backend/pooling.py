"""Max pooling in numpy: a running maximum over the places of the kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from typing_extensions import override

from ..base import Backend
from ..errors import DtypeError
from ..shapes import check_pool_grad
from ..windows import Window, check_window
from .handles import Array, check, check_indices
from .pieces import PIECE

_PLACES = 255
"""Places that a byte can number."""


class NumpyPooling(Backend):
    """The overrides."""

    @override
    def max_pool(self, x: Array, window: Window) -> Any:
        """Take a running maximum; leave NaN, -inf beside padding and huge kernels to the definition."""
        check("max_pool", x)
        check_window("max_pool", window)
        if x.dtype.kind != "f":
            raise DtypeError(f"max_pool: expected a floating tensor, got {x.dtype}; convert it with astype")
        window.windows_of("max_pool", x.shape)
        if window.places > _PLACES or not x.size:
            return super().max_pool(x, window)
        image = x
        if window.padded:
            image = self.pad(x, ((0, 0), (0, 0), *window.padding), value=-math.inf)
        parts = [image[(..., *place)] for _, place in window.offsets()]
        values = np.array(parts[0])
        places = np.zeros_like(values, dtype=np.uint8)
        for k, part in enumerate(parts[1:], start=1):
            better = np.greater(part, values).view(np.uint8)
            np.multiply(better, np.uint8(k), out=better)
            np.maximum(places, better, out=places)
            np.maximum(values, part, out=values)
        # The comparison misses NaN, and takes padding for the maximum of a window that is all -inf.
        if math.isnan(values.max()) or (window.padded and values.min() == -math.inf):
            return super().max_pool(x, window)
        return values, _indices(window, places)

    @override
    def max_pool_grad(
        self,
        grad: Array,
        indices: Array,
        size: tuple[int, ...],
        *,
        distinct: bool = False,
        hollow: bool = False,
    ) -> Array:
        """Assign distinct places; sum the others by counting with weights, in pieces that stay in cache."""
        check("max_pool_grad", grad, indices)
        size = check_pool_grad(grad.shape, indices.shape, size)
        if hollow or grad.dtype.kind != "f":
            return super().max_pool_grad(grad, indices, size, distinct=distinct, hollow=hollow)
        check_indices("max_pool_grad", indices, math.prod(size))
        planes, places = math.prod(grad.shape[:2]), math.prod(size)
        values, indices = (x.reshape(planes, math.prod(grad.shape[2:])) for x in (grad, indices))
        image = np.zeros((planes, places), grad.dtype)
        step = max(PIECE // max(places, 1), 1)
        starts = (np.arange(min(step, planes)) * places)[:, None]
        for first in range(0, planes, step):  # planes that stay in cache
            part = image[first : first + step]
            flat = (indices[first : first + step] + starts[: len(part)]).reshape(-1)
            weights = values[first : first + step].reshape(-1)
            if distinct:
                part.reshape(-1)[flat] = weights
            else:
                part[...] = np.bincount(flat, weights, part.size).reshape(part.shape)
        return image.reshape(*grad.shape[:2], *size)


def _indices(window: Window, places: Array) -> Array:
    """Return the index in the image for each place in its window: uint8 (N, C, *counts) -> int64."""
    rank = len(window.size)
    strides = [math.prod(window.size[axis + 1 :]) for axis in range(rank)]
    inside = np.zeros(1, np.int64)
    first = np.zeros((1,) * rank, np.int64)
    for axis, (size, step) in enumerate(zip(window.kernel_size, strides, strict=True)):
        inside = (inside[:, None] + np.arange(size) * window.dilation[axis] * step).reshape(-1)
        corner = np.arange(window.counts[axis]) * window.stride[axis] - window.padding[axis][0]
        first = first + (corner * step).reshape([-1 if i == axis else 1 for i in range(rank)])
    indices: Array = np.take(inside, places)
    indices += first
    return indices
