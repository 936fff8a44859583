"""Uniform random numbers: Philox 4x64-10, bit-equal to `lamina.backends.random`.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. The key is (seed, stream), the counter
(block, 0, 0, step). numpy counts blocks from 1, and each gives four numbers.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import INDEX, Code, Terms, Value, scalar

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10
_DIGITS = {"float": 24, "double": 53}


def uniform(
    code: Code,
    count: int,
    seed: int,
    stream: int,
    step: Value,
    element: str,
    write: Callable[[Value, Terms], None],
) -> None:
    """Call write(number, place) for `count` numbers from 0 to 1, 1 excluded, of draw `step` (an i64).

    Their order is that of a C-contiguous array. A float32 is the float64 of the same draw with fewer digits.
    """
    blocks, rest = divmod(count, 4)
    for first, turns, numbers in ((0, blocks, 4), (blocks, 1, rest)):
        if turns and numbers:
            with code.loop(turns) as i:
                words = _block(code, code.sum([(i, 1), (first + 1, 1)]), seed, stream, step)
                for j in range(numbers):
                    write(_number(code, words[j], element), [(first * 4 + j, 1), (i, 4)])


def _block(code: Code, block: Value, seed: int, stream: int, step: Value) -> list[Value]:
    zero = code.number(INDEX, 0)
    x = [block, zero, zero, step]
    keys = [seed % 2**64, stream % 2**64]
    for _ in range(_ROUNDS):
        high0, low0 = _product(code, x[0], _MULTIPLIERS[0])
        high1, low1 = _product(code, x[2], _MULTIPLIERS[1])
        first, second = (code.number(INDEX, key) for key in keys)
        x = [
            code.bitwise("xor", code.bitwise("xor", high1, x[1]), first),
            low1,
            code.bitwise("xor", code.bitwise("xor", high0, x[3]), second),
            low0,
        ]
        keys = [(key + weyl) % 2**64 for key, weyl in zip(keys, _WEYL, strict=True)]
    return x


def _product(code: Code, x: Value, factor: int) -> tuple[Value, Value]:
    """Return the two words of a product of 64-bit numbers."""
    wide = code.cast("zext", x, "i128")
    product = code.new(wide.type, f"mul {wide}, {factor}")
    high = code.bitwise("lshr", product, code.number(wide.type, 64))
    return code.cast("trunc", high, "i64"), code.cast("trunc", product, "i64")


def _number(code: Code, word: Value, element: str) -> Value:
    """Return the word's first digits as a fraction."""
    digits = _DIGITS[element]
    top = code.bitwise("lshr", word, code.number(word.type, 64 - digits))
    number = code.cast("uitofp", top, element)
    return code.mul(number, code.number(scalar(element), 2.0**-digits))
