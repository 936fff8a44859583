"""Gathers, scatters, and what is made of places: one-hot, triangles, identities."""

from __future__ import annotations

import math

from ....backends import Backend, Tensor
from ....layers import Embedding, Module
from ....layers.initializers import Constant
from ..graph import Function
from ..node import Host, Node
from ..registry import function, layer


@layer("Gather")
def gather(node: Node) -> Module:
    """Return Embedding where rows of a matrix that the file holds are taken, else a function."""
    table = node.constant(0)
    is_table = table is not None and table.ndim == 2 and table.dtype.kind == "f"
    if not is_table or int(node.get("axis", 0)) != 0 or node.constant(1) is not None:
        return Function(node, _take, host=())
    assert table is not None
    found = Embedding(*table.shape, weight_init=Constant(0.0), backend=node.backend)
    found.load_state_dict({"weight": table})
    return Rows(found, node)


class Rows(Function):
    """An embedding, which takes the second input of its node: the first one is its weight."""

    def __init__(self, table: Embedding, node: Node) -> None:
        super().__init__(node, self._rows, host=())
        self.table = table

    def _rows(self, b: Backend, node: Node, weight: Tensor, indices: Tensor) -> Tensor:
        return self.table.forward(_wrapped(b, indices, self.table.num_embeddings))


def _wrapped(b: Backend, indices: Tensor, extent: int) -> Tensor:
    """Return indices from 0: those below it count from the end."""
    return b.where(b.less(indices, 0), b.add(indices, extent), indices)


def _take(b: Backend, node: Node, x: Tensor, indices: Tensor) -> Tensor:
    shape, wanted = b.shape(x), b.shape(indices)
    axis = int(node.get("axis", 0)) % len(shape)
    flat = b.reshape(_wrapped(b, indices, shape[axis]), (math.prod(wanted),))
    return b.reshape(b.take(x, flat, axis=axis), (*shape[:axis], *wanted, *shape[axis + 1 :]))


@function("GatherElements")
def gather_elements(b: Backend, node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Return x's elements at indices along an axis."""
    axis = int(node.get("axis", 0)) % len(b.shape(x))
    wanted = b.shape(indices)
    extent = b.shape(x)[axis]
    # Other axes may be shorter in the indices: the places there are those from 0 on.
    stops = tuple(extent if i == axis else n for i, n in enumerate(wanted))
    x = b.slice(x, (0,) * len(wanted), stops)
    return b.take_along_axis(x, _wrapped(b, indices, extent), axis=axis)


@function("OneHot", host=(1, 2))
def one_hot(b: Backend, node: Node, indices: Tensor, depth: Host, values: Host) -> Tensor:
    """Return values[1] at each index, values[0] elsewhere; out of range nowhere."""
    count = int(depth.reshape(-1)[0])
    rank = len(b.shape(indices)) + 1
    axis = int(node.get("axis", -1)) % rank
    places = b.astype(indices, "int64")
    hot = b.equal(b.reshape(_wrapped(b, places, count), (*b.shape(indices), 1)), b.arange(0, count))
    order = list(range(rank - 1))
    order.insert(axis, rank - 1)
    off, on = (value.item() for value in values)
    dtype = "int64" if values.dtype.kind in "iu" else b.default_dtype
    filled = b.where(hot, b.full((), on, dtype=dtype), b.full((), off, dtype=dtype))
    return b.permute_dims(filled, tuple(order))


@function("Trilu", host=(1,))
def triangle(b: Backend, node: Node, x: Tensor, k: Host | None = None) -> Tensor:
    """Return the upper or lower triangle of the last two axes, 0 elsewhere."""
    shape = b.shape(x)
    shift = 0 if k is None else int(k)
    row = b.reshape(b.arange(0, shape[-2]), (shape[-2], 1))
    column = b.reshape(b.arange(0, shape[-1]), (1, shape[-1]))
    edge = b.add(row, shift)
    kept = b.less_equal(edge, column) if node.get("upper", 1) else b.less_equal(column, edge)
    return b.where(kept, x, b.full((), 0, dtype=b.dtype(x)))


@function("EyeLike")
def eye_like(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return 1 on a diagonal, 0 elsewhere, in x's shape."""
    rows, columns = b.shape(x)
    row = b.reshape(b.add(b.arange(0, rows), int(node.get("k", 0))), (rows, 1))
    hot = b.equal(row, b.reshape(b.arange(0, columns), (1, columns)))
    kind = node.get("dtype")
    dtype = (
        b.dtype(x)
        if kind is None
        else {1: b.default_dtype, 11: b.default_dtype, 9: "bool"}.get(kind, "int64")
    )
    return b.astype(hot, dtype)
