"""Division by multiply-adds, inside the kernels of products.

A division keeps the core's only divider busy for some ten cycles, and an update by Adam waits for it.
Multiply-adds take half of that. Newton's iteration makes a reciprocal r of y from the processor's estimate of
14 bits; x r is off by two units in the last place at most; the remainder x - y q corrects it to 0.51 units.
Where an intermediate result is infinite or NaN, or y is so large that r is subnormal, the vector is divided.
Unlike division, it may be off by a unit where the remainder is subnormal, by two where the quotient is, and
0 over a negative number is 0, not -0.
"""

from __future__ import annotations

from ..ir import Code, Value, scalar

_TYPES = {"float": ("ps", "i16", 1, 2.0**125), "double": ("pd", "i8", 2, 2.0**1021)}
"""By element: the estimate's suffix and mask, Newton's rounds, and from where r may be subnormal."""


def quotient(code: Code, x: Value, y: Value) -> Value:
    """Return x / y. Where code is contracted, a whole vector of AVX-512 may be off by 0.51 ULP."""
    kind, machine = x.type, code.machine
    whole = kind.floating and kind.lanes == machine.lanes(kind.element)
    if not (code.contracts and whole and machine.unit == "avx512"):
        return code.div(x, y)
    suffix, mask, rounds, large = _TYPES[kind.element]
    name = f"llvm.x86.avx512.rcp14.{suffix}.512"
    code.module.declare(f"declare {kind} @{name}({kind}, {kind}, {mask})")
    r = code.new(kind, f"call {kind} @{name}({y}, {kind} zeroinitializer, {mask} -1)")
    minus, one = code.negative(y), code.number(kind, 1.0)
    for _ in range(rounds):
        r = code.fma(code.fma(minus, r, one), r, r)
    q = code.mul(x, r)
    excess = code.fma(y, q, code.negative(x))
    q = code.fma(code.negative(excess), r, q)
    ordinary = code.compare("lt", code.intrinsic("fabs", y), code.number(kind, large))
    wrong = code.select(ordinary, code.is_nan(q), code.number(ordinary.type, 1))
    cell = code.cell(kind)
    code.store(q, cell)
    some = code.call(scalar("i1"), f"llvm.vector.reduce.or.{wrong.type.suffix}", wrong)
    with code.when(some):
        code.store(code.div(x, y), cell)
    return code.load(cell, kind)
