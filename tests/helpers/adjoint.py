"""The adjoint pairs of the protocol: <A x, y> = <x, A' y> for every x and y.

A pair that fails this sends gradients to the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lamina.backends import Backend
from lamina.backends.gradients import unbroadcast
from lamina.backends.host import Host
from lamina.backends.protocol import Shape, Tensor
from lamina.backends.windows import Window

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Pair:
    """A linear map of a backend and its adjoint, with the shapes of their arguments."""

    name: str
    inputs: Shape
    outputs: Shape
    forward: Map
    adjoint: Map


def check(backend: Backend, pair: Pair, x: Host, y: Host) -> None:
    """Raise unless <A x, y> = <x, A' y>, for x and y in float64."""
    image = backend.to_host(pair.forward(backend.from_host(x, dtype="float64")))
    back = backend.to_host(pair.adjoint(backend.from_host(y, dtype="float64")))
    assert image.shape == y.shape, f"{pair.name}: expected shape {y.shape}, got {image.shape}"
    assert back.shape == x.shape, f"{pair.name}: expected shape {x.shape} of the adjoint, got {back.shape}"
    left, right = float(np.sum(image * y)), float(np.sum(x * back))
    scale = float(np.sum(np.abs(image * y)) + np.sum(np.abs(x * back)))
    terms = x.size + y.size
    allowed = 4 * terms * 2.0**-53 * scale
    assert abs(left - right) <= allowed, f"{pair.name}: <Ax, y> = {left!r}, <x, A'y> = {right!r}"


def unfold_fold(b: Backend, shape: Shape, window: Window) -> Pair:
    """x (N, C, *window.size) and its columns."""
    columns = window.columns_of("unfold", shape)
    return Pair("unfold/fold", shape, columns, lambda x: b.unfold(x, window), lambda y: b.fold(y, window))


def pad_slice(b: Backend, shape: Shape, widths: tuple[tuple[int, int], ...]) -> Pair:
    """x, and x padded with zeros."""
    starts = tuple(before for before, _ in widths)
    stops = tuple(start + n for start, n in zip(starts, shape, strict=True))
    grown = tuple(n + sum(w) for n, w in zip(shape, widths, strict=True))
    return Pair("pad/slice", shape, grown, lambda x: b.pad(x, widths), lambda y: b.slice(y, starts, stops))


def slice_slice_add(b: Backend, shape: Shape, starts: Shape, stops: Shape, steps: Shape | None) -> Pair:
    """x, and a strided part of it."""
    strides = steps or (1,) * len(shape)
    part = tuple(len(range(*bounds)) for bounds in zip(starts, stops, strides, strict=True))
    return Pair(
        "slice/slice_add",
        shape,
        part,
        lambda x: b.slice(x, starts, stops, steps=steps),
        lambda y: b.slice_add(_zeros(b, shape), y, starts, stops, steps=steps),
    )


def take_index_add(b: Backend, shape: Shape, indices: Host, axis: int) -> Pair:
    """x, and its slices at indices (K,), which may repeat."""
    picked = b.from_host(indices, dtype="int64")
    return Pair(
        "take/index_add",
        shape,
        (*shape[:axis], len(indices), *shape[axis + 1 :]),
        lambda x: b.take(x, picked, axis=axis),
        lambda y: b.index_add(_zeros(b, shape), picked, y, axis=axis),
    )


def along_scatter(b: Backend, shape: Shape, indices: Host, axis: int) -> Pair:
    """x, and its elements at indices along an axis, which may repeat."""
    picked = b.from_host(indices, dtype="int64")
    return Pair(
        "take_along_axis/scatter_add",
        shape,
        indices.shape,
        lambda x: b.take_along_axis(x, picked, axis=axis),
        lambda y: b.scatter_add(_zeros(b, shape), picked, y, axis=axis),
    )


def broadcast_sum(b: Backend, shape: Shape, target: Shape) -> Pair:
    """x, and x repeated; every VJP uses this adjoint."""
    like = _zeros(b, shape)
    return Pair(
        "broadcast_to/sum",
        shape,
        target,
        lambda x: b.broadcast_to(x, target),
        lambda y: unbroadcast(b, y, like),
    )


def permute_inverse(b: Backend, shape: Shape, axes: tuple[int, ...]) -> Pair:
    """x, and x with its axes permuted."""
    inverse = tuple(int(i) for i in np.argsort(axes))
    moved = tuple(shape[a] for a in axes)
    return Pair(
        "permute/inverse",
        shape,
        moved,
        lambda x: b.permute_dims(x, axes),
        lambda y: b.permute_dims(y, inverse),
    )


def concat_slices(b: Backend, shape: Shape, cuts: tuple[int, ...], axis: int) -> Pair:
    """x, and its parts along an axis in reverse order."""
    bounds = list(zip((0, *cuts), (*cuts, shape[axis]), strict=True))
    order = bounds[::-1]

    def part(x: Tensor, start: int, stop: int) -> Tensor:
        starts = tuple(start if i == axis else 0 for i in range(len(shape)))
        stops = tuple(stop if i == axis else n for i, n in enumerate(shape))
        return b.slice(x, starts, stops)

    def forward(x: Tensor) -> Tensor:
        return b.concat([part(x, *bound) for bound in order], axis=axis)

    def adjoint(y: Tensor) -> Tensor:
        parts, start = [], 0
        for low, high in order:
            parts.append(part(y, start, start + high - low))
            start += high - low
        return b.concat(parts[::-1], axis=axis)

    return Pair("concat/slices", shape, shape, forward, adjoint)


def _zeros(b: Backend, shape: Shape) -> Tensor:
    return b.full(shape, 0.0, dtype="float64")
