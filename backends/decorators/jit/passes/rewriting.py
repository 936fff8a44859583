"""What the passes share: values that stand for others, and the removal of dead code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..instructions import Instruction, Operand, Program, Store, Value, View, base_of


class Replaced(dict[Value, Value]):
    """Values that a pass has replaced by others."""

    def value(self, value: Value) -> Value:
        """Return what stands for a value."""
        return self.get(value, value)

    def resolve(self, operand: Operand) -> Operand:
        """Return what stands for an operand."""
        if isinstance(operand, View):
            return replace(operand, base=self.value(operand.base))
        return self.value(operand)


def alive(body: Sequence[Instruction], outputs: Sequence[Value]) -> tuple[Instruction, ...]:
    """Return the instructions that the outputs or a store need, in order."""
    needed, kept = set(outputs), []
    for instruction in reversed(body):
        if isinstance(instruction, Store) or not needed.isdisjoint(instruction.results):
            kept.append(instruction)
            needed.update(map(base_of, instruction.operands()))
    return tuple(reversed(kept))


def without_dead_code(program: Program) -> Program:
    """Return the program without instructions whose results nobody reads."""
    return replace(program, body=alive(program.body, program.outputs))
