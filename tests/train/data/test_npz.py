from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends.errors import DataError
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


def test_a_header_of_python_2(file: Path) -> None:
    raw = io.BytesIO()
    np.save(raw, np.zeros((6, 2)))
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", raw.getvalue().replace(b"(6, 2), ", b"(6L, 2L)"))
        raw = io.BytesIO()
        np.save(raw, Y)
        archive.writestr("y.npy", raw.getvalue())
    assert read_npz(file).inputs.shape == (6, 2)


def test_task(file: Path) -> None:
    np.savez(file, x=X, y=Y)
    assert read_npz(file, task="regression").targets.shape == (6, 1)


def test_every_cut_and_flipped_byte_is_found(file: Path) -> None:
    np.savez_compressed(file, x=np.random.default_rng(0).random((40, 5)), y=np.arange(40) % 2)
    whole = file.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"or part of one|damaged bytes"):
            read_npz(file)
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(DataError):
            read_npz(file)
    file.write_bytes(whole[:600] + bytes([whole[600] ^ 0xFF]) + whole[601:])
    with pytest.raises(DataError, match="damaged bytes"):
        read_npz(file)
