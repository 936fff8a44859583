"""Model files: every bit is restored, and any damage is found."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from lamina.backends import Backend, DataError, get_backend
from lamina.layers import manual_seed
from lamina.train import Dense, load_model, save_model
from lamina.train.files.atomic import OutputError
from lamina.train.runs.model_file import read_model

TINY = Dense((2,), (), 1)


def saved(path: Path, network: Dense = TINY, backend: Backend | None = None) -> Path:
    manual_seed(0)
    b = backend or get_backend("numpy")
    save_model(path, network.build(b), {"model": network.to_dict(), "note": "Grüße \u2603"})
    return path


def test_a_model_is_restored(backend: Backend, tmp_path: Path) -> None:
    network = Dense((2, 3), (5, 4), 3, ("tanh", "relu"), "softmax", "xavier_normal")
    path = saved(tmp_path / "m.safetensors", network, backend)
    manual_seed(0)
    first = network.build(backend)
    model, description = load_model(path, backend)
    assert description["note"] == "Grüße \u2603"
    assert not model.training
    x = backend.from_host(np.random.default_rng(0).normal(size=(7, 2, 3)))
    np.testing.assert_array_equal(backend.to_host(model(x)), backend.to_host(first(x)))
    assert set(safetensors.numpy.load_file(path)) == set(first.state_dict())


def test_equal_models_make_equal_files(tmp_path: Path) -> None:
    files = [saved(tmp_path / name, Dense((3,), (4,), 2)).read_bytes() for name in ("a", "b")]
    assert hashlib.sha256(files[0]).digest() == hashlib.sha256(files[1]).digest()


def test_a_description_may_contain_a_checksum(tmp_path: Path) -> None:
    nasty = '"sha256": "' + "0" * 64 + '"'
    description = {nasty: [nasty, "0" * 64, '\\"sha256\\": \\"' + "1" * 64 + '\\"'], "model": TINY.to_dict()}
    save_model(tmp_path / "m", TINY.build("numpy"), description)
    assert read_model(tmp_path / "m")[1].keys() == description.keys()


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.safetensors")
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:  # to write the file anew each time takes seconds
        for place, byte in enumerate(whole):
            for flipped in (*(byte ^ 1 << bit for bit in range(8)), byte):
                file.seek(place)
                file.write(bytes([flipped]))
                if flipped == byte:
                    continue
                with pytest.raises(DataError, match="damaged"):
                    read_model(path)
    read_model(path)


def test_every_cut_and_every_addition_is_found(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.safetensors")
    whole = path.read_bytes()
    for data in (whole + b"\0", b"\0" + whole):
        path.write_bytes(data)
        with pytest.raises(DataError, match="damaged"):
            read_model(path)
    path.write_bytes(whole)
    for length in reversed(range(len(whole))):
        os.truncate(path, length)
        with pytest.raises(DataError, match="damaged"):
            read_model(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "m.safetensors")
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        saved(path, Dense((2,), (9,), 1))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.safetensors"]
