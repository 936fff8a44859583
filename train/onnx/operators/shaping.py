"""Operators that move or rearrange elements: reshape, transpose, slice, split, pad, and the like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....backends import Backend, Tensor
from ....backends.host import Host
from ....layers import Flatten, Module
from ....layers.convolution.borders import Border
from ..graph import Function
from ..node import Node
from ..registry import function, layer

_WIDEST = 2**20
"""The largest padding with an axis's own elements."""


def ints(values: Any) -> tuple[int, ...]:
    """Return integers in a host array or a list as a tuple."""
    return tuple(int(value) for value in np.asarray(values).reshape(-1))


@function("Constant")
def constant(b: Backend, node: Node) -> Tensor:
    """Return the node's value."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in node.attributes:
            return b.from_host(np.asarray(node.attributes[name]))
    raise node.error(f"expected a tensor, numbers or a number, got {', '.join(node.attributes)}")


@function("ConstantOfShape", host=(0,))
def constant_of_shape(b: Backend, node: Node, shape: Host) -> Tensor:
    """Return a tensor filled with the node's value, by default a float 0."""
    value = np.asarray(node.get("value", np.zeros(1, np.float32))).reshape(-1)[0]
    dtype = {"f": None, "b": "bool"}.get(value.dtype.kind, "int64")
    return b.full(ints(shape), value.item(), dtype=dtype)


@function("Shape")
def shape_of(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return the shape, sliced by `start` and `end`."""
    return b.from_host(np.array(b.shape(x)[slice(node.get("start", 0), node.get("end"))], np.int64))


@function("Size")
def size_of(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return the number of elements."""
    return b.full((), math.prod(b.shape(x)), dtype="int64")


@function("Range", host=(0, 1, 2))
def number_range(b: Backend, node: Node, start: Host, limit: Host, delta: Host) -> Tensor:
    """start, start + delta, ... below limit."""
    first, last, step = start.item(), limit.item(), delta.item()
    if step == 0 or not all(map(math.isfinite, (first, last, step))):
        raise node.error(f"expected finite numbers and a step other than 0, got {first}, {last} and {step}")
    b.empty((max(0, math.ceil((last - first) / step)),))  # its size is checked before the host makes it
    return b.from_host(np.arange(first, last, step, dtype=start.dtype))


@function("Reshape", host=(1,))
def reshape(b: Backend, node: Node, x: Tensor, shape: Host | None = None) -> Tensor:
    """Return x in a new shape; 0 copies x's size, -1 is inferred."""
    new = ints(node.get("shape", ()) if shape is None else shape)
    if not node.get("allowzero", 0):
        old = b.shape(x)
        new = tuple(old[i] if n == 0 else n for i, n in enumerate(new))
    return b.reshape(x, new)


@layer("Flatten")
def flatten(node: Node) -> Module:
    """Return Flatten; a Function unless it keeps exactly the first axis."""
    return Flatten(backend=node.backend) if node.get("axis", 1) == 1 else Function(node, _as_matrix)


def _as_matrix(b: Backend, node: Node, x: Tensor) -> Tensor:
    shape = b.shape(x)
    axis = node.get("axis", 1)
    if axis != len(shape):  # which leaves one column
        axis = node.axis(axis, len(shape))
    return b.reshape(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))


@function("Transpose")
def transpose(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x with its axes permuted, by default reversed."""
    return b.permute_dims(x, tuple(node.get("perm", range(len(b.shape(x)))[::-1])))


@function("Squeeze", host=(1,))
def squeeze(b: Backend, node: Node, x: Tensor, axes: Host | None = None) -> Tensor:
    """Return x without the chosen axes of size 1, by default without all."""
    shape = b.shape(x)
    chosen = node.get("axes") if axes is None else ints(axes)
    if chosen is None:
        chosen = [i for i, n in enumerate(shape) if n == 1]
    removed = {node.axis(axis, len(shape)) for axis in chosen}
    return b.reshape(x, tuple(n for i, n in enumerate(shape) if i not in removed))


@function("Unsqueeze", host=(1,))
def unsqueeze(b: Backend, node: Node, x: Tensor, axes: Host | None = None) -> Tensor:
    """Return x with new axes of size 1."""
    chosen = ints(node.get("axes", ()) if axes is None else axes)
    sizes = iter(b.shape(x))
    rank = len(b.shape(x)) + len(chosen)
    new = {node.axis(axis, rank) for axis in chosen}
    return b.reshape(x, tuple(1 if i in new else next(sizes) for i in range(rank)))


@function("Concat")
def concat(b: Backend, node: Node, *tensors: Tensor) -> Tensor:
    """Return the tensors joined along an axis."""
    return b.concat(tensors, axis=node.get("axis", 1))


@function("Split", host=(1,))
def split(b: Backend, node: Node, x: Tensor, parts: Host | None = None) -> tuple[Tensor, ...]:
    """Return x split along an axis, by sizes or into equal parts (the last may be smaller)."""
    shape = b.shape(x)
    axis = node.axis(node.get("axis", 0), len(shape))
    sizes = node.get("split") if parts is None else ints(parts)
    if sizes is None:
        count = node.get("num_outputs", len(node.outputs))
        size = -(-shape[axis] // count)
        sizes = [min(size, shape[axis] - i * size) for i in range(count)]
    pieces, start = [], 0
    for size in sizes:
        starts = tuple(start if i == axis else 0 for i in range(len(shape)))
        stops = tuple(start + size if i == axis else n for i, n in enumerate(shape))
        pieces.append(b.slice(x, starts, stops))
        start += size
    return tuple(pieces)


@function("Slice", host=(1, 2, 3, 4))
def slice_(
    b: Backend,
    node: Node,
    x: Tensor,
    starts: Host | None = None,
    stops: Host | None = None,
    axes: Host | None = None,
    steps: Host | None = None,
) -> Tensor:
    """Return x[start:stop:step] along some axes; a negative step runs backwards."""
    shape = b.shape(x)
    first = ints(node.get("starts") if starts is None else starts)
    last = ints(node.get("ends") if stops is None else stops)
    chosen = node.get("axes", range(len(first))) if axes is None else ints(axes)
    by = (1,) * len(first) if steps is None else ints(steps)
    low, high, stride = [0] * len(shape), list(shape), [1] * len(shape)
    for start, stop, any_axis, step in zip(first, last, chosen, by, strict=True):
        axis = node.axis(any_axis, len(shape))
        if step == 0:
            raise node.error("expected steps other than 0, got 0")
        indices = range(*slice(start, stop, step).indices(shape[axis]))
        if step < 0:
            x = b.take(x, b.from_host(np.array(indices, np.int64)), axis=axis)
            high[axis] = len(indices)
        else:
            low[axis] = min(indices.start, shape[axis])
            high[axis] = max(indices.stop, low[axis])
            stride[axis] = step
    return b.slice(x, tuple(low), tuple(high), steps=tuple(stride))


@function("Pad", host=(1, 2, 3))
def pad(
    b: Backend,
    node: Node,
    x: Tensor,
    pads: Host | None = None,
    value: Host | None = None,
    axes: Host | None = None,
) -> Tensor:
    """Return x padded with a value or with its own elements; negative widths crop."""
    shape = b.shape(x)
    widths = ints(node.get("pads", node.get("paddings")) if pads is None else pads)
    chosen = range(len(shape)) if axes is None else [node.axis(a, len(shape)) for a in ints(axes)]
    sides = [(0, 0)] * len(shape)
    for i, axis in enumerate(chosen):
        sides[axis] = (widths[i], widths[i + len(widths) // 2])
    mode = {"constant": "zeros", "edge": "replicate", "wrap": "circular"}.get(
        node.get("mode", "constant"), "reflect"
    )
    added = tuple((max(low, 0), max(high, 0)) for low, high in sides)
    fill = node.get("value", 0.0) if value is None else np.asarray(value).reshape(-1)[0].item()
    if mode == "zeros":
        if b.dtype(x) == "int64":
            fill = int(fill)
        x = b.pad(x, added, value=fill)
    else:
        if max((n for pair in added for n in pair), default=0) > _WIDEST:
            raise node.error(f"expected widths of at most {_WIDEST:,}, got {added}")
        # Border leaves the first two axes alone; ONNX may pad any axis.
        padded = tuple(n + sum(pair) for n, pair in zip(shape, added, strict=True))
        x = b.reshape(Border(added, mode).extend(b, b.reshape(x, (1, 1, *shape))), padded)
    starts = tuple(max(-low, 0) for low, _ in sides)
    stops = tuple(n - max(-high, 0) for n, (_, high) in zip(b.shape(x), sides, strict=True))
    return b.slice(x, starts, stops)


@function("Expand", host=(1,))
def expand(b: Backend, node: Node, x: Tensor, shape: Host) -> Tensor:
    """Return x broadcast with another shape."""
    return b.broadcast_to(x, np.broadcast_shapes(b.shape(x), ints(shape)))


@function("Tile", host=(1, 2))
def tile(b: Backend, node: Node, x: Tensor, repeats: Host, axis: Host | None = None) -> Tensor:
    """Return x repeated along each axis."""
    counts, shape = ints(repeats), b.shape(x)
    if len(counts) != len(shape) or min(counts, default=0) < 0:
        raise node.error(f"expected {len(shape)} repeats of at least 0, got {counts}")
    apart = tuple(size for n in shape for size in (1, n))
    whole = tuple(size for times, n in zip(counts, shape, strict=True) for size in (times, n))
    repeated = b.broadcast_to(b.reshape(x, apart), whole)
    return b.reshape(repeated, tuple(times * n for times, n in zip(counts, shape, strict=True)))


@function("DepthToSpace")
def depth_to_space(b: Backend, node: Node, x: Tensor) -> Tensor:
    """(N, C k², H, W) -> (N, C, H k, W k): channels become blocks of the plane."""
    n, channels, height, width = b.shape(x)
    k = node.get("blocksize")
    depth = channels // (k * k)
    if node.get("mode", "DCR") == "DCR":
        cut = b.permute_dims(b.reshape(x, (n, k, k, depth, height, width)), (0, 3, 4, 1, 5, 2))
    else:
        cut = b.permute_dims(b.reshape(x, (n, depth, k, k, height, width)), (0, 1, 4, 2, 5, 3))
    return b.reshape(cut, (n, depth, height * k, width * k))


@function("SpaceToDepth")
def space_to_depth(b: Backend, node: Node, x: Tensor) -> Tensor:
    """(N, C, H k, W k) -> (N, C k², H, W): blocks of the plane become channels."""
    n, channels, height, width = b.shape(x)
    k = node.get("blocksize")
    cut = b.reshape(x, (n, channels, height // k, k, width // k, k))
    order = (0, 1, 3, 5, 2, 4) if node.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    return b.reshape(b.permute_dims(cut, order), (n, channels * k * k, height // k, width // k))
