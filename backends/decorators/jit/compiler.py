"""From a traced program to native code: the passes in order, then LLVM; or from the cache of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .emit.expressions import FUNCTIONS, MAPS, WHOLE
from .emit.step import write
from .emit.windows import POOLING
from .instructions import Program
from .ir import Module
from .machine import Library, Machine, compiled, host, linked
from .objects import key_of, objects
from .passes.cells import cells
from .passes.constants import constants
from .passes.fuse import Rules, fuse
from .passes.lower import lower
from .passes.simplify import simplify
from .passes.views import views
from .program import Pass, apply, check
from .sources import digest
from .table import Table, pack, unpack

PASSES: tuple[Pass, ...] = (
    lambda program: lower(program, whole=WHOLE | POOLING),
    constants,
    cells,
    simplify,
    views,
    simplify,
)


RULES = Rules(MAPS, FUNCTIONS)


class Native:
    """A program's machine code: a function of a library, and the table of addresses that it needs."""

    def __init__(self, library: Library, name: str, table: Table, *, cached: bool) -> None:
        self.library, self.name, self.table = library, name, table
        self.cached = cached
        """Whether the code was in the cache."""
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
    machine, cache, sources = machine or host(), objects(), digest()
    key = ""
    if cache is not None and sources is not None:
        key = key_of(sources, repr(machine), str(ordered), *(program.text for program in programs))
        data = cache.get(key)
        if data is not None:
            return _linked(*unpack(data, programs), machine, cached=True)
    tables, text = _written(programs, machine, ordered=ordered)
    code = compiled(text, machine)
    if cache is not None and key:
        cache.put(key, pack(tables, programs, code))
    return _linked(tables, code, machine, cached=False)


def _written(programs: Sequence[Program], machine: Machine, *, ordered: bool) -> tuple[dict[str, Table], str]:
    """Return a table for each program, and the IR of all."""
    module, tables = Module(machine), {}
    for i, program in enumerate(programs):
        program = apply(check(program), PASSES)
        tables[f"run{i}"] = write(module, f"run{i}", program, fuse(program, RULES), ordered=ordered)
    return tables, module.text()


def _linked(tables: Mapping[str, Table], code: bytes, machine: Machine, *, cached: bool) -> list[Native]:
    library = linked(code, tuple(tables), machine)
    return [Native(library, name, table, cached=cached) for name, table in tables.items()]
