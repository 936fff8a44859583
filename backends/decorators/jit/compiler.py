"""From a traced program to native code: by `generate` and LLVM, or from the cache of objects."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .instructions import Program
from .machine import Library, Machine, compiled, host, linked
from .objects import key_of, objects
from .sources import digest
from .table import Table, pack, unpack
from .team import WORK


def address_of(array: Any) -> int:
    """Return where an array's elements begin. `ctypes.data` says the same in four times the time."""
    try:
        return ctypes.addressof(ctypes.c_byte.from_buffer(array))
    except (TypeError, ValueError, BufferError):  # read-only, or without elements
        return int(array.ctypes.data)


class Native:
    """A program's machine code: a function of a library, and the table of addresses that it needs."""

    def __init__(self, library: Library, name: str, table: Table, *, cached: bool) -> None:
        self.table = table
        self.function = library.function(name, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        """A function of the table of addresses, the first step and the number of steps."""
        self.work = library.function(WORK, ctypes.c_void_p, ctypes.c_int64) if table.operations else None
        """The function of a team's helper, if kernels have parts: of the team's address and a number."""
        self._constants = [np.ascontiguousarray(array) for array in table.constants]
        self.constants = [address_of(array) for array in self._constants]
        """The addresses of the table's constants."""
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
    from .generate import generate

    unchanged = sources == digest()  # and what was imported now is what the key says
    tables, text = generate(programs, machine, ordered=ordered)
    code = compiled(text, machine)
    if cache is not None and key and unchanged:
        cache.put(key, pack(tables, programs, code))
    return _linked(tables, code, machine, cached=False)


def _linked(tables: Mapping[str, Table], code: bytes, machine: Machine, *, cached: bool) -> list[Native]:
    names = [*tables, *([WORK] if any(table.operations for table in tables.values()) else [])]
    library = linked(code, names, machine)
    return [Native(library, name, table, cached=cached) for name, table in tables.items()]
