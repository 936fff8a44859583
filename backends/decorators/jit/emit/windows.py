"""The rules of the ops over windows: `unfold`, `fold`, `max_pool` and `max_pool_grad`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....protocol import Shape
from ..instructions import Value
from ..ir import Code
from ..kernels import windows
from ..kernels.span import Array
from ..passes.views import row_major

if TYPE_CHECKING:
    from .roots import Writer

POOLING = frozenset({"max_pool", "max_pool_grad"})
"""The derived ops that have a rule of their own."""


def _columns(array: Array, image: Shape, w: Writer) -> Array:
    """Return columns (N, C K, L) as (N, C, *kernel_size, *counts)."""
    sample, row, position = array.strides
    window = w["window"]
    taps = tuple(row * s for s in row_major(window.kernel_size))
    counts = tuple(position * s for s in row_major(window.counts))
    return replace(array, strides=(sample, row * window.places, *taps, *counts))


def _unfold(w: Writer) -> None:
    if w["window"].padded:
        w.fill(0.0)
    shape = w["x"].meta.shape

    def write(code: Code, image: Array, columns: Array) -> None:
        windows.unfold(code, w["window"], shape, image, _columns(columns, shape, w))

    w.launch([w["x"]], write)


def _fold(w: Writer) -> None:
    w.fill(0.0)

    def write(code: Code, columns: Array, image: Array) -> None:
        windows.fold(code, w["window"], w.shape, _columns(columns, w.shape, w), image)

    w.launch([w["columns"]], write)


def _max_pool(w: Writer) -> None:
    x, wanted = w["x"], [value for value in w.call.outputs if value in w.group.results]

    def write(code: Code, arrays: Any, number: Any) -> None:
        values, indices = (None if v is None else arrays.get(v) for v in w.call.outputs)
        windows.max_pool(code, w["window"], x.meta.shape, arrays[x], values, indices)

    results: list[Value] = [value for value in wanted if value is not None]
    w.kernels.launch([x, *results], (), write)


def _max_pool_grad(w: Writer) -> None:
    w.fill(0.0)
    grad, indices, size = w["grad"], w["indices"], tuple(w["size"])
    places = (*w.shape[:2], math.prod(size))

    def write(code: Code, arrays: Any, number: Any) -> None:
        image = replace(arrays[w.result], strides=row_major(places))
        windows.max_pool_grad(
            code, grad.meta.shape, arrays[grad], arrays[indices], image, hollow=bool(w["hollow"])
        )

    w.kernels.launch([grad, indices, w.result], (), write)


WINDOWS: dict[str, Callable[[Writer], None]] = {
    "unfold": _unfold,
    "fold": _fold,
    "max_pool": _max_pool,
    "max_pool_grad": _max_pool_grad,
}
"""By op: writes the kernels of a group with that root."""
