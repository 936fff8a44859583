"""Padding with the image's own values: each padded place repeats a place of the image."""

from __future__ import annotations

from dataclasses import dataclass

from ...backends import Backend, Tensor
from ...backends.protocol import Shape

MODES = ("zeros", "reflect", "replicate", "circular")
Sides = tuple[tuple[int, int], ...]


def sources(size: int, before: int, after: int, mode: str) -> list[int]:
    """Return the source index of each place of a padded axis."""
    places = range(-before, size + after)
    if mode == "replicate":
        return [min(max(i, 0), size - 1) for i in places]
    if mode == "circular":
        return [i % size for i in places]
    return [size - 1 - abs(size - 1 - abs(i)) for i in places]  # reflect: the edge is not repeated


@dataclass(frozen=True)
class Border:
    """Padding on each side, in a mode other than zeros."""

    sides: Sides
    mode: str

    def inner(self, size: Shape) -> Shape:
        """Return the spatial size without the border."""
        return tuple(n - sum(pair) for n, pair in zip(size, self.sides, strict=True))

    def extend(self, b: Backend, x: Tensor) -> Tensor:
        """Pad x (N, C, *spatial, ...) -> (N, C, *padded, ...), axis by axis."""
        for axis, (before, after) in enumerate(self.sides, start=2):
            if before or after:
                places = sources(b.shape(x)[axis], before, after, self.mode)
                x = b.take(x, b.from_host(places, dtype="int64"), axis=axis)
        return x

    def extend_grad(self, b: Backend, grad: Tensor) -> Tensor:
        """Return the adjoint of `extend`: (N, C, *padded, ...) -> (N, C, *spatial, ...).

        The gradients of repeated places are summed.
        """
        for axis, (before, after) in list(enumerate(self.sides, start=2))[::-1]:
            if before or after:
                shape = list(b.shape(grad))
                shape[axis] -= before + after
                places = sources(shape[axis], before, after, self.mode)
                zeros = b.full(tuple(shape), 0.0, dtype=b.dtype(grad))
                grad = b.index_add(zeros, b.from_host(places, dtype="int64"), grad, axis=axis)
        return grad


def least(padding: int, mode: str) -> int:
    """Return the smallest size of an axis that allows this padding on one side."""
    return padding + 1 if mode == "reflect" else padding if mode == "circular" else 1
