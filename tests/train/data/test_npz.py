from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends.errors import DataError, OptionError
from lamina.train.data import read_npz

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.npz"


@pytest.mark.parametrize(
    "keys", [("x", "y"), ("X", "Y"), ("X", "y"), ("inputs", "targets"), ("data", "target")]
)
def test_names_of_the_arrays(file: Path, keys: tuple[str, str]) -> None:
    np.savez(file, allow_pickle=False, **dict(zip(keys, (X, Y), strict=True)))
    data = read_npz(file)
    np.testing.assert_array_equal(data.inputs, X)
    assert data.targets.tolist() == Y.tolist()
    assert (data.classes, data.name) == (("0", "1"), "mine.npz")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("float32", "float32"),
        ("float64", "float64"),
        ("float16", "float64"),
        ("uint8", "float64"),
        ("bool", "float64"),
    ],
)
def test_dtype_of_the_inputs(file: Path, given: str, kept: str) -> None:
    np.savez_compressed(file, x=X.astype(given), y=Y)
    data = read_npz(file)
    assert data.inputs.dtype == kept
    np.testing.assert_array_equal(data.inputs, X.astype(given).astype(kept))


@pytest.mark.parametrize(
    ("y", "targets", "classes"),
    [
        (np.array([-1, 1, -1, 1, 1, 1]), [0, 1, 0, 1, 1, 1], ("-1", "1")),
        (Y.reshape(6, 1), Y.tolist(), ("0", "1")),
        (Y.astype(bool), Y.tolist(), ("0", "1")),
        (np.array(list("bababa")), [1, 0, 1, 0, 1, 0], ("a", "b")),
        (2**53 + Y, Y.tolist(), (str(2**53), str(2**53 + 1))),
        (2**64 - 1 - Y.astype(np.uint64), (1 - Y).tolist(), (str(2**64 - 2), str(2**64 - 1))),
        (np.array(["00501", "501"] * 3), [0, 1, 0, 1, 0, 1], ("00501", "501")),
        (X[:, 0] / 4, (X[:, :1] / 4).tolist(), None),
        (X, X.tolist(), None),
        (X.astype(int), X.tolist(), None),
    ],
)
def test_targets(
    file: Path, y: np.ndarray[Any, Any], targets: list[Any], classes: tuple[str, ...] | None
) -> None:
    np.savez(file, x=X, y=y)
    data = read_npz(file)
    assert data.targets.tolist() == targets
    assert data.classes == classes


def test_float32_targets_stay(file: Path) -> None:
    np.savez(file, x=X, y=(X / 3).astype(np.float32))
    assert read_npz(file).targets.dtype == np.float32


def test_task(file: Path) -> None:
    np.savez(file, x=X, y=Y)
    assert read_npz(file, task="regression").targets.shape == (6, 1)
    with pytest.raises(OptionError, match="expected task to be one of"):
        read_npz(file, task="x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "z": Y, "w": Y}, "got w, x, z"),
        ({}, "got nothing"),
        ({"x": X, "y": Y[:-1]}, "expected as many targets as inputs"),
        ({"x": X[:, 0], "y": Y}, "reshape"),
        ({"x": X.astype(complex), "y": Y}, "expected inputs that are numbers, got dtype complex128"),
        ({"x": X, "y": Y.astype(complex)}, "expected numbers or text, got dtype complex128"),
        ({"x": X, "y": np.array(3)}, r"got \(\)"),
        (
            {"x": X, "y": np.array([0, 1, np.nan, 0, 1, 0])},
            r"row 2 .*: expected a number or a class, got nan",
        ),
        ({"x": X, "y": np.array(["a", "", "b"] * 2)}, r"row 1 .*: expected a class, got an empty text"),
        ({"x": X, "y": 2**53 + np.arange(6)}, "expected classes, got 6 different texts in 6 rows"),
        ({"x": X, "y": np.array([[["a"]]] * 6)}, r"expected class labels \(N,\)"),
    ],
)
def test_mistakes_are_named(file: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(file, allow_pickle=False, **arrays)
    with pytest.raises(DataError, match=message):
        read_npz(file)


def test_one_hot_rows_are_no_labels(file: Path) -> None:
    np.savez(file, x=X, y=np.eye(6, dtype=int))
    with pytest.raises(DataError, match="argmax"):
        read_npz(file, task="classification")


def test_pickled_objects_are_never_loaded(file: Path) -> None:
    np.savez(file, x=X, y=np.array([object()] * 6, dtype=object))
    with pytest.raises(
        DataError, match="expected numbers or text, got Python objects, which are never loaded"
    ):
        read_npz(file)


def test_every_cut_and_flipped_byte_is_found(file: Path) -> None:
    np.savez_compressed(file, x=np.random.default_rng(0).random((40, 5)), y=np.arange(40) % 2)
    whole = file.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"or part of one|cannot be read"):
            read_npz(file)
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(DataError):
            read_npz(file)
    file.write_bytes(whole[:600] + bytes([whole[600] ^ 0xFF]) + whole[601:])
    with pytest.raises(DataError, match="cannot be read"):
        read_npz(file)


def altered(file: Path, changes: dict[str, Any], header: dict[str, Any] | None = None) -> None:
    """Write x and y with entries of the archive changed, and x's header."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in (("x", X), ("y", Y)):
            raw = io.BytesIO()
            np.save(raw, value)
            data = raw.getvalue()
            if header is not None and name == "x":
                made = io.BytesIO()
                np.lib.format.write_array_header_1_0(made, header)
                data = made.getvalue() + b"12345678"
            archive.writestr(f"{name}.npy", data)
        for key, value in changes.items():
            setattr(archive.filelist[0], key, value)


@pytest.mark.parametrize(
    ("changes", "header", "message"),
    [
        ({"flag_bits": 1}, None, "array 'x' is encrypted; save it without a password"),
        ({"compress_size": 10**9}, None, "array 'x' is cut off"),
        ({"file_size": 2**31}, None, "array 'x': the header says .* got 2,147,4"),
        ({}, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 8)}, "64,000,000,000 bytes, got 8"),
        ({}, {"descr": "<f8", "fortran_order": False, "shape": (10**30, 8)}, "array 'x': the header says"),
        ({}, {"descr": "<f8", "fortran_order": False, "shape": (1,) * 99}, "array 'x' cannot be read"),
        ({}, {"descr": "<f8", "fortran_order": False, "shape": (-1, -1)}, "array 'x' cannot be read"),
        ({}, {"descr": "|O", "fortran_order": False, "shape": (1,)}, "got Python objects"),
    ],
)  # fmt: skip
def test_an_archive_that_lies(
    file: Path, changes: dict[str, Any], header: dict[str, Any] | None, message: str
) -> None:
    altered(file, changes, header)
    with pytest.raises(DataError, match=message):
        read_npz(file)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_npz(tmp_path / "absent.npz")
    with pytest.raises(DataError, match="cannot be read"):
        read_npz(tmp_path)
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(DataError, match=r"expected a file of numpy.savez"):
        read_npz(tmp_path / "one.npy")
