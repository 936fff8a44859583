"""What an op makes of shapes and dtypes, and what it costs: one rule per primitive, for the op table.

A shape rule has the op's own signature, with a `Meta` for each tensor, and returns the result's `Meta`.
A FLOP rule is called with (result, *arguments, **options). Every elementwise result counts as one FLOP,
a matrix product as 2 M N K, a reduction as one per element that goes in, a move as none.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .errors import ShapeError
from .host import is_floating
from .protocol import Axis, Shape, Widths
from .shapes import broadcast, reduced, reshaped, slices
from .windows import Window

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
    return Meta(reduced(x.shape, axis, keepdims), x.dtype if is_floating(x.dtype) else "int64")


def max(x: Meta, *, axis: Axis = None, keepdims: bool = False, **_: Any) -> Meta:  # noqa: A001
    """Reduced."""
    return Meta(reduced(x.shape, axis, keepdims), x.dtype)


def argmax(x: Meta, *, axis: int, keepdims: bool = False) -> Meta:
    """Reduced, to indices."""
    return Meta(reduced(x.shape, axis, keepdims), "int64")


def matmul(x: Meta, y: Meta, **_: Any) -> Meta:
    """(..., M, K) (..., K, N)."""
    if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[-1] != y.shape[-2]:
        raise ShapeError(f"matmul: expected (..., M, K) and (..., K, N), got {x.shape} and {y.shape}")
    return Meta((*broadcast(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]), x.dtype)


def reshape(x: Meta, shape: Shape) -> Meta:
    """Equal size."""
    return Meta(reshaped(x.shape, shape), x.dtype)


def permute_dims(x: Meta, axes: tuple[int, ...]) -> Meta:
    """Axes in another order."""
    return Meta(tuple(x.shape[a] for a in axes), x.dtype)


def broadcast_to(x: Meta, shape: Shape) -> Meta:
    """Repeated."""
    return Meta(tuple(shape), x.dtype)


def concat(tensors: Any, *, axis: int = 0) -> Meta:
    """Extents along the axis add up."""
    first = tensors[0]
    axis %= len(first.shape)
    total = 0
    for t in tensors:
        total += t.shape[axis]
    return Meta((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def pad(x: Meta, widths: Widths, *, value: Any = 0.0) -> Meta:
    """Grown on both sides."""
    return Meta(tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)), x.dtype)


def slice(  # noqa: A001
    x: Meta, starts: tuple[int, ...], stops: tuple[int, ...], *, steps: tuple[int, ...] | None = None
) -> Meta:
    """Every step-th element between the bounds."""
    parts = slices(starts, stops, steps)
    return Meta(tuple(len(range(n)[s]) for n, s in zip(x.shape, parts, strict=True)), x.dtype)


def first(x: Meta, *_: Any, **__: Any) -> Meta:
    """The shape of the first tensor."""
    return x


def take(x: Meta, indices: Meta, *, axis: int) -> Meta:
    """Indices in place of the axis."""
    axis %= len(x.shape)
    return Meta((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)


def take_along_axis(x: Meta, indices: Meta, *, axis: int) -> Meta:
    """The indices' shape."""
    return Meta(indices.shape, x.dtype)


def unfold(x: Meta, window: Window, **_: Any) -> Meta:
    """(N, C, *size) -> (N, C K, L)."""
    return Meta(window.columns_of("unfold", x.shape), x.dtype)


def fold(columns: Meta, window: Window, **_: Any) -> Meta:
    """(N, C K, L) -> (N, C, *size)."""
    return Meta(window.image_of("fold", columns.shape), columns.dtype)


def created(shape: Shape, *_: Any, dtype: str | None = None, **__: Any) -> Meta:
    """The shape that was asked for; the caller puts the default dtype in."""
    return Meta(tuple(shape), dtype or "float32")


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
