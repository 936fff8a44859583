"""The elementwise ops that are one or a few instructions, over vectors of any element.

Every float is rounded as in eager code: no multiply-add is contracted here.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Code, Value


def negative(code: Code, x: Value) -> Value:
    """Return -x."""
    return code.negative(x)


def absolute(code: Code, x: Value) -> Value:
    """Return |x|."""
    if x.type.floating:
        return code.intrinsic("fabs", x)
    return code.select(code.compare("lt", x, code.number(x.type, 0)), code.negative(x), x)


def sign(code: Code, x: Value) -> Value:
    """Return -1, 0 or 1; zeros and NaN stay as they are."""
    zero, one = code.number(x.type, 0), code.number(x.type, 1)
    below = code.select(code.compare("lt", x, zero), code.number(x.type, -1), x)
    return code.select(code.compare("gt", x, zero), one, below)


def square_root(code: Code, x: Value) -> Value:
    """Return √x, correctly rounded; NaN below 0."""
    return code.intrinsic("sqrt", x)


def square(code: Code, x: Value) -> Value:
    """Return x²."""
    return code.mul(x, x)


def maximum(code: Code, x: Value, y: Value) -> Value:
    """Return the larger; NaN where either is. With a constant y it is one instruction."""
    return _extreme(code, "lt", x, y)


def minimum(code: Code, x: Value, y: Value) -> Value:
    """Return the smaller; NaN where either is."""
    return _extreme(code, "gt", x, y)


def _extreme(code: Code, test: str, x: Value, y: Value) -> Value:
    chosen = code.select(code.compare(test, x, y), y, x)  # x, if it is NaN
    return code.select(code.is_nan(y), y, chosen) if x.type.floating else chosen


def comparison(test: str) -> Callable[[Code, Value, Value], Value]:
    """Return the op that compares two values; bools compare as 0 and 1."""

    def compare(code: Code, x: Value, y: Value) -> Value:
        if x.type.element == "i1":
            x, y = code.cast("zext", x, "i8"), code.cast("zext", y, "i8")
        return code.compare(test, x, y)

    return compare


def logical_not(code: Code, x: Value) -> Value:
    """Return not x, for a bool."""
    return code.bitwise("xor", x, code.number(x.type, 1))


def where(code: Code, condition: Value, x: Value, y: Value) -> Value:
    """Return x where the bool holds, else y."""
    return code.select(condition, x, y)


def convert(code: Code, x: Value, element: str) -> Value:
    """Return x as another element, as `astype`: floats are cut to integers, anything but 0 is True.

    A float beyond the integers becomes the nearest one, and NaN 0.
    """
    kind = x.type.element
    if kind == element:
        return x
    if element == "i1":
        zero = code.number(x.type, 0)
        same = code.compare("eq", x, zero)  # false for NaN
        return logical_not(code, same)
    if x.type.floating and element == "i64":
        to = x.type.of(element)
        return code.call(to, f"llvm.fptosi.sat.{to.suffix}.{x.type.suffix}", x)
    if x.type.floating:
        return code.cast("fpext" if element == "double" else "fptrunc", x, element)
    if element == "i64":
        return code.cast("zext", x, element)
    return code.cast("uitofp" if kind == "i1" else "sitofp", x, element)


ELEMENTWISE: dict[str, Callable[..., Value]] = {
    "negative": negative, "abs": absolute, "sign": sign, "sqrt": square_root, "square": square,
    "add": Code.add, "subtract": Code.sub, "multiply": Code.mul, "divide": Code.div,
    "maximum": maximum, "minimum": minimum,
    "equal": comparison("eq"), "less": comparison("lt"), "less_equal": comparison("le"),
    "greater": comparison("gt"), "logical_not": logical_not, "where": where,
}  # fmt: skip
"""By the names of the ops. Each takes (code, *values) of one type, and `where` its condition first."""
