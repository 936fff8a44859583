"""`ordered`: where the samples of images lie, and `samples_first`, which computes each for itself.

`Conv2d` is written with the samples last: it transposes its images, and its result. Between two layers these
transpositions meet and are gone (turn.py). A layer alone pays for them, and images of many channels gain
little: their channels fill vectors as well.

This pass writes convolutions the other way. A tensor whose elements are those of (N, ...) with the samples
moved to the end, in whatever shape, is *apart*: what is computed from it is computed from the tensor (N, ...)
itself. What needs it with the samples last gets it by a transposition.

`ordered` writes a program both ways and takes the one that needs less time by a count of multiply-adds, of
vectors that are not full, and of bytes that are transposed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from ....protocol import Shape
from ....windows import Window
from ..builder import Builder
from ..instructions import Call, Operand, Program, Value
from ..sizes import BYTES
from .simplify import simplify
from .turn import turn
from .windows import samples_last

_VECTOR = 64
"""The bytes of a vector; smaller ones only make the counts alike."""
_MULTIPLY_ADD, _BYTE, _ROW = 1 / 90, 0.3, 60
"""Nanoseconds for a multiply-add of float32 with full vectors, a transposed byte, and a row of places."""


def ordered(program: Program, maps: Collection[str]) -> Program:
    """Return the program with the samples of its images last or first; `maps` are the elementwise ops."""
    last = simplify(turn(program, maps))
    if not any(
        isinstance(call, Call) and call.op in ("unfold", "fold", "permute_dims") for call in last.body
    ):
        return last
    first = simplify(samples_first(program, maps))
    return first if _time(first) < _time(last) else last


def _time(program: Program) -> float:
    """Return roughly the nanoseconds that a program's transpositions and convolutions take."""
    total, made = 0.0, dict[Value, Call]()
    for call in (one for one in program.body if isinstance(one, Call)):
        source = made.get(call.args[0]) if call.args and type(call.args[0]) is Value else None
        if call.op in ("reshape", "permute_dims"):
            if source is not None and (call.op == "reshape" or source.op == "unfold"):
                made[call.result] = source if call.op == "reshape" else replace(source, op="turned")
            if call.op == "permute_dims" and _moves(call):
                total += _BYTE * call.result.meta.size * BYTES[call.result.meta.dtype]
        elif call.op == "unfold":
            made[call.result] = call
        elif call.op == "matmul":
            made[call.result] = call
            columns = made.get(call.args[1])
            if columns is not None and columns.op in ("unfold", "turned"):
                image, window = columns.args[0].meta.shape, columns.args[1]
                run = _run(image, window, window.counts) if columns.op == "unfold" else 1
                total += _product(call, run, call.result.meta.shape[-2]) + _rows(image, window)
        elif call.op == "fold" and source is not None and source.op == "matmul":
            image, window = call.result.meta.shape, call.args[1]
            total += _product(source, _run(image, window, window.size), image[1]) + _rows(image, window)
    return total


def _run(image: Shape, window: Window, places: Shape) -> int:
    """Return the places and samples that a tile's vectors may lie along."""
    return math.prod(places[-2:]) if samples_last(image, window) else places[-1]


def _rows(image: Shape, window: Window) -> float:
    """Return the nanoseconds for beginning rows of places; samples that are last share theirs."""
    rows = image[0] * math.prod(window.counts[:-1])
    return 0.0 if samples_last(image, window) else _ROW * rows


def _product(call: Call, run: int, outputs: int) -> float:
    """Return the nanoseconds of a product whose vectors lie along a run of places, or along outputs."""
    size = BYTES[call.result.meta.dtype]
    filled = max(n / (-(-n * size // _VECTOR) * _VECTOR // size) for n in (run, outputs))
    terms: int = call.args[0].meta.shape[-1]
    return _MULTIPLY_ADD * call.result.meta.size * terms * size / 4 / filled


def _moves(call: Call) -> bool:
    """Whether a transposition moves elements."""
    shape = call.args[0].meta.shape
    wide = [axis for axis in call.args[1] if shape[axis] != 1]
    return wide != sorted(wide)


def samples_first(program: Program, maps: Collection[str]) -> Program:
    """Return the program with its convolutions over images (N, C, *size); `maps` are the elementwise ops."""
    return _First(program, maps).run()


class _First:
    def __init__(self, program: Program, maps: Collection[str]) -> None:
        self.program, self.maps = program, maps
        self.b: Any = Builder(maps | {"max_pool", "max_pool_grad"})  # type: ignore[abstract, operator]
        self.apart: dict[Value, Value] = {}
        """For a value whose samples are last, the tensor (N, ...)."""
        self.across: dict[Value, Value] = {}
        """The value whose two last axes a value has swapped."""
        self.plain: dict[Value, Value] = {}

    def run(self) -> Program:
        rules: dict[str, Callable[[Call], bool]] = {
            "permute_dims": self._permute,
            "reshape": self._reshape,
            "unfold": self._unfold,
            "matmul": self._matmul,
            "fold": self._fold,
        }
        for instruction in self.program.body:
            self.b.path = instruction.path
            if isinstance(instruction, Call):
                rule = self._map if instruction.op in self.maps else rules.get(instruction.op)
                if rule is not None and rule(instruction):
                    continue
            self.b.body.append(instruction.mapped(self._plain))
        outputs = tuple(map(self._plain, self.program.outputs))
        return replace(self.program, body=tuple(self.b.body), outputs=outputs)

    def _plain(self, value: Operand) -> Any:
        """Return a value with its samples where they were."""
        assert isinstance(value, Value)
        if value in self.plain:
            return self.plain[value]
        source = self.across.get(value)
        if source is not None and value.meta.shape == (self._last(source), source.meta.shape[0]):
            found = self._shaped(self.apart[source], value.meta.shape)
        elif source is not None:
            found = self.b.permute_dims(self._plain(source), _swapped(value))
        elif value in self.apart:
            first = self.apart[value]
            rank = len(first.meta.shape)
            found = self.b.permute_dims(first, (*range(1, rank), 0))
            found = self._shaped(found, value.meta.shape)
        else:
            return value
        self.plain[value] = found
        return found

    def _shaped(self, value: Value, shape: Shape) -> Value:
        return value if value.meta.shape == shape else self.b.reshape(value, shape)

    def _first(self, value: Any) -> Value:
        """Return the tensor (N, ...) of a value, in its shape: the last axis has the samples."""
        first, shape = self.apart[value], value.meta.shape
        samples = first.meta.shape[0]
        return self._shaped(first, (samples, *shape[:-1], shape[-1] // samples))

    def _last(self, value: Any) -> int:
        """Return the samples of a value that is apart, if its last axis has all of them; else 0."""
        if value not in self.apart:
            return 0
        samples = self.apart[value].meta.shape[0]
        shape = value.meta.shape
        return samples if shape and shape[-1] % samples == 0 else 0

    # -- moves ---------------------------------------------------------------------------------------

    def _permute(self, call: Call) -> bool:
        x, order = call.args[0], tuple(axis % len(call.args[1]) for axis in call.args[1])
        rank, result = len(order), call.result
        if x in self.apart:
            if rank >= 2 and order == _swapped(x) and self._last(x):
                self.across[result] = x
                return True
            if order == (rank - 1, *range(rank - 1)) and x.meta.shape[-1] == self._last(x):
                self.plain[result] = self._shaped(self.apart[x], result.meta.shape)
                return True
            return False
        known = rank > 2 and x.meta.shape[0] > 1 and 0 not in x.meta.shape and x not in self.across
        if not known or order != (*range(1, rank), 0):
            return False
        self.apart[result] = self._plain(x)
        return True

    def _reshape(self, call: Call) -> bool:
        if call.args[0] not in self.apart or not call.result.meta.shape:
            return False
        self.apart[call.result] = self.apart[call.args[0]]
        return True

    # -- ops -----------------------------------------------------------------------------------------

    def _map(self, call: Call) -> bool:
        shape = call.result.meta.shape
        operands = list(call.operands())
        wide = [x for x in operands if x in self.apart and x.meta.shape == shape and self._last(x)]
        if not wide:
            return False
        samples = {self.apart[x].meta.shape[0] for x in wide}
        others = [x for x in operands if x not in wide]
        if len(samples) > 1 or any(x.meta.shape and x.meta.shape[-1] != 1 for x in others):
            return False
        known: Any = {x: self._first(x) if x in wide else self._plain(x) for x in operands}
        new = call.mapped(known.__getitem__)
        self.apart[call.result] = getattr(self.b, call.op)(*new.args, **new.options)
        return True

    def _unfold(self, call: Call) -> bool:
        x, window = call.args[0], call.args[1]
        samples = self._last(x)
        if not samples or window.size[-1] != samples or not samples_last(x.meta.shape, window):
            return False
        image = self._first(x)
        image = self._shaped(image, (samples, *x.meta.shape[1:-1]))
        self.apart[call.result] = self.b.unfold(image, _without_samples(window))
        return True

    def _matmul(self, call: Call) -> bool:
        x, y = call.args
        swapped = self.across.get(y)
        if swapped is not None and self._last(x) and self._last(x) == self._last(swapped):
            g, columns = self._first(x), self._first(swapped)
            turned = self.b.permute_dims(columns, _swapped(columns))
            self.plain[call.result] = self.b.sum(self.b.matmul(g, turned), axis=0)
            return True
        known = x in self.apart or x in self.across
        if known or not self._last(y) or len(x.meta.shape) != len(y.meta.shape):
            return False
        self.apart[call.result] = self.b.matmul(self._plain(x), self._first(y))
        return True

    def _fold(self, call: Call) -> bool:
        columns, window = call.args[0], call.args[1]
        samples = self._last(columns)
        if not samples or window.size[-1] != samples or not samples_last(call.result.meta.shape, window):
            return False
        depth = columns.meta.shape[1]
        first = self._shaped(self.apart[columns], (samples, depth, columns.meta.shape[2] // samples))
        self.apart[call.result] = self.b.fold(first, _without_samples(window))
        return True


def _swapped(x: Any) -> tuple[int, ...]:
    rank = len(x.meta.shape)
    return (*range(rank - 2), rank - 1, rank - 2)


def _without_samples(window: Window) -> Window:
    return Window.of(
        window.size[:-1],
        window.kernel_size[:-1],
        window.stride[:-1],
        window.padding[:-1],
        window.dilation[:-1],
    )
