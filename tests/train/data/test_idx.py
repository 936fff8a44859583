from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import write_idx

from lamina.backends.errors import DataError, OptionError
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
    with pytest.raises(OptionError, match="expected validation to be"):
        idx_splits(tmp_path, validation=1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file.*an empty file"),
        (b"PK\x03\x04 and more", "not an IDX file.*got 50 4b 03 04"),
        (b"\0\0\x07\x01\0\0\0\x01a", "not an IDX file.*got 00 00 07 01"),
        (b"\0\0\x08\x00", "not an IDX file"),
        (b"\0\0\x08\x03\0\0\0\x01", "header is cut off: expected 16 bytes for 3 axes, got 8"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "says 5 of uint8, 5 bytes after the header, got 3.*cut off"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "2 bytes after the header, got 3.*too long"),
        (b"\0\0\x0e\x02\xff\xff\xff\xff\xff\xff\xff\xffab", "got 2.*cut off|bytes: expected at most"),
        (b"\0\0\x08\xff" + b"\0\0\0\x01" * 255 + b"a", "the header says 255 axes"),
        (b"\0\0\x08\x03\0\0\0\0" + b"\xff" * 8, "the header says 3 axes|says 0 x 4294967295"),
    ],
)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes, message: str, end: str) -> None:
    file = tmp_path / f"broken{end}"
    file.write_bytes(gzip.compress(content) if end else content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(file)
    assert str(file) in str(caught.value)


def test_damaged_gzip(tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    write_idx(file, IMAGES)
    whole = file.read_bytes()
    for content in (
        whole[: len(whole) // 2],
        whole[:100] + bytes([whole[100] ^ 0xFF]) + whole[101:],
    ):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.gz: the gzip data is damaged|a\.gz: the header says"):
            read_idx(file)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_idx(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-images-idx3-ubyte", IMAGES[0], r"expected images \(N, H, W\) of uint8, got uint8 \(4, 3\)"),
        ("train-images-idx3-ubyte", IMAGES.astype(np.int16), r"expected images.*got int16"),
        ("t10k-labels-idx1-ubyte", LABELS[:5], r"expected 6 labels, one per image, got 5"),
        ("t10k-labels-idx1-ubyte", LABELS[:6] + np.uint8(1), r"expected labels from 0 to 1.*got 2 in row 1"),
        ("train-labels-idx1-ubyte", LABELS.astype(np.int32), r"expected labels \(N,\) of uint8, got int32"),
    ],
)
def test_folder_that_does_not_fit(
    tmp_path: Path, name: str, array: np.ndarray[Any, Any], message: str
) -> None:
    write_idx(write_folder(tmp_path) / name, array)
    with pytest.raises(DataError, match=message):
        idx_splits(tmp_path)


def test_a_missing_file_lists_the_folder(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match=r"t10k-images\.idx3-ubyte.*got t10k-labels-idx1-ubyte, train-i"):
        idx_splits(tmp_path)
    with pytest.raises(DataError, match="no such folder, or an empty one"):
        idx_splits(tmp_path / "absent")
