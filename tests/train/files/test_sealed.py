"""Sealed files: safetensors reads them, and everything that is no such file is refused."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from lamina.backends import DataError, OptionError
from lamina.train.files import OutputError, Seal, read_sealed, write_sealed
from lamina.train.files.sealed import MOST_HEADER, sealed
from lamina.train.files.tree import put_together, take_apart

SEAL = Seal("model", "1")
ARRAYS: dict[str, Any] = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array(5, np.int64),
    "ü": np.array([True, False]),
    "empty": np.zeros((0, 4)),
    "c": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "bytes": np.arange(5, dtype=np.uint8),
    "half": np.ones(3, np.float16),
    "i.weight": np.zeros(2, np.int32),
}


def test_the_file_is_what_safetensors_writes(tmp_path: Path) -> None:
    description = {"note": 'ü "quoted" \\ \n', "n": [1, 2.5, None]}
    write_sealed(tmp_path / "x", SEAL, ARRAYS, description)
    data = (tmp_path / "x").read_bytes()
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["lamina"]
    plain = {name: np.array(array, order="C") for name, array in ARRAYS.items()}
    assert data == safetensors.numpy.save(plain, {"lamina": head})
    arrays, found = read_sealed("", tmp_path / "x", SEAL)
    assert found == description
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)


def test_pieces_share_the_memory_of_the_arrays() -> None:
    large = np.zeros(1000)
    assert any(
        np.shares_memory(np.frombuffer(piece, np.uint8), large) for piece in sealed(SEAL, {"x": large}, {})
    )


def test_what_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"model: expected 'x' to hold numbers, got complex128"):
        write_sealed(tmp_path / "x", SEAL, {"x": np.zeros(2, complex)}, {})
    with pytest.raises(OptionError, match="keep long lists of numbers as arrays"):
        write_sealed(tmp_path / "x", SEAL, {}, "x" * MOST_HEADER)
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="expected a model file, got a device or a pipe"):
        read_sealed("", tmp_path / "pipe", SEAL)


def test_a_large_foreign_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room on the disk, and no memory holds it
    with pytest.raises(DataError, match="expected a model file of Lamina"):
        read_sealed("", path, SEAL)


VALUES: list[Any] = [
    {"a": [1, 2.5, None, True, "x"], "b": (1, (2.0, ())), "c": {}},
    [float("nan"), float("inf"), -float("inf"), -0.0, 2**64 - 1, -5],
    {"deep": [{"x": np.arange(3)}, (np.zeros((2, 0)), np.float32(1.5))]},
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values_are_taken_apart_and_put_together(value: Any) -> None:
    arrays: dict[str, Any] = {}
    plain = json.loads(json.dumps(take_apart(value, "v", arrays), allow_nan=False))
    assert repr(put_together(plain, arrays)) == repr(value).replace("np.float32(1.5)", "1.5")
    assert not arrays


def test_arrays_are_copied() -> None:
    array, arrays = np.zeros(3), dict[str, Any]()
    take_apart([array], "v", arrays)
    array[:] = 1
    assert arrays["v.0"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("value", [{1, 2}, {1: 2}, {"$array": 3}, b"x", np.array("x"), threading.Lock(), 1j])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(OptionError, match=r"v\.0: expected "):
        take_apart([value], "v", {})


@pytest.mark.parametrize(
    "plain",
    [
        {"$array": "x"},
        {"$array": 3},
        {"$tuple": 3},
        {"$float": "x"},
        {"$new": 1},
        {"$tuple": [], "a": 1},
        float("nan"),
    ],
    ids=repr,
)
def test_other_json_is_refused(plain: Any) -> None:
    with pytest.raises(DataError, match="expected "):
        put_together([plain], {})


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_sealed(tmp_path / "x", SEAL, ARRAYS, {})
    assert not os.listdir(tmp_path)
