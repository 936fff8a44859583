"""`layout`: rows of whole vectors.

A vector register holds 16 float32. A row of 25 is one whole vector and 9 elements more, which need a masked
load and a masked store; those are slower, and what one writes the next cannot read at once. So rows are
padded to 32 where nobody sees it: the values between kernels, and copies of the cells. A run copies small
cells once into padded places, works there for all its steps, and copies them back.

The rows of a narrow matrix, such as the weight (25, 2) of a first layer, fill no vector, but its columns do:
its copy lies by columns, *turned*. The forward pass reads such a weight by columns anyway.

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


@dataclass(frozen=True)
class Padded:
    """How a padded tensor lies in memory.

    Parameters
    ----------
    row
        The distance between its rows in elements; if it is turned, between its columns.
    turned
        Whether the elements of a column lie beside each other, and not those of a row.

    """

    row: int
    turned: bool = False

    def size(self, shape: Shape) -> int:
        """Return the elements that a tensor takes."""
        return self.row * (shape[-1] if self.turned else math.prod(shape[:-1]))

    def place(self, offset: int, columns: int) -> int:
        """Return the place of an element, or a stride, that in row-major order is `offset`."""
        above, along = divmod(offset, columns)
        return above + along * self.row if self.turned else above * self.row + along

    def strides(self, shape: Shape) -> tuple[int, ...]:
        """Return the strides of a tensor that lies so."""
        return tuple(self.place(s, shape[-1]) for s in row_major(shape))


@dataclass
class Layout:
    """How values and cells lie in memory.

    Parameters
    ----------
    padded_values
        How the padded values lie.
    copies
        The same for the regions of cells that a run copies, by buffer and offset.

    """

    padded_values: dict[Value, Padded] = field(default_factory=dict)
    copies: dict[tuple[Buffer, int], Padded] = field(default_factory=dict)

    def strides(self, operand: Operand) -> tuple[int, ...]:
        """Return an operand's strides in elements."""
        value = base_of(operand)
        how = self.padded_values.get(value)
        plain = operand.strides if isinstance(operand, View) else row_major(operand.meta.shape)
        return plain if how is None else tuple(how.place(s, value.meta.shape[-1]) for s in plain)

    def offset(self, operand: Operand) -> int:
        """Return where an operand begins in its value, in elements."""
        if not isinstance(operand, View):
            return 0
        how = self.padded_values.get(operand.base)
        return operand.offset if how is None else how.place(operand.offset, operand.base.meta.shape[-1])

    def padded(self, operand: Operand) -> bool:
        """Whether padding follows the operand's axis of stride 1."""
        value = base_of(operand)
        how = self.padded_values.get(value)
        if how is None or not isinstance(operand, View):
            return how is not None
        columns = value.meta.shape[-1]
        above, along = divmod(operand.offset, columns)
        first, extent = (above, value.meta.shape[0]) if how.turned else (along, columns)
        ones = [n for n, s in zip(operand.shape, self.strides(operand), strict=True) if s == 1]
        return ones == [extent] and first == 0

    def size(self, value: Value) -> int:
        """Return the elements that a value takes."""
        how = self.padded_values.get(value)
        return value.meta.size if how is None else how.size(value.meta.shape)


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
        how = _best(region.shape, lanes)
        assert how is not None
        found.copies[key] = how
        found.padded_values.update(dict.fromkeys(values, how))
    for value in (value for group in groups for value in group.results):
        wide = _by_rows(value.meta.shape, lanes)
        if wide is not None and value not in plain:
            found.padded_values.setdefault(value, wide)
    return found


def _copied(region: Region, lanes: int, plain: Collection[Value]) -> bool:
    """Whether a run works on a padded copy of a region; plain are the values in it that cannot be padded."""
    small = math.prod(region.shape) * 8 <= LARGEST_COPY and region.buffer.dtype.startswith("float")
    return small and not plain and _best(region.shape, lanes) is not None


def _by_rows(shape: Shape, lanes: int) -> Padded | None:
    """Return padded rows; None where padding gains nothing."""
    if not shape or shape[-1] % lanes == 0 or shape[-1] * 2 <= lanes:
        return None
    return Padded(-(-shape[-1] // lanes) * lanes)


def _best(shape: Shape, lanes: int) -> Padded | None:
    """Return how the copy of a cell lies: by rows, or by columns if these alone fill vectors."""
    if len(shape) == 2 and 1 < shape[1] <= lanes // 2 < shape[0]:
        return Padded(-(-shape[0] // lanes) * lanes, turned=True)
    return _by_rows(shape, lanes)


def _plain(program: Program, groups: Sequence[Group]) -> set[Value]:
    """Return the values that cannot be padded."""
    found = set(program.inputs) | set(program.outputs)
    found |= {i.result for i in program.body if isinstance(i, Constant)}
    for group in groups:
        takes = group.root is None or (
            group.root.op in PADS and not any(c.op == "unfold" for c in group.before)
        )
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
