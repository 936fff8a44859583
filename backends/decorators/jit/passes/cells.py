"""`cells`: reads and writes of cells become values.

A traced step reads and writes cells all the time: the backward pass stores a gradient, the optimizer loads
it again. This pass makes the program a function: it loads what it finds, computes, and stores the results at
the end. A load after a store reads the value that was stored (*store-to-load forwarding*), and of two
stores to one place the last remains. The gradient then goes straight from the backward pass to the optimizer.

For this, loads and stores must speak of the same places. Layers know their own parameters, (25, 2) at places
0 to 50 of the flat buffer; an optimizer knows the whole buffer, (1427,). So the pass cuts each buffer into
*parts* that no access cuts further: usually one for each parameter. Where elementwise code runs over a whole
buffer, it is cut into one piece for each part, with the parameter's shape: the optimizer's update of 1,427
numbers becomes an update of each weight matrix and each bias, beside the code that computes its gradient.
Buffers that meet in one elementwise op (values, gradients, moments) are cut alike.

A sum over a buffer becomes a sum of the parts' sums, in another order: its last digits may change. Everything
else keeps its bits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ....ops import OPS
from ....protocol import Shape
from ..builder import Builder
from ..instructions import (
    Buffer,
    Call,
    Load,
    Operand,
    Program,
    Region,
    Store,
    Value,
    View,
    base_of,
)

ELEMENTWISE = frozenset(name for name, op in OPS.items() if op.kind in ("unary", "binary", "select")) | {
    "astype",
    "copy",
    "square",
    "less",
}
"""The ops that compute each element of the result from the same element of each operand."""


class Part(NamedTuple):
    """A part of a buffer that no access cuts further."""

    start: int
    stop: int
    shape: Shape


def cells(program: Program) -> Program:
    """Return a forwarded program: all loads before all stores, each of one part."""
    return _Forwarding(program).run()


# -- how buffers are cut ---------------------------------------------------------------------------


def parts_of(program: Program) -> dict[Buffer, tuple[Part, ...]]:
    """Return the parts of each buffer; buffers that meet in elementwise code have the same."""
    groups = _linked(program)
    regions = [i.region for i in program.body if isinstance(i, (Load, Store))]
    found: dict[Buffer, tuple[Part, ...]] = {}
    for buffer in program.buffers:
        alike = [other for other in program.buffers if groups[other] == groups[buffer]]
        places = [place for other in alike for place in other.views]
        places += [(region.offset, region.shape) for region in regions if region.buffer in alike]
        found[buffer] = _cut(buffer.size, places)
    return found


def _cut(size: int, places: Sequence[tuple[int, Shape]]) -> tuple[Part, ...]:
    """Cut a buffer at the ends of all places. A part that is one of them has its shape."""
    shapes: dict[tuple[int, int], Shape] = {}
    for offset, shape in places:
        span = offset, offset + math.prod(shape)
        if len(shape) > len(shapes.get(span, ())) or span not in shapes:
            shapes[span] = shape
    ends = sorted({0, size, *(end for span in shapes for end in span)})
    return tuple(Part(a, z, shapes.get((a, z), (z - a,))) for a, z in itertools.pairwise(ends))


def _linked(program: Program) -> dict[Buffer, Buffer]:
    """Return a group for each buffer, named by one of its buffers: those whose flat values meet in one op."""
    group = {buffer: buffer for buffer in program.buffers}
    flat: dict[Value, Buffer] = {}

    def join(buffers: Sequence[Buffer]) -> Buffer:
        first = group[buffers[0]]
        others = {group[buffer] for buffer in buffers}
        for buffer, name in group.items():
            if name in others:
                group[buffer] = first
        return first

    for instruction in program.body:
        if isinstance(instruction, Load) and instruction.region.whole:
            flat[instruction.result] = instruction.region.buffer
        elif isinstance(instruction, Call) and instruction.op in ELEMENTWISE:
            shape = instruction.result.meta.shape
            met = [flat[x] for x in map(base_of, instruction.operands()) if x in flat]
            met = [buffer for buffer in met if shape == (buffer.size,)]  # others are one number for all
            if met:
                flat[instruction.result] = join(met)
        elif isinstance(instruction, Store) and instruction.region.whole:
            source = flat.get(base_of(instruction.value))
            if source is not None:
                join([source, instruction.region.buffer])
    return group


# -- forwarding ------------------------------------------------------------------------------------


class Pieces(NamedTuple):
    """A flat value as one value for each part of its buffer."""

    parts: tuple[Part, ...]
    values: tuple[Value, ...]


class _Forwarding:
    """One run of the pass."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.parts = parts_of(program)
        self.b: Any = Builder()  # type: ignore[abstract]  # made by funnelled
        self.found: dict[tuple[Buffer, Part], Value] = {}
        """What the step found in each part, if it was loaded."""
        self.held: dict[tuple[Buffer, Part], Value] = {}
        """What each part holds at this place in the program, if it was loaded or stored."""
        self.written: dict[tuple[Buffer, Part], str] = {}
        """The parts that were stored, with the path of the last store."""
        self.replaced: dict[Value, Value] = {}
        self.pieces: dict[Value, Pieces] = {}

    def run(self) -> Program:
        for instruction in self.program.body:
            self.b.path = instruction.path
            if isinstance(instruction, Load):
                self._load(instruction)
            elif isinstance(instruction, Store):
                self._store(instruction)
            elif not (isinstance(instruction, Call) and self._split(instruction)):
                self.b.body.append(instruction.mapped(self._resolve))
        outputs = tuple(map(self._whole, self.program.outputs))
        for (buffer, part), path in self.written.items():
            value = self.held[buffer, part]
            if value is not self.found.get((buffer, part)):
                self.b.path = path
                self.b.store(Region(buffer, part.start, part.shape), value)
        return replace(self.program, body=tuple(self.b.body), outputs=outputs, forwarded=True)

    # -- loads and stores ------------------------------------------------------------------------------

    def _load(self, load: Load) -> None:
        region, parts = load.region, self._within(load.region)
        values = tuple(self._held(region.buffer, part) for part in parts)
        if region.whole and len(parts) > 1:
            self.pieces[load.result] = Pieces(parts, values)
        elif not parts:
            self.replaced[load.result] = self._like(load.result)
        else:
            flat = values[0] if len(values) == 1 else self._joined(values)
            self.replaced[load.result] = self._shaped(flat, region.shape)

    def _store(self, store: Store) -> None:
        region, parts = store.region, self._within(store.region)
        if not parts:
            return
        pieces = self.pieces.get(store.value) if type(store.value) is Value else None
        if pieces is not None and region.whole and pieces.parts == parts:
            values = list(pieces.values)
        else:
            whole = self._resolve(store.value)
            values = self._sliced(whole, parts, region.offset)
        for part, value in zip(parts, values, strict=True):
            self.held[region.buffer, part] = self._shaped(value, part.shape)
            self.written[region.buffer, part] = store.path

    def _within(self, region: Region) -> tuple[Part, ...]:
        return tuple(
            part
            for part in self.parts[region.buffer]
            if region.offset <= part.start and part.stop <= region.stop
        )

    def _held(self, buffer: Buffer, part: Part) -> Value:
        key = buffer, part
        if key not in self.held:
            self.held[key] = self.found[key] = self.b.load(Region(buffer, part.start, part.shape))
        return self.held[key]

    # -- elementwise code over a buffer ----------------------------------------------------------------

    def _split(self, call: Call) -> bool:
        """Cut a call over flat values into a call for each part; return whether it could be."""
        cut = [self.pieces[x] for x in call.operands() if type(x) is Value and x in self.pieces]
        if not cut or any(other.parts != cut[0].parts for other in cut):
            return False
        parts = cut[0].parts
        size = parts[-1].stop
        if call.op == "sum" and self._sums_all(call):
            self.replaced[call.result] = self._total(cut[0].values)
            return True
        if call.op not in ELEMENTWISE or call.result.meta.shape != (size,):
            return False
        columns = {x: self._column(x, parts) for x in call.operands()}
        values = []
        for place in range(len(parts)):
            one = call.mapped(lambda x, place=place: columns[x][place])  # type: ignore[misc]
            values.append(getattr(self.b, call.op)(*one.args, **one.options))
        self.pieces[call.result] = Pieces(parts, tuple(values))
        return True

    def _column(self, operand: Operand, parts: tuple[Part, ...]) -> Sequence[Operand]:
        """Return an operand for each part: its pieces; or itself, if it is one number for all."""
        if type(operand) is Value and operand in self.pieces:
            return self.pieces[operand].values
        value = self._resolve(operand)
        if value.meta.size == 1:
            return [self._shaped(value, ())] * len(parts)
        return [self._shaped(v, p.shape) for v, p in zip(self._sliced(value, parts, 0), parts, strict=True)]

    def _sums_all(self, call: Call) -> bool:
        return call.result.meta.shape == () and not call.options.get("keepdims")

    def _total(self, values: Sequence[Value]) -> Value:
        first, *rest = [self.b.sum(value) for value in values]
        for value in rest:
            first = self.b.add(first, value)
        return first  # type: ignore[no-any-return]

    # -- from pieces to whole values, and back ---------------------------------------------------------

    def _resolve(self, operand: Operand) -> Operand:
        """Return what stands for an operand, whole."""
        if isinstance(operand, View):
            return replace(operand, base=self._whole(operand.base))
        return self._whole(operand)

    def _whole(self, value: Value) -> Value:
        if value in self.pieces and value not in self.replaced:
            self.replaced[value] = self._joined(self.pieces[value].values)
        return self.replaced.get(value, value)

    def _joined(self, values: Sequence[Value]) -> Value:
        flat = [self._shaped(value, (value.meta.size,)) for value in values]
        return self.b.concat(flat, axis=0)  # type: ignore[no-any-return]

    def _sliced(self, value: Operand, parts: Sequence[Part], offset: int) -> list[Value]:
        """Return the values of the parts in a value of their buffer from `offset` on."""
        if len(parts) == 1:
            return [self._shaped(value, parts[0].shape)]
        flat = self._shaped(value, (value.meta.size,))
        return [self.b.slice(flat, (p.start - offset,), (p.stop - offset,)) for p in parts]

    def _shaped(self, value: Operand, shape: Shape) -> Any:
        return value if type(value) is Value and value.meta.shape == shape else self.b.reshape(value, shape)

    def _like(self, value: Value) -> Value:
        fill = {"int64": 0, "bool": False}.get(value.meta.dtype, 0.0)
        return self.b.full(value.meta.shape, fill, dtype=value.meta.dtype)  # type: ignore[no-any-return]
