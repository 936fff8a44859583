"""`Gradient`: what the three ways to compute the gradient of a convolution's weights have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..ir import Code, Terms, Value, bytes_of
from ..sizes import aligned
from .correlation import Correlation, Finish
from .loops import spans
from .span import Array, Span
from .sums import Places, nest, turns
from .tile import scaled


@dataclass(frozen=True)
class Gradient(ABC):
    """The gradient of weights (output, channel, *taps): sums over places and samples.

    The image has the axes (channel, *axes, sample), the gradient of the results (output, *axes, sample). The
    sums are written to totals; the parts of a kernel have their own, and `add_up` adds them.
    """

    spec: Correlation
    image: Array
    grad: Array
    lanes: int

    @property
    def depth(self) -> int:
        """The columns of the weights: a channel and its taps."""
        return self.spec.channels * self.spec.taps

    @property
    def size(self) -> int:
        """The bytes of an element."""
        return bytes_of(self.image.element)

    @property
    def totals(self) -> int:
        """The bytes of the totals."""
        return aligned(self.spec.outputs * self.depth * self.size)

    @property
    @abstractmethod
    def workspace(self) -> int:
        """The bytes that are needed beside the totals."""

    @property
    @abstractmethod
    def shared(self) -> tuple[str, int]:
        """Which loop the parts of a kernel share, and how many turns it takes."""

    @property
    def ends(self) -> int:
        """How many turns the loop of `add_up` takes that the parts of a kernel share."""
        return self.spec.outputs

    @abstractmethod
    def write(
        self, code: Code, image: Array, grad: Array, totals: Value, space: Value, *, shared: bool = False
    ) -> None:
        """Write the sums to the totals; the parts of a kernel may share a loop."""

    def add_up(self, code: Code, sums: Value, count: int, finish: Finish, *, shared: bool = False) -> None:
        """Finish with the sums of so many totals, which lie one after the other.

        The spans of `finish` have the axes (output, column).
        """
        depth, strides = self.depth, (self.depth, 1)

        def row(at: Places) -> None:
            def put(found: list[Span]) -> None:
                for span in found:
                    addends = self.each(code, sums, count)
                    values = [span.load(Array(x, self.image.element, strides)) for x in addends]
                    total = values[0]
                    for value in values[1:]:
                        total = code.add(total, value)
                    finish(total, span)

            spans(code, [*at, ()], 1, depth, self.lanes, put)

        nest(code, [()], [self.spec.outputs], row, shared=0 if shared else None)

    def each(self, code: Code, sums: Value, count: int) -> Iterator[Value]:
        """Yield where each of several totals begins."""
        return (code.at(sums, (i, self.totals)) for i in range(count))

    def blocks(
        self, code: Code, first: int, count: int, samples: int, arrays: tuple[Array, Array], *, shared: bool
    ) -> Iterator[tuple[Array, Array]]:
        """Open a loop over blocks of samples, and yield the image and the gradient of one."""
        with turns(code, count, shared=shared) as block:
            start: Terms = [(first, 1), (block, samples)]
            x, g = (
                replace(a, pointer=code.at(a.pointer, *scaled(start, a.strides[4] * self.size)))
                for a in arrays
            )
            yield x, g
