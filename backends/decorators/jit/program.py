"""A program's check, its printed form, and its interpreter.

`check` runs after the trace and after each pass: it finds a pass that makes nonsense before anything runs.
`interpret` runs a program op by op on any backend. It is slow, and obviously right: it tells what a program
means, and every pass and the compiler are tested against it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...base import Backend
from ...errors import LaminaError, StateError, TraceError
from ...meta import Meta
from ...number import Number
from ...ops import OPS
from .builder import result_metas
from .instructions import (
    Buffer,
    Call,
    Constant,
    Instruction,
    Load,
    Operand,
    Program,
    Region,
    Store,
    Value,
    View,
    base_of,
    map_operands,
)

Pass = Callable[[Program], Program]
"""Returns a program that computes the same."""

# -- check -----------------------------------------------------------------------------------------


class ProgramError(StateError):
    """A program makes no sense: a fault of the tracer or of a pass."""


class NoRuleError(TraceError):
    """An op of the program has no rule for compiled code."""


def check(program: Program, known_good: Container[Instruction] = ()) -> Program:
    """Return a program; raise ProgramError unless it is well formed.

    `known_good` are instructions that were checked, each by itself: here only their order is.

    Each value is computed once and before its first use, has the op table's shape and dtype, and each view
    stays inside its value. Regions lie inside their buffers. In a forwarded program each load comes before
    every store to its elements, and no element is stored twice.
    """
    known = dict.fromkeys(program.inputs)
    if len(known) < len(program.inputs):
        raise ProgramError("expected different inputs, got one value twice")
    written: dict[Buffer, list[tuple[int, int]]] = {}
    for place, instruction in enumerate(program.body):
        try:
            _check_operands(instruction.operands(), known)
            if instruction not in known_good:
                _check_instruction(instruction, program.numbers)
            if program.forwarded:
                _check_order(instruction, written)
        except ProgramError as error:
            line = lines(program)[place]
            raise ProgramError(f"instruction {place}, {line}: {error}") from error
        for value in instruction.results:
            if value in known:
                raise ProgramError(
                    f"instruction {place}: expected a new value, got one that is there already"
                )
            known[value] = None
    _check_operands(iter(program.outputs), known)
    return program


def apply(program: Program, passes: Iterable[Pass]) -> Program:
    """Return a checked program after passes, checked after each."""
    good: set[Instruction] = set(program.body)
    for one in passes:
        program = check(one(program), good)
        good.update(program.body)
    return program


def _check_operands(operands: Iterator[Operand], known: Mapping[Value, None]) -> None:
    for operand in operands:
        if base_of(operand) not in known:
            raise ProgramError("expected values that earlier instructions compute, got another")


def _check_view(view: View) -> None:
    if len(view.shape) != len(view.strides) or min(view.strides, default=0) < 0:
        raise ProgramError(f"expected a stride of at least 0 for each extent, got {view}")
    last = view.offset + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
    if 0 not in view.shape and not 0 <= view.offset <= last < view.base.meta.size:
        raise ProgramError(f"expected a view inside its {view.base.meta.size} elements, got {view}")


def _check_instruction(instruction: Instruction, numbers: Sequence[str]) -> None:
    for operand in instruction.operands():
        if type(operand) is View:
            _check_view(operand)
    if isinstance(instruction, Call):
        if strange := set(instruction.options) - set(OPS[instruction.op].signature.parameters):
            raise ProgramError(f"expected arguments of the op, got {', '.join(sorted(strange))}")
        try:
            found = result_metas(instruction.op, instruction.args, instruction.options)
        except (LaminaError, TypeError) as error:
            raise ProgramError(f"expected arguments of the op: {error}") from error
        declared = tuple(None if value is None else value.meta for value in instruction.outputs)
        if found != declared:
            raise ProgramError(f"expected results {found}, got {declared}")
        for number in instruction.numbers():
            if missing := number.names() - set(numbers):
                raise ProgramError(f"expected numbers of the step, got {', '.join(sorted(missing))}")
    elif isinstance(instruction, Constant):
        array = instruction.array
        if instruction.result.meta != Meta(array.shape, array.dtype.name):
            raise ProgramError(f"expected the array's shape and dtype, got {instruction.result.meta}")
    elif isinstance(instruction, (Load, Store)):
        region = instruction.region
        moved = instruction.result if isinstance(instruction, Load) else instruction.value
        if not 0 <= region.offset <= region.stop <= region.buffer.size:
            raise ProgramError(f"expected a region of {region.buffer.size} elements, got {region}")
        if moved.meta != region.meta:
            raise ProgramError(f"expected a value like its region, {region.meta}, got {moved.meta}")


def _check_order(instruction: Instruction, written: dict[Buffer, list[tuple[int, int]]]) -> None:
    """Raise if a load or a store comes after a store to one of its elements. written: spans, in order."""
    if not isinstance(instruction, (Load, Store)) or instruction.region.meta.size == 0:
        return
    region = instruction.region
    spans = written.setdefault(region.buffer, [])
    place = bisect.bisect(spans, (region.offset, region.stop))
    near = spans[max(place - 1, 0) : place + 1]
    if any(max(start, region.offset) < min(stop, region.stop) for start, stop in near):
        verb = "read" if isinstance(instruction, Load) else "stored again"
        raise ProgramError(f"expected no element to be {verb} after its store")
    if isinstance(instruction, Store):
        spans.insert(place, (region.offset, region.stop))


# -- the printed form ------------------------------------------------------------------------------

_SHORT = {"float32": "f32", "float64": "f64", "int64": "i64", "bool": "bool"}
_FEW = 4


def show(program: Program) -> str:
    """Return a program as text: what it reads, a line for each instruction, and what it returns.

    The instructions of one layer stand under its path.
    """
    inputs = ", ".join(f"%{value.name}: {typed(value.meta)}" for value in program.inputs)
    head = [f"inputs   {inputs}"]
    if program.numbers:
        head.append(f"numbers  {', '.join(program.numbers)}")
    for buffer in program.buffers:
        head.append(f"cells    {buffer.name}: {typed(Meta((buffer.size,), buffer.dtype))}")
    body, path = [], ""
    for line, instruction in zip(lines(program), program.body, strict=True):
        if instruction.path != path:
            path = instruction.path
            body.append(f"# {path or 'outside the layers'}")
        body.append(f"  {line}")
    names = _names(program)
    return "\n".join(
        [*head, *body, f"return {', '.join(names[value] for value in program.outputs)}".rstrip()]
    )


def typed(meta: Meta) -> str:
    """Return "f32[20, 25]"."""
    return f"{_SHORT[meta.dtype]}[{', '.join(map(str, meta.shape))}]"


def lines(program: Program) -> list[str]:
    """Return a line for each instruction; values are numbered in order."""
    names = _names(program)
    return [_line(instruction, names) for instruction in program.body]


def _names(program: Program) -> dict[Value, str]:
    names = {value: f"%{value.name}" for value in program.inputs}
    results = [value for instruction in program.body for value in instruction.results]
    return names | {value: f"%{i}" for i, value in enumerate(results)}


def _line(instruction: Instruction, names: Mapping[Value, str]) -> str:
    made = ", ".join(f"{names[value]}: {typed(value.meta)}" for value in instruction.results)
    if isinstance(instruction, Load):
        return f"{made} = load {_region(instruction.region)}"
    if isinstance(instruction, Store):
        return f"store {_region(instruction.region)} = {_shown(instruction.value, names)}"
    if isinstance(instruction, Constant):
        array = instruction.array
        few = array.tolist() if array.size <= _FEW else f"#{instruction.digest[:12]}"
        return f"{made} = constant {few}"
    assert isinstance(instruction, Call)
    parameters = OPS[instruction.op].signature.parameters
    shown = [_shown(value, names) for value in instruction.args]
    for name, value in instruction.options.items():
        default = parameters[name].default if name in parameters else None
        if repr(value) != repr(default):  # -0.0 is not 0.0
            shown.append(f"{name}={_shown(value, names)}")
    return f"{made} = {instruction.op}({', '.join(shown)})"


def _region(region: Region) -> str:
    return f"{region.buffer.name}[{region.offset}:{region.stop}]"


def _shown(value: Any, names: Mapping[Value, str]) -> str:
    if type(value) is Value:
        return names.get(value, "%?")
    if type(value) is View:
        base = names.get(value.base, "%?")
        return f"{base}[{value.offset}; {_pairs(value)}]"
    if type(value) is tuple:
        inside = ", ".join(_shown(part, names) for part in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def _pairs(view: View) -> str:
    """Return "20:25, 25:1": each extent with its stride."""
    return ", ".join(f"{n}:{s}" for n, s in zip(view.shape, view.strides, strict=True))


# -- the interpreter -------------------------------------------------------------------------------


def interpret(
    program: Program,
    backend: Backend,
    inputs: Sequence[Any],
    *,
    numbers: Mapping[str, float] | None = None,
    cells: Mapping[str, Any] | None = None,
) -> tuple[Any, ...]:
    """Run a program op by op on a backend; return its outputs.

    Parameters
    ----------
    program
        A checked program.
    backend
        Any backend, raw or decorated.
    inputs
        A tensor of the backend for each input, of its shape and dtype.
    numbers
        The value of each number.
    cells
        The flat buffer of each of the program's buffers, by the buffer's name.

    """
    numbers, cells = numbers or {}, cells or {}
    for value, tensor in zip(program.inputs, inputs, strict=True):
        found = Meta(tuple(backend.shape(tensor)), backend.dtype(tensor))
        if found != value.meta:
            raise ProgramError(f"expected %{value.name} to be {typed(value.meta)}, got {typed(found)}")
    known: dict[Value, Any] = dict(zip(program.inputs, inputs, strict=True))
    for instruction in program.body:
        if isinstance(instruction, Load):
            region = instruction.region
            known[instruction.result] = _read(backend, cells[region.buffer.name], region)
        elif isinstance(instruction, Store):
            region = instruction.region
            value = _operand(backend, instruction.value, known)
            _write(backend, cells[region.buffer.name], region, value)
        elif isinstance(instruction, Constant):
            array = instruction.array
            known[instruction.result] = backend.from_host(array, dtype=array.dtype.name)
        elif isinstance(instruction, Call):
            known.update(_run(backend, instruction, known, numbers))
    return tuple(known[value] for value in program.outputs)


def _run(
    backend: Backend, call: Call, known: Mapping[Value, Any], numbers: Mapping[str, float]
) -> Iterator[tuple[Value, Any]]:
    def argument(value: Any) -> Any:
        if type(value) is Number:
            return value.value(numbers)
        return map_operands(lambda operand: _operand(backend, operand, known), value)

    args = [argument(value) for value in call.args]
    result = getattr(backend, call.op)(*args, **{name: argument(v) for name, v in call.options.items()})
    results = (result,) if OPS[call.op].gives == "tensor" else result
    return ((value, made) for value, made in zip(call.outputs, results, strict=True) if value is not None)


def _operand(backend: Backend, operand: Operand, known: Mapping[Value, Any]) -> Any:
    """Return a value, or the elements of a view, gathered one by one."""
    if type(operand) is Value:
        return known[operand]
    assert type(operand) is View
    places = np.asarray(operand.offset, np.int64)
    for n, stride in zip(operand.shape, operand.strides, strict=True):
        places = places[..., None] + np.arange(n, dtype=np.int64) * stride
    flat = backend.reshape(known[operand.base], (operand.base.meta.size,))
    return backend.reshape(backend.take(flat, backend.from_host(places.reshape(-1)), axis=0), operand.shape)


def _read(backend: Backend, flat: Any, region: Region) -> Any:
    """Return a region's value. A view of a cell would change with it, so this copies."""
    part = backend.slice(flat, (region.offset,), (region.stop,))
    return backend.copy(backend.reshape(part, region.shape))


def _write(backend: Backend, flat: Any, region: Region, value: Any) -> None:
    """Assign the buffer with a region replaced: only whole cells can be assigned."""
    size = region.buffer.size
    value = backend.reshape(value, (math.prod(region.shape),))
    if not region.whole:
        before = backend.slice(flat, (0,), (region.offset,))
        after = backend.slice(flat, (region.stop,), (size,))
        value = backend.concat([before, value, after])
    backend.assign(flat, value)
