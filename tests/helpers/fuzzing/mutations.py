"""Bytes of valid files, flipped, cut, stretched, spliced, with other numbers; and bytes of no file."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

NUMBERS = sorted(
    {
        sign * 2**bits + more
        for bits in (0, 1, 3, 7, 8, 15, 16, 20, 24, 31, 32, 40, 53, 62, 63, 64)
        for more in (-1, 0, 1)
        for sign in (1, -1)
    }
)
"""Numbers at which a format, a language or a library ends."""
LARGEST = 2 * 2**20
"""Bytes: no example becomes larger, but for one more change."""
_TIMES = (2, 9, 100, 10_000)


def number(r: Random) -> int:
    """Draw an integer: small, at an end of something, or any."""
    return r.choice((r.choice(NUMBERS), r.randint(-3, 40), r.randint(-(2**65), 2**65)))


def chance(r: Random, one_in: int) -> bool:
    """Draw True one time in so many."""
    return r.randrange(one_in) == 0


def changed(
    r: Random, data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], least: int = 0
) -> bytes:
    """Draw these bytes with some changes."""
    for _ in range(r.choice((least, 1, 1, 1, 2, 3, 6))):
        data = _changed(r, data, others, tokens)[:LARGEST]
    return data


def mutated(r: Random, files: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """Draw a file with some changes, or one time in ten bytes of no file."""
    if chance(r, 10):
        return r.randbytes(r.choice((0, 1, 4, 30, 300)))
    return changed(r, r.choice(files), files, tokens, least=1)


def _changed(r: Random, data: bytes, others: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    start, length = r.randrange(len(data) + 1), r.choice((0, 1, 2, 4, 8, r.randrange(200)))
    head, rest = data[:start], data[start:]
    match r.randrange(9):
        case 0:
            return head + bytes([rest[0] ^ 1 << r.randrange(8)]) + rest[1:] if rest else data
        case 1:
            return head
        case 2:
            return head + r.randbytes(r.randrange(17)) + rest
        case 3:
            return head + rest[length:]
        case 4:
            other = r.choice(others)
            return head + other[r.randrange(len(other) + 1) :][: r.randrange(200)] + rest[length:]
        case 5:
            width = r.choice((1, 2, 4, 8))
            new = (number(r) % 2 ** (8 * width)).to_bytes(width, r.choice(("little", "big")))
            return head + new + rest[width:]
        case 6:
            return head + r.choice(tokens) + rest
        case 7:
            token = r.choice(tokens)
            return head + token + rest[len(token) :]
    return head + (rest[: max(length, 1)] * r.choice(_TIMES))[:LARGEST] + rest
