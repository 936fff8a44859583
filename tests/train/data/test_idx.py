from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from idx_files import write_idx

from lamina.backends.errors import DataError
from lamina.train.data import idx_splits, read_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 3), dtype=np.uint8)
LABELS = (np.arange(20) % 2).astype(np.uint8)


def write_folder(folder: Path, mark: str = "-", end: str = "") -> Path:
    for part, images, labels in (("train", IMAGES, LABELS), ("t10k", IMAGES[:6], LABELS[:6])):
        write_idx(folder / f"{part}-images{mark}idx3-ubyte{end}", images)
        write_idx(folder / f"{part}-labels{mark}idx1-ubyte{end}", labels)
    return folder


@pytest.mark.parametrize("end", ["", ".gz"])
def test_the_first_bytes_tell_what_is_gzipped(tmp_path: Path, end: str) -> None:
    plain, zipped = tmp_path / f"plain{end}", tmp_path / f"zipped{end}"
    write_idx(tmp_path / "a", IMAGES)
    plain.write_bytes((tmp_path / "a").read_bytes())
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    for file in plain, zipped:
        np.testing.assert_array_equal(read_idx(file), IMAGES)


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8", ">i4"])
def test_arrays_are_read(tmp_path: Path, dtype: str, end: str) -> None:
    array = (np.arange(24).reshape(2, 3, 4) - 5).astype(dtype)
    write_idx(tmp_path / f"a{end}", array)
    again = read_idx(tmp_path / f"a{end}")
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype.newbyteorder("=")


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", np.array([[1, 2, 258]], np.int16))
    expected = "0000 0b02 00000001 00000003 0001 0002 0102"
    assert (tmp_path / "a").read_bytes() == bytes.fromhex(expected)


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_folder(tmp_path: Path, mark: str, end: str) -> None:
    splits = idx_splits(write_folder(tmp_path, mark, end), validation=0)
    assert splits.validation is None
    assert splits.train.inputs.dtype == np.float32
    np.testing.assert_array_equal(splits.train.inputs, IMAGES[:, None].astype(np.float32) / np.float32(255))
    assert splits.train.targets.tolist() == LABELS.tolist()
    assert splits.train.classes == ("0", "1")
    assert len(splits.test) == 6


def test_validation_comes_out_of_train(tmp_path: Path) -> None:
    splits = idx_splits(write_folder(tmp_path), validation=0.2, seed=3)
    assert {part: len(data) for part, data in splits.parts().items()} == {
        "train": 16,
        "validation": 4,
        "test": 6,
    }


def test_a_missing_file_lists_the_folder(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match=r"t10k-images\.idx3-ubyte.*got t10k-labels-idx1-ubyte, train-i"):
        idx_splits(tmp_path)
    with pytest.raises(DataError, match="no such folder, or an empty one"):
        idx_splits(tmp_path / "absent")
