"""The most multiply-adds that one core can do: what a share of the peak refers to."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np

from lamina.backends.decorators.jit.ir import INDEX, POINTER, Module, vector
from lamina.backends.decorators.jit.machine import build, host

ELEMENTS = {"float32": "float", "float64": "double"}
NAME = "multiply_add"


class Peak:
    """Independent multiply-adds in registers, as many as hide each other's latency."""

    def __init__(self, dtype: str) -> None:
        machine = host()
        self.lanes = machine.lanes(ELEMENTS[dtype])
        self.sums = 20 if machine.registers == 32 else 12
        module = Module(machine)
        code, (pointer, turns) = module.function(NAME, [POINTER, INDEX])
        kind = vector(ELEMENTS[dtype], self.lanes)
        cells = [code.cell(kind) for _ in range(self.sums)]
        places = [code.at(pointer, (i, machine.vector_bytes)) for i in range(self.sums)]
        # Each starts with its own number: LLVM computes equal sums once.
        for cell, place in zip(cells, places, strict=True):
            code.store(code.load(place, kind), cell)
        half, quarter = code.number(kind, 0.5), code.number(kind, 0.25)
        with code.loop(turns):
            for cell in cells:
                code.store(code.fma(code.load(cell, kind), half, quarter), cell)
        for cell, place in zip(cells, places, strict=True):
            code.store(code.load(cell, kind), place)
        library = build(module.text(), (NAME,), machine)
        self._function = library.function(NAME, ctypes.c_void_p, ctypes.c_int64)
        numbers = np.arange(self.sums * self.lanes + 64).astype(dtype)
        self._alive = library, numbers
        self._pointer: Any = numbers.ctypes.data + -numbers.ctypes.data % 64

    def rate(self, turns: int = 100_000) -> float:
        """Return multiplications and additions a second."""
        start = time.process_time()
        self._function(self._pointer, turns)
        return 2 * self.lanes * self.sums * turns / (time.process_time() - start)
