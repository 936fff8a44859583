"""What each kernel must do, as checks over drawn shapes and layouts; numpy is the oracle.

Values are small integers, so that sums are exact in any order and results must be equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from native import Native, same_bits, stored, unchanged

from lamina.backends import random as host_random
from lamina.backends.decorators.jit.ir import Code, Value, scalar
from lamina.backends.decorators.jit.kernels.argmax import argmax
from lamina.backends.decorators.jit.kernels.contract import Along, Product, contract, plan
from lamina.backends.decorators.jit.kernels.dot import dot
from lamina.backends.decorators.jit.kernels.elementwise import maximum
from lamina.backends.decorators.jit.kernels.gather import index_add, scatter_add, take, take_along_axis
from lamina.backends.decorators.jit.kernels.loops import elementwise
from lamina.backends.decorators.jit.kernels.random import uniform
from lamina.backends.decorators.jit.kernels.reduce import MAX, SUM, Reducer, reduce
from lamina.backends.decorators.jit.kernels.span import Array, Span
from lamina.backends.decorators.jit.kernels.sums import LONGEST
from lamina.backends.decorators.jit.kernels.transpose import copy
from lamina.backends.decorators.jit.machine import Machine, host

Host = np.ndarray[Any, Any]
POISONS = (np.nan, 1e30)


def integers(shape: Sequence[int], dtype: str, seed: int, *, special: bool = False) -> Host:
    """Return small integers, here and there NaN or infinite if `special`."""
    source = np.random.default_rng(seed)
    if dtype == "bool":
        return source.random(tuple(shape)) < 0.5
    value = source.integers(-9, 10, tuple(shape)).astype(dtype)
    if special and value.size and value.dtype.kind == "f":
        flat = value.reshape(-1)
        for number in (np.nan, np.inf, -np.inf):
            flat[source.integers(0, flat.size)] = number
    return value


def check_contract(
    machine: Machine,
    dtype: str,
    batch: tuple[int, ...],
    rows: int,
    columns: int,
    terms: tuple[int, ...],
    layouts: Sequence[str],
    *,
    along: Along = "columns",
    kernel: str = "contract",
    special: bool = False,
    guarded: bool = True,
    seed: int = 0,
) -> None:
    """C = max(start + A B, 0), or without the maximum for special values; layouts of A, B and C."""
    a = integers((*batch, rows, *terms), dtype, seed, special=special)
    b = integers((*batch, *terms, columns), dtype, seed + 1)
    bias = integers((columns,), dtype, seed + 2)
    product = Product(rows, columns, terms, batch)
    native, calls = Native(machine, guarded=guarded), []
    for poison in POISONS:
        x, y, c = (
            stored(v, how, poison)
            for v, how in zip((a, b, integers((*batch, rows, columns), dtype, 7)), layouts, strict=True)
        )
        if layouts[0] == "expanded":
            a = x.read(x.storage)
        if layouts[1] == "expanded":
            b = y.read(y.storage)
        z = stored(bias, "padded" if layouts[2] == "padded" else "plain", poison)
        calls.append((x, y, z, c))
    x, y, z, c = calls[0]
    pointer = Value(scalar("ptr"), "%unused")
    size = plan(machine, product, x.array(pointer), y.array(pointer), along).workspace
    workspace = np.full(size // 8, np.nan)

    def write(code: Code, p: Value, q: Value, r: Value, s: Value, space: Value) -> None:
        first = Array(r, z.array(r).element, (0,) * (len(batch) + 1) + z.strides, z.padded)

        def start(span: Span) -> Value:
            return span.load(first)

        def finish(value: Value, span: Span) -> None:
            if not special:
                value = maximum(code, value, code.number(value.type, 0.0))
            span.store(value, c.array(s))

        if kernel == "dot":
            dot(code, product, x.array(p), y.array(q), start, finish)
        else:
            contract(
                code, plan(machine, product, x.array(p), y.array(q), along), start, finish, workspace=space
            )

    call = native.add(write, 5)
    axes = "abcdefg"
    sums, lead = axes[: len(terms)], "xyz"[: len(batch)]
    with np.errstate(all="ignore"):
        right = np.einsum(f"{lead}m{sums},{lead}{sums}n->{lead}mn", a, b).astype(dtype) + bias
    right = right if special else np.maximum(right, 0) + 0.0
    for x, y, z, c in calls:
        results = call(x.storage, y.storage, z.storage, c.storage, workspace)
        unchanged(c, results[3])
        actual = c.read(results[3])
        if special:
            assert np.array_equal(actual, right, equal_nan=True), (actual, right)
        else:
            same_bits(actual + np.zeros((), dtype), right.astype(dtype))


def check_map(
    machine: Machine, dtype: str, shape: tuple[int, ...], layouts: Sequence[str], *, guarded: bool = True
) -> None:
    """r = where(c, x - y, x y) and s = x < y, over operands of any layout."""
    condition, x, y = (integers(shape, d, i, special=True) for i, d in enumerate(("bool", dtype, dtype)))
    operands = [stored(v, how) for v, how in zip((condition, x, y), layouts, strict=False)]
    condition, x, y = (s.read(s.storage) for s in operands)
    outputs = [stored(integers(shape, dtype, 8), layouts[3]), stored(integers(shape, "bool", 9), layouts[4])]

    def write(code: Code, *pointers: Value) -> None:
        arrays = [s.array(p) for s, p in zip((*operands, *outputs), pointers, strict=True)]
        elementwise(
            code,
            shape,
            arrays[:3],
            arrays[3:],
            lambda code, c, x, y: [code.select(c, code.sub(x, y), code.mul(x, y)), code.compare("lt", x, y)],
        )

    call = Native(machine, guarded=guarded).add(write, 5)
    results = call(*(s.storage for s in (*operands, *outputs)))
    with np.errstate(all="ignore"):
        expected = [np.where(condition, x - y, x * y), x < y]
    for output, storage, right in zip(outputs, results[3:], expected, strict=True):
        unchanged(output, storage)
        same_bits(output.read(storage), right)


def check_reduce(
    machine: Machine,
    dtype: str,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    layouts: Sequence[str],
    *,
    op: str = "sum",
    special: bool = False,
    guarded: bool = True,
) -> None:
    """The sum or maximum of x y over the axes, plus a number; or the argmax of x y."""
    x, y = (integers(shape, dtype, i, special=special) for i in range(2))
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    beside = integers(kept, dtype, 5)
    native = Native(machine, guarded=guarded)
    result_dtype = "int64" if op == "argmax" else dtype
    reducer: Reducer = MAX if op == "max" else SUM
    layouts_of = lambda poison: (  # noqa: E731
        stored(x, layouts[0], poison),
        stored(y, layouts[1], poison),
        stored(beside, "plain"),
        stored(integers(kept, result_dtype, 6), layouts[2], poison),
    )
    first = layouts_of(POISONS[0])

    def write(code: Code, *pointers: Value) -> None:
        *inputs, other, output = (s.array(p) for s, p in zip(first, pointers, strict=True))
        if op == "argmax":
            argmax(code, shape, axes[0], inputs, output, Code.mul)
        else:
            finish = lambda code, x, y: (code.add(x, y),)  # noqa: E731
            reduce(code, shape, axes, inputs, [output], reducer, Code.mul, finish, beside=[other])

    call = native.add(write, 4)
    for poison in POISONS:
        laid = layouts_of(poison)
        p, q = (s.read(s.storage) for s in laid[:2])
        with np.errstate(all="ignore"):
            if op == "argmax":
                right = np.argmax(p * q, axes[0], keepdims=True)
            else:
                function: Any = np.sum if op == "sum" else np.max
                right = function(p * q, axis=axes, keepdims=True) + beside
        storage = call(*(s.storage for s in laid))[3]
        unchanged(laid[3], storage)
        actual = laid[3].read(storage)
        assert np.array_equal(actual, right.astype(result_dtype), equal_nan=result_dtype != "int64"), (
            actual,
            right,
        )


def check_copy(
    machine: Machine, dtype: str, shape: tuple[int, ...], layouts: Sequence[str], *, guarded: bool = True
) -> None:
    """A copy between any two layouts, transposed or not."""
    source = stored(integers(shape, dtype, 1), layouts[0])
    target = stored(integers(shape, dtype, 2), layouts[1])
    call = Native(machine, guarded=guarded).add(
        lambda code, p, q: copy(code, shape, source.array(p), target.array(q)), 2
    )
    result = call(source.storage, target.storage)[1]
    unchanged(target, result)
    same_bits(target.read(result), source.read(source.storage))


def check_rows(
    machine: Machine,
    dtype: str,
    shape: tuple[int, ...],
    axis: int,
    count: int,
    layouts: Sequence[str],
    *,
    guarded: bool = True,
) -> None:
    """take and index_add with indices out of range among them, which set the flag and are not followed."""
    extent = shape[axis]
    rows = (*shape[:axis], count, *shape[axis + 1 :])
    indices = np.random.default_rng(3).integers(0, extent, count) if extent else np.zeros(count, np.int64)
    x, v = integers(shape, dtype, 1), integers(rows, dtype, 2)
    source, out, values = stored(x, layouts[0]), stored(v, layouts[1]), stored(v, layouts[2])
    target, index = stored(x, layouts[1]), stored(indices, "plain")

    def write(code: Code, *p: Value) -> None:
        arrays = [s.array(q) for s, q in zip((source, index, out, target, values), p, strict=False)]
        take(code, rows, axis, extent, arrays[0], arrays[1], arrays[2], flag=p[5])
        index_add(code, rows, axis, extent, arrays[3], arrays[1], arrays[4], flag=p[6])

    call = Native(machine, guarded=guarded).add(write, 7)
    for wrong in ((), (-1, extent)) if count > 2 else ((),):
        found = indices.copy()
        found[: len(wrong)] = wrong
        good = np.arange(count) >= len(wrong)
        storages = [source.storage, found, out.storage, target.storage, values.storage]
        results = call(*storages, np.zeros(1, np.int8), np.zeros(1, np.int8))
        unchanged(out, results[2])
        unchanged(target, results[3])
        assert results[5][0] == results[6][0] == bool(wrong)
        right = np.array(v)
        where = (slice(None),) * axis
        right[(*where, good)] = np.take(x, found[good], axis)
        same_bits(out.read(results[2]), right)
        added = np.array(x)
        np.add.at(added, (*where, found[good]), v[(*where, good)])
        same_bits(target.read(results[3]), added)


def check_along(
    machine: Machine,
    dtype: str,
    shape: tuple[int, ...],
    axis: int,
    layouts: Sequence[str],
    *,
    guarded: bool = True,
) -> None:
    """take_along_axis and scatter_add, with indices that occur twice."""
    places = tuple(3 if i == axis else n for i, n in enumerate(shape))
    indices = np.random.default_rng(4).integers(0, max(shape[axis], 1), places)
    x, v = integers(shape, dtype, 1), integers(places, dtype, 2)
    laid = [
        stored(x, layouts[0]),
        stored(indices, layouts[1]),
        stored(v, layouts[2]),
        stored(x, layouts[2]),
        stored(v, layouts[0]),
    ]

    def write(code: Code, *p: Value) -> None:
        source, index, out, target, values = (s.array(q) for s, q in zip(laid, p, strict=True))
        take_along_axis(code, places, axis, shape[axis], source, index, out)
        scatter_add(code, places, axis, shape[axis], target, index, values)

    results = Native(machine, guarded=guarded).add(write, 5)(*(s.storage for s in laid))
    same_bits(laid[2].read(results[2]), np.take_along_axis(x, indices, axis))
    grid = list(np.indices(places))
    grid[axis] = indices
    added = np.array(x)
    np.add.at(added, tuple(grid), v)
    same_bits(laid[3].read(results[3]), added)


def check_random(machine: Machine, dtype: str, count: int, *, guarded: bool = True) -> None:
    """Philox, with a step from memory."""
    seed, stream, step = 2**63 + 5, 77, 9

    def write(code: Code, steps: Value, out: Value) -> None:
        array = Array(out, "float" if dtype == "float32" else "double", (1,))
        draw = code.load(steps, scalar("i64"))
        uniform(
            code, count, seed, stream, draw, array.element,
            lambda value, place: Span(code, (place,), 0, 1, 1).store(value, array),
        )  # fmt: skip

    call = Native(machine, guarded=guarded).add(write, 2)
    result = call(np.array([step]), np.zeros(count, dtype))[1]
    same_bits(result, host_random.draw((count,), seed, stream, step, "uniform", dtype))


def check_long_sum(axis: int) -> None:
    """A sum of a million equal numbers errs by the roundings of a run, not of a million."""
    shape = (1_000_000, 3) if axis == 0 else (3, 1_000_000)
    x = np.full(shape, 0.1, np.float32)
    kept = (0, 1) if axis == 0 else (1, 0)

    def write(code: Code, p: Value, q: Value) -> None:
        reduce(code, shape, [axis], [Array(p, "float", (shape[1], 1))], [Array(q, "float", kept)], SUM)

    total = Native(host()).add(write, 2)(x.reshape(-1), np.zeros(3, np.float32))[1]
    exact = 1e6 * float(np.float32(0.1))
    assert np.abs(total - exact).max() <= 64 * 2.0**-24 * exact


def check_long_product(kernel: Any) -> None:
    """A product of 400,000 terms errs by the roundings of a run."""
    rows, terms = 14, 400_000
    a, b = np.full(rows * terms, 0.1, np.float32), np.full(terms, 0.1, np.float32)
    product = Product(rows, 1, (terms,))

    def write(code: Code, p: Value, q: Value, r: Value) -> None:
        x, y = Array(p, "float", (terms, 1)), Array(q, "float", (1, 1))
        start = lambda span: code.number(span.type("float"), 0.0)  # noqa: E731
        finish = lambda value, span: span.store(value, Array(r, "float", (1, 1)))  # noqa: E731
        if kernel is dot:
            dot(code, product, x, y, start, finish)
        else:
            contract(code, plan(code.machine, product, x, y), start, finish)

    result = Native(host()).add(write, 3)(a, b, np.zeros(rows, np.float32))[2]
    exact = terms * float(np.float32(0.1)) ** 2
    assert np.abs(result - exact).max() <= LONGEST * 2.0**-24 * exact
