"""exp, expm1, log, log1p, tanh, sigmoid, softplus, erf and pow over vectors, in both float types.

Each is a straight line of arithmetic that gives every lane the same bits, whatever the width. The largest
errors that were measured, in units in the last place (float32, float64), stand beside each function;
tests/backends/jit/test_functions.py holds them to the bars of docs/numerics.md.

The polynomials interpolate at Chebyshev's nodes, computed in 50 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ....erf import ERF
from ..ir import Code, Value
from .elementwise import maximum, negative


@dataclass(frozen=True)
class _Format:
    """What the functions need to know of a float type."""

    bits: str
    """The integer of equal size."""
    digits: int
    """Of the mantissa, without the leading one."""
    bias: int
    tiny: float
    """The smallest normal number."""
    ln2: tuple[float, float]
    """ln 2 in two parts; the first has zeros for its last digits, so that n ln 2 is exact in it."""
    exp_range: tuple[float, float]
    """Beyond it e^x is 0 or infinite."""
    expm1_low: float
    """Below it e^x - 1 is -1."""
    tanh_high: float
    """Above it tanh(x / 2) is 1."""
    q: tuple[float, ...]
    """(e^r - 1 - r) / r² for |r| up to ln 2 / 2."""
    s: tuple[float, ...]
    """(ln((1 + s) / (1 - s)) / s - 2) / s², in powers of s²."""

    @property
    def magic(self) -> float:
        """A number whose unit in the last place is 1: what is added to it is rounded to an integer."""
        return 1.5 * 2.0**self.digits


# fmt: off
_FORMATS = {
    "float": _Format(
        bits="i32", digits=23, bias=127, tiny=2.0**-126,
        ln2=(0.693145751953125, 1.428606765330187e-06),
        exp_range=(-104.0, 89.0), expm1_low=-20.0, tanh_high=20.0,
        q=(0.5, 0.1666666716337204, 0.041666463017463684, 0.00833331048488617, 0.0013933685841038823,
           0.00019891030387952924),
        s=(0.6666668653488159, 0.39988768100738525, 0.2958046793937683),
    ),
    "double": _Format(
        bits="i64", digits=52, bias=1023, tiny=2.0**-1022,
        ln2=(0.6931471805598903, 5.497923018708371e-14),
        exp_range=(-746.0, 710.0), expm1_low=-42.0, tanh_high=42.0,
        q=(0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326112, 0.001388888888888373,
           0.0001984126987490126, 2.4801587325605324e-05, 2.7557255297969643e-06, 2.755727357010214e-07,
           2.5105259538448494e-08, 2.0914717341716378e-09),
        s=(0.666666666666667, 0.399999999998992, 0.2857142862611452, 0.22222211112104948,
           0.1818289077802613, 0.15331666676597175, 0.146171283998073),
    ),
}
# fmt: on


# -- exponentials ------------------------------------------------------------------------------------


def exp(code: Code, x: Value) -> Value:
    """Return e^x = 2^n e^r with n = round(x / ln 2)."""
    n, r = _reduced(code, _clamped(code, x, *_FORMATS[x.type.element].exp_range))
    return _scaled(code, code.add(_one(code, x), _expm1_near_0(code, r)), n)


def expm1(code: Code, x: Value) -> Value:
    """Return e^x - 1 = 2^n ((1 - 2^-n) + r + r² q(r)), with what the first sum's rounding lost."""
    f = _FORMATS[x.type.element]
    n, r = _reduced(code, _clamped(code, x, f.expm1_low, f.exp_range[1]))
    inverse = _power_of_2(code, negative(code, _least(code, n, float(f.bias - 2))))
    above = code.sub(_one(code, x), inverse)
    first = code.add(above, r)
    lost = code.sub(r, code.sub(first, above))
    total = code.add(first, code.fma(code.mul(r, r), polynomial(code, f.q, r), lost))
    return _unless_tiny(code, x, _scaled(code, total, n))


def tanh(code: Code, x: Value) -> Value:
    """Return t / (t + 2) with t = e^(2|x|) - 1, and the sign of x."""
    f = _FORMATS[x.type.element]
    size = code.intrinsic("fabs", x)
    n, r = _reduced(code, _least(code, code.add(size, size), f.tanh_high))
    power = _power_of_2(code, n)
    t = code.fma(power, _expm1_near_0(code, r), code.sub(power, _one(code, x)))
    ratio = code.div(t, code.add(t, code.number(x.type, 2.0)))
    return code.intrinsic("copysign", ratio, x)


def sigmoid(code: Code, x: Value) -> Value:
    """Return 1 / (1 + e^-x), or e^x / (1 + e^x) below 0: neither overflows."""
    one = _one(code, x)
    tail = exp(code, negative(code, code.intrinsic("fabs", x)))
    top = code.select(code.compare("lt", x, code.number(x.type, 0.0)), tail, one)
    return code.div(top, code.add(tail, one))


def _reduced(code: Code, x: Value) -> tuple[Value, Value]:
    """Return n = round(x / ln 2) and r = x - n ln 2; x is clamped."""
    f = _FORMATS[x.type.element]
    magic = code.number(x.type, f.magic)
    n = code.sub(code.fma(x, code.number(x.type, 1 / math.log(2)), magic), magic)
    high, low = (code.number(x.type, -part) for part in f.ln2)
    return n, code.fma(n, low, code.fma(n, high, x))


def _expm1_near_0(code: Code, r: Value) -> Value:
    """Return e^r - 1 for |r| up to ln 2 / 2."""
    return code.fma(code.mul(r, r), polynomial(code, _FORMATS[r.type.element].q, r), r)


def _power_of_2(code: Code, n: Value) -> Value:
    """Return 2^n for an integer n in a float, if it is a normal number.

    n + magic + bias has n + bias in its last digits; a shift moves them to the exponent and drops the rest.
    """
    f = _FORMATS[n.type.element]
    bits = code.bitcast(code.add(n, code.number(n.type, f.magic + f.bias)), f.bits)
    return code.bitcast(code.bitwise("shl", bits, code.number(bits.type, f.digits)), n.type.element)


def _scaled(code: Code, x: Value, n: Value) -> Value:
    """Return x 2^n in two steps, so that subnormal results and 2^(bias + 1) come out right."""
    magic = code.number(x.type, _FORMATS[x.type.element].magic)
    half = code.sub(code.fma(n, code.number(x.type, 0.5), magic), magic)
    rest = code.sub(n, half)
    return code.mul(code.mul(x, _power_of_2(code, half)), _power_of_2(code, rest))


# -- logarithms --------------------------------------------------------------------------------------


def log(code: Code, x: Value) -> Value:
    """Return ln x = e ln 2 + ln m with x = 2^e m and m near 1."""
    e, m = _split(code, x)
    f = code.sub(m, _one(code, x))
    return _log_at_ends(code, x, _log_of_parts(code, e, f, None), lowest=0.0)


def log1p(code: Code, x: Value) -> Value:
    """Return ln(1 + x) = ln u + c / u, with u = 1 + x rounded and c what the rounding lost."""
    return _log_at_ends(code, x, _log1p(code, x), lowest=-1.0)


def softplus(code: Code, x: Value) -> Value:
    """Return ln(1 + e^x) = max(x, 0) + log1p(e^-|x|)."""
    tail = exp(code, negative(code, code.intrinsic("fabs", x)))
    return code.add(maximum(code, x, code.number(x.type, 0.0)), _log1p(code, tail))


def _log1p(code: Code, x: Value) -> Value:
    """Return ln(1 + x) for finite x > -1."""
    one, zero = _one(code, x), code.number(x.type, 0.0)
    u = code.add(one, x)
    small = code.sub(x, code.sub(u, one))
    large = code.sub(one, code.sub(u, x))
    lost = code.div(code.select(code.compare("gt", x, one), large, small), u)
    e, m = _split(code, u)
    whole = code.compare("eq", e, zero)  # then m - 1 is x, rounded
    f = code.select(whole, x, code.sub(m, one))
    result = _log_of_parts(code, e, f, code.select(whole, zero, lost))
    return _unless_tiny(code, x, result)


def _split(code: Code, x: Value) -> tuple[Value, Value]:
    """Return (e, m) with x = 2^e m and m from √½ to √2, for finite x > 0; both are floats."""
    f = _FORMATS[x.type.element]
    small = code.compare("lt", x, code.number(x.type, f.tiny))
    scale = f.digits + 2
    x = code.select(small, code.mul(x, code.number(x.type, 2.0**scale)), x)
    bits = code.bitcast(x, f.bits)

    def number(i: int) -> Value:
        return code.number(bits.type, i)

    root_half, one = _bits(math.sqrt(0.5), f), f.bias << f.digits
    shifted = code.add(bits, number(one - root_half))
    mantissa = code.bitwise("and", shifted, number((1 << f.digits) - 1))
    m = code.bitcast(code.add(mantissa, number(root_half)), x.type.element)
    # An integer below 2^digits, put into the last digits of 2^digits.
    exponent = code.bitwise("lshr", shifted, number(f.digits))
    wide = code.bitwise("or", exponent, number((f.bias + f.digits) << f.digits))
    e = code.sub(code.bitcast(wide, x.type.element), code.number(x.type, 2.0**f.digits + f.bias))
    return code.select(small, code.sub(e, code.number(x.type, float(scale))), e), m


def _bits(x: float, f: _Format) -> int:
    """Return the bits of a number between ½ and 1 in a format."""
    return ((f.bias - 1) << f.digits) | int((2 * x - 1) * 2**f.digits)


def _log_of_parts(code: Code, e: Value, f: Value, lost: Value | None) -> Value:
    """Return e ln 2 + ln(1 + f) + lost, as FreeBSD's e_log.c puts it together."""
    two = code.number(f.type, 2.0)
    s = code.div(f, code.add(two, f))
    z = code.mul(s, s)
    rest = code.mul(z, polynomial(code, _FORMATS[f.type.element].s, z))
    half = code.mul(code.mul(f, f), code.number(f.type, 0.5))
    high, low = (code.number(f.type, part) for part in _FORMATS[f.type.element].ln2)
    small = code.mul(e, low) if lost is None else code.fma(e, low, lost)
    small = code.fma(s, code.add(half, rest), small)
    return code.fma(e, high, code.sub(f, code.sub(half, small)))


def _log_at_ends(code: Code, x: Value, result: Value, *, lowest: float) -> Value:
    """Return the result, but -inf at the lowest x, NaN below it, and infinity and NaN as they are."""
    least = code.number(x.type, lowest)
    finite = code.compare("lt", x, code.number(x.type, math.inf))
    result = code.select(finite, result, x)
    result = code.select(code.compare("eq", x, least), code.number(x.type, -math.inf), result)
    return code.select(code.compare("lt", x, least), code.number(x.type, math.nan), result)


# -- the error function ------------------------------------------------------------------------------


def erf(code: Code, x: Value) -> Value:
    """Return x + x p(x²) up to |x| = 1, and ±(1 - e^(-z²) q(v)) beyond; see `lamina.backends.erf`."""
    p, q, centre, end = ERF[{"float": "float32", "double": "float64"}[x.type.element]]
    one, middle = _one(code, x), code.number(x.type, centre)
    size = code.intrinsic("fabs", x)
    inner = code.fma(x, polynomial(code, p, code.mul(x, x)), x)
    z = _least(code, size, end)
    z = code.select(code.compare("lt", z, one), one, z)
    v = code.div(code.sub(z, middle), code.add(z, middle))
    tail = code.mul(exp(code, negative(code, code.mul(z, z))), polynomial(code, q, v))
    outer = code.intrinsic("copysign", code.sub(one, tail), x)
    return code.select(code.compare("le", size, one), inner, outer)


# -- powers ------------------------------------------------------------------------------------------


def power(code: Code, x: Value, y: Value) -> Value:
    """Return x^y, with the special cases of C's pow; in float32 it is computed in float64."""
    if x.type.element == "float":
        wide = power(code, code.cast("fpext", x, "double"), code.cast("fpext", y, "double"))
        return code.cast("fptrunc", wide, "float")
    one, zero, infinity = _one(code, x), code.number(x.type, 0.0), code.number(x.type, math.inf)
    size = code.intrinsic("fabs", x)
    result = _exp_of_product(code, y, size)
    half = code.mul(y, code.number(x.type, 0.5))
    whole = code.compare("eq", code.intrinsic("rint", y), y)
    even = code.compare("eq", code.intrinsic("rint", half), half)
    signed = code.select(whole, code.select(even, result, code.intrinsic("copysign", result, x)), result)
    below = code.select(code.compare("lt", size, infinity), code.number(x.type, math.nan), signed)
    imaginary = code.select(code.compare("lt", x, zero), code.select(whole, signed, below), signed)
    result = code.select(code.is_nan(y), y, imaginary)
    result = code.select(code.is_nan(x), x, result)
    trivial = code.bitwise("or", code.compare("eq", x, one), code.compare("eq", y, zero))
    return code.select(trivial, one, result)


def _exp_of_product(code: Code, y: Value, x: Value) -> Value:
    """Return e^(y ln x) for x >= 0; y ln x must be known to 2^-53, so it is a sum of two numbers."""
    high, low = _log_in_two(code, x)
    zero = code.number(x.type, 0.0)
    # The product is 0 even for an infinite y if ln x is 0.
    product = code.select(code.compare("eq", high, zero), zero, code.mul(y, high))
    rest = code.intrinsic("fma", y, high, negative(code, product))
    rest = code.intrinsic("fma", y, low, rest)
    # Elsewhere the result is 0, 1, infinite or NaN, and the rest means nothing.
    size = code.intrinsic("fabs", product)
    within = code.bitwise(
        "and",
        code.compare("lt", size, code.number(x.type, 800.0)),
        code.compare("lt", code.intrinsic("fabs", y), code.number(x.type, math.inf)),
    )
    return code.mul(exp(code, product), code.add(_one(code, x), code.select(within, rest, zero)))


def _log_in_two(code: Code, x: Value) -> tuple[Value, Value]:
    """Return ln x as a sum to 2^-63, for x >= 0: 2 (s + s³ / 3 + s⁵ p(s²)), with s and s³ / 3 in two parts.

    It needs true fused multiply-adds; a machine without them calls the C library's.
    """

    def fma(a: Value, b: Value, c: Value) -> Value:
        return code.intrinsic("fma", a, b, c)

    def number(value: float) -> Value:
        return code.number(x.type, value)

    e, m = _split(code, x)
    f, d = code.sub(m, number(1.0)), code.add(m, number(1.0))
    d_rest = code.sub(m, code.sub(d, number(1.0)))
    s = code.div(f, d)
    s_rest = code.div(fma(negative(code, s), d_rest, fma(negative(code, s), d, f)), d)
    z = code.mul(s, s)
    z_rest = fma(code.add(s, s), s_rest, fma(s, s, negative(code, z)))
    cube = code.mul(z, s)
    cube_rest = fma(z, s_rest, fma(z_rest, s, fma(z, s, negative(code, cube))))
    third = code.mul(cube, number(_TWO_THIRDS[0]))
    third_rest = fma(cube, number(_TWO_THIRDS[0]), negative(code, third))
    third_rest = fma(cube, number(_TWO_THIRDS[1]), fma(cube_rest, number(_TWO_THIRDS[0]), third_rest))
    tail = code.mul(code.mul(cube, z), polynomial(code, _POWER_TAIL, z))
    high, low = _FORMATS[x.type.element].ln2
    first = code.mul(e, number(high))  # exact
    total, rest = _two_sum(code, first, code.add(s, s))
    total, rest_of_third = _two_sum(code, total, third)
    small = code.add(code.add(tail, third_rest), fma(e, number(low), code.add(s_rest, s_rest)))
    total, small = _two_sum(code, total, code.add(small, code.add(rest, rest_of_third)))
    at_ends = code.bitwise("or", code.compare("eq", x, number(0.0)), code.compare("eq", x, number(math.inf)))
    logarithm = _log_at_ends(code, x, total, lowest=0.0)
    return logarithm, code.select(at_ends, number(0.0), small)


def _two_sum(code: Code, x: Value, y: Value) -> tuple[Value, Value]:
    """Return x + y rounded, and what the rounding lost (Knuth)."""
    total = code.add(x, y)
    part = code.sub(total, x)
    return total, code.add(code.sub(x, code.sub(total, part)), code.sub(y, part))


_TWO_THIRDS = (2 / 3, float(Fraction(2, 3) - Fraction(2 / 3)))
# (ln((1 + s) / (1 - s)) / s - 2 - 2 s² / 3) / s⁴, in powers of s².
_POWER_TAIL = (
    0.40000000000000024, 0.28571428571338287, 0.22222222271202, 0.18181808231280466, 0.15385575981100785,
    0.13285918069433095, 0.12914104107774088,
)  # fmt: skip


# -- shared ------------------------------------------------------------------------------------------


def polynomial(code: Code, coefficients: Sequence[float], x: Value) -> Value:
    """Return Σ cᵢ xⁱ, by Horner's rule."""
    *rest, last = coefficients
    value = code.number(x.type, last)
    for c in reversed(rest):
        value = code.fma(value, x, code.number(x.type, c))
    return value


def _one(code: Code, x: Value) -> Value:
    return code.number(x.type, 1.0)


def _least(code: Code, x: Value, high: float) -> Value:
    """Return min(x, high); NaN stays."""
    bound = code.number(x.type, high)
    return code.select(code.compare("gt", x, bound), bound, x)


def _clamped(code: Code, x: Value, low: float, high: float) -> Value:
    """Return x between two bounds; NaN stays."""
    x = _least(code, x, high)
    bound = code.number(x.type, low)
    return code.select(code.compare("lt", x, bound), bound, x)


def _unless_tiny(code: Code, x: Value, result: Value) -> Value:
    """Return x where it is zero or subnormal: there the function is x, and the sign of 0 stays."""
    size = code.intrinsic("fabs", x)
    tiny = code.compare("lt", size, code.number(x.type, _FORMATS[x.type.element].tiny))
    return code.select(tiny, x, result)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p,
    "tanh": tanh, "sigmoid": sigmoid, "softplus": softplus, "erf": erf, "pow": power,
}  # fmt: skip
"""By the names of the ops. Each takes (code, *values) of one float type."""
