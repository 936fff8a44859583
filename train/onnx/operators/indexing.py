"""Gathers, and tensors made from indices: one-hot, triangles, identity matrices."""

from __future__ import annotations

import math

from ....backends import Backend, Tensor
from ....backends.host import Host
from ....layers import Embedding, Module
from ....layers.initializers import Constant
from ..graph import Function
from ..node import Node
from ..registry import function, layer
from .elementwise import dtype_of


@layer("Gather")
def gather(node: Node) -> Module:
    """Return Embedding if the file stores the matrix of which rows are taken, else a Function."""
    table = node.constant(0)
    is_table = table is not None and table.ndim == 2 and table.dtype.kind == "f"
    if not is_table or node.get("axis", 0) != 0 or node.constant(1) is not None:
        return Function(node, _take)
    assert table is not None
    embedding = Embedding(*table.shape, weight_init=Constant(0.0), backend=node.backend)
    embedding.load_state_dict({"weight": table})
    return Rows(embedding, node)


class Rows(Function):
    """An embedding of the node's second input; the first input is its weight."""

    def __init__(self, table: Embedding, node: Node) -> None:
        super().__init__(node, self._rows)
        self.table = table

    def _rows(self, b: Backend, node: Node, weight: Tensor, indices: Tensor) -> Tensor:
        return self.table.forward(_nonnegative(b, indices, self.table.num_embeddings))


def _nonnegative(b: Backend, indices: Tensor, extent: int) -> Tensor:
    """Return indices counted from the start; negative ones count from the end."""
    return b.where(b.less(indices, 0), b.add(indices, extent), indices)


def _take(b: Backend, node: Node, x: Tensor, indices: Tensor) -> Tensor:
    shape, index_shape = b.shape(x), b.shape(indices)
    axis = node.axis(node.get("axis", 0), len(shape))
    flat = b.reshape(_nonnegative(b, indices, shape[axis]), (math.prod(index_shape),))
    return b.reshape(b.take(x, flat, axis=axis), (*shape[:axis], *index_shape, *shape[axis + 1 :]))


@function("GatherElements")
def gather_elements(b: Backend, node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Return x's elements at indices along an axis."""
    shape, index_shape = b.shape(x), b.shape(indices)
    axis = node.axis(node.get("axis", 0), len(shape))
    extent = shape[axis]
    # Indices may be shorter than x along the other axes; they stand for its first places.
    stops = tuple(extent if i == axis else n for i, n in enumerate(index_shape))
    x = b.slice(x, (0,) * len(shape), stops)
    return b.take_along_axis(x, _nonnegative(b, indices, extent), axis=axis)


@function("OneHot", host=(1, 2))
def one_hot(b: Backend, node: Node, indices: Tensor, depth: Host, values: Host) -> Tensor:
    """values[1] at each index, else values[0]; an index out of range selects nothing."""
    count = int(depth.reshape(-1)[0])
    rank = len(b.shape(indices)) + 1
    axis = node.axis(node.get("axis", -1), rank)
    wrapped = _nonnegative(b, b.astype(indices, "int64"), count)
    hot = b.equal(b.reshape(wrapped, (*b.shape(indices), 1)), b.arange(0, count))
    order = list(range(rank - 1))
    order.insert(axis, rank - 1)
    off, on = (value.item() for value in values)
    dtype = "int64" if values.dtype.kind in "iu" else b.default_dtype
    filled = b.where(hot, b.full((), on, dtype=dtype), b.full((), off, dtype=dtype))
    return b.permute_dims(filled, tuple(order))


@function("Trilu", host=(1,))
def triangle(b: Backend, node: Node, x: Tensor, k: Host | None = None) -> Tensor:
    """The upper or lower triangle of the last two axes, else 0."""
    shape = b.shape(x)
    shift = 0 if k is None else int(k)
    row = b.reshape(b.arange(0, shape[-2]), (shape[-2], 1))
    column = b.reshape(b.arange(0, shape[-1]), (1, shape[-1]))
    edge = b.add(row, shift)
    kept = b.less_equal(edge, column) if node.get("upper", 1) else b.less_equal(column, edge)
    return b.where(kept, x, b.full((), 0, dtype=b.dtype(x)))


@function("EyeLike")
def eye_like(b: Backend, node: Node, x: Tensor) -> Tensor:
    """1 on the k-th diagonal, else 0, in x's shape."""
    rows, columns = b.shape(x)
    row = b.reshape(b.add(b.arange(0, rows), node.get("k", 0)), (rows, 1))
    hot = b.equal(row, b.reshape(b.arange(0, columns), (1, columns)))
    kind = node.get("dtype")
    return b.astype(hot, b.dtype(x) if kind is None else dtype_of(b, kind))
