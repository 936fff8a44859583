"""IDX files: the format of MNIST and its relatives.

Two zero bytes, a type code, the number of axes, each extent as a big-endian uint32, then the array
itself, big-endian (LeCun, Cortes, Burges, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, OptionError
from .dataset import Dataset
from .splits import Splits

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 20


def write_idx(path: str | Path, array: npt.NDArray[Any]) -> None:
    """Write an array as an IDX file, compressed where the name ends in `.gz`."""
    codes = {np.dtype(name).newbyteorder("="): code for code, name in _DTYPES.items()}
    native = array.dtype.newbyteorder("=")
    if native not in codes or not 1 <= array.ndim <= 255:
        raise DataError(
            f"IDX holds uint8, int8, int16, int32, float32 or float64 with one axis or more, "
            f"got {array.dtype} {array.shape}"
        )
    header = bytes([0, 0, codes[native], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(_DTYPES[codes[native]]).tobytes()
    # mtime=0: equal arrays give equal files.
    Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


def read_idx(path: str | Path) -> npt.NDArray[Any]:
    """Read an IDX file (`.gz` or plain) into an array of the shape and dtype that its header gives."""
    file = Path(path)
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            return _read_array(file, stream)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{file}: the gzip data is damaged or cut off: {error}") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error


def idx_splits(folder: str | Path, *, validation: float = 0.1, seed: int = 0) -> Splits:
    """Load MNIST-style files from a folder: images / 255 as (N, 1, H, W) float32, labels int64.

    Parameters
    ----------
    folder : str or Path
        Holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same of `t10k`, each also with `.`
        in place of the `-` before `idx`, and with `.gz`.
    validation : float
        The share of the training files that becomes the validation set, stratified, by `seed`; 0 for none.
    """
    if not 0 <= validation < 1:
        raise OptionError(f"validation must be from 0 to below 1, got {validation}")
    root = Path(folder)
    train_images, train_labels = _read_pair(root, "train")
    test_images, test_labels = _read_pair(root, "t10k")
    classes = tuple(str(label) for label in range(int(train_labels.max(initial=0)) + 1))
    name = root.resolve().name
    train = Dataset(f"{name} (train)", train_images, train_labels, classes)
    test = Dataset(f"{name} (test)", test_images, test_labels, classes)
    if validation == 0:
        return Splits(train, None, test)
    kept, held_out = train.split((1 - validation, validation), seed=seed)
    return Splits(kept, held_out, test)


def _read_array(path: Path, stream: io.BufferedIOBase) -> npt.NDArray[Any]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise DataError(
            f"{path}: not an IDX file: expected it to begin with 00 00, a type code "
            f"({', '.join(f'{code:02x}' for code in _DTYPES)}) and the number of axes, "
            f"got {magic.hex(' ') or 'an empty file'}"
        )
    extents = stream.read(4 * magic[3])
    if len(extents) < 4 * magic[3]:
        raise DataError(
            f"{path}: the header is cut off: expected {4 + 4 * magic[3]} bytes for {magic[3]} axes, "
            f"found {4 + len(extents)}"
        )
    shape = struct.unpack(f">{magic[3]}I", extents)
    dtype = np.dtype(_DTYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    content, found = _read_content(stream, expected)
    if found != expected:
        raise DataError(
            f"{path}: the header says {' x '.join(map(str, shape))} of {dtype.name}, {expected} bytes after "
            f"the header; found {found}. It is {'cut off' if found < expected else 'too long'}; get it anew."
        )
    array: npt.NDArray[Any] = np.frombuffer(content, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
    return array


def _read_content(stream: io.BufferedIOBase, expected: int) -> tuple[bytearray, int]:
    """Return the first `expected` bytes and how many there are in all.

    In chunks: a damaged header may ask for more memory than there is, and what comes after is only counted.
    """
    content, found = bytearray(), 0
    for chunk in _chunks(stream):
        content += chunk[: max(0, expected - found)]
        found += len(chunk)
    return content, found


def _chunks(stream: io.BufferedIOBase) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def _read_pair(root: Path, part: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    images_file, labels_file = _find(root, f"{part}-images", "idx3"), _find(root, f"{part}-labels", "idx1")
    images, labels = read_idx(images_file), read_idx(labels_file)
    for file, array, axes, what in (
        (images_file, images, 3, "images (N, H, W)"),
        (labels_file, labels, 1, "labels (N,)"),
    ):
        if array.ndim != axes or array.dtype != np.uint8:
            raise DataError(f"{file}: expected {what} of uint8, got {array.dtype} {array.shape}")
    if len(images) != len(labels):
        raise DataError(f"{images_file} has {len(images)} images, but {labels_file} has {len(labels)} labels")
    # Divided in place: at MNIST's size a second float array is 188 MB.
    scaled = images[:, None].astype(np.float32)
    scaled /= 255
    return scaled, labels.astype(np.int64)


def _find(root: Path, stem: str, kind: str) -> Path:
    names = [f"{stem}{mark}{kind}-ubyte{end}" for end in ("", ".gz") for mark in "-."]
    for name in names:
        if (root / name).is_file():
            return root / name
    present = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    listing = (
        f"the folder has {', '.join(present[:8])}" if present else "there is no such folder, or it is empty"
    )
    raise DataError(f"{root}: expected a file {names[0]} (or {', '.join(names[1:])}); {listing}")
