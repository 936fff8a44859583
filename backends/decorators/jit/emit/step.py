"""A program as native code: a function that runs the step for each batch.

The function gets a table of addresses, the number of its first step and how many steps to run. In each step
it finds the batch's rows (gathers them, if they have an order), the step's numbers and the places of its
results; then it calls the kernels. At last it writes how many steps are done: an interrupt comes before
Python can count them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from ....meta import Meta
from ....protocol import Shape
from ..instructions import Call, Constant, Load, Operand, Program, Region, Store, Value, base_of
from ..ir import ELEMENTS, INDEX, POINTER, Code, Index, Module, bytes_of, scalar
from ..ir import Value as Register
from ..kernels import gather
from ..kernels.span import Array
from ..kernels.transpose import copy
from ..passes.fuse import Group
from ..passes.layout import Layout, layout
from ..passes.memory import Memory, Place, Scratch, memory, size_of
from ..passes.strips import strips
from ..passes.views import row_major
from ..sizes import BYTES, aligned
from ..table import Table
from .kernels import Kernels
from .parts import Parts, moved
from .roots import INDEXED


def write(module: Module, name: str, program: Program, groups: Sequence[Group], *, ordered: bool) -> Table:
    """Write a program as a function of a module; return the table that the function needs.

    ordered: whether the rows of a batch are gathered by their numbers, or lie one after the other.
    """
    found = layout(program, groups, module.machine.lanes("float"))
    groups = strips(program, groups)
    plan = memory(program, groups, found)
    calls = [i for i in program.body if isinstance(i, Call)]
    numbers = {number.key: number for call in calls for number in call.numbers()}
    constants = tuple(i for i in program.body if isinstance(i, Constant))
    staging = {}
    size = plan.size
    for value in program.inputs if ordered else ():  # else they are read where they lie
        staging[value] = size
        size += size_of(value.meta)
    code, (addresses, first, count) = module.function(name, [POINTER, INDEX, INDEX])
    writer = _Step(code, program, constants, tuple(numbers), plan, found, staging, size, addresses)
    writer.run(groups, first, count, ordered=ordered)
    return Table(
        outputs=tuple(value.meta for value in program.outputs),
        buffers=tuple(buffer.name for buffer in program.buffers),
        constants=tuple(constant.array for constant in constants),
        numbers=tuple(numbers.values()),
        workspace=size + writer.scratch_size,
        flagged=any(call.op in INDEXED for call in calls),
        kernels=len(groups),
        operations=writer.parts.operations,
        own=writer.parts.own,
    )


class _Step:
    def __init__(
        self,
        code: Code,
        program: Program,
        constants: Sequence[Constant],
        numbers: Sequence[Any],
        plan: Memory,
        layout: Layout,
        staging: dict[Value, int],
        scratch: int,
        addresses: Register,
    ) -> None:
        self.code, self.program, self.plan, self.layout = code, program, plan, layout
        self.staging = staging
        self.scratch, self.scratch_size = scratch, 0
        self.group, self.taken = 0, list[Place]()
        """The number of the group that is written, and the memory that its kernels take."""
        self.addresses = addresses
        self.workspace, self.flag, self.order, self.numbers, team = (self._entry(i) for i in range(5))
        self.parts = Parts(code, team, self._scratch)
        self.keys = numbers
        parts: list[list[Register]] = []
        place = 5
        for part in (program.inputs, program.outputs, program.buffers, constants):
            parts.append([self._entry(place + i) for i in range(len(part))])
            place += len(part)
        self.data, self.results, buffers, arrays = parts
        self.buffers = dict(zip(program.buffers, buffers, strict=True))
        self.known: dict[Value, Register] = {
            constant.result: register for constant, register in zip(constants, arrays, strict=True)
        }
        self.places: dict[tuple[str, int], Register] = {}
        for value, offset in plan.offsets.items():
            self.known[value] = self._at(self.workspace, offset)
        for value, region in plan.regions.items():
            self.known[value] = self._region(region)
        for instruction in program.body:
            if isinstance(instruction, (Load, Store)):
                self._region(instruction.region)  # before the loop: it is used after it, too

    def run(self, groups: Sequence[Group], first: Register, count: Register, *, ordered: bool) -> None:
        """Write the loop over steps."""
        code = self.code
        self._copy_cells(Load)
        with code.loop(count) as i:
            k = code.sum([(first, 1), (i, 1)])
            self._inputs(k, ordered=ordered)
            values = self._numbers(k)
            places = [
                self._of_step(p, v.meta, k) for p, v in zip(self.results, self.program.outputs, strict=True)
            ]
            for value, place in self.plan.outputs.items():
                self.known[value] = places[place]
            last = code.compare("eq", code.sum([(i, 1), (1, 1)]), count)
            kernels = Kernels(
                code,
                self.known.__getitem__,
                lambda x: values[x.key],
                self.parts,
                self.flag,
                self.layout,
                self.plan.late,
                last,
            )
            for self.group, group in enumerate(groups):
                self.taken.clear()
                kernels.group(group)
            for each in self.plan.copies:
                with code.when(last) if each.late else contextlib.nullcontext():
                    self._copy(each.source, each.target, places)
        self._copy_cells(Store)
        code.store(code.sum([(first, 1), (count, 1)]), code.at(self.flag, (8, 1)))

    def _entry(self, place: int) -> Register:
        return self.code.load(self.code.at(self.addresses, (place, 8)), POINTER)

    def _at(self, base: Register, offset: int) -> Register:
        """Return an address, the same register for the same place."""
        key = base.text, offset
        if key not in self.places:
            self.places[key] = self.code.at(base, (offset, 1)) if offset else base
        return self.places[key]

    def _region(self, region: Region) -> Register:
        """Return where a region lies: in its cell, or in a copy."""
        copied = self.plan.cells.get((region.buffer, region.offset))
        return self._cell(region) if copied is None else self._at(self.workspace, copied)

    def _cell(self, region: Region) -> Register:
        return self._at(self.buffers[region.buffer], region.offset * BYTES[region.buffer.dtype])

    def _copy_cells(self, kind: type[Load] | type[Store]) -> None:
        """Copy the cells that are loaded into their padded places, or those that are stored back."""
        regions = [i.region for i in self.program.body if isinstance(i, kind)]
        for region in dict.fromkeys(regions):
            if (how := self.layout.copies.get((region.buffer, region.offset))) is None:
                continue
            element, strides = ELEMENTS[region.buffer.dtype], row_major(region.shape)
            sides = [(self._cell(region), strides), (self._region(region), how.strides(region.shape))]
            (source, inner), (target, outer) = sides if kind is Load else sides[::-1]
            self._move(region.shape, element, (source, inner), (target, outer))

    def _move(
        self,
        shape: Shape,
        element: str,
        source: tuple[Register, tuple[int, ...]],
        target: tuple[Register, tuple[int, ...]],
    ) -> None:
        """Copy a tensor from one address and strides to others."""

        def write(code: Code, first: Register, second: Register) -> None:
            copy(code, shape, Array(first, element, source[1]), Array(second, element, target[1]))

        self.code.kernel([source[0], target[0]], write, overlapping=True)

    def _scratch(self, size: int) -> Register:
        """Return memory for a kernel of the group: free while it runs, else behind all values."""
        size = aligned(size)
        offset = self.plan.room(self.group, size, self.taken)
        if offset is None:
            offset = max([self.scratch, *(place.offset + place.size for place in self.taken)])
            self.scratch_size = max(self.scratch_size, offset + size - self.scratch)
        self.taken.append(Place(size, self.group, self.group, offset=offset))
        return self.code.at(self.workspace, (offset, 1))

    def _of_step(self, base: Register, meta: Meta, k: Index) -> Register:
        """Return the place of a step's part in an array of all steps."""
        return self.code.at(base, (k, meta.size * BYTES[meta.dtype]))

    def _numbers(self, k: Index) -> dict[Any, Register]:
        row = self.code.at(self.numbers, (k, 8 * len(self.keys)))
        kind = scalar("double")
        return {key: self.code.load(self.code.at(row, (i, 8)), kind) for i, key in enumerate(self.keys)}

    def _inputs(self, k: Index, *, ordered: bool) -> None:
        """Find the rows of the batch."""
        for value, data in zip(self.program.inputs, self.data, strict=True):
            if not ordered:
                self.known[value] = self._of_step(data, value.meta, k)
                continue
            target = self.known[value] = self.code.at(self.workspace, (self.staging[value], 1))
            indices = self.code.at(self.order, (k, 8 * value.meta.shape[0]))
            self.parts.kernel(
                [data, indices, target],
                lambda code, *p, v=value: _gather(code, v, *p),
                work=moved(value.meta),
                units=value.meta.shape[0],
            )

    def _copy(
        self, source: Operand | Scratch, target: Region | Scratch | int, places: Sequence[Register]
    ) -> None:
        """Write a copy that is left for the step's end."""
        shape, element = source.meta.shape, ELEMENTS[source.meta.dtype]
        if isinstance(source, Scratch):
            start, strides = self._at(self.workspace, source.offset), row_major(shape)
        else:
            base, offset = self.known[base_of(source)], self.layout.offset(source) * bytes_of(element)
            start = self.code.at(base, (offset, 1)) if offset else base
            strides = self.layout.strides(source)
        there = row_major(shape)
        if isinstance(target, Scratch):
            place = self._at(self.workspace, target.offset)
        elif isinstance(target, Region):
            place = self._region(target)
            if (how := self.layout.copies.get((target.buffer, target.offset))) is not None:
                there = how.strides(shape)
        else:
            place = places[target]
        if start.text != place.text:
            self._move(shape, element, (start, strides), (place, there))


def _gather(code: Code, value: Value, data: Register, indices: Register, target: Register) -> None:
    """Write the gather of a batch's rows; their numbers are checked before the run."""
    meta, element = value.meta, ELEMENTS[value.meta.dtype]
    strides = row_major(meta.shape)
    arrays = Array(data, element, strides), Array(indices, "i64", (1,)), Array(target, element, strides)
    gather.take(code, meta.shape, 0, 0, *arrays)
