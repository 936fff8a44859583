"""From a traced program to native code: the passes in their order, then LLVM."""

from __future__ import annotations

from .emit.expressions import FUNCTIONS, MAPS, WHOLE
from .emit.step import RUN, Table, write
from .instructions import Program
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
    """A program's machine code, and the table of addresses that it needs."""

    def __init__(self, library: Library, table: Table) -> None:
        self.library, self.table = library, table
        self.outputs = tuple(value.meta for value in table.outputs)


def native(program: Program, *, ordered: bool = False, machine: Machine | None = None) -> Native:
    """Return the machine code of a traced program, for rows in an order or as they stand.

    Raises TraceError if an op has no rule for compiled code.
    """
    machine = machine or host()
    program = apply(program, PASSES)
    text, table = write(program, fuse(program, RULES), machine, ordered=ordered)
    return Native(build(text, (RUN,), machine, objects()), table)
