"""Arrays in memory, and spans of them: what the body of every loop nest works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
