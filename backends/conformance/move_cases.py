"""Cases of the ops that make tensors and move their elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .case import INF, NAN, SPECIAL, Case, T, case, flags, floats, integers, normal


def cases() -> Iterator[Case]:
    """Yield the cases of the metadata, create and move rows."""
    yield from _metadata()
    yield from _create()
    yield from _convert()
    yield from _reorder()
    yield from _join()
    yield from _slice()


def _metadata() -> Iterator[Case]:
    for tensor, what in (
        (normal(2, 3), "matrix"),
        (normal(), "0-d"),
        (normal(0, 2), "no elements"),
        (integers(4), "int64"),
        (flags(2, 2), "bool"),
    ):
        for op in ("shape", "dtype", "to_host", "copy"):
            yield case(op, what, tensor)
    yield case("to_host", "special values", floats(*SPECIAL), special=True)
    yield case("copy", "special values", floats(*SPECIAL), special=True)
    yield case("item", "0-d", normal())
    yield case("item", "one element", normal(1, 1))
    yield case("item", "int64", integers())
    yield case("item", "bool", flags(1))
    yield case("item", "infinity", floats(-INF), special=True)


def _create() -> Iterator[Case]:
    for shape in ((2, 3), (), (0, 4), (1,)):
        yield case("empty", f"shape {shape}", shape)
        yield case("full", f"shape {shape}", shape, 2.5)
        yield case("random", f"shape {shape}", shape, seed=1, stream=2)
    for dtype in ("float32", "float64", "int64", "bool"):
        yield case("empty", dtype, (2,), dtype=dtype)
        yield case("full", dtype, (2,), 1, dtype=dtype)
    yield case("full", "a bool", (2,), True, dtype="bool")
    yield case("full", "infinity", (2,), -INF)
    yield case("full", "beyond float32", (2,), 1e39, special=True)
    yield case("full", "NaN", (2,), NAN)
    yield case("full", "rounded", (2,), 0.1)
    yield case("arange", "from 0", 0, 5)
    yield case("arange", "steps", 2, 11, 3)
    yield case("arange", "nothing", 3, 3)
    yield case("arange", "backwards", 4, -1, -1)
    yield case("arange", "backwards, steps", 5, 0, -2)
    yield case("arange", "backwards, nothing", 1, 4, -1)
    yield case("arange", "below the start", 5, 2)
    yield case("arange", "floating", 0, 4, dtype="float32")
    yield case("arange", "negative", -3, 2)
    for dtype in ("float32", "float64"):
        for distribution in ("uniform", "normal"):
            label = f"{distribution} {dtype}"
            options: Any = {"seed": 2**64 - 1, "stream": "dropout", "step": 7}
            yield case("random", label, (5, 3), distribution=distribution, dtype=dtype, **options)
            options["step"] = T(np.array(7))
            yield case(
                "random", f"{label}, a counter", (5, 3), distribution=distribution, dtype=dtype, **options
            )
    yield case("from_host", "nested lists", [[1.0, 2.0], [3.0, 4.0]])
    yield case("from_host", "list of ints", [1, 2])
    yield case("from_host", "a number", 1.5)
    yield case("from_host", "float64", np.linspace(0, 1, 5))
    yield case("from_host", "float16", np.linspace(0, 1, 5, dtype=np.float16))
    yield case("from_host", "uint8", np.arange(5, dtype=np.uint8))
    yield case("from_host", "int32", np.arange(5, dtype=np.int32))
    yield case("from_host", "bool", np.array([True, False]))
    yield case("from_host", "int32 as float64", np.arange(5, dtype=np.int32), dtype="float64")
    yield case("from_host", "not contiguous", np.arange(12.0).reshape(3, 4)[::-1, ::2].T)
    yield case("from_host", "big-endian", np.arange(3, dtype=">f8"))
    yield case("from_host", "read-only", np.broadcast_to(np.float64(2), (2, 3)))
    yield case("from_host", "whole floats as int64", np.array([-(2.0**63), 3.0, -0.0]), dtype="int64")
    yield case("from_host", "uint64", np.array([0, 2**63 - 1], np.uint64))
    yield case("from_host", "0 and 1 as bool", np.array([0.0, 1.0]), dtype="bool")
    yield case("from_host", "infinities", np.array([INF, -INF, NAN]), dtype="float32", special=True)
    yield case("from_host", "tiny floats", np.array([1e-300]), dtype="float32")
    yield case("from_host", "nothing masked", np.ma.masked_array([1.0, 2.0], [False, False]))
    yield case("from_host", "no elements", np.zeros((0, 3)))


def _convert() -> Iterator[Case]:
    for dtype in ("float32", "float64", "int64", "bool"):
        yield case("astype", f"floats to {dtype}", floats(-2.7, -0.5, -0.0, 0.0, 0.5, 2.7), dtype)
        yield case("astype", f"int64 to {dtype}", integers(2, 3, low=-2, high=3), dtype)
        yield case("astype", f"bool to {dtype}", flags(4), dtype)
        yield case("astype", f"0-d to {dtype}", normal(), dtype)
        yield case("astype", f"no elements to {dtype}", normal(0, 2), dtype)
    yield case("astype", "NaN to bool", floats(NAN, INF, 0.0, 1e-40), "bool", special=True)
    yield case("astype", "out of float32's range", floats(1e39, -1e39, 1e-50), "float32", special=True)


def _reorder() -> Iterator[Case]:
    for old, new in (
        ((2, 6), (3, 4)),
        ((2, 6), (12,)),
        ((12,), (2, -1)),
        ((2, 3, 4), (-1, 4)),
        ((1,), ()),
        ((), (1, 1)),
        ((0, 3), (3, 0)),
        ((0, 3), (0,)),
        ((2, 3), (2, 3)),
        ((2, 3), (2, 1, 3, 1)),
    ):
        yield case("reshape", f"{old} to {new}", normal(*old), new)
    yield case("reshape", "int64", integers(6), (2, 3))
    orders: Any = (
        ((2, 3), (1, 0)),
        ((2, 3, 4), (2, 0, 1)),
        ((2, 3, 4), (0, 1, 2)),
        ((2, 3, 4), (-1, 0, -2)),
        ((1, 0, 2), (1, 2, 0)),
        ((3,), (0,)),
        ((), ()),
        ((2, 1, 3, 2), (3, 2, 0, 1)),
    )
    for extents, axes in orders:
        yield case("permute_dims", f"{extents} by {axes}", normal(*extents), axes)
    stretches: Any = (
        ((3,), (2, 3)),
        ((2, 1), (2, 4)),
        ((), (2, 2)),
        ((), ()),
        ((2, 3), (2, 3)),
        ((1, 3), (0, 3)),
        ((1, 1, 2), (2, 3, 2)),
        ((2, 0), (3, 2, 0)),
    )
    for extents, new in stretches:
        yield case("broadcast_to", f"{extents} to {new}", normal(*extents), new)


def _join() -> Iterator[Case]:
    yield case("concat", "two", [normal(2, 3), normal(1, 3, seed=1)])
    yield case("concat", "one", [normal(2, 3)])
    yield case("concat", "three, last axis", [normal(2, n) for n in (1, 3, 2)], axis=-1)
    yield case("concat", "an empty one", [normal(2, 0), normal(2, 3)], axis=1)
    yield case("concat", "nothing but empty ones", [normal(0, 3), normal(0, 3)])
    yield case("concat", "middle axis", [normal(2, 1, 3), normal(2, 4, 3)], axis=1)
    yield case("concat", "int64", [integers(2), integers(3)])
    yield case("concat", "bool", [flags(2), flags(3)])
    yield case("concat", "special values", [floats(*SPECIAL), floats(NAN)], special=True)
    padded: Any = (
        ((4,), ((1, 2),)),
        ((2, 3), ((0, 0), (2, 1))),
        ((2, 3), ((1, 0), (0, 0))),
        ((2, 3), ((0, 0), (0, 0))),
        ((2, 2, 2), ((0, 1), (2, 0), (1, 1))),
        ((0, 2), ((1, 1), (0, 0))),
        ((), ()),
    )
    for extents, widths in padded:
        yield case("pad", f"{extents} by {widths}", normal(*extents), widths)
    yield case("pad", "a value", normal(2, 2), ((1, 1), (0, 2)), value=-1.5)
    yield case("pad", "minus infinity", normal(2, 2), ((1, 1), (1, 1)), value=-INF, special=True)
    yield case("pad", "beyond float32", normal(2, 2), ((1, 1), (0, 2)), value=-1e39, special=True)
    yield case("pad", "int64", integers(3), ((1, 1),), value=7)
    yield case("pad", "special values", floats(*SPECIAL), ((1, 1),), special=True)


def _slice() -> Iterator[Case]:
    yield case("slice", "inside", normal(5, 6), (1, 2), (4, 5))
    yield case("slice", "all", normal(3, 2), (0, 0), (3, 2))
    yield case("slice", "steps", normal(7, 6), (1, 0), (7, 5), steps=(2, 3))
    yield case("slice", "steps beyond the end", normal(5), (1,), (5,), steps=(9,))
    yield case("slice", "nothing", normal(4, 3), (2, 0), (2, 3))
    yield case("slice", "of nothing", normal(0, 3), (0, 1), (0, 2))
    yield case("slice", "0-d", normal(), (), ())
    yield case("slice", "int64", integers(6), (1,), (5,), steps=(2,))
    yield case("slice", "special values", T(np.array(SPECIAL)), (3,), (12,), special=True)
