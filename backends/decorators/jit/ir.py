"""Text of LLVM IR: types, values, loops, vectors, and the module that collects functions.

The text is what https://llvm.org/docs/LangRef.html describes. Three habits keep it short:

- What changes (counters, accumulators) is an `alloca`. LLVM's SROA pass turns it into registers, so no phi
  is written here.
- A vector may be wider than the machine's; LLVM splits it.
- A vector has `live` lanes when it is loaded or stored: the others are not touched in memory.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .machine import Machine

BITS = {"float": 32, "double": 64, "i1": 1, "i8": 8, "i32": 32, "i64": 64, "i128": 128, "ptr": 64}
ELEMENTS = {"float32": "float", "float64": "double", "int64": "i64", "bool": "i1"}
"""The element of each dtype. A bool is i1 in a register and one byte in memory."""


class Type:
    """The type of a value: an element, or a vector of several. `vector` and `scalar` make them."""

    __slots__ = ("element", "lanes", "text")

    def __init__(self, element: str, lanes: int) -> None:
        self.element, self.lanes = element, lanes
        self.text = element if lanes == 1 else f"<{lanes} x {element}>"

    def __str__(self) -> str:
        return self.text

    @property
    def floating(self) -> bool:
        """Whether the elements are float or double."""
        return self.element in ("float", "double")

    @property
    def suffix(self) -> str:
        """How names of intrinsics spell the type: v16f32, f64."""
        kind = "p0" if self.element == "ptr" else f"{'f' if self.floating else 'i'}{BITS[self.element]}"
        return kind if self.lanes == 1 else f"v{self.lanes}{kind}"

    def of(self, element: str) -> Type:
        """Return the type with as many lanes of another element."""
        return vector(element, self.lanes)


@functools.cache
def vector(element: str, lanes: int) -> Type:
    """Return the type of `lanes` elements; one lane is the element itself."""
    return Type(element, lanes)


def scalar(element: str) -> Type:
    """Return the type of one element."""
    return vector(element, 1)


INDEX, POINTER = scalar("i64"), scalar("ptr")


def bytes_of(element: str) -> int:
    """Return how many bytes an element takes in memory."""
    return max(BITS[element] // 8, 1)


class Value:
    """A constant or the result of an instruction: its type and its name."""

    __slots__ = ("text", "type")

    def __init__(self, kind: Type, text: str) -> None:
        self.type, self.text = kind, text

    def __str__(self) -> str:
        return f"{self.type.text} {self.text}"


Index = Value | int
Terms = Sequence[tuple[Index, int]]
"""A place along an axis: the sum of index x factor."""

_COMPARISONS = {"lt": ("olt", "slt"), "le": ("ole", "sle"), "gt": ("ogt", "sgt"), "eq": ("oeq", "eq")}
_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


class Code:
    """The body of one function while it is written, line by line."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.machine = module.machine
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self._flags = ""
        self.part: tuple[Value, int] | None = None
        """Of a kernel in parts: the number of the one that runs, and how many there are."""
        self.shares = False
        """Whether a loop is shared by the parts."""

    # -- lines ---------------------------------------------------------------------------------------

    def put(self, text: str) -> None:
        """Write an instruction without a result."""
        self._lines.append("  " + text)

    def new(self, kind: Type, text: str) -> Value:
        """Write an instruction and return its result."""
        name = self._name()
        self._lines.append(f"  {name} = {text}")
        return Value(kind, name)

    def _name(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")

    def body(self) -> str:
        """Return the function's text from its opening brace on."""
        return "\n".join(["{", "entry:", *self._entry, *self._lines, "  ret void", "}"])

    # -- constants -----------------------------------------------------------------------------------

    def number(self, kind: Type, x: float) -> Value:
        """Return a constant in every lane, exactly: a float is rounded to its type, nothing else."""
        text = constant(kind.element, x)
        if kind.lanes > 1:
            text = f"splat ({kind.element} {text})"
        return Value(kind, text)

    def lanes_of(self, kind: Type, numbers: Sequence[float]) -> Value:
        """Return a constant with a number for each lane."""
        if kind.lanes == 1:
            return self.number(kind, numbers[0])
        inside = ", ".join(f"{kind.element} {constant(kind.element, x)}" for x in numbers)
        return Value(kind, f"<{inside}>")

    # -- arithmetic ----------------------------------------------------------------------------------

    def _two(self, op: str, x: Value, y: Value) -> Value:
        if x.type is not y.type:
            raise TypeError(f"{op}: expected values of one type, got {x} and {y}")
        return self.new(x.type, f"{op} {x}, {y.text}")

    def arithmetic(self, op: str, x: Value, y: Value) -> Value:
        """Return x `op` y, with op of add, sub, mul, div; floats are rounded once, integers wrap."""
        return self._two(f"{_ARITHMETIC[op]}{self._flags}" if x.type.floating else op, x, y)

    @property
    def contracts(self) -> bool:
        """Whether the code is inside `contracted`."""
        return bool(self._flags)

    @contextlib.contextmanager
    def contracted(self) -> Iterator[None]:
        """Let a product and the sum that takes it be rounded once, as a fused multiply-add."""
        before, self._flags = self._flags, " contract"
        yield
        self._flags = before

    def add(self, x: Value, y: Value) -> Value:
        """Return x + y."""
        return self.arithmetic("add", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        """Return x - y."""
        return self.arithmetic("sub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        """Return x y."""
        return self.arithmetic("mul", x, y)

    def div(self, x: Value, y: Value) -> Value:
        """Return x / y, of floats."""
        return self.arithmetic("div", x, y)

    def bitwise(self, op: str, x: Value, y: Value) -> Value:
        """Return x `op` y, with op of and, or, xor, shl, lshr, ashr."""
        return self._two(op, x, y)

    def negative(self, x: Value) -> Value:
        """Return -x; the sign of a zero and of a NaN changes too."""
        if x.type.floating:
            return self.new(x.type, f"fneg {x}")
        return self.sub(self.number(x.type, 0), x)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """Return x y + z: rounded once if the machine has fused multiply-adds, else twice."""
        if not self.machine.fused:
            return self.add(self.mul(x, y), z)
        return self.intrinsic("fma", x, y, z)

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """Call an intrinsic whose arguments and result have one type, such as sqrt or fabs."""
        kind = arguments[0].type
        return self.call(kind, f"llvm.{name}.{kind.suffix}", *arguments)

    def call(self, kind: Type, name: str, *arguments: Value) -> Value:
        """Call a function of this signature, and declare it."""
        text = ", ".join(map(str, arguments))
        self.module.declare(f"declare {kind} @{name}({', '.join(a.type.text for a in arguments)})")
        return self.new(kind, f"call {kind} @{name}({text})")

    # -- comparison, selection, conversion -------------------------------------------------------------

    def compare(self, test: str, x: Value, y: Value) -> Value:
        """Return x `test` y as i1, with test of lt, le, gt, eq; false where either is NaN."""
        ordered, signed = _COMPARISONS[test]
        op = f"fcmp {ordered}" if x.type.floating else f"icmp {signed}"
        return Value(x.type.of("i1"), self._two(op, x, y).text)

    def is_nan(self, x: Value) -> Value:
        """Return whether x is NaN, as i1."""
        return self.new(x.type.of("i1"), f"fcmp uno {x}, {x.text}")

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """Return x where the i1 condition holds, else y."""
        if x.type is not y.type:
            raise TypeError(f"select: expected values of one type, got {x} and {y}")
        return self.new(x.type, f"select {condition}, {x}, {y}")

    def bitcast(self, x: Value, element: str) -> Value:
        """Return the same bits as another element of equal size."""
        return self.cast("bitcast", x, element)

    def cast(self, op: str, x: Value, element: str) -> Value:
        """Return x converted by a cast of LLVM: fpext, fptrunc, sitofp, uitofp, zext, trunc, ..."""
        kind = x.type.of(element)
        return self.new(kind, f"{op} {x} to {kind}")

    # -- lanes ---------------------------------------------------------------------------------------

    def splat(self, x: Value, lanes: int) -> Value:
        """Return a scalar in every lane."""
        if lanes == 1:
            return x
        kind = vector(x.type.element, lanes)
        first = self.new(kind, f"insertelement {kind} poison, {x}, i64 0")
        return self.shuffle(first, first, [0] * lanes)

    def shuffle(self, x: Value, y: Value, lanes: Sequence[int]) -> Value:
        """Return the lanes of x followed by y at these numbers."""
        kind = vector(x.type.element, len(lanes))
        if kind.lanes == 1:
            return self.new(kind, f"extractelement {x}, i64 {lanes[0]}")
        chosen = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.new(kind, f"shufflevector {x}, {y}, <{len(lanes)} x i32> <{chosen}>")

    def across(self, x: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """Return the lanes combined by halves into one; their number is a power of two."""
        while x.type.lanes > 1:
            half = x.type.lanes // 2
            x = combine(self.shuffle(x, x, range(half)), self.shuffle(x, x, range(half, 2 * half)))
        return x

    # -- memory --------------------------------------------------------------------------------------

    def cell(self, kind: Type) -> Value:
        """Return a pointer to a variable of the function."""
        name = self._name()
        self._entry.append(f"  {name} = alloca {kind}")
        return Value(POINTER, name)

    def at(self, pointer: Value, *terms: tuple[Index, int]) -> Value:
        """Return pointer + Σ index x bytes."""
        offset = self.sum(terms)
        return self.new(POINTER, f"getelementptr inbounds i8, {pointer}, {offset}")

    def sum(self, terms: Terms) -> Value:
        """Return Σ index x factor."""
        known, total = 0, None
        for index, factor in terms:
            if isinstance(index, int):
                known += index * factor
            elif factor:
                term = index if factor == 1 else self.new(INDEX, f"mul nsw {index}, {factor}")
                total = term if total is None else self.new(INDEX, f"add nsw {total}, {term.text}")
        if total is None:
            return Value(INDEX, str(known))
        return self.new(INDEX, f"add nsw {total}, {known}") if known else total

    def load(self, pointer: Value, kind: Type, live: int | None = None) -> Value:
        """Return what lies at the pointer; only the first `live` lanes are read, the others are 0."""
        if kind.element == "i1":
            byte = self.load(pointer, kind.of("i8"), live)
            return self.new(
                kind, f"icmp ne {byte}, zeroinitializer" if kind.lanes > 1 else f"icmp ne {byte}, 0"
            )
        align = bytes_of(kind.element)
        if live is None or live >= kind.lanes:
            return self.new(kind, f"load {kind}, {pointer}, align {align}")
        name = f"llvm.masked.load.{kind.suffix}.p0"
        return self._masked(kind, name, pointer, align, live, Value(kind, "zeroinitializer"))

    def gather(
        self, pointer: Value, stride: int | Sequence[int], kind: Type, live: int | None = None
    ) -> Value:
        """Return the elements that lie `stride` apart, from the pointer on; dead lanes are not read.

        Several numbers are each lane's own distance from the pointer.
        """
        if kind.element == "i1":
            byte = self.gather(pointer, stride, kind.of("i8"), live)
            return self.new(kind, f"icmp ne {byte}, zeroinitializer")
        align, places = bytes_of(kind.element), self._places(pointer, stride, kind)
        name = f"llvm.masked.gather.{kind.suffix}.{places.type.suffix}"
        live = kind.lanes if live is None else live
        return self._masked(kind, name, places, align, live, Value(kind, "zeroinitializer"))

    def store(self, x: Value, pointer: Value, live: int | None = None) -> None:
        """Write x; only the first `live` lanes are written."""
        if x.type.element == "i1":
            x = self.cast("zext", x, "i8")
        align = bytes_of(x.type.element)
        if live is None or live >= x.type.lanes:
            self.put(f"store {x}, {pointer}, align {align}")
            return
        self._masked_store(f"llvm.masked.store.{x.type.suffix}.p0", x, pointer, align, live)

    def scatter(self, x: Value, pointer: Value, stride: int | Sequence[int], live: int | None = None) -> None:
        """Write the elements `stride` apart, from the pointer on; dead lanes are not written."""
        if x.type.element == "i1":
            x = self.cast("zext", x, "i8")
        align, places = bytes_of(x.type.element), self._places(pointer, stride, x.type)
        name = f"llvm.masked.scatter.{x.type.suffix}.{places.type.suffix}"
        self._masked_store(name, x, places, align, x.type.lanes if live is None else live)

    def _places(self, pointer: Value, stride: int | Sequence[int], kind: Type) -> Value:
        steps = [i * stride for i in range(kind.lanes)] if isinstance(stride, int) else stride
        size = bytes_of(kind.element)
        offsets = self.lanes_of(vector("i64", kind.lanes), [step * size for step in steps])
        places = vector("ptr", kind.lanes)
        return self.new(places, f"getelementptr i8, {pointer}, {offsets}")

    def mask(self, lanes: int, live: int) -> Value:
        """Return an i1 for each lane: whether it is one of the first `live`."""
        return self.lanes_of(vector("i1", lanes), [int(lane < live) for lane in range(lanes)])

    # The alignment is an argument, as up to LLVM 21; later versions read the old form too.
    def _masked(self, kind: Type, name: str, where: Value, align: int, live: int, rest: Value) -> Value:
        mask = self.mask(kind.lanes, live)
        self.module.declare(f"declare {kind} @{name}({where.type}, i32, {mask.type}, {kind})")
        return self.new(kind, f"call {kind} @{name}({where}, i32 {align}, {mask}, {rest})")

    def _masked_store(self, name: str, x: Value, where: Value, align: int, live: int) -> None:
        mask = self.mask(x.type.lanes, live)
        self.module.declare(f"declare void @{name}({x.type}, {where.type}, i32, {mask.type})")
        self.put(f"call void @{name}({x}, {where}, i32 {align}, {mask})")

    # -- control -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def loop(self, count: Index) -> Iterator[Index]:
        """Write the body once, to run for each index below count. A count may be 0; 1 writes no loop."""
        if count == 1:
            yield 0
            return
        bound = count.text if isinstance(count, Value) else str(count)
        counter, head, done = self.cell(INDEX), self._name()[1:], self._name()[1:]
        self.put(f"store i64 0, {counter}, align 8")
        if isinstance(count, Value) or count == 0:
            some = self.new(scalar("i1"), f"icmp sgt i64 {bound}, 0")
            self.put(f"br {some}, label %{head}, label %{done}")
        else:
            self.put(f"br label %{head}")
        self._label(head)
        index = self.new(INDEX, f"load i64, {counter}, align 8")
        yield index
        following = self.new(INDEX, f"add nuw nsw {index}, 1")
        self.put(f"store {following}, {counter}, align 8")
        more = self.new(scalar("i1"), f"icmp slt {following}, {bound}")
        self.put(f"br {more}, label %{head}, label %{done}")
        self._label(done)

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Write a body that runs if the i1 holds."""
        inside, done = self._name()[1:], self._name()[1:]
        self.put(f"br {condition}, label %{inside}, label %{done}")
        self._label(inside)
        yield
        self.put(f"br label %{done}")
        self._label(done)

    def kernel(
        self, operands: Sequence[Value], write: Callable[..., None], *, overlapping: bool = False
    ) -> None:
        """Call write(code, *operands) as a function of its own, one for all that read the same.

        So compile time grows with the kinds of layers, not with their number. Equal operands are one
        parameter. `overlapping`: unequal pointers may lead to shared memory.
        """
        name, distinct = self.written(operands, write, overlapping=overlapping)
        self.put(f"call void @{name}({', '.join(map(str, distinct))})")

    def written(
        self,
        operands: Sequence[Value],
        write: Callable[..., None],
        parts: int = 1,
        *,
        overlapping: bool = False,
    ) -> tuple[str, list[Value]]:
        """Write a function as `kernel` does; return its name and the operands that it takes.

        With several parts it takes two more: the number of the part, and memory of the thread's own, which
        `write` gets as its last argument.
        """
        distinct = list({str(operand): operand for operand in operands}.values())
        inner = Code(self.module)
        known = {str(o): Value(o.type, f"%p{i}") for i, o in enumerate(distinct)}
        found, alias = [known[str(operand)] for operand in operands], " " if overlapping else " noalias "
        heads = [f"{p.type}{alias if p.type is POINTER else ' '}{p.text}" for p in known.values()]
        if parts > 1:
            inner.part, own = (Value(INDEX, "%part"), parts), Value(POINTER, "%own")
            heads += [str(inner.part[0]), f"ptr noalias {own.text}"]
            found.append(own)
        write(inner, *found)
        if parts > 1 and not inner.shares:
            raise ValueError("kernel: expected a loop that its parts share, got none")
        return self.module.kernel(f"({', '.join(heads)})", inner.body()), distinct


def constant(element: str, x: float) -> str:
    """Return a number as LLVM writes it: floats by their bits, so that none changes."""
    if element in ("float", "double"):
        with np.errstate(over="ignore"):
            exact = np.float64(np.float32(x) if element == "float" else x)
        return f"0x{int(exact.view(np.uint64)):016X}"
    if element == "i1":
        return "true" if x else "false"
    return str(int(x))


class Module:
    """What is compiled at once: functions to call from Python, and the kernels that they share."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._declared: set[str] = set()
        self._defined: dict[str, str] = {}
        self._kernels: dict[tuple[str, str], str] = {}
        self._functions: list[tuple[str, Sequence[str], Code]] = []

    def declare(self, text: str) -> None:
        """Add a declaration once."""
        self._declared.add(text)

    def define(self, name: str, text: str) -> None:
        """Add functions that are text already, once; `name` is the one that can be called, or ""."""
        self._defined.setdefault(text, name)

    def kernel(self, head: str, body: str) -> str:
        """Return the name of the kernel that reads so."""
        return self._kernels.setdefault((head, body), f"kernel{len(self._kernels)}")

    def function(self, name: str, types: Sequence[Type]) -> tuple[Code, list[Value]]:
        """Start a function that can be called by name; return its code and its parameters."""
        code = Code(self)
        parameters = [Value(kind, f"%a{i}") for i, kind in enumerate(types)]
        self._functions.append((name, [str(p) for p in parameters], code))
        return code, parameters

    @property
    def names(self) -> list[str]:
        """The functions that can be called."""
        return [*(name for name, _, _ in self._functions), *filter(None, self._defined.values())]

    def text(self) -> str:
        """Return the whole module."""
        bits = 8 * self.machine.vector_bytes
        wide = f'nounwind "prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}"'
        lines = [*sorted(self._declared), *self._defined]
        lines += [f"define internal void @{n}{head} #0 {body}" for (head, body), n in self._kernels.items()]
        lines += [f"define void @{n}({', '.join(p)}) #0 {code.body()}" for n, p, code in self._functions]
        lines.append(f"attributes #0 = {{ {wide} }}")
        return "\n".join(lines) + "\n"
