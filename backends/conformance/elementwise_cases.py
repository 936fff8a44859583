"""Cases of the elementwise ops and of `where`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .case import INF, NAN, SPECIAL, Case, T, case, flags, floats, integers, normal, positive

_REAL = ("negative", "abs", "sign")
_FLOATING = ("exp", "log", "log1p", "sqrt", "tanh")
_NUMBERS = ("add", "subtract", "multiply", "maximum", "minimum")
_COMPARISONS = ("equal", "less_equal", "greater")
_POSITIVE = ("log", "log1p", "sqrt", "pow")


def cases() -> Iterator[Case]:
    """Yield the cases of the unary, binary and select rows."""
    for op in (*_REAL, *_FLOATING):
        yield from _unary(op)
    for op in (*_NUMBERS, "divide", "pow"):
        yield from _binary(op)
    for op in _COMPARISONS:
        yield from _comparison(op)
    yield from _logical_not()
    yield from _where()


def _unary(op: str) -> Iterator[Case]:
    draw = positive if op in _POSITIVE else normal
    for shape in ((7,), (2, 3), (2, 3, 2, 2), (1,), (3, 1), ()):
        yield case(op, f"shape {shape}", draw(*shape))
    for none in ((0,), (3, 0), (0, 1, 2)):
        yield case(op, f"no elements {none}", draw(*none))
    yield case(op, "longer than a vector register", draw(1003))
    yield case(op, "special values", floats(*SPECIAL), special=True)
    if op in _REAL:
        yield case(op, "int64", integers(2, 3, low=-5, high=5))


def _binary(op: str) -> Iterator[Case]:
    x, y = (positive if op in _POSITIVE else normal), positive
    for shape in ((5,), (2, 3), (2, 1, 3), ()):
        yield case(op, f"shape {shape}", x(*shape), y(*shape, seed=1))
    for left, right in (
        ((2, 3), (3,)),
        ((3,), (2, 3)),
        ((2, 1, 3), (4, 1)),
        ((2, 3), ()),
        ((), (2, 3)),
        ((1,), (4,)),
        ((1, 1), (3,)),
    ):
        yield case(op, f"broadcast {left} with {right}", x(*left), y(*right, seed=1))
    yield case(op, "no elements", x(0, 3), y(0, 3, seed=1))
    yield case(op, "no elements, broadcast", x(2, 0), y(1, seed=1))
    yield case(op, "scalar on the right", x(2, 3), 1.5)
    yield case(op, "scalar on the left", 1.5, x(2, 3))
    yield case(op, "int scalar on the right", x(2, 3), 2)
    yield case(op, "int scalar on the left", 2, x(2, 3))
    yield case(op, "scalar that float32 rounds", x(4, 3), 0.1)
    yield case(op, "0-d with scalar", x(), 1.5)
    yield case(op, "longer than a vector register", x(1003), y(1003, seed=1))
    grid = np.array(SPECIAL)
    yield case(op, "special values", T(grid[:, None]), T(grid[None, :]), special=True)
    for scalar in (INF, NAN, 0.0, -0.0):
        yield case(op, f"special values with {scalar}", floats(*SPECIAL), scalar, special=True)
    if op in _NUMBERS:
        yield case(op, "int64", integers(2, 3, low=-5), integers(3, low=-5, seed=1))
        yield case(op, "int64 and a scalar", integers(2, 3, low=-5), 3)
    if op == "pow":
        yield case(op, "negative base, whole power", normal(6), 3.0)
        yield case(op, "square", normal(6), 2)
        yield case(op, "square root", positive(6), 0.5)
        yield case(op, "power 0", floats(0.0, 1.0, -2.0), 0.0, smooth=False)
        yield case(op, "powers of 0", T(np.zeros(4)), floats(0.0, 1.0, 2.0, 0.5), smooth=False)
    if op in ("maximum", "minimum"):
        yield case(op, "ties", floats(1.0, 2.0, 3.0), floats(1.0, 2.5, 3.0), smooth=False)


def _comparison(op: str) -> Iterator[Case]:
    yield case(op, "with ties", integers(3, 4, high=3), integers(3, 4, high=3, seed=1))
    yield case(op, "float ties", floats(1, 2, 3, 4), floats(1, 3, 2, 4))
    yield case(op, "broadcast", normal(2, 3), normal(3, seed=1))
    yield case(op, "0-d", normal(), normal(seed=1))
    yield case(op, "no elements", normal(0, 2), normal(2, seed=1))
    yield case(op, "scalar on the right", floats(0, 1, 2), 1.0)
    yield case(op, "scalar on the left", 1.0, floats(0, 1, 2))
    yield case(op, "int64 with a scalar", integers(5), 3)
    yield case(op, "scalar that float32 rounds", T(np.full(3, np.float32(0.1), np.float32)), 0.1)
    grid = np.array(SPECIAL)
    yield case(op, "special values", T(grid[:, None]), T(grid[None, :]), special=True)
    if op == "equal":
        yield case(op, "bool", flags(6), flags(6, seed=1))


def _logical_not() -> Iterator[Case]:
    for shape in ((5,), (2, 3), (), (0, 2)):
        yield case("logical_not", f"shape {shape}", flags(*shape))


def _where() -> Iterator[Case]:
    yield case("where", "equal shapes", flags(3, 4), normal(3, 4), normal(3, 4, seed=1))
    yield case("where", "all three broadcast", flags(3, 1), normal(4), normal(2, 1, 1, seed=1))
    yield case("where", "a condition for each row", flags(300, 1), 0.0, normal(300, 7))
    yield case("where", "rows and columns", flags(300, 1), 0.0, normal(1, 301))
    yield case("where", "0-d condition", flags(), normal(3), normal(3, seed=1))
    yield case("where", "0-d", flags(), normal(), normal(seed=1))
    yield case("where", "no elements", flags(0, 2), normal(2), normal(0, 2, seed=1))
    yield case("where", "scalar first", flags(3, 4), 0.0, normal(3, 4))
    yield case("where", "scalar last", flags(3, 4), normal(3, 4), -1.5)
    yield case("where", "int scalar", flags(4), normal(4), 2)
    yield case("where", "int64", flags(5), integers(5), 0)
    yield case("where", "bool", flags(5), flags(5, seed=1), False)
    chosen = T(np.arange(len(SPECIAL)) % 2 == 0)
    yield case("where", "special values", chosen, floats(*SPECIAL), NAN, special=True)
