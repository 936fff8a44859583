"""`memory`: where each value lies.

Most values need memory only from the kernel that computes them to the last one that reads them; places are
used again. Some values need none of their own: what a step loads lies in its cell, and what it returns or
stores is written where it belongs, if no later kernel reads what was there before.

What no later step reads, such as a gradient, is *late*: only the last step of a native call writes it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ....meta import Meta
from ..instructions import Buffer, Load, Operand, Program, Region, Store, Value, View, base_of
from ..sizes import BYTES, aligned
from .fuse import Group
from .layout import Layout
from .views import row_major


@dataclass(frozen=True)
class Scratch:
    """A place in the workspace for a value on its way from one cell to another."""

    offset: int
    meta: Meta


@dataclass(frozen=True)
class Copy:
    """What is copied after the last kernel."""

    source: Operand | Scratch
    target: Region | Scratch | int
    """A region, or the number of an output."""
    late: bool = False
    """Whether no later step reads the target."""


@dataclass
class Memory:
    """The places of a program's values."""

    regions: dict[Value, Region] = field(default_factory=dict)
    """The values that lie in a cell."""
    outputs: dict[Value, int] = field(default_factory=dict)
    """The values that are computed in an output, by its number."""
    offsets: dict[Value, int] = field(default_factory=dict)
    """The places of the others in the workspace, in bytes."""
    size: int = 0
    """The bytes of the workspace."""
    cells: dict[tuple[Buffer, int], int] = field(default_factory=dict)
    """The places of copied cells in the workspace, in bytes."""
    copies: list[Copy] = field(default_factory=list)
    """What is left to copy at the end, in order."""
    late: set[Value] = field(default_factory=set)
    """The values that lie in a cell and that no kernel and no later step reads."""
    places: list[Place] = field(default_factory=list)
    """The parts of the workspace that values lie in, by their offsets."""
    end: int = 0
    """Where the last of them ends."""

    def room(self, number: int, size: int, taken: Sequence[Place]) -> int | None:
        """Return where a kernel of a group finds free memory beside `taken`; None if there is none."""
        place = Place(size, number, number)
        place.put(sorted([*self.places, *taken], key=lambda other: other.offset))
        return place.offset if place.offset + size <= self.end else None


@dataclass
class Place:
    """A part of the workspace, and the numbers of the first and the last group that need it."""

    size: int
    first: int
    last: int
    values: list[Value] = field(default_factory=list)
    offset: int = 0

    def put(self, others: Iterable[Place]) -> None:
        """Choose the lowest offset that no other place takes while this one is needed; they are in order."""
        self.offset = 0
        for other in others:
            if other.offset >= self.offset + self.size:
                break
            if other.first <= self.last and self.first <= other.last:
                self.offset = max(self.offset, other.offset + other.size)


def memory(program: Program, groups: Sequence[Group], layout: Layout) -> Memory:
    """Return the places of all values of a forwarded program."""
    return _Planner(program, groups, layout).run()


class _Planner:
    def __init__(self, program: Program, groups: Sequence[Group], layout: Layout) -> None:
        self.program, self.groups, self.layout, self.plan = program, groups, layout, Memory()
        self.loads = {i.result: i.region for i in program.body if isinstance(i, Load)}
        self.stores = [i for i in program.body if isinstance(i, Store)]
        self.made = {value: place for place, group in enumerate(groups) for value in group.results}
        self.last = self._last_reads()

    def run(self) -> Memory:
        """Plan the stores and the outputs, then the workspace."""
        plan = self.plan
        plan.regions.update(self.loads)
        late: list[Copy] = []
        for store in self.stores:
            if not self._written_in_place(store):
                late.append(Copy(store.value, store.region, self._unread(store.region)))
                self.last[base_of(store.value)] = len(self.groups)
        for place, value in enumerate(self.program.outputs):
            if value in self.made and value not in plan.regions and value not in plan.outputs:
                plan.outputs[value] = place
            else:
                plan.copies.append(Copy(value, place))
        self._place()
        for (buffer, offset), region in {(r.buffer, r.offset): r for r in self._regions()}.items():
            if (buffer, offset) in self.layout.copies:
                plan.cells[buffer, offset] = plan.size
                how = self.layout.copies[buffer, offset]
                plan.size += aligned(how.size(region.shape) * BYTES[buffer.dtype])
        plan.copies += self._apart(late)  # outputs are copied before the cells change
        for value, region in plan.regions.items():
            if value in self.made and value not in self.last and self._unread(region):
                plan.late.add(value)
        return plan

    def _unread(self, region: Region) -> bool:
        """Whether no step reads a region."""
        return not any(region.overlaps(loaded) for loaded in self.loads.values())

    def _regions(self) -> list[Region]:
        return [i.region for i in self.program.body if isinstance(i, (Load, Store))]

    def _apart(self, late: list[Copy]) -> list[Copy]:
        """Return copies between cells such that none reads what another has overwritten."""
        first, then = [], []
        for copy in late:
            assert not isinstance(copy.source, Scratch)
            region = self.loads.get(base_of(copy.source))
            targets = [other.target for other in late if other is not copy]
            if region is not None and any(isinstance(t, Region) and region.overlaps(t) for t in targets):
                scratch = Scratch(self.plan.size, copy.source.meta)
                self.plan.size += size_of(scratch.meta)
                first.append(Copy(copy.source, scratch))
                copy = Copy(scratch, copy.target)
            then.append(copy)
        return first + then

    def _written_in_place(self, store: Store) -> bool:
        """Let a value be computed in the region that it is stored to, if that is safe."""
        value, plan = store.value, self.plan
        if type(value) is not Value or value not in self.made or value in plan.regions:
            return False
        made = self.made[value]
        for loaded, region in self.loads.items():
            if region.overlaps(store.region) and not self._done_before(loaded, region, store.region, made):
                return False
        plan.regions[value] = store.region
        return True

    def _done_before(self, loaded: Value, region: Region, target: Region, made: int) -> bool:
        """Whether nothing reads a loaded value after the kernel that overwrites it.

        The kernel itself may read it if it is elementwise and reads each element where it writes it.
        """
        last = self.last.get(loaded, -1)
        if last < made:
            return True
        group = self.groups[made]
        return last == made and region == target and _plainly(group, loaded)

    def _last_reads(self) -> dict[Value, int]:
        """Return the number of the last group that reads each value; what is copied at the end comes last."""
        last: dict[Value, int] = {}
        for place, group in enumerate(self.groups):
            for value in group.reads:
                last[value] = place
        end = len(self.groups)
        for store in self.stores:
            value = base_of(store.value)
            if type(store.value) is not Value or value not in self.made:
                last[value] = end
        for value in self.program.outputs:
            last[value] = end
        return last

    def _size(self, value: Value) -> int:
        return aligned(self.layout.size(value) * BYTES[value.meta.dtype])

    def _place(self) -> None:
        """Give each remaining value a place in the workspace, used again after its last read.

        The largest places are chosen first, each the lowest that is free while it is needed.
        """
        plan = self.plan
        for place in sorted(self._places(), key=lambda place: (-place.size, place.first)):
            place.put(plan.places)
            bisect.insort(plan.places, place, key=lambda place: place.offset)
            plan.offsets.update(dict.fromkeys(place.values, place.offset))
            plan.end = plan.size = max(plan.size, place.offset + place.size)

    def _places(self) -> Iterable[Place]:
        """Return the places that values need. An elementwise result takes that of an operand read last."""
        found: dict[Value, Place] = {}
        for number, group in enumerate(self.groups):
            for value in group.results:
                if value in self.plan.regions or value in self.plan.outputs:
                    continue
                size, end = self._size(value), max(self.last.get(value, number), number)
                reads = (base_of(x) for call in group.after for x in call.operands())
                place = next((found[x] for x in reads if self._replaces(value, x, found, number)), None)
                if place is None:
                    place = Place(size, number, end)
                place.last = end
                place.values.append(value)
                found[value] = place
        return {id(place): place for place in found.values()}.values()

    def _replaces(self, value: Value, operand: Value, found: Mapping[Value, Place], number: int) -> bool:
        """Whether a value may be computed where an operand of its kernel lies, which nothing reads later."""
        if operand not in found or found[operand].last != number or value.meta.dtype != operand.meta.dtype:
            return False
        ways = [self.layout.padded_values.get(one) for one in (value, operand)]
        alike = value.meta.shape == operand.meta.shape or ways == [None, None]
        same = alike and ways[0] == ways[1] and value.meta.size == operand.meta.size
        return same and _plainly(self.groups[number], operand)


def size_of(meta: Meta) -> int:
    """Return the bytes of a tensor, up to a whole cache line."""
    return aligned(meta.size * BYTES[meta.dtype])


def _plainly(group: Group, value: Value) -> bool:
    """Whether a group reads a value only elementwise, where it writes its results."""
    early = [x for call in group.calls if call not in group.after for x in call.operands()]
    if any(base_of(x) is value for x in early):
        return False
    operands = [x for call in group.after for x in call.operands() if base_of(x) is value]
    shape = group.after[-1].result.meta.shape
    return all(x.meta.shape == shape and (type(x) is Value or _in_order(x)) for x in operands)


def _in_order(x: Operand) -> bool:
    """Whether a view is its whole value in another shape."""
    whole = isinstance(x, View) and not x.offset and x.strides == row_major(x.shape)
    return whole and x.meta.size == base_of(x).meta.size
