"""Generated code on guarded memory: arrays in several layouts, run by compiled functions.

An array ends where a page begins that may not be touched; before it and between its elements stand bytes that
must stay.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.backends import OptionError
from lamina.backends.decorators.jit.ir import ELEMENTS, POINTER, Module, Value
from lamina.backends.decorators.jit.kernels.span import Array
from lamina.backends.decorators.jit.machine import Machine, build, host

Host = np.ndarray[Any, Any]
LAYOUTS = ("plain", "permuted", "padded", "sliced")
"""In which a result may be stored; an operand may be "expanded" too."""
OPERANDS = (*LAYOUTS, "expanded")
_VECTOR = 16
_CANARY = 0xA5
_BEFORE = 256


@dataclass(frozen=True)
class Stored:
    """An array in memory: all elements that it spans, and which of them are its own."""

    storage: Host
    strides: tuple[int, ...]
    own: Host
    """Of `storage`: whether an element belongs to the array."""
    shape: tuple[int, ...]
    padded: bool = False

    def array(self, pointer: Value) -> Array:
        """Return what a kernel is told of it."""
        return Array(pointer, ELEMENTS[self.storage.dtype.name], self.strides, self.padded)

    def read(self, storage: Host) -> Host:
        """Return the array's value in a storage of this layout."""
        size = storage.itemsize
        strides = tuple(s * size for s in self.strides)
        return np.array(np.lib.stride_tricks.as_strided(storage, self.shape, strides))


def stored(value: Host, layout: str, poison: float = np.nan) -> Stored:
    """Lay an array out; what lies between its elements is poison."""
    if value.dtype.kind != "f":
        poison = 99 if value.dtype.kind == "i" else 1
    shape = value.shape
    if layout == "expanded" and shape and shape[0]:
        inner = stored(value[:1], "plain", poison)
        return Stored(inner.storage, (0, *inner.strides[1:]), inner.own, shape)
    axes = tuple(range(value.ndim))
    order = axes[::-1] if layout == "permuted" else axes
    spread = tuple(2 * n for n in shape) if layout == "sliced" else shape
    if layout == "padded" and shape:
        spread = (*shape[:-1], -(-shape[-1] // _VECTOR) * _VECTOR)
    whole = np.full([spread[axis] for axis in order], poison, value.dtype)
    own = np.zeros(whole.shape, bool)
    step = 2 if layout == "sliced" else 1
    part = tuple(slice(0, shape[axis] * step, step) for axis in order)
    whole[part] = value.transpose(order)
    own[part] = True
    strides = [0] * value.ndim
    for axis, stride in zip(order, whole[part].strides, strict=True):
        strides[axis] = stride // value.itemsize
    return Stored(whole.reshape(-1), tuple(strides), own.reshape(-1), shape, layout == "padded")


@functools.cache
def machines() -> tuple[Machine, ...]:
    """Return this machine with each vector unit that it has, the best first, and without any we know."""
    found = [host()]
    for unit in ("avx2", "neon", ""):
        with contextlib.suppress(OptionError):
            found.append(host(unit))
    return tuple(dict.fromkeys(found))


class Native:
    """Functions that are compiled at once, each called over its own arrays."""

    def __init__(self, machine: Machine, *, guarded: bool = True) -> None:
        self.module, self.machine, self.guarded = Module(machine), machine, guarded
        self._library: Any = None

    def add(self, write: Callable[..., None], count: int) -> Callable[..., list[Host]]:
        """Write a function over `count` pointers; return what calls it over as many flat arrays.

        The call works on copies of the arrays, which it returns.
        """
        name = f"f{len(self.module.names)}"
        code, pointers = self.module.function(name, [POINTER] * count)
        code.kernel(pointers, write)

        def call(*arrays: Host) -> list[Host]:
            if self._library is None:
                self._library = build(self.module.text(), self.module.names, self.machine)
            assert len(arrays) == count
            places = [Place(array, guarded=self.guarded) for array in arrays]
            function = self._library.function(name, *[ctypes.c_void_p] * count)
            function(*(place.address for place in places))
            return [place.result() for place in places]

        return call


class Place:
    """A copy of an array, with bytes before it that must stay, and a forbidden page behind it."""

    def __init__(self, array: Host, *, guarded: bool = True) -> None:
        page = mmap.PAGESIZE
        size = -(-(array.nbytes + _BEFORE) // page) * page
        self.memory = mmap.mmap(-1, size + page)
        whole = np.frombuffer(self.memory, np.uint8)
        whole[:] = _CANARY
        start = size - array.nbytes
        self.around = whole[:start], whole[size:]
        self.array = whole[start:size].view(array.dtype).reshape(array.shape)
        self.array[...] = array
        self.address = whole.ctypes.data + start
        self.guard = (whole.ctypes.data + size, page) if guarded and sys.platform != "win32" else None
        self._protect(0)

    def _protect(self, access: int) -> None:
        if self.guard is not None:
            libc = ctypes.CDLL(None, use_errno=True)
            libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
            assert libc.mprotect(*self.guard, access) == 0

    def result(self) -> Host:
        """Return the array, and check what stands around it."""
        self._protect(mmap.PROT_READ | mmap.PROT_WRITE)
        assert all((part == _CANARY).all() for part in self.around), "it wrote outside its array"
        return np.array(self.array)


def unchanged(before: Stored, after: Host) -> None:
    """Check that nothing between the array's elements was written, but for its padding."""
    if not before.padded:
        gaps = ~before.own
        assert np.array_equal(before.storage[gaps], after[gaps], equal_nan=True), (
            "it wrote between its elements"
        )


def same_bits(actual: Host, expected: Host) -> None:
    """Check that two arrays are equal bit for bit; any NaN equals any NaN."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if actual.dtype.kind == "f":
        assert np.array_equal(np.isnan(actual), np.isnan(expected)), (actual, expected)
        filled = [np.where(np.isnan(x), x.dtype.type(0), x) for x in (actual, expected)]
        signs = np.signbit(filled[0]) == np.signbit(filled[1])
        assert signs.all(), (actual[~signs], expected[~signs])
        actual, expected = filled
    wrong = actual != expected
    assert not wrong.any(), (np.argwhere(wrong)[:5], actual[wrong][:5], expected[wrong][:5])


def function(machine: Machine, kinds: Sequence[Any], write: Callable[..., None]) -> Any:
    """Compile one function of these types and return it."""
    module = Module(machine)
    code, parameters = module.function("f", kinds)
    write(code, *parameters)
    return build(module.text(), module.names, machine).function(
        "f", *[ctypes.c_void_p if kind is POINTER else ctypes.c_int64 for kind in kinds]
    )
