"""IDX files: the format of MNIST and its relatives.

Two zero bytes, a type code, the number of axes, each extent as a big-endian uint32, then the array
itself, big-endian (LeCun, Cortes, Burges, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...backends.archive import check_expansion
from ...backends.errors import DataError
from ...backends.host import Host
from ...backends.options import integer, listed, number, shown
from ..files import as_path
from .dataset import Dataset
from .opened import opened
from .splits import Splits

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 20


def read_idx(path: str | Path) -> Host:
    """Read an IDX file, plain or gzipped, into an array of the shape and dtype in its header."""
    file = as_path("read_idx", path)
    with opened(file) as stream:
        return _read_array(file, stream)


def idx_splits(folder: str | Path, *, validation: float = 0.1, seed: int = 0) -> Splits:
    """Load MNIST-style files from a folder: images / 255 as (N, 1, H, W) float32, labels int64.

    Parameters
    ----------
    folder : str or Path
        Holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and both for `t10k`. The names may have
        `.idx` in place of `-idx`, and end in `.gz`. The first bytes tell whether a file is gzipped.
    validation : float
        Share of the training files for a stratified validation set; 0 for none.
    """
    number("idx_splits", "validation", validation, least=0, below=1)
    seed = integer("idx_splits", "seed", seed, least=0, most=2**64 - 1)
    root = as_path("idx_splits", folder)
    train_images, train_labels = _read_pair(root, "train")
    test_images, test_labels = _read_pair(root, "t10k")
    trained, tested = train_images.shape[2:], test_images.shape[2:]
    if trained != tested:
        raise DataError(f"{root}: expected test images of the training images' size {trained}, got {tested}")
    classes = tuple(str(label) for label in range(int(train_labels.max(initial=0)) + 1))
    name = root.resolve().name
    train = Dataset(f"{name} (train)", train_images, train_labels, classes)
    test = Dataset(f"{name} (test)", test_images, test_labels, classes)
    if validation == 0:
        return Splits(train, None, test)
    kept, held_out = train.split((1 - validation, validation), seed=seed)
    return Splits(kept, held_out, test)


def _read_array(path: Path, stream: io.BufferedIOBase) -> Host:
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
            f"got {4 + len(extents)}"
        )
    shape = struct.unpack(f">{magic[3]}I", extents)
    dtype = np.dtype(_DTYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    said = f"{path}: the header says {listed([' x '.join(map(str, shape))])} of {dtype.name}"
    check_expansion(said, expected, path.stat().st_size)
    content, count = _read_content(stream, expected)
    if count != expected:
        raise DataError(
            f"{said}: expected {expected} bytes "
            f"after the header, got {count}: it is {'cut off' if count < expected else 'too long'}; "
            "use another"
        )
    flat: Host = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))
    try:
        return flat.reshape(shape)
    except ValueError as error:
        raise DataError(
            f"{path}: the header says {magic[3]} axes: expected fewer, got {shown(shape)}; use another file"
        ) from error


def _read_content(stream: io.BufferedIOBase, expected: int) -> tuple[bytearray, int]:
    """Return the first `expected` bytes, and the number of all bytes.

    It reads in chunks: a damaged header may declare more bytes than fit in memory.
    """
    content, count = bytearray(), 0
    for chunk in _chunks(stream):
        content += chunk[: max(0, expected - count)]
        count += len(chunk)
    return content, count


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
        raise DataError(f"{labels_file}: expected {len(images)} labels, one per image, got {len(labels)}")
    # In place: a second float array of MNIST takes 188 MB.
    scaled = images[:, None].astype(np.float32)
    scaled /= 255
    return scaled, labels.astype(np.int64)


def _find(root: Path, stem: str, kind: str) -> Path:
    try:
        return _found(root, stem, kind)
    except OSError as error:
        raise DataError(f"{root}: cannot be read: {error.strerror or error}") from error


def _found(root: Path, stem: str, kind: str) -> Path:
    names = [f"{stem}{mark}{kind}-ubyte{end}" for end in ("", ".gz") for mark in "-."]
    for name in names:
        if (root / name).is_file():
            return root / name
    present = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    listing = f"got {', '.join(present[:8])}" if present else "got no such folder, or an empty one"
    raise DataError(f"{root}: expected a file {names[0]} (or {', '.join(names[1:])}); {listing}")
