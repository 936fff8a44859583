"""Padding with the image's own values: each place of the padding repeats a place of the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...backends import Backend, Tensor
from ...backends.protocol import Shape

MODES = ("zeros", "reflect", "replicate", "circular")
"""The padding modes. `Window` pads with zeros; `Border` implements the other modes."""
Sides = tuple[tuple[int, int], ...]


def sources(size: int, before: int, after: int, mode: str) -> list[int]:
    """Return, for each place of a padded axis, the index of its source: the place of the image it repeats."""
    places = range(-before, size + after)
    if mode == "replicate":
        return [min(max(i, 0), size - 1) for i in places]
    if mode == "circular":
        return [i % size for i in places]
    return [size - 1 - abs(size - 1 - abs(i)) for i in places]  # reflect: the edge is not repeated


@dataclass(frozen=True)
class Border:
    """Padding (before, after) on each spatial axis, in a mode other than "zeros"."""

    sides: Sides
    mode: str

    def inner(self, size: Shape) -> Shape:
        """Return the spatial size without padding; `size` is the spatial size with padding."""
        return tuple(n - sum(pair) for n, pair in zip(size, self.sides, strict=True))

    def extend(self, b: Backend, x: Tensor, rows: tuple[int, int] | None = None) -> Tensor:
        """Return x with its padding: (N, C, *spatial, ...) -> (N, C, *padded, ...).

        If `rows` is given as (first, last + 1), the result has only this range of the padded rows. A row is
        all places that share an index along the first spatial axis.
        """
        for axis, (before, after) in enumerate(self.sides, start=2):
            places = sources(b.shape(x)[axis], before, after, self.mode)
            if axis == 2 and rows is not None:
                places = places[slice(*rows)]
            if places != list(range(b.shape(x)[axis])):
                x = b.take(x, b.from_host(places, dtype="int64"), axis=axis)
        return x

    def extend_grad(self, b: Backend, grad: Tensor, *, first: int = 2) -> Tensor:
        """Return the adjoint of `extend`: (N, C, *padded, ...) -> (N, C, *spatial, ...).

        Each place of the image gets the sum of the gradients of the padded places that repeat it. Axes before
        `first` stay padded.
        """
        for axis in range(len(self.sides) + 1, first - 1, -1):
            before, after = self.sides[axis - 2]
            if before or after:
                shape = list(b.shape(grad))
                shape[axis] -= before + after
                places = sources(shape[axis], before, after, self.mode)
                zeros = b.full(tuple(shape), 0.0, dtype=b.dtype(grad))
                grad = b.index_add(zeros, b.from_host(places, dtype="int64"), grad, axis=axis)
        return grad

    def runs(self, size: int, rows: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
        """Cut the padded rows in the range `rows` into runs whose source rows are consecutive.

        Yield (start, stop, source) for each run. start and stop count from rows[0]; source is the source row
        of the first row of the run. size: the number of rows without padding.
        """
        places = sources(size, *self.sides[0], self.mode)[slice(*rows)]
        start = 0
        for stop in range(1, len(places) + 1):
            if stop == len(places) or places[stop] != places[stop - 1] + 1:
                yield start, stop, places[start]
                start = stop


def least(padding: int, mode: str) -> int:
    """Return the smallest size of an axis that allows `padding` places on one side in a mode of `Border`."""
    return padding + 1 if mode == "reflect" else padding if mode == "circular" else 1
