"""Arrays in memory, and spans of them: what the body of every loop nest works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from ..ir import Code, Terms, Type, Value, bytes_of, vector


@dataclass(frozen=True)
class Array:
    """Elements in memory, with a stride for each axis of a loop nest."""

    pointer: Value
    element: str
    """LLVM's name: "float", "double", "i64", or "i1" (a byte in memory)."""
    strides: tuple[int, ...]
    """In elements; 0 repeats the array along the axis."""
    padded: bool = False
    """Whether the axis of stride 1 is followed by padding up to a whole vector, free to read and to write."""

    def permuted(self, order: Sequence[int]) -> Array:
        """Return the array with its axes in another order."""
        return replace(self, strides=tuple(self.strides[axis] for axis in order))


@dataclass(frozen=True)
class Span:
    """A place in a loop nest: `width` elements along one axis, of which the first `live` exist."""

    code: Code
    index: tuple[Terms, ...]
    """The place along each axis."""
    axis: int
    """The axis that the vector lies along."""
    width: int
    live: int

    def type(self, element: str) -> Type:
        """Return the type of the span's values."""
        return vector(element, self.width)

    def address(self, array: Array) -> Value:
        """Return where the span begins in the array."""
        size = bytes_of(array.element)
        terms = [
            (index, factor * stride * size)
            for place, stride in zip(self.index, array.strides, strict=True)
            if stride
            for index, factor in place
        ]
        return self.code.at(array.pointer, *terms)

    def load(self, array: Array) -> Value:
        """Return the array's elements here; those of dead lanes are anything."""
        where, stride = self.address(array), array.strides[self.axis]
        if self.width > 1 and stride == 0:
            one = self.code.load(where, vector(array.element, 1))
            return self.code.splat(one, self.width)
        kind = self.type(array.element)
        if stride == 1 or self.width == 1:
            return self.code.load(where, kind, self.width if array.padded else self.live)
        return self.code.gather(where, stride, kind, self.live)

    def store(self, x: Value, array: Array) -> None:
        """Write the live elements into the array, and with padding the dead ones too."""
        where, stride = self.address(array), array.strides[self.axis]
        if stride == 1 or self.width == 1:
            self.code.store(x, where, self.width if array.padded else self.live)
        else:
            self.code.scatter(x, where, stride, self.live)

    def at(self, axis: int, place: Terms) -> Span:
        """Return the span at another place along an axis."""
        index = list(self.index)
        index[axis] = place
        return replace(self, index=tuple(index))

    def lane(self) -> Span:
        """Return the span's first element alone."""
        return replace(self, width=1, live=1)


@dataclass(frozen=True)
class Block(Span):
    """A place whose lanes are a block of the two last axes, row after row; `axis` is the first of them."""

    columns: int = 1
    """How many lanes a row of the block has."""

    @override
    def load(self, array: Array) -> Value:
        where, steps, kind = self.address(array), self._steps(array), self.type(array.element)
        if self._contiguous(steps):
            return self.code.load(where, kind, self._safe(array))
        if not any(steps):
            return self.code.splat(self.code.load(where, vector(array.element, 1)), self.width)
        return self.code.gather(where, steps, kind, self.live)

    @override
    def store(self, x: Value, array: Array) -> None:
        where, steps = self.address(array), self._steps(array)
        if self._contiguous(steps):
            self.code.store(x, where, self._safe(array))
        else:
            self.code.scatter(x, where, steps, self.live)

    def _steps(self, array: Array) -> list[int]:
        """Return how far each lane is from the first one, in elements."""
        row, column = array.strides[self.axis], array.strides[self.axis + 1]
        return [lane // self.columns * row + lane % self.columns * column for lane in range(self.width)]

    def _contiguous(self, steps: Sequence[int]) -> bool:
        return list(steps[: self.live]) == list(range(self.live)) and (self.live > 1 or self.width == 1)

    def _safe(self, array: Array) -> int:
        """Return how many lanes may be touched: all of one row of a padded array."""
        one_row = self.live <= self.columns and array.strides[self.axis + 1] == 1
        return self.width if array.padded and one_row else self.live
