"""Bad files of data: CSV, IDX, NPZ, folders, and names that are none."""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from idx_files import write_idx

from lamina.backends import DataError, LaminaError, OptionError
from lamina.train.data import idx_splits, load_splits, read_csv, read_idx, read_npz
from lamina.train.data import text as text_module

from . import Bad, Place
from .values import ESCAPES, LONG, NOT_FLAGS, NOT_INTEGERS, NOT_NAMES, NOT_NUMBERS, short

Read = Callable[..., object]
READERS: dict[str, tuple[Read, str]] = {
    "read_csv": (read_csv, "a.csv"),
    "read_npz": (read_npz, "a.npz"),
    "read_idx": (read_idx, "a-idx3-ubyte"),
    "load_splits": (load_splits, "a.csv"),
    "idx_splits": (idx_splits, "a"),
}


def _file(
    subject: str,
    what: str,
    content: bytes,
    *says: str,
    name: str = "",
    error: type[LaminaError] = DataError,
    **options: Any,
) -> Bad:
    """Return the row of a file with this content."""
    read, usual = READERS[subject]

    def call(place: Place) -> object:
        file = place.path / (name or usual)
        file.write_bytes(content)
        return read(place.watch(file), **options)

    return Bad(subject, what, call, says, error, once=True)


# -- names ---------------------------------------------------------------------------------------

PATHS: list[tuple[Any, tuple[str, ...]]] = [
    (None, ("the path of a file or folder", "None")),
    (3, ("the path of a file or folder", "3")),
    (b"a.csv", ("the path of a file or folder", "b'a.csv'")),
    (["a.csv"], ("the path of a file or folder", "['a.csv']")),
    ("a\0.csv", ("the path of a file or folder", r"a\x00.csv")),
    ("\ud800.csv", ("the path of a file or folder", r"\ud800")),
    (f"{LONG}.csv", ("cannot be read: File name too long",)),
]


@contextlib.contextmanager
def closed() -> Iterator[None]:
    """Close all files and folders: root reads them whatever their mode is."""

    def refused(self: Path, *args: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    with contextlib.ExitStack() as stack:
        for name in ("is_file", "iterdir", "open"):
            stack.enter_context(mock.patch.object(Path, name, refused))
        yield


def _closed(read: Read, name: str) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        file = place.path / name
        file.write_text("1,2\n")
        place.watch(file)
        with closed():
            return read(file)

    return call


NAMES = [
    *(
        Bad(subject, f"the path {short(path)}", lambda place, r=read, p=path: r(p), says, once=True)
        for subject, (read, _) in READERS.items()
        for path, says in PATHS
    ),
    *(
        Bad(
            subject, "a file that is absent", lambda place, r=read, n=name: r(place.path / n),
            (name, "no such" if "splits" in subject else "No such file"), DataError, once=True,
        )
        for subject, (read, name) in READERS.items()
    ),
    *(
        Bad(subject, "a closed file", _closed(read, name), ("Permission denied",), DataError, once=True)
        for subject, (read, name) in READERS.items()
    ),
    *(
        Bad(subject, "a folder", lambda place, r=read: r(place.path), ("cannot be read", "directory"),
            DataError, once=True)
        for subject, (read, _) in READERS.items()
        if "splits" not in subject
    ),
    *(
        Bad(subject, "an empty folder", lambda place, r=read: r(place.path), ("a file train-images",),
            DataError, once=True)
        for subject, (read, _) in READERS.items()
        if "splits" in subject
    ),
    _file("idx_splits", "a file for a folder", b"x", "a file train-images"),
]  # fmt: skip

# -- formats -------------------------------------------------------------------------------------


def column(values: list[Any]) -> bytes:
    return b"x,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values)).encode()


ZIPPED = gzip.compress(b"a,y\n1,0\n2,1\n" * 9)
CSV: dict[str, tuple[bytes, dict[str, Any], tuple[str, ...]]] = {
    "an empty file": (b"", {}, ("an empty file",)),
    "blank lines": (b"\n \n", {}, ("an empty file",)),
    "a header alone": (b"a,b,y\n", {}, ("a header alone",)),
    "a header alone that is asked for": (b"a,b,y\n", {"header": True}, ("a header alone",)),
    "one column": (b"1\n2\n", {}, ("one column",)),
    "a name twice": (b"a,a,y\n1,2,3\n", {}, ("'a' more than once",)),
    "a cell less": (b"a,b,y\n1,2,0\n3,1\n", {}, ("line 3: expected 3 cells as in line 1", "2")),
    "a cell more": (b"a,b,y\n1,2,0\n\n3,1,0,9\n", {}, ("line 4: expected 3 cells as in line 1", "4")),
    "an empty cell": (b"a,b,y\n1,2,0\n3,,1\n", {}, ("line 3, column 'b': expected a value", "an empty cell")),
    "an empty target": (b"a,b,y\n1,2,0\n3,4,\n", {}, ("line 3, column 'y': expected a value",
        "an empty cell")),
    "a feature of text": (b"a,b,y\n1,2,0\n3,tall,1\n", {}, ("line 3, column 'b': expected a number",
        "'tall'")),
    "a feature of text, without header": (
        b"1,2,0\n3,tall,1\n", {}, ("line 2, column 1 (counting from 0): expected a number", "'tall'"),
    ),
    "a number in the header": (b"a,1,y\n1,2,0\n", {}, ("line 1, column 0 ",
        "if no cell is a number; --header")),
    "decimal commas": (
        b"a;y\n1,5;0\n2,5;1\n", {}, ("line 2, column 'a': expected a number",
            "'1,5'. Write decimals with a po"),
    ),
    "decimal commas, without header": (
        b"1,5;2,5;0\n2,5;3,5;1\n", {}, ("line 1, column 0 ", "'1,5'. Write decimals with a point"),
    ),
    "a number with an underscore": (b"a,y\n1_0,0\n2,1\n", {},
        ("line 2, column 'a': expected a number", "'1_0'")),
    "a quote that does not end": (b'a,y\n"1,0\n2,1\n', {}, ("line 3: expected well-formed CSV",
        "does not end")),
    "text after a quote": (b'a,y\n"1"2,0\n', {}, ("line 2: expected well-formed CSV",
        "after its closing quote")),
    "a cell of 200,000 characters": (b"a,y\n" + b"9" * 200_000 + b",1\n", {},
        ("line 2", "more than 131,072 characters")),
    "NA among fractions": (column([0.1, 0.2, "NA", 0.4]), {},
        ("line 4, column 'y': expected a number", "'NA'")),
    "NA among labels": (column([0, 1, "NA", 0]), {}, ("line 4, column 'y': expected a number", "'NA'")),
    "NaN among labels": (column([0, 1, "nan"]), {},
        ("target column 'y', line 4: expected a number or a class", "nan")),
    "NaN among names": (column(["a", "b", "a", "nan"]), {}, ("line 5: expected a number or a class", "nan")),
    "identifiers": (
        column([2**60 + i for i in range(9)]), {}, ("expected classes", "9 different", "task='regression'"),
    ),
    "names of their own": (
        column(["id1", "id2", "id3"]), {}, ("column 'y': expected classes", "3 different texts in 3 rows"),
    ),
    "another encoding": (b"a,y\n\xff\xfe,1\n", {}, ("UTF-8 text", "another byte at 4")),
    "UTF-16": ("a,y\n1,2\n".encode("utf-16"), {}, ("UTF-8 text",)),
    "a picture": (b"\x89PNG\r\n\x1a\n" * 9, {}, ("UTF-8 text",)),
    "text in a later line after a line break in quotes": (
        b'a,y\n1,"two\nlines"\nx,b\n', {}, ("line 4, column 'a': expected a number", "'x'"),
    ),
    "fractions as classes": (
        column([1, 0.5]), {"task": "classification"}, ("line 3: expected a class label (an integer or text)",
            "0.5"),
    ),
    "names as numbers": (column([1, "a"]), {"task": "regression"},
        ("line 3, column 'y': expected a number", "'a'")),
    "names without their header": (
        b"height,weight,kind\n1,2,0\n3,4,1\n", {"header": False}, ("line 1, ", "column 0 ", "'height'"),
    ),
    "gzip that is cut off": (ZIPPED[: len(ZIPPED) // 2], {}, ("whole gzip data", "damaged or cut off")),
    "gzip that is damaged": (ZIPPED[:12] + b"\xff\xff" + ZIPPED[14:], {}, ("gzip data",)),
    "gzip of gzip": (gzip.compress(ZIPPED), {}, ("UTF-8 text",)),
    "300 columns of long names alone": (b",".join([b"n" * 99] * 300) + b"\n", {}, ("a header alone: nnn",)),
    "a long name twice": (b"%b,%b,y\n1,2,3\n" % (b"n" * 9999, b"n" * 9999), {}, ("more than once",)),
    "a long cell in a column of a long name": (
        b"%b,y\n%b,1\n" % (b"n" * 9999, b"x" * 9999), {}, ("line 2, column 'nnn", "expected a number"),
    ),
    "100,001 classes": (
        b"".join(b"1,%d\n" % i for i in range(100_001)), {"task": "classification"},
        ("at most 100,000 classes", "more"),
    ),
    "another encoding after 100,000 bytes": (
        b"1,2\n" * 25_000 + b"\xe9", {}, ("UTF-8 text", "another byte at 100000"),
    ),
    "250,000 cells in a line": (b"1," * 250_000, {}, ("line 1: expected at most 100,000 columns", "250,001")),
    "escape sequences": (f"{ESCAPES},y\n{ESCAPES},0\n".encode(), {}, ("expected a number", r"\x1b")),
}  # fmt: skip
TARGETS: list[tuple[Any, tuple[str, ...]]] = [
    ("x" * 99_999, ("one of height, weight, kind", "'xxx")),
    ("wieght", ("one of height, weight, kind", "'wieght'", "Did you mean 'weight'?")),
    (ESCAPES, ("one of height, weight, kind", r"\x1b")),
    ("3", ("a target column from 0 to 2", "3")),
    (3, ("a target column from 0 to 2", "3")),
    (-4, ("a target column from 0 to 2", "-4")),
    (10**15, ("a target column from 0 to 2", "1000")),
    (10**30, ("an integer below 2**63", "1000")),
    ("9" * 5000, ("one of height, weight, kind", "'999")),
    *(
        (v, ("expected target to be an integer",))
        for v in NOT_INTEGERS
        if not isinstance(v, (str, type(None)))
    ),
]
TABLE = b"height,weight,kind\n1,2,0\n3,4,1\n"
CSV_ROWS = [
    *(_file("read_csv", what, content, "a.csv", *says, **options) for what,
        (content, options, says) in CSV.items()),
    *(_file("read_csv", f"target={short(v)}", TABLE, *says, target=v, error=LaminaError) for v,
        says in TARGETS),
    _file("read_csv", "a target by name, without header", b"1,2\n3,4\n",
        "a number from 0 (there is no header)", target="kind"),
    *(
        _file("read_csv", f"delimiter={short(v)}", TABLE, "delimiter to be one character", delimiter=v,
            error=OptionError)
        for v in (*(v for v in NOT_NAMES if v is not None), ";;", '"', "\n")
    ),
    *(
        _file("read_csv", f"header={short(v)}", TABLE, "header to be True or False", header=v,
            error=OptionError)
        for v in NOT_FLAGS
        if v is not None
    ),
    *(
        _file(subject, f"task={short(v)}", TABLE, "task to be one of auto, ", task=v, error=OptionError)
        for subject in ("read_csv", "read_npz", "load_splits")
        for v in ("guess", "Regression", *NOT_NAMES)
    ),
]  # fmt: skip


def _wide(place: Place) -> object:
    path = place.path / "wide.csv"
    path.write_text(",".join("1" * 1001) + "\n")
    with mock.patch.object(text_module, "MOST_COLUMNS", 1000):
        return read_csv(place.watch(path))


def _swollen(place: Place) -> object:
    path = place.path / "a.csv"
    path.write_bytes(gzip.compress(b"1,2\n" * 2**20))
    return read_csv(place.watch(path))


BOUNDS = [
    Bad(
        "read_csv",
        "1,001 columns",
        _wide,
        ("line 1: expected at most 1,000 columns", "1,001"),
        DataError,
        once=True,
    ),
    Bad(
        "read_csv",
        "small gzip of many rows",
        _swollen,
        ("bytes after decompression", "more"),
        DataError,
        once=True,
    ),
]

IDX: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "an empty file": (b"", ("not an IDX file", "an empty file")),
    "an archive": (b"PK\x03\x04 and more", ("not an IDX file", "50 4b 03 04")),
    "an unknown type": (b"\0\0\x07\x01\0\0\0\x01a", ("not an IDX file", "00 00 07 01")),
    "no axes": (b"\0\0\x08\x00", ("not an IDX file", "00 00 08 00")),
    "a header that is cut off": (
        b"\0\0\x08\x03\0\0\0\x01", ("header is cut off: expected 16 bytes for 3 axes", "8"),
    ),
    "too few bytes": (b"\0\0\x08\x01\0\0\0\x05abc", ("says 5 of uint8", "5 bytes after the header", "3",
        "cut off")),
    "too many bytes": (b"\0\0\x08\x01\0\0\0\x02abc", ("2 bytes after the header", "3", "too long")),
    "2**67 bytes in the header": (
        b"\0\0\x0e\x02\xff\xff\xff\xff\xff\xff\xff\xffab", ("4294967295 x 4294967295", "at most"),
    ),
    "255 axes": (b"\0\0\x08\xff" + b"\0\0\0\x01" * 255 + b"a", ("the header says 255 axes",)),
    "255 axes of 2**31": (b"\0\0\x08\xff" + b"\x80\0\0\0" * 255, ("the header says 2147483648 x ", " ...")),
    "255 axes, cut off": (b"\0\0\x0e\xff" + b"\0\0\0\1" * 255, ("the header says 1 x ", "cut off")),
    "0 x 2**64 elements": (b"\0\0\x08\x03\0\0\0\0" + b"\xff" * 8, ("the header says ",)),
}  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 3), dtype=np.uint8)
LABELS = (np.arange(20) % 2).astype(np.uint8)
FOLDERS: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "images of rank 2": ("train-images-idx3-ubyte", IMAGES[0], ("images (N, H, W) of uint8", "uint8 (4, 3)")),
    "images of int16": ("train-images-idx3-ubyte", IMAGES.astype(np.int16),
        ("images (N, H, W) of uint8", "int16")),
    "labels of int32": ("train-labels-idx1-ubyte", LABELS.astype(np.int32),
        ("labels (N,) of uint8", "int32")),
    "test images of another size": ("t10k-images-idx3-ubyte", IMAGES[:6, :2],
                                    ("expected test images of the training images' size (4, 3)", "(2, 3)")),
    "fewer labels": ("t10k-labels-idx1-ubyte", LABELS[:5], ("6 labels, one per image", "5")),
    "a label of the test set alone": (
        "t10k-labels-idx1-ubyte", LABELS[:6] + np.uint8(1), ("labels from 0 to 1", "2 in row 1"),
    ),
    "no images": ("train-images-idx3-ubyte", IMAGES[:0], ("expected 0 labels", "20")),
}  # fmt: skip


def folder(place: Path) -> Path:
    """Write the four files of a folder of IDX files."""
    for part, n in (("train", 20), ("t10k", 6)):
        write_idx(place / f"{part}-images-idx3-ubyte", IMAGES[:n])
        write_idx(place / f"{part}-labels-idx1-ubyte", LABELS[:n])
    return place


def _of_folder(what: str, change: Callable[[Path], object], *says: str, **options: Any) -> Bad:
    def call(place: Place) -> object:
        change(folder(place.path))
        return idx_splits(place.watch(place.path), **options)

    return Bad("idx_splits", what, call, says, once=True)


WHOLE = gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 4, 0, 0, 0, 3]) + IMAGES.tobytes())
IDX_ROWS = [
    *(_file("read_idx", what, content, "a-idx3-ubyte: ", *says) for what, (content, says) in IDX.items()),
    *(
        _file("read_idx", f"{what}, gzipped", gzip.compress(content), "a.gz: ", *says[:1], name="a.gz")
        for what, (content, says) in IDX.items()
        if "67" not in what
    ),
    _file("read_idx", "gzip that is cut off", WHOLE[: len(WHOLE) // 2], "whole gzip data"),
    _file("read_idx", "gzip with a flipped byte", WHOLE[:100] + bytes([WHOLE[100] ^ 255]) + WHOLE[101:],
        "a-idx3-ubyte: "),
    *(
        _of_folder(what, lambda path, f=file, a=array: write_idx(path / f, a), *says)
        for what, (file, array, says) in FOLDERS.items()
    ),
    _of_folder("a missing file", lambda path: (path / "t10k-labels-idx1-ubyte").unlink(),
        "a file t10k-labels-idx1-ubyte"),
    *(_of_folder(f"validation={short(v)}", lambda path: None, "validation to be", validation=v) for v in (1.0,
        -0.1, *NOT_NUMBERS)),
    *(
        _of_folder(f"seed={short(v)}", lambda path: None, "idx_splits: expected seed to be", seed=v)
        for v in (-1, 2**64, *NOT_INTEGERS)
    ),
]  # fmt: skip

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
NPZ: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "other names": ({"x": X, "z": Y, "w": Y}, ("arrays x and y", "w, x, z")),
    "no arrays": ({}, ("arrays x and y", "nothing")),
    "no targets": ({"x": X}, ("inputs and targets (y)", "no targets")),
    "fewer targets": ({"x": X, "y": Y[:-1]}, ("as many targets as inputs", "(5,)")),
    "inputs of rank 1": ({"x": X[:, 0], "y": Y}, ("at least two axes", "reshape")),
    "no rows": ({"x": X[:0], "y": Y[:0]}, ("N at least 1", "(0,)")),
    "complex inputs": ({"x": X.astype(complex), "y": Y}, ("inputs that are numbers", "dtype complex128")),
    "complex targets": ({"x": X, "y": Y.astype(complex)}, ("numbers or text", "dtype complex128")),
    "inputs of text": ({"x": X.astype(str), "y": Y}, ("inputs that are numbers", "dtype <U")),
    "inputs of dates": ({"x": X.astype("M8[s]"), "y": Y}, ("inputs that are numbers", "datetime64")),
    "a target that is a number": ({"x": X, "y": np.array(3)}, ("(N,) or (N, K)", "()")),
    "NaN among labels": (
        {"x": X, "y": np.array([0, 1, np.nan, 0, 1, 0])}, ("row 2 ", "a number or a class", "nan"),
    ),
    "an empty name": ({"x": X, "y": np.array(["a", "", "b"] * 2)}, ("row 1 ", "a class", "an empty text")),
    "identifiers": ({"x": X, "y": 2**53 + np.arange(6)}, ("expected classes", "6 different texts in 6 rows")),
    "names of rank 3": ({"x": X, "y": np.array([[["a"]]] * 6)}, ("class labels (N,)", "(6, 1, 1)")),
    "Python objects": ({"x": X, "y": np.array([object()] * 6, dtype=object)},
        ("numbers or text", "never loaded")),
}  # fmt: skip


def _savez(arrays: dict[str, Any]) -> bytes:
    raw = io.BytesIO()
    np.savez_compressed(raw, **arrays)
    return raw.getvalue()


def altered(changes: dict[str, Any], header: dict[str, Any] | None = None, text: str = "") -> bytes:
    """Return an archive of x and y with entries of its list changed, and x's header, or its text."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in (("x", X), ("y", Y)):
            raw = io.BytesIO()
            np.save(raw, value)
            data = raw.getvalue()
            if header is not None and name == "x":
                made = io.BytesIO()
                np.lib.format.write_array_header_1_0(made, header)
                data = made.getvalue() + b"12345678"
            if text and name == "x":
                data = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode()
            archive.writestr(f"{name}.npy", data)
        for key, value in changes.items():
            setattr(archive.filelist[0], key, value)
    return file.getvalue()


def _header(shape: tuple[int, ...], descr: str = "<f8") -> dict[str, Any]:
    return {"descr": descr, "fortran_order": False, "shape": shape}


ARCHIVE = _savez({"x": X, "y": Y})
LIES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "an empty file": (b"", ("a file of numpy.savez",)),
    "text": (b"a,b\n1,2\n", ("a file of numpy.savez",)),
    "a file that is cut off": (ARCHIVE[:100], ("a file of numpy.savez",)),
    "one array of numpy.save": (b"\x93NUMPY\x01\x00" + bytes(120), ("a file of numpy.savez",)),
    "a flipped byte": (ARCHIVE[:60] + bytes([ARCHIVE[60] ^ 255]) + ARCHIVE[61:], ("array 'x'",)),
    "a password": (altered({"flag_bits": 1}), ("array 'x'", "a password")),
    "a size beyond the file": (altered({"compress_size": 10**9}), ("array 'x'", "cut off")),
    "a large size": (altered({"file_size": 2**31}), ("array 'x': the header says ", "2,147,4")),
    "a shape of 64 GB": (altered({}, _header((10**9, 8))), ("64,000,000,000 bytes", "8")),
    "a shape of 10**31": (altered({}, _header((10**30, 8))), ("array 'x': the header says",)),
    "10**13 texts without letters": (
        altered({}, _header((10**13,), "<U0")),
        ("array 'x'", "at least one byte"),
    ),
    "99 axes": (altered({}, _header((1,) * 99)), ("array 'x'",)),
    "a negative shape": (altered({}, _header((-1, -1))), ("array 'x'",)),
    "a header of 9,000 signs": (altered({}, text="-" * 9000 + "1\n"), ("array 'x'", "nested too deep")),
    "a header of 9,000 brackets": (altered({}, text="[" * 9000 + "\n"), ("array 'x'", "damaged bytes")),
    "a header of text that is no Python": (altered({}, text="{'descr':\n"), ("array 'x'", "damaged bytes")),
    "zeros of 4 MB in 4 kB": (
        _savez({"x": np.zeros((2**18, 2)), "y": np.zeros(9)}),
        ("array 'x'", "expected at most 2,097,152 bytes, or 100 times"),
    ),
    "pickled objects": (altered({}, _header((1,), "|O")), ("array 'x'", "Python objects")),
}
NPZ_ROWS = [
    *(_file("read_npz", what, _savez(arrays), "a.npz", *says) for what, (arrays, says) in NPZ.items()),
    *(_file("read_npz", what, content, "a.npz: ", *says) for what, (content, says) in LIES.items()),
    _file("read_npz", "one-hot rows as labels", _savez({"x": X, "y": np.eye(6, dtype=int)}), "argmax",
        task="classification"),
]  # fmt: skip

ROWS: tuple[Bad, ...] = (*NAMES, *CSV_ROWS, *BOUNDS, *IDX_ROWS, *NPZ_ROWS)
