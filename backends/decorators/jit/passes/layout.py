"""`layout`: rows of whole vectors.

A vector register holds 16 float32. A row of 25 is one whole vector and 9 elements more, which need a masked
load and a masked store; those are slower, and what one writes the next cannot read at once. So rows are
padded to 32 where nobody sees it: the values between kernels, and copies of the cells. A run copies small
cells once into padded places, works there for all its steps, and copies them back.

The padding holds anything, and may be computed with, but never reaches a sum.

A value is not padded if a view of it does not walk along rows and columns (a matrix read as one flat row), or
if a kernel that reads or writes it takes plain arrays only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ....protocol import Shape
from ..instructions import Buffer, Constant, Load, Operand, Program, Region, Store, Value, View, base_of
from .fuse import Group
from .views import row_major

LARGEST_COPY = 1 << 20
"""Bytes: larger cells stay where they are."""
PADS = ("matmul", "sum", "max")
"""The roots whose kernels take padded arrays."""


@dataclass
class Layout:
    """How values and cells lie in memory.

    Parameters
    ----------
    rows
        The distance between the rows of padded values, in elements.
    copies
        The same for the regions of cells that a run copies, by buffer and offset.

    """

    rows: dict[Value, int] = field(default_factory=dict)
    copies: dict[tuple[Buffer, int], int] = field(default_factory=dict)

    def strides(self, operand: Operand) -> tuple[int, ...]:
        """Return an operand's strides in elements."""
        value = base_of(operand)
        row = self.rows.get(value)
        plain = operand.strides if isinstance(operand, View) else row_major(operand.meta.shape)
        return plain if row is None else tuple(_scaled(s, value.meta.shape[-1], row) for s in plain)

    def offset(self, operand: Operand) -> int:
        """Return where an operand begins in its value, in elements."""
        if not isinstance(operand, View):
            return 0
        row = self.rows.get(operand.base)
        if row is None:
            return operand.offset
        above, along = divmod(operand.offset, operand.base.meta.shape[-1])
        return above * row + along

    def padded(self, operand: Operand) -> bool:
        """Whether padding follows the operand's axis of stride 1."""
        value = base_of(operand)
        if value not in self.rows:
            return False
        if not isinstance(operand, View):
            return True
        columns = value.meta.shape[-1]
        ones = [n for n, s in zip(operand.shape, operand.strides, strict=True) if s == 1]
        return ones == [columns] and operand.offset % columns == 0

    def size(self, value: Value) -> int:
        """Return the elements that a value takes."""
        return sized(value.meta.shape, self.rows.get(value))


def sized(shape: Shape, row: int | None) -> int:
    """Return the elements of a tensor whose rows lie `row` apart."""
    return math.prod(shape) if row is None else math.prod(shape[:-1]) * row


def _scaled(stride: int, columns: int, row: int) -> int:
    return stride // columns * row if stride % columns == 0 else stride


def layout(program: Program, groups: Sequence[Group], lanes: int) -> Layout:
    """Return the layout of a program's values; `lanes` is the number of floats in a vector."""
    found, plain = Layout(), _plain(program, groups)
    places: dict[tuple[Buffer, int], tuple[Region, set[Value]]] = {}
    for instruction in program.body:
        if isinstance(instruction, (Load, Store)):
            region = instruction.region
            value = instruction.result if isinstance(instruction, Load) else instruction.value
            _, values = places.setdefault((region.buffer, region.offset), (region, set()))
            values.update([value] if type(value) is Value else [])
    # A region and all values that may lie in it are padded, or none is; two regions may share a value.
    while lost := [key for key, (region, v) in places.items() if not _copied(region, lanes, v & plain)]:
        for key in lost:
            plain |= places.pop(key)[1]
    for key, (region, values) in places.items():
        row = _row(region.shape, lanes)
        assert row is not None
        found.copies[key] = row
        found.rows.update(dict.fromkeys(values, row))
    for value in (value for group in groups for value in group.results):
        if (wide := _row(value.meta.shape, lanes)) is not None and value not in plain:
            found.rows[value] = wide
    return found


def _copied(region: Region, lanes: int, plain: Collection[Value]) -> bool:
    """Whether a run works on a padded copy of a region; plain are the values in it that cannot be padded."""
    small = math.prod(region.shape) * 8 <= LARGEST_COPY and region.buffer.dtype.startswith("float")
    return small and not plain and _row(region.shape, lanes) is not None


def _row(shape: Shape, lanes: int) -> int | None:
    """Return the distance between padded rows; None where padding gains nothing."""
    if not shape or shape[-1] % lanes == 0 or shape[-1] * 2 <= lanes:
        return None
    return -(-shape[-1] // lanes) * lanes


def _plain(program: Program, groups: Sequence[Group]) -> set[Value]:
    """Return the values that cannot be padded."""
    found = set(program.inputs) | set(program.outputs)
    found |= {i.result for i in program.body if isinstance(i, Constant)}
    for group in groups:
        takes = group.root is None or group.root.op in PADS
        for call in group.calls:
            for operand in call.operands():
                if not takes or not _walks(operand):
                    found.add(base_of(operand))
            if not takes:
                found.update(call.results)
    for instruction in program.body:
        if isinstance(instruction, Store) and not _walks(instruction.value):
            found.add(base_of(instruction.value))
    return found


def _walks(operand: Operand) -> bool:
    """Whether an operand walks along rows and columns of its value."""
    if not isinstance(operand, View) or not operand.base.meta.shape or 0 in operand.shape:
        return not isinstance(operand, View)
    columns = operand.base.meta.shape[-1]
    along = operand.offset % columns
    for n, stride in zip(operand.shape, operand.strides, strict=True):
        if stride % columns and n > 1:
            along += (n - 1) * stride
    return along < columns
