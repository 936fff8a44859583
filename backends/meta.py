"""What an op makes of shapes and dtypes, and what it costs: one rule per primitive, for the op table.

A shape rule has the op's own signature, with a `Meta` for each tensor, and returns the result's `Meta`.
A FLOP rule is called with (result, *arguments, **options). Every elementwise result counts as one FLOP,
a matrix product as 2 M N K, a reduction as one per element that goes in, a move as none.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .errors import DtypeError, foreign, scalar_dtype_error, unequal_dtypes
from .host import FLOAT_DTYPES, check_dtype, fill_value, is_floating
from .number import Number
from .protocol import Axis, Shape, Widths
from .random import check_counter, check_draw, generator
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
    range_of,
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


# -- dtypes --------------------------------------------------------------------------------------


def check_meta(op: str, *tensors: Any) -> None:
    """Raise DtypeError for an argument that stands for no tensor."""
    for tensor in tensors:
        if type(tensor) is not Meta:
            raise foreign(op, tensor, "a tensor")


_MIXES = {float: FLOAT_DTYPES, Number: FLOAT_DTYPES, int: (*FLOAT_DTYPES, "int64"), bool: ("bool",)}
"""The dtypes that each kind of Python scalar mixes with."""


def agreed(op: str, *operands: Any) -> str:
    """Return the one dtype of tensors and scalars; DtypeError if there are several, or no tensor."""
    tensors = [x for x in operands if type(x) is Meta]
    scalars = [x for x in operands if type(x) is not Meta]
    if not tensors or any(type(x) not in _MIXES for x in scalars):
        raise foreign(op, next(x for x in scalars if not tensors or type(x) not in _MIXES), "a tensor")
    dtype = tensors[0].dtype
    for other in tensors[1:]:
        if other.dtype != dtype:
            raise unequal_dtypes(op, dtype, other.dtype)
    for scalar in scalars:
        if dtype not in _MIXES[type(scalar)]:
            raise scalar_dtype_error(op, scalar, dtype)
        if type(scalar) is int and abs(scalar) >= 2**63:
            fill_value(op, scalar, dtype)
    return dtype


def _wanted(op: str, wanted: str, fits: bool, dtype: str) -> None:
    if not fits:
        raise DtypeError(f"{op}: expected {wanted}, got {dtype}; convert it with astype")


def _indices(op: str, indices: Any) -> None:
    check_meta(op, indices)
    if indices.dtype != "int64":
        raise DtypeError(f"{op}: expected indices of int64, got {indices.dtype}")


# -- elementwise ---------------------------------------------------------------------------------


def _joint(op: str, *operands: Any) -> Shape:
    return broadcast(*(x.shape for x in operands if type(x) is Meta), op=op)


_ANY_NUMBER = ("negative", "abs", "sign")


def unary(op: str, x: Meta, **_: Any) -> Meta:
    """Elementwise over one tensor of floats, or of numbers."""
    check_meta(op, x)
    whole = op in _ANY_NUMBER and x.dtype == "int64"
    _wanted(op, "a floating tensor", is_floating(x.dtype) or whole, x.dtype)
    return x


_FLOATING = ("divide", "pow")


def binary(op: str, x: Any, y: Any, **_: Any) -> Meta:
    """Elementwise over two operands."""
    dtype = agreed(op, x, y)
    _wanted(op, "floating tensors", op not in _FLOATING or is_floating(dtype), dtype)
    _wanted(op, "numbers", op != "subtract" or dtype != "bool", dtype)
    return Meta(_joint(op, x, y), dtype)


def comparison(op: str, x: Any, y: Any) -> Meta:
    """Elementwise, to bool."""
    agreed(op, x, y)
    return Meta(_joint(op, x, y), "bool")


def logical_not(x: Meta) -> Meta:
    """Elementwise over bool."""
    check_meta("logical_not", x)
    _wanted("logical_not", "a bool tensor", x.dtype == "bool", x.dtype)
    return x


def where(condition: Meta, x: Any, y: Any) -> Meta:
    """Elementwise over three."""
    dtype = agreed("where", x, y)
    check_meta("where", condition)
    _wanted("where", "a bool tensor as condition", condition.dtype == "bool", condition.dtype)
    return Meta(_joint("where", condition, x, y), dtype)


def astype(x: Meta, dtype: str) -> Meta:
    """Another dtype."""
    check_dtype("astype", dtype)
    check_meta("astype", x)
    return Meta(x.shape, dtype)


def copy(x: Meta, **_: Any) -> Meta:
    """The same."""
    check_meta("copy", x)
    return x


# -- reduce, contract, move ----------------------------------------------------------------------


def sum(x: Meta, *, axis: Axis = None, keepdims: bool = False, **_: Any) -> Meta:  # noqa: A001
    """Reduced; what is not floating adds up to int64."""
    check_meta("sum", x)
    return Meta(reduced(x.shape, axis, keepdims, "sum"), x.dtype if is_floating(x.dtype) else "int64")


def max(x: Meta, *, axis: Axis = None, keepdims: bool = False, **_: Any) -> Meta:  # noqa: A001
    """Reduced."""
    check_meta("max", x)
    shape = reduced(x.shape, axis, keepdims, "max")
    check_not_empty("max", x.shape, axis)
    return Meta(shape, x.dtype)


def argmax(x: Meta, *, axis: int, keepdims: bool = False) -> Meta:
    """Reduced, to indices."""
    check_meta("argmax", x)
    axis = axis_of("argmax", axis, len(x.shape))
    check_not_empty("argmax", x.shape, axis)
    return Meta(reduced(x.shape, axis, keepdims, "argmax"), "int64")


def matmul(x: Meta, y: Meta, **_: Any) -> Meta:
    """(..., M, K) (..., K, N)."""
    check_meta("matmul", x, y)
    dtype = agreed("matmul", x, y)
    return Meta(product(x.shape, y.shape), dtype)


def reshape(x: Meta, shape: Shape) -> Meta:
    """Equal size."""
    check_meta("reshape", x)
    return Meta(reshaped(x.shape, shape), x.dtype)


def permute_dims(x: Meta, axes: tuple[int, ...]) -> Meta:
    """Axes in another order."""
    check_meta("permute_dims", x)
    return Meta(tuple(x.shape[a] for a in permuted(x.shape, axes)), x.dtype)


def broadcast_to(x: Meta, shape: Shape) -> Meta:
    """Repeated."""
    check_meta("broadcast_to", x)
    return Meta(stretched(x.shape, shape), x.dtype)


def concat(tensors: Any, *, axis: int = 0) -> Meta:
    """Extents along the axis add up."""
    check_sequence(tensors)
    check_meta("concat", *tensors)
    return Meta(joined([t.shape for t in tensors], axis), agreed("concat", *tensors))


def pad(x: Meta, widths: Widths, *, value: Any = 0.0) -> Meta:
    """Grown on both sides."""
    check_meta("pad", x)
    pairs = widths_of(x.shape, widths)
    _filled("pad", value, x.dtype)
    return Meta(tuple(n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True)), x.dtype)


def slice(  # noqa: A001
    x: Meta, starts: tuple[int, ...], stops: tuple[int, ...], *, steps: tuple[int, ...] | None = None
) -> Meta:
    """Every step-th element between the bounds."""
    check_meta("slice", x)
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
    check_meta("slice_add", x, values)
    agreed("slice_add", x, values)
    parts = slices("slice_add", x.shape, starts, stops, steps)
    check_values("slice_add", sliced(x.shape, parts), values.shape)
    return x


def index_add(x: Meta, indices: Meta, values: Meta, *, axis: int, **_: Any) -> Meta:
    """The shape of the first tensor; the values have that of `take`."""
    check_meta("index_add", x, values)
    agreed("index_add", x, values)
    _indices("index_add", indices)
    check_values("index_add", taken("index_add", x.shape, indices.shape, axis), values.shape)
    return x


def scatter_add(x: Meta, indices: Meta, values: Meta, *, axis: int, **_: Any) -> Meta:
    """The shape of the first tensor; the values have that of the indices."""
    check_meta("scatter_add", x, values)
    agreed("scatter_add", x, values)
    _indices("scatter_add", indices)
    check_values("scatter_add", along("scatter_add", x.shape, indices.shape, axis), values.shape)
    return x


def take(x: Meta, indices: Meta, *, axis: int) -> Meta:
    """Indices in place of the axis."""
    check_meta("take", x)
    _indices("take", indices)
    return Meta(taken("take", x.shape, indices.shape, axis), x.dtype)


def take_along_axis(x: Meta, indices: Meta, *, axis: int) -> Meta:
    """The indices' shape."""
    check_meta("take_along_axis", x)
    _indices("take_along_axis", indices)
    return Meta(along("take_along_axis", x.shape, indices.shape, axis), x.dtype)


def unfold(x: Meta, window: Window, **_: Any) -> Meta:
    """(N, C, *size) -> (N, C K, L)."""
    check_meta("unfold", x)
    check_window("unfold", window)
    return Meta(window.columns_of("unfold", x.shape), x.dtype)


def fold(columns: Meta, window: Window, **_: Any) -> Meta:
    """(N, C K, L) -> (N, C, *size)."""
    check_meta("fold", columns)
    check_window("fold", window)
    return Meta(window.image_of("fold", columns.shape), columns.dtype)


# -- create; the caller puts the default dtype in ----------------------------------------------------


def _made(op: str, shape: Shape, dtype: str | None) -> Meta:
    check_dtype(op, dtype or "float32")
    return Meta(extents(op, shape), dtype or "float32")


def empty(shape: Shape, *, dtype: str | None = None) -> Meta:
    """The shape that was asked for."""
    return _made("empty", shape, dtype)


def full(shape: Shape, value: Any, *, dtype: str | None = None) -> Meta:
    """The shape that was asked for; the value fits the dtype."""
    made = _made("full", shape, dtype)
    _filled("full", value, made.dtype)
    return made


def _filled(op: str, value: Any, dtype: str) -> None:
    if type(value) is not Number:
        fill_value(op, value, dtype)
    elif not is_floating(dtype):
        raise scalar_dtype_error(op, value, dtype)


def random(
    shape: Shape,
    *,
    seed: int,
    stream: int | str,
    step: Any = 0,
    distribution: Any = "uniform",
    dtype: str | None = None,
) -> Meta:
    """The shape that was asked for."""
    made = _made("random", shape, dtype)
    check_draw(distribution, made.dtype)
    if isinstance(step, Meta):
        check_counter(step.shape, step.dtype)
        step = 0
    generator(seed, stream, step)
    return made


def arange(start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Meta:
    """As many as a Python range."""
    bounds = range_of(start, stop, step, dtype)
    check_dtype("arange", dtype)
    return Meta((len(range(*bounds)),), dtype)


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
