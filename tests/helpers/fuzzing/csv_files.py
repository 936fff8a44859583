"""Tables of text."""

from __future__ import annotations

import gzip
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from lamina.train.data import load_splits, read_csv
from lamina.train.data.table import read_rows

from . import Example, Target, randoms
from .mutations import LARGEST, chance, mutated
from .packed import unpacked

CELLS = (
    "0", "1", "2", "-1", "0.5", "-0.0", "1e3", "1e-400", "1e999", "-inf", "nan", "NaN", "NA", "?", "yes",
    "no",
    "00501", "501", "9007199254740993", "9" * 400, "9" * 5000, "0" * 70_000, "x" * 200_000, "1_000", "0x1f",
    "1,5", "٣", "１", "²", "", " ", "\t", '"', '""', '"a"', '"a\nb"', '"a', 'a"b', "\0", "\x1b[2J", "\u202e",
    "\u2028", "é", "日本", "\ud800", "=1+1", "true", "1 2", "+1", "1e", ".", "a.csv", "#", "1" * 19,
    "-" + "1" * 25,
)  # fmt: skip
USUAL = ("0", "1", "2", "3.5", "-4", "a", "b", "1e3")
ENDS = ("\n",) * 6 + ("\r\n", "\r", "\n\n", "\0", "\u2028", "")
ENCODINGS = ("utf-8",) * 8 + ("utf-8-sig", "utf-16", "latin-1", "utf-32-le", "cp1252")
VALID = (
    b"a,b,y\n" + b"".join(b"%d,%d.5,%d\n" % (i, i * i, i % 2) for i in range(30)),
    b"1,2,3\n4,5,6\n7,8,9\n" * 6,
    "größe;kind\r\n1,5;ja\r\n2,5;nein\r\n3;ja\r\n".encode(),
    b'x\tname\n1\t"a ""b"", c"\n2\t"two\nlines"\n3\tz\n',
    "\ufeffheight,weight,kind\n1,2,no\n3,4,yes\n5,6,no\n7,8,yes\n".encode(),
    b"".join(b"%r,%r\n" % (i / 7, i / 3) for i in range(50)),
)
TOKENS = (
    b",", b";", b"\t", b"\n", b"\r", b'"', b'""', b"\0", b"\xef\xbb\xbf", b"nan", b"1e999", b"\xff",
    b"9" * 400,
)  # fmt: skip


def table(r: Random) -> bytes:
    """Draw rows of cells, some of them many times, in an encoding."""
    mark, end, width = r.choice(",;\t |"), r.choice(ENDS), r.randint(1, 5)
    cells = r.choice((USUAL, USUAL, ("1",), CELLS))
    rows = [[r.choice(cells) for _ in range(width + chance(r, 20))] for _ in range(r.randrange(9))]
    wide, long = r.choice((1,) * 9 + (30, 5000, 200_000)), r.choice((1,) * 9 + (9, 300, 100_000))
    if chance(r, 2):
        rows.insert(
            0, [r.choice(("a", "b", "y", "1", "")) if chance(r, 5) else f"c{i}" for i in range(width)]
        )
    most = LARGEST // wide
    lines = [mark.join([mark.join(row)[:most]] * wide) for row in rows]
    lines += lines[1:] * min(long, LARGEST // (1 + sum(map(len, lines))))
    return end.join(lines).encode(r.choice(ENCODINGS), "replace")


def file(r: Random) -> bytes:
    """Draw a file, gzipped one time in four."""
    data = table(r) if chance(r, 2) else mutated(r, VALID, TOKENS)
    if not chance(r, 4):
        return data
    packed = gzip.compress(data, 1, mtime=0)
    return mutated(r, [packed], TOKENS) if chance(r, 2) else packed


def examples(folder: Path) -> st.SearchStrategy[Example]:
    """Write a file, and read it in one of the ways that there are."""
    path = folder / "fuzzed.csv"

    def made(
        r: Random, way: int, target: str | int | None, task: Any, header: bool | None, mark: str
    ) -> Example:
        data = file(r)
        count, names = r.randint(1, 4), r.choice((None, ("a", "b")))
        options: dict[str, Any] = {"target": target, "task": task, "header": header}

        def call() -> object:
            path.write_bytes(data)
            if way == 0:
                return load_splits(path, check_finite=count > 2, **options)
            if way == 1:
                return read_rows(path, count, names=names, **options)
            return read_csv(path, delimiter=mark or None, **options)

        return Example(data, call, (path.name,), unpacked(data), f"way {way}, {options}, {mark!r}")

    return st.builds(
        made,
        randoms,
        st.integers(0, 3),
        st.sampled_from((None, None, None, 0, 1, -1, 9, "y", "c0", "c9", "1", "kind", "")),
        st.sampled_from(("auto", "auto", "classification", "regression")),
        st.sampled_from((None, None, True, False)),
        st.sampled_from(("", "", "", ",", ";", "a", "1", "\0", "é")),
    )


TARGET = Target("csv", examples)
