"""NPZ files: archives of arrays, changed in their bytes, their lists and the headers of their arrays."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lamina.train.data import load_splits, read_npz
from lamina.train.data.npz import read_npz_rows

from . import Example, Target, randoms
from .mutations import chance, changed, mutated, number
from .packed import unpacked

DTYPES = (
    "<f8", ">f4", "<f2", "|u1", "<i8", ">u8", "|b1", "<U3", ">U1", "<U0", "<U100000", "|S5", "<c16",
    "<M8[s]", "<m8[D]",
    "|O", "|V8", "<f16", "|V0", "<U2147483647", "f8", "=f8", "<i3", "", "[('a', '<f8')]",
    "<M8[9999999999999s]",
)  # fmt: skip
USUAL = ("<f8", "<f4", "|u1", "<i8", "|b1", "<U3")
HEADERS = ("{{'descr': {d}, 'fortran_order': {f}, 'shape': {s}, }}",) * 9 + (
    "{{'descr': {d}, 'fortran_order': {f}, 'shape': {s}, 'more': 1}}", "{{'descr': {d}, 'shape': {s}}}",
    "{{'descr': {d}, 'fortran_order': {f}, 'shape': {s}" + "," * 3, "{d}", "{s}", "[" * 9000,
    "-" * 9000 + "1",
    "{{'descr': {d}, 'fortran_order': 3, 'shape': {s}}}", "{{" * 50 + "}}" * 50, "1L", "'\\N{{x}}'", "b'\\x'",
)  # fmt: skip
TOKENS = (
    b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"\x93NUMPY", b"'descr'", b"(3, 2)", b"\xff\xff\xff\xff",
    b"x.npy",
)  # fmt: skip
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
FIELDS = ("file_size", "compress_size", "CRC", "header_offset", "flag_bits")


def _saved(compressed: bool, **arrays: Any) -> bytes:
    raw = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(raw, **arrays)
    return raw.getvalue()


X, Y = np.arange(24.0).reshape(12, 2), np.arange(12) % 2
VALID = tuple(
    _saved(compressed, **arrays)
    for compressed in (False, True)
    for arrays in (
        {"x": X, "y": Y}, {"X": X.astype(np.uint8), "Y": Y.astype(str)}, {"inputs": X}, {"x": X,
        "y": Y > 0, "z": X},
        {"data": np.asfortranarray(X.astype(np.float32)), "target": X},
    )
)  # fmt: skip


def array(r: Random) -> bytes:
    """Draw the bytes of one array, whose header may lie."""
    shape = r.choice(
        ([12, 2], [12, 2], [12], [r.choice((r.randrange(9), number(r))) for _ in range(r.randrange(5))])
    )
    descr = r.choice(USUAL if chance(r, 2) else DTYPES)
    text = r.choice(HEADERS).format(
        d=descr if descr[:1] == "[" else repr(descr), f=chance(r, 2), s=tuple(shape) if shape else "()"
    )
    version = r.choice(((1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (9, 9)))
    head = text.encode() + b"\n"
    length = number(r) % 2**32 if chance(r, 9) else len(head)
    size = struct.pack("<H", length % 2**16) if version == (1, 0) else struct.pack("<I", length)
    count = 2**20
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        count = int(np.prod([max(n, 0) for n in shape], dtype=object)) * np.dtype(descr).itemsize
    content = bytes(count) if count < 2**20 else r.randbytes(r.randrange(64))
    return b"\x93NUMPY" + bytes(version) + size + head + content + r.choice((b"",) * 5 + (b"\1",))


def archive(r: Random) -> bytes:
    """Draw an archive of such arrays, and change entries of its list."""
    raw = io.BytesIO()
    few = [r.choice(("x", "y", "X", "Y", "../x", "", "x\0", "é")) for _ in range(r.randint(1, 4))]
    names = r.choice((["x", "y"], ["x", "y"], few))
    with warnings.catch_warnings(), zipfile.ZipFile(raw, "w", r.choice(METHODS)) as made:
        warnings.simplefilter("ignore")  # of a name twice
        for name in names:
            made.writestr(f"{name}.npy", mutated(r, VALID, TOKENS) if chance(r, 6) else array(r))
        for info in made.filelist:
            if chance(r, 4):
                field = r.choice(FIELDS)
                setattr(info, field, number(r) % 2 ** (16 if field == "flag_bits" else 32))
            if chance(r, 9):
                info.compress_type = r.choice((*METHODS, 1, 6, 9, 99))
    return raw.getvalue()


def zeros(r: Random) -> bytes:
    """Draw an archive that is small for what it holds."""
    raw, n, dtype = io.BytesIO(), r.choice((10**4, 10**6, 4 * 10**6)), r.choice(("u1", "f4", "f8", "U2", "?"))
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for name, shape in (("x.npy", (n // 4, 4)), ("y.npy", (n // 4,))):
            member = io.BytesIO()
            np.save(member, np.zeros(shape, dtype))
            made.writestr(name, member.getvalue())
    return raw.getvalue()


def file(r: Random) -> bytes:
    """Draw a file."""
    if chance(r, 300):
        return zeros(r)
    if chance(r, 3):
        return mutated(r, VALID, TOKENS)
    made = archive(r)
    return changed(r, made, VALID, TOKENS) if chance(r, 3) else made


def examples(folder: Path) -> st.SearchStrategy[Example]:
    """Write a file, and read it in one of the ways that there are."""
    path = folder / "fuzzed.npz"

    def example(r: Random, way: int, task: Any) -> Example:
        data = file(r)

        def call() -> object:
            path.write_bytes(data)
            if way == 0:
                return load_splits(path, task=task)
            return read_npz_rows(path, task=task) if way == 1 else read_npz(path, task=task)

        return Example(data, call, (path.name,), unpacked(data), f"way {way}, task {task}")

    tasks = st.sampled_from(("auto", "auto", "classification", "regression"))
    return st.builds(example, randoms, st.integers(0, 2), tasks)


TARGET = Target("npz", examples)
