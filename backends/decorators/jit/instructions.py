"""What a traced program is made of: values, regions of cells, views, and instructions.

A program is in *static single assignment*: an instruction computes a new `Value`, and no value ever changes.
Only cells change. An instruction reads one with `Load` and writes one with `Store`; everything between is
arithmetic on values.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from typing_extensions import override

from ...host import Host
from ...meta import Meta
from ...number import Number
from ...protocol import Shape

Self = TypeVar("Self", bound="Instruction")


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """A tensor that is computed once. A value equals only itself.

    Parameters
    ----------
    meta
        Its shape and dtype.
    name
        The name of an input; "" for a result.

    """

    meta: Meta
    name: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The elements of a value in another order, by strides: no element is moved.

    Element (i, j, ...) is element offset + i strides[0] + j strides[1] + ... of the value in row-major order.
    """

    base: Value
    offset: int
    shape: Shape
    strides: tuple[int, ...]

    @property
    def meta(self) -> Meta:
        """Its shape and dtype."""
        return Meta(self.shape, self.base.meta.dtype)


Operand = Value | View


@dataclass(frozen=True, eq=False, slots=True)
class Buffer:
    """A flat buffer of cells. A buffer equals only itself.

    Parameters
    ----------
    name
        Its name in the program, such as "@0".
    size, dtype
        The number and the dtype of its elements.
    views
        The (offset, shape) of each view that `cells` made.

    """

    name: str
    size: int
    dtype: str
    views: tuple[tuple[int, Shape], ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a buffer: the elements from `offset` on, in a shape."""

    buffer: Buffer
    offset: int
    shape: Shape

    @property
    def meta(self) -> Meta:
        """Its shape and dtype."""
        return Meta(self.shape, self.buffer.dtype)

    @property
    def stop(self) -> int:
        """The place after its last element."""
        return self.offset + math.prod(self.shape)

    @property
    def whole(self) -> bool:
        """Whether it is the flat buffer itself."""
        return self.offset == 0 and self.shape == (self.buffer.size,)

    def overlaps(self, other: Region) -> bool:
        """Whether two regions share an element."""
        return self.buffer is other.buffer and max(self.offset, other.offset) < min(self.stop, other.stop)


@dataclass(frozen=True, eq=False)
class Instruction:
    """Base of the instructions.

    `path` is the path of the layer that it comes from, "" outside every layer.
    """

    path: str = field(default="", kw_only=True)

    @property
    def results(self) -> tuple[Value, ...]:
        """The values that it computes."""
        return ()

    def operands(self) -> Iterator[Operand]:
        """Yield what it reads, in order."""
        return iter(())

    def mapped(self: Self, function: Callable[[Operand], Operand]) -> Self:
        """Return the instruction with `function` applied to each operand; itself if none changes."""
        return self


@dataclass(frozen=True, eq=False)
class Constant(Instruction):
    """An array that is part of the program."""

    array: Host
    result: Value

    @property
    @override
    def results(self) -> tuple[Value, ...]:
        return (self.result,)

    @property
    def digest(self) -> str:
        """The SHA-256 of dtype, shape and bytes."""
        found = hashlib.sha256(f"{self.array.dtype}{self.array.shape}".encode())
        found.update(self.array.tobytes())
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Load(Instruction):
    """The value of a region at this place in the program."""

    region: Region
    result: Value

    @property
    @override
    def results(self) -> tuple[Value, ...]:
        return (self.result,)


@dataclass(frozen=True, eq=False)
class Store(Instruction):
    """Writes a value into a region."""

    region: Region
    value: Operand

    @override
    def operands(self) -> Iterator[Operand]:
        yield self.value

    @override
    def mapped(self, function: Callable[[Operand], Operand]) -> Store:
        value = function(self.value)
        return self if value is self.value else replace(self, value=value)


@dataclass(frozen=True, eq=False)
class Call(Instruction):
    """One op of the table.

    Parameters
    ----------
    op
        The op's name.
    args, options
        Its positional and keyword arguments: operands, Python numbers, Numbers, shapes.
    outputs
        A value for each result; None where the op gives None.

    """

    op: str
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    outputs: tuple[Value | None, ...]

    @cached_property
    def results(self) -> tuple[Value, ...]:
        """The values that it computes."""
        return tuple([value for value in self.outputs if value is not None])

    @property
    def result(self) -> Value:
        """The one result."""
        (value,) = self.results
        return value

    @override
    def operands(self) -> Iterator[Operand]:
        return iter(self._operands)

    @cached_property
    def _operands(self) -> tuple[Operand, ...]:
        return tuple([x for value in (*self.args, *self.options.values()) for x in operands_in(value)])

    @override
    def mapped(self, function: Callable[[Operand], Operand]) -> Call:
        new = {x: function(x) for x in self.operands()}
        if all(x is y for x, y in new.items()):
            return self
        args = tuple([map_operands(new.__getitem__, value) for value in self.args])
        options = {name: map_operands(new.__getitem__, value) for name, value in self.options.items()}
        return Call(self.op, args, options, self.outputs, path=self.path)

    def numbers(self) -> Iterator[Number]:
        """Yield the step's numbers among the arguments."""
        for value in (*self.args, *self.options.values()):
            yield from (x for x in (value if type(value) is tuple else (value,)) if type(x) is Number)


def map_operands(function: Callable[[Operand], Any], value: Any) -> Any:
    """Apply `function` to an operand, or to each in a tuple; anything else stays as it is."""
    if type(value) is Value or type(value) is View:
        return function(value)
    if type(value) is tuple:
        return tuple(map_operands(function, part) for part in value)
    return value


def operands_in(value: Any) -> Iterator[Operand]:
    """Yield the operands in an argument."""
    if type(value) is Value or type(value) is View:
        yield value
    elif type(value) is tuple:
        for part in value:
            yield from operands_in(part)


def base_of(operand: Operand) -> Value:
    """Return the value behind an operand."""
    return operand.base if type(operand) is View else operand  # type: ignore[return-value]


@dataclass(frozen=True)
class Program:
    """A step: what it reads, its instructions in order, and what it returns.

    Parameters
    ----------
    inputs
        The tensors of the step's batch.
    numbers
        The names of the numbers that change from step to step.
    body
        The instructions.
    outputs
        The results of the step.
    forwarded
        Whether every load reads what the step found: no store to its region comes before it, and no region
        is stored twice. The pass `cells` makes it so.

    """

    inputs: tuple[Value, ...]
    numbers: tuple[str, ...]
    body: tuple[Instruction, ...]
    outputs: tuple[Value, ...]
    forwarded: bool = False

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The buffers that it reads or writes, in the order of their first use."""
        regions = (i.region for i in self.body if isinstance(i, (Load, Store)))
        return tuple(dict.fromkeys(region.buffer for region in regions))

    @cached_property
    def text(self) -> str:
        """The program in full; equal for two programs only if they are the same, but for the layers' paths.

        `show` prints a program for people, and leaves out much.
        """
        return "\n".join(_text(self))


def _text(program: Program) -> Iterator[str]:
    """Yield a line for the head of a program, for each buffer, each instruction, and its results."""
    names = {value: f"%{i}" for i, value in enumerate(program.inputs)}

    def operand(x: Operand) -> str:
        if type(x) is View:
            return f"{names[x.base]}[{x.offset} {x.shape} {x.strides}]"
        return names[x]  # type: ignore[index]

    def argument(x: Any) -> str:
        if type(x) is Value or type(x) is View:
            return operand(x)
        if type(x) is tuple:
            return f"({','.join(map(argument, x))})"
        return f"{type(x).__name__} {x.key if type(x) is Number else repr(x)}"  # 0.0 is not -0.0, nor 0

    def place(region: Region) -> str:
        return f"{region.buffer.name} {region.offset} {region.shape}"

    yield repr(([(x.name, *x.meta) for x in program.inputs], program.numbers, program.forwarded))
    for buffer in program.buffers:
        yield repr((buffer.name, buffer.size, buffer.dtype, buffer.views))
    for i in program.body:
        for value in i.results:
            names[value] = f"%{len(names)}"
        if isinstance(i, Load):
            yield f"load {place(i.region)}"
        elif isinstance(i, Store):
            yield f"store {place(i.region)} {operand(i.value)}"
        elif isinstance(i, Constant):
            yield f"constant {i.digest}"
        elif isinstance(i, Call):
            made = [value and tuple(value.meta) for value in i.outputs]
            options = [f"{name}={argument(value)}" for name, value in i.options.items()]
            yield f"{i.op} {' '.join([*map(argument, i.args), *options])} {made}"
    yield " ".join(map(operand, program.outputs))
