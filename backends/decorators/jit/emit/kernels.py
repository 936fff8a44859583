"""`Kernels`: writes each group of a program as a call of a kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ....number import Number
from ..instructions import Operand, Value, base_of
from ..ir import Code, bytes_of, vector
from ..ir import Value as Register
from ..kernels.loops import elementwise
from ..kernels.span import Array
from ..passes.fuse import Group
from ..passes.layout import Layout
from ..passes.strips import Strips
from ..program import NoRuleError
from .arrays import element_of, spread
from .expressions import evaluate, inputs_of, work_of
from .parts import Parts, moved
from .roots import INDEXED, ROOTS, Writer, reduced
from .strips import Serial, write_strips

Arrays = Mapping[Operand, Array]


class Kernels:
    """Writes groups into the code of a step.

    Parameters
    ----------
    code
        The step's code.
    pointer
        Returns the address of a value.
    number
        Returns the value of a number that changes from step to step, as a double.
    parts
        Writes kernels, the large ones in parts.
    layout
        How values lie in memory.
    flag
        The address of a byte that a kernel sets to 1 if it meets an index out of range.
    late, last
        The values that only the last step of a call writes, and whether this is that step.

    """

    def __init__(
        self,
        code: Code,
        pointer: Callable[[Value], Register],
        number: Callable[[Number], Register],
        parts: Parts,
        flag: Register,
        layout: Layout,
        late: Collection[Value],
        last: Register,
    ) -> None:
        self.code, self.pointer, self.number = code, pointer, number
        self.parts, self.flag, self.layout = parts, flag, layout
        self.late, self.last = late, last

    def inside(self, code: Code, known: Mapping[Value, Register], layout: Layout) -> Kernels:
        """Return what writes the groups of a strip, into the code of the strips' loop."""
        serial: Any = Serial(code)
        nothing: Any = None
        return Kernels(code, known.__getitem__, self.number, serial, self.flag, layout, (), nothing)

    def together(self, groups: Sequence[Group]) -> None:
        """Write one group, or several sums as one loop."""
        if len(groups) > 1:
            reduced(self, groups)
        else:
            self._group(groups[0])

    def group(self, group: Group) -> None:
        """Write one group. Indices are checked in every step."""
        if isinstance(group, Strips):
            write_strips(self, group)
            return
        indexed = group.root is not None and group.root.op in INDEXED
        if not indexed and all(value in self.late for value in group.results):
            with self.code.when(self.last):
                self._group(group)
        else:
            self._group(group)

    def _group(self, group: Group) -> None:
        if group.root is None:
            self._map(group)
            return
        rule = ROOTS.get(group.root.op)
        if rule is None:
            raise NoRuleError(
                f"{group.root.op}: expected an op with a rule for compiled code, got one without"
            )
        rule(Writer(self, group))

    def launch(
        self,
        operands: Sequence[Operand],
        numbers: Sequence[tuple[Number, str]],
        write: Callable[..., None],
        *extra: Register,
        work: int = 0,
        units: int = 1,
        space: int = 0,
    ) -> None:
        """Call a kernel on operands and numbers: write(code, arrays, number, *extra, [space]).

        `work`, `units` and `space` are those of `Parts.kernel`.
        """
        operands = list(dict.fromkeys(operands))
        numbers = list({(x.key, element): (x, element) for x, element in numbers}.values())
        addresses = [self._address(x) for x in operands]
        scalars = [self.scalar(x, element) for x, element in numbers]

        def body(code: Code, *found: Register) -> None:
            pointers, rest = found[: len(addresses)], found[len(addresses) :]
            values = {(x.key, e): v for (x, e), v in zip(numbers, rest, strict=False)}
            arrays = {x: self.array(x, p) for x, p in zip(operands, pointers, strict=True)}
            write(code, arrays, lambda x, element: values[x.key, element], *rest[len(scalars) :])

        inputs = [*addresses, *scalars, *extra]
        self.parts.kernel(inputs, body, work=work, units=units, space=space)

    def _address(self, operand: Operand) -> Register:
        base, offset = self.pointer(base_of(operand)), self.layout.offset(operand)
        return self.code.at(base, (offset, bytes_of(element_of(operand)))) if offset else base

    def array(self, operand: Operand, pointer: Register) -> Array:
        """Return an operand as the array that begins at a pointer."""
        layout = self.layout
        return Array(pointer, element_of(operand), layout.strides(operand), layout.padded(operand))

    def scalar(self, number: Number, element: str) -> Register:
        """Return a number that changes from step to step, rounded to an element."""
        value = self.number(number)
        return (
            value
            if element == "double"
            else self.code.new(vector(element, 1), f"fptrunc {value} to {element}")
        )

    def _map(self, group: Group) -> None:
        """Write elementwise ops alone."""
        shape = group.results[0].meta.shape
        reads, numbers = inputs_of(group.after)

        def write(code: Code, arrays: Arrays, number: Any) -> None:
            inputs = [spread(arrays[x], x.meta.shape, shape) for x in reads]
            outputs = [arrays[x] for x in group.results]

            def expression(code: Code, *values: Register) -> list[Register]:
                lanes = values[0].type.lanes
                known = dict(zip(reads, values, strict=True))
                evaluate(code, group.after, known, lanes, number)
                return [known[x] for x in group.results]

            elementwise(code, shape, inputs, outputs, expression, shared=True)

        operands = [*reads, *group.results]
        work = moved(*(x.meta for x in operands)) + work_of(group.after)
        self.launch(operands, numbers, write, work=work, units=math.prod(shape))
