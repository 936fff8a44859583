"""`Table`: what machine code needs to run; and its form in a file, beside the code.

With its table, stored code runs without the passes and without IR: only the step's trace is needed, which
tells the program.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...host import Host
from ...meta import Meta
from ...number import Number
from .instructions import Constant, Program

TEAM = 4
"""The place of the team's address."""


@dataclass(frozen=True)
class Table:
    """What machine code needs beside its arguments: the layout of its table of addresses.

    The addresses are, in this order: workspace, state, order, numbers, team, the inputs of the traced
    program, and the outputs, buffers and constants below. The state is two int64: whether an index was out of
    range (its first byte), and the steps that are done.
    """

    outputs: tuple[Meta, ...]
    buffers: tuple[str, ...]
    """Their names."""
    constants: tuple[Host, ...]
    numbers: tuple[Number, ...]
    """The expressions whose values are a row of the array of numbers, for each step."""
    workspace: int
    """The bytes of the workspace."""
    flagged: bool
    """Whether a kernel may find an index out of range."""
    kernels: int
    """How many groups of ops the program has, each with loops of its own."""
    operations: int = 0
    """The operations of a step in kernels that have parts; 0 if none has."""
    own: int = 0
    """The bytes that each helper needs for itself."""


def pack(tables: Mapping[str, Table], programs: Sequence[Program], code: bytes) -> bytes:
    """Return tables, by the name of the function, and machine code as the content of a file.

    A constant of a traced program is its number: the program will be there when the file is read.
    """
    known = {id(array): place for place, array in enumerate(_constants(programs))}
    head = {name: _plain(table, known) for name, table in tables.items()}
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + code


def unpack(data: bytes, programs: Sequence[Program]) -> tuple[dict[str, Table], bytes]:
    """Return what `pack` was given."""
    head, _, code = data.partition(b"\n")
    known = _constants(programs)
    return {name: _table(table, known) for name, table in json.loads(head).items()}, code


def _constants(programs: Sequence[Program]) -> list[Host]:
    return [i.array for program in programs for i in program.body if isinstance(i, Constant)]


def _plain(table: Table, known: Mapping[int, int]) -> list[Any]:
    constants = [known.get(id(array), None) for array in table.constants]
    return [
        [[meta.shape, meta.dtype] for meta in table.outputs],
        table.buffers,
        [_bytes(x) if i is None else i for i, x in zip(constants, table.constants, strict=True)],
        [_expression(number) for number in table.numbers],
        table.workspace,
        table.flagged,
        table.kernels,
        table.operations,
        table.own,
    ]


def _table(plain: Any, known: Sequence[Host]) -> Table:
    outputs, buffers, constants, numbers, *rest = plain
    return Table(
        tuple(Meta(tuple(shape), dtype) for shape, dtype in outputs),
        tuple(buffers),
        tuple(known[x] if isinstance(x, int) else _array(*x) for x in constants),
        tuple(_number(x) for x in numbers),
        *rest,
    )


def _bytes(array: Host) -> tuple[Any, ...]:
    return array.dtype.name, array.shape, base64.b64encode(array.tobytes()).decode()


def _array(dtype: str, shape: Sequence[int], text: str) -> Host:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def _expression(x: Any) -> Any:
    """Return an expression as nested lists; JSON keeps every bit of a Python number."""
    if isinstance(x, Number):
        return [x.function, *map(_expression, x.operands)]
    return float(x) if isinstance(x, float) else x


def _number(plain: Any) -> Any:
    if not isinstance(plain, list):
        return plain
    function, *operands = plain
    return Number(function, tuple(map(_number, operands)))
