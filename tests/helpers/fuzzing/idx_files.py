"""IDX files, and folders of them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from hypothesis import strategies as st

from lamina.train.data import idx_splits, read_idx

from . import Example, Target, randoms
from .mutations import NUMBERS, chance, changed, mutated
from .packed import unpacked

NAMES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
EXTENTS = [n for n in NUMBERS if 0 <= n < 2**32]
CODES = (8, 9, 11, 12, 13, 14)


def _idx(code: int, shape: Sequence[int], content: bytes) -> bytes:
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


def _valid() -> tuple[bytes, ...]:
    source = np.random.default_rng(0)
    pixels = source.integers(0, 256, 20 * 12, dtype=np.uint8).tobytes()
    labels = bytes(i % 3 for i in range(20))
    return (
        _idx(8, (20, 4, 3), pixels), _idx(8, (20,), labels),
        _idx(8, (6, 4, 3), pixels[: 6 * 12]), _idx(8, (6,), labels[:6]),
    )  # fmt: skip


VALID = _valid()
MORE = (_idx(0x0D, (3, 4), bytes(48)), _idx(0x0E, (2, 1, 1, 3), bytes(48)), _idx(0x0B, (), b"\1\2"))
TOKENS = (b"\0\0\x08\x03", b"\xff\xff\xff\xff", b"\x1f\x8b", b"\0\0\0\0", b"\0\0\x0e\xff", b"\x7f\xc0\0\0")


def made(r: Random) -> bytes:
    """Draw a header and a content, of the header's size or of another."""
    shape = [r.choice((r.choice(EXTENTS), r.randrange(10))) for _ in range(r.randrange(6))]
    if chance(r, 5):
        shape = [r.randrange(2) for _ in range(r.randrange(256))]
    if chance(r, 5):
        shape = [r.choice((1000, 3000)), r.choice((1, 30, 700))]
    code = r.choice((*CODES, r.randrange(256)))
    size = int(np.prod(shape, dtype=object)) * {8: 1, 9: 1, 11: 2, 12: 4, 13: 4, 14: 8}.get(code, 1)
    content = bytes(size) if size < 2**23 else r.randbytes(r.randrange(99))
    return _idx(code, shape, content + r.choice((b"", b"", b"", b"\1")))


def file(r: Random, whole: bytes) -> bytes:
    """Draw a file, or this one changed, gzipped one time in three."""
    data = r.choice((
        lambda: changed(r, whole, VALID, TOKENS), lambda: made(r), lambda: mutated(r, (*VALID, *MORE), TOKENS)
    ))()  # fmt: skip
    if not chance(r, 3):
        return data
    packed = gzip.compress(data, 1, mtime=0)
    return mutated(r, [packed], TOKENS) if chance(r, 2) else packed


def examples(folder: Path) -> st.SearchStrategy[Example]:
    """One file, or a folder one of whose files is changed."""
    path, place = folder / "fuzzed-idx3-ubyte", folder / "images"
    place.mkdir(exist_ok=True)
    for name, content in zip(NAMES, VALID, strict=True):
        (place / name).write_bytes(content)

    def example(r: Random, which: int, validation: float) -> Example:
        data = file(r, VALID[which % 4])

        def one() -> object:
            path.write_bytes(data)
            return read_idx(path)

        def many() -> object:
            (place / NAMES[which]).write_bytes(data)
            try:
                return idx_splits(place, validation=validation)
            finally:
                (place / NAMES[which]).write_bytes(VALID[which])

        if which > 3:
            return Example(data, one, (path.name,), unpacked(data))
        return Example(data, many, (place.name,), unpacked(data) + sum(map(len, VALID)), NAMES[which])

    return st.builds(example, randoms, st.integers(0, 5), st.sampled_from((0, 0.1, 0.5)))


TARGET = Target("idx", examples)
