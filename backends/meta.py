"""What an op makes of shapes and dtypes, and what it costs: one rule per primitive, for the op table.

A shape rule has the op's own signature, with a `Meta` for each tensor, and returns the result's `Meta`.
A FLOP rule is called with (result, *arguments, **options). Every elementwise result counts as one FLOP,
a matrix product as 2 M N K, a reduction as one per element that goes in, a move as none.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .host import is_floating
from .protocol import Axis, Shape, Widths
from .shapes import (
    along,
    axis_of,
    broadcast,
    check_not_empty,
    check_sequence,
    check_values,
    extents,
    joined,
    permuted,
    product,
    reduced,
    reshaped,
    sliced,
    slices,
    stretched,
    taken,
    widths_of,
)
from .windows import Window, check_window

_ITEM_BYTES = {"float32": 4, "float64": 8, "int64": 8, "bool": 1}


class Meta(NamedTuple):
    """Shape and dtype of a tensor that is not there."""

    shape: Shape
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the elements take."""
        return self.size * _ITEM_BYTES[self.dtype]


def _of(*operands: Any) -> Meta:
    """Return the broadcast result of tensors and scalars."""
    metas = [x for x in operands if isinstance(x, Meta)]
    return Meta(broadcast(*(m.shape for m in metas)), metas[0].dtype)


def same(x: Meta, **_: Any) -> Meta:
    """Elementwise over one tensor."""
    return x


def binary(x: Any, y: Any, **_: Any) -> Meta:
    """Elementwise over two operands."""
    return _of(x, y)


def comparison(x: Any, y: Any) -> Meta:
    """Elementwise, to bool."""
    return Meta(_of(x, y).shape, "bool")


def where(condition: Meta, x: Any, y: Any) -> Meta:
    """Elementwise over three."""
    return Meta(broadcast(condition.shape, _of(x, y).shape), _of(x, y).dtype)


def astype(x: Meta, dtype: str) -> Meta:
    """Another dtype."""
    return Meta(x.shape, dtype)


def sum(x: Meta, *, axis: Axis = None, keepdims: bool = False, **_: Any) -> Meta:  # noqa: A001
    """Reduced; what is not floating adds up to int64."""
    return Meta(reduced(x.shape, axis, keepdims, "sum"), x.dtype if is_floating(x.dtype) else "int64")


def max(x: Meta, *, axis: Axis = None, keepdims: bool = False, **_: Any) -> Meta:  # noqa: A001
    """Reduced."""
    check_not_empty("max", x.shape, axis)
    return Meta(reduced(x.shape, axis, keepdims, "max"), x.dtype)


def argmax(x: Meta, *, axis: int, keepdims: bool = False) -> Meta:
    """Reduced, to indices."""
    return Meta(reduced(x.shape, axis_of("argmax", axis, len(x.shape)), keepdims, "argmax"), "int64")


def matmul(x: Meta, y: Meta, **_: Any) -> Meta:
    """(..., M, K) (..., K, N)."""
    return Meta(product(x.shape, y.shape), x.dtype)


def reshape(x: Meta, shape: Shape) -> Meta:
    """Equal size."""
    return Meta(reshaped(x.shape, shape), x.dtype)


def permute_dims(x: Meta, axes: tuple[int, ...]) -> Meta:
    """Axes in another order."""
    return Meta(tuple(x.shape[a] for a in permuted(x.shape, axes)), x.dtype)


def broadcast_to(x: Meta, shape: Shape) -> Meta:
    """Repeated."""
    return Meta(stretched(x.shape, shape), x.dtype)


def concat(tensors: Any, *, axis: int = 0) -> Meta:
    """Extents along the axis add up."""
    check_sequence(tensors)
    return Meta(joined([t.shape for t in tensors], axis), tensors[0].dtype)


def pad(x: Meta, widths: Widths, *, value: Any = 0.0) -> Meta:
    """Grown on both sides."""
    pairs = widths_of(x.shape, widths)
    return Meta(tuple(n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True)), x.dtype)


def slice(  # noqa: A001
    x: Meta, starts: tuple[int, ...], stops: tuple[int, ...], *, steps: tuple[int, ...] | None = None
) -> Meta:
    """Every step-th element between the bounds."""
    return Meta(sliced(x.shape, slices("slice", x.shape, starts, stops, steps)), x.dtype)


def slice_add(
    x: Meta,
    values: Meta,
    starts: tuple[int, ...],
    stops: tuple[int, ...],
    *,
    steps: tuple[int, ...] | None = None,
    **_: Any,
) -> Meta:
    """The shape of the first tensor; the values have that of the part."""
    parts = slices("slice_add", x.shape, starts, stops, steps)
    check_values("slice_add", sliced(x.shape, parts), values.shape)
    return x


def index_add(x: Meta, indices: Meta, values: Meta, *, axis: int, **_: Any) -> Meta:
    """The shape of the first tensor; the values have that of `take`."""
    check_values("index_add", taken("index_add", x.shape, indices.shape, axis), values.shape)
    return x


def scatter_add(x: Meta, indices: Meta, values: Meta, *, axis: int, **_: Any) -> Meta:
    """The shape of the first tensor; the values have that of the indices."""
    check_values("scatter_add", along("scatter_add", x.shape, indices.shape, axis), values.shape)
    return x


def take(x: Meta, indices: Meta, *, axis: int) -> Meta:
    """Indices in place of the axis."""
    return Meta(taken("take", x.shape, indices.shape, axis), x.dtype)


def take_along_axis(x: Meta, indices: Meta, *, axis: int) -> Meta:
    """The indices' shape."""
    return Meta(along("take_along_axis", x.shape, indices.shape, axis), x.dtype)


def unfold(x: Meta, window: Window, **_: Any) -> Meta:
    """(N, C, *size) -> (N, C K, L)."""
    check_window("unfold", window)
    return Meta(window.columns_of("unfold", x.shape), x.dtype)


def fold(columns: Meta, window: Window, **_: Any) -> Meta:
    """(N, C K, L) -> (N, C, *size)."""
    check_window("fold", window)
    return Meta(window.image_of("fold", columns.shape), columns.dtype)


def created(shape: Shape, *_: Any, dtype: str | None = None, **__: Any) -> Meta:
    """The shape that was asked for; the caller puts the default dtype in."""
    return Meta(extents("created", shape), dtype or "float32")


def arange(start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Meta:
    """As many as a Python range."""
    return Meta((len(range(start, stop, step)),), dtype)


# -- costs -------------------------------------------------------------------------------------


def no_flops(result: Any, *_: Any, **__: Any) -> int:
    """A move."""
    return 0


def per_result(result: Meta, *_: Any, **__: Any) -> int:
    """One for each element that comes out."""
    return result.size


def per_input(result: Meta, x: Meta, *_: Any, **__: Any) -> int:
    """One for each element that goes in."""
    return x.size


def per_value(result: Meta, x: Meta, indices: Meta, values: Meta, **_: Any) -> int:
    """One for each value that is added."""
    return values.size


def per_second(result: Meta, x: Meta, values: Meta, *_: Any, **__: Any) -> int:
    """One for each element of the second tensor."""
    return values.size


def matmul_flops(result: Meta, x: Meta, y: Meta, **_: Any) -> int:
    """A multiplication and an addition for each of M N K."""
    return 2 * result.size * x.shape[-1]
