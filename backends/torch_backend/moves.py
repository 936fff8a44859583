"""The ops that move elements, in torch: reshapes, slices, gathers and scatters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from typing_extensions import override

from ..base import Backend
from ..host import fill_value
from ..methods import moved
from ..protocol import Shape, Widths
from ..shapes import (
    along,
    check_order,
    check_reshape,
    check_sequence,
    check_stretch,
    check_values,
    joined,
    permuted,
    reshaped,
    sliced,
    slices,
    stretched,
    taken,
    widths_of,
)
from .handles import NAMES, Array, alike, check, check_index_dtype, check_indices, fitting, foreign_error

_Tensor = torch.Tensor


class TorchMoves(Backend):
    """The moves and the index ops."""

    @override
    def reshape(self, x: Array, shape: Shape) -> Array:
        check("reshape", x)
        return moved(x, shape, check_reshape, reshaped, _Tensor.reshape)

    @override
    def permute_dims(self, x: Array, axes: tuple[int, ...]) -> Array:
        check("permute_dims", x)
        return moved(x, axes, check_order, permuted, _Tensor.permute)

    @override
    def broadcast_to(self, x: Array, shape: Shape) -> Array:
        check("broadcast_to", x)
        return moved(x, shape, check_stretch, stretched, _Tensor.expand)

    @override
    def slice(
        self,
        x: Array,
        starts: tuple[int, ...],
        stops: tuple[int, ...],
        *,
        steps: tuple[int, ...] | None = None,
    ) -> Array:
        if type(x) is not _Tensor:
            raise foreign_error("slice", x)
        return x[slices("slice", x.shape, starts, stops, steps)]

    # On the CPU torch refuses indices out of range, and the error is put into words then. On a GPU a check
    # would wait for the device at every call.

    @override
    def take(self, x: Array, indices: Array, *, axis: int) -> Array:
        check("take", x)
        check_index_dtype("take", indices)
        taken("take", x.shape, indices.shape, axis)
        try:
            return torch.index_select(x, axis, indices)
        except (IndexError, RuntimeError):
            check_indices("take", indices, x.shape[axis])
            raise

    @override
    def take_along_axis(self, x: Array, indices: Array, *, axis: int) -> Array:
        check("take_along_axis", x)
        check_index_dtype("take_along_axis", indices)
        along("take_along_axis", x.shape, indices.shape, axis)
        try:
            return torch.gather(x, axis, indices)
        except (IndexError, RuntimeError):
            check_indices("take_along_axis", indices, x.shape[axis])
            raise

    @override
    def concat(self, tensors: Sequence[Array], *, axis: int = 0) -> Array:
        check_sequence(tensors)
        alike("concat", *tensors)
        joined([x.shape for x in tensors], axis)
        return torch.cat(tuple(tensors), axis)

    @override
    def pad(self, x: Array, widths: Widths, *, value: Any = 0.0) -> Array:
        check("pad", x)
        widths = widths_of(x.shape, widths)
        value = fill_value("pad", value, NAMES[x.dtype]) if value != 0 or type(value) is not float else 0
        last_axis_first = [n for before, after in reversed(widths) for n in (before, after)]
        return torch.constant_pad_nd(x, last_axis_first, fitting(value, x.dtype))

    @override
    def index_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        alike("index_add", x, values)
        check_index_dtype("index_add", indices)
        check_values("index_add", taken("index_add", x.shape, indices.shape, axis), values.shape)
        if not x.shape[axis]:  # torch accepts any index then
            check_indices("index_add", indices, 0)
        try:
            result: Array = self.copy(x, out=out)
            return result.index_add_(axis, indices, values)
        except (IndexError, RuntimeError):
            check_indices("index_add", indices, x.shape[axis])
            raise

    @override
    def scatter_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        alike("scatter_add", x, values)
        check_index_dtype("scatter_add", indices)
        check_values("scatter_add", along("scatter_add", x.shape, indices.shape, axis), values.shape)
        try:
            result: Array = self.copy(x, out=out)
            return result.scatter_add_(axis, indices, values)
        except (IndexError, RuntimeError):
            check_indices("scatter_add", indices, x.shape[axis])
            raise

    @override
    def slice_add(
        self,
        x: Array,
        values: Array,
        starts: tuple[int, ...],
        stops: tuple[int, ...],
        *,
        steps: tuple[int, ...] | None = None,
        out: Array = None,
    ) -> Array:
        alike("slice_add", x, values)
        place = slices("slice_add", x.shape, starts, stops, steps)
        check_values("slice_add", sliced(x.shape, place), values.shape)
        result: Array = self.copy(x, out=out)
        result[place].add_(values)
        return result
