"""`Along`: one spatial axis of a window, and where its taps meet the image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ....windows import Window
from ..ir import INDEX, Code, Index, Value


@dataclass(frozen=True)
class Along:
    """One spatial axis: result r and tap t read the place r step + t dilation + first, if it exists.

    In the weights tap t is `tap[0] + t tap[1]`; in the result r is `out[0] + r out[1]`.
    """

    size: int
    count: int
    taps: int
    step: int = 1
    dilation: int = 1
    first: int = 0
    tap: tuple[int, int] = (0, 1)
    out: tuple[int, int] = (0, 1)
    ordered: bool = False
    """Whether a packed row has its places in order; else those that are a step apart are neighbours."""

    @property
    def plain(self) -> bool:
        """Whether every result reads its own place alone."""
        return self.taps == self.step == 1 and self.count == self.size and not self.first

    @property
    def span(self) -> int:
        """The places from the first tap to the last one."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def inside(self) -> bool:
        """Whether every result and tap read a place that exists."""
        return self.first >= 0 and (self.count - 1) * self.step + self.span + self.first <= self.size

    def taps_of(self, code: Code, result: Index) -> tuple[Index, Index]:
        """Return the first tap of a result that reads a place, and how many there are."""
        if self.inside:
            return 0, self.taps
        return _meeting(code, result, self.step, self.dilation, self.taps, self.size, -self.first)

    def results_of(self, code: Code, tap: Index) -> tuple[Index, Index]:
        """Return the first result whose tap reads a place, and how many there are."""
        if self.inside:
            return 0, self.count
        return _meeting(code, tap, self.dilation, self.step, self.count, self.size, -self.first)

    # -- packed rows -----------------------------------------------------------------------------------

    @property
    def residues(self) -> int:
        """How many rows of places lie one after the other in a packed row."""
        return 1 if self.ordered or self.taps == 1 else self.step

    @property
    def unit(self) -> int:
        """The places of the image between two neighbours in a packed row."""
        return 1 if self.ordered and self.taps > 1 else self.step

    @property
    def pitch(self) -> int:
        """The packed places between what two neighbouring results read."""
        return self.step if self.ordered and self.taps > 1 else 1

    @property
    def places(self) -> int:
        """The packed places of a residue."""
        if self.residues == 1:
            return self.count if self.taps == 1 else (self.count - 1) * self.pitch + self.span
        return -(-((self.count - 1) * self.step + self.span) // self.step)

    def existing(self, residue: int) -> tuple[int, int]:
        """Return the range of the packed places of a residue that exist in the image."""
        start = -self.first - residue
        low = max(-(-start // self.unit), 0)
        high = min((start + self.size - 1) // self.unit + 1, self.places)
        return low, high

    def classes(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (first tap, taps, step, packed places per step) of taps whose places lie evenly apart."""
        every = self.residues // math.gcd(self.residues, self.dilation)
        for tap in range(min(every, self.taps)):
            yield tap, -(-(self.taps - tap) // every), every, every * self.dilation // self.residues

    def packed(self, tap: int) -> int:
        """Return where the place of a tap of result 0 lies in a packed row."""
        row, place = (tap * self.dilation) % self.residues, (tap * self.dilation) // self.residues
        return row * self.places + place


TRIVIAL = Along(1, 1, 1)


def axes_of(window: Window) -> tuple[Along, ...]:
    """Return a window's axes."""
    fields: tuple[Sequence[int], ...] = (
        window.size,
        window.counts,
        window.kernel_size,
        window.stride,
        window.dilation,
        [-before for before, _ in window.padding],
    )
    return tuple(Along(*entries) for entries in zip(*fields, strict=True))


def _meeting(
    code: Code, place: Index, scale: int, step: int, count: int, size: int, before: int
) -> tuple[Index, Index]:
    """Return (first, number) of the i < count with 0 <= place x scale + i x step - before < size."""
    if isinstance(place, int):
        start = before - place * scale
        first = min(max(-(-start // step), 0), count)
        return first, max(min((start + size - 1) // step + 1, count) - first, 0)

    def least(x: Value, bound: int, how: str) -> Value:
        return code.intrinsic(how, x, Value(INDEX, str(bound)))

    def over(x: Value) -> Value:
        return x if step == 1 else code.new(INDEX, f"udiv {x}, {step}")

    low = over(least(code.sum([(place, -scale), (before + step - 1, 1)]), 0, "smax"))
    high = over(least(code.sum([(place, -scale), (before + size - 1 + step, 1)]), 0, "smax"))
    low, high = least(low, count, "smin"), least(high, count, "smin")
    return low, least(code.sub(high, low), 0, "smax")
