"""`generate`: from traced programs to LLVM IR and tables: the passes in their order, then `emit`.

`compiler` imports it when a program is not in the cache: to import it takes longer than to link machine code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .emit.expressions import FUNCTIONS, MAPS, WHOLE
from .emit.step import write
from .emit.windows import POOLING
from .instructions import Program
from .ir import Module
from .machine import Machine
from .passes.cells import cells
from .passes.constants import constants
from .passes.fuse import Rules, fuse
from .passes.lower import lower
from .passes.samples import ordered
from .passes.simplify import simplify
from .passes.views import as_made, views
from .program import Pass, apply, check
from .table import Table


def sink(program: Program) -> Program:
    """Let transpositions sink, or write convolutions with the samples first."""
    return ordered(program, MAPS)


PASSES: tuple[Pass, ...] = (
    lambda program: lower(program, whole=WHOLE | POOLING),
    constants,
    cells,
    simplify,
    sink,
    views,
    simplify,
)
RULES = Rules(MAPS, FUNCTIONS)


def generate(programs: Sequence[Program], machine: Machine, *, ordered: bool) -> tuple[dict[str, Table], str]:
    """Return a table for each program, and the IR of all."""
    module, tables = Module(machine), {}
    for i, program in enumerate(programs):
        program = apply(check(program), PASSES)
        outputs = tuple(value.meta for value in program.outputs)
        program = as_made(program)
        table = write(module, f"run{i}", program, fuse(program, RULES), ordered=ordered)
        tables[f"run{i}"] = replace(table, outputs=outputs)
    return tables, module.text()
