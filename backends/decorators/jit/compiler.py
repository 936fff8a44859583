"""From a traced program to native code: the passes in their order, then LLVM."""

from __future__ import annotations

from collections.abc import Sequence

from .emit.expressions import FUNCTIONS, MAPS, WHOLE
from .emit.step import Table, write
from .instructions import Program
from .ir import Module
from .machine import Library, Machine, build, host
from .objects import objects
from .passes.cells import cells
from .passes.constants import constants
from .passes.fuse import Rules, fuse
from .passes.lower import lower
from .passes.simplify import simplify
from .passes.views import views
from .program import Pass, apply

PASSES: tuple[Pass, ...] = (
    lambda program: lower(program, whole=WHOLE),
    constants,
    cells,
    simplify,
    views,
    simplify,
)


RULES = Rules(MAPS, FUNCTIONS)


class Native:
    """A program's machine code: a function of a library, and the table of addresses that it needs."""

    def __init__(self, library: Library, name: str, table: Table, kernels: int) -> None:
        self.library, self.name, self.table = library, name, table
        self.kernels = kernels
        """How many groups of ops the program has, each with loops of its own."""
        self.outputs = tuple(value.meta for value in table.outputs)
        self.seconds = 0.0
        """How long a step took in the last call, or 0; it decides the length of the next call."""


def native(program: Program, *, ordered: bool = False, machine: Machine | None = None) -> Native:
    """Return the machine code of a traced program, for rows in an order or as they stand.

    Raises NoRuleError if an op has no rule for compiled code.
    """
    return native_all([program], ordered=ordered, machine=machine)[0]


def native_all(
    programs: Sequence[Program], *, ordered: bool = False, machine: Machine | None = None
) -> list[Native]:
    """Return the machine code of several programs, compiled at once; small ones take half of the time so."""
    module = Module(machine or host())
    written = {}
    for i, program in enumerate(programs):
        program = apply(program, PASSES)
        groups = fuse(program, RULES)
        written[f"run{i}"] = write(module, f"run{i}", program, groups, ordered=ordered), len(groups)
    library = build(module.text(), tuple(written), module.machine, objects())
    return [Native(library, name, table, kernels) for name, (table, kernels) in written.items()]
