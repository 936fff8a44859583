"""A checkpoint that is damaged, cut or crafted is refused, fast, in little memory, and changes nothing."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from pathlib import Path

import pytest
from crafted import CRAFTED, Parts
from resumed import Saver, bits, fit, trainer_for
from rows import each

from lamina.backends import DataError
from lamina.train import Trainer

FLIPS, CUTS = 10_000, 10**9
"""How many bits are flipped, and how many cuts are made, under `tox -e faults`."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "c.safetensors"
    fit(trainer_for("numpy", Saver(path, 33)))
    return path.read_bytes()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "run.safetensors"


def refused(trainer: Trainer, path: Path) -> str:
    began = time.process_time()
    with pytest.raises(DataError) as caught:
        trainer.resume(path)
    assert time.process_time() - began < (10 if tracemalloc.is_tracing() else 1)
    assert type(caught.value) is DataError
    message = str(caught.value)
    assert f"'{path}'" in message
    return message


def flips(whole: bytes, path: Path, count: int) -> None:
    trainer, chance = trainer_for("numpy"), random.Random(0)
    before = bits(trainer)
    path.write_bytes(whole)
    with path.open("r+b", buffering=0) as file:  # to write the file anew each time takes seconds
        for bit in chance.sample(range(8 * len(whole)), min(count, 8 * len(whole))):
            place, byte = bit // 8, whole[bit // 8]
            file.seek(place)
            file.write(bytes([byte ^ 1 << bit % 8]))
            refused(trainer, path)
            file.seek(place)
            file.write(bytes([byte]))
    assert bits(trainer) == before
    trainer.resume(path)


def cuts(whole: bytes, path: Path, count: int) -> None:
    trainer, chance = trainer_for("numpy"), random.Random(0)
    before = bits(trainer)
    path.write_bytes(whole)
    for size in sorted(chance.sample(range(len(whole)), min(count, len(whole))), reverse=True):
        os.truncate(path, size)
        refused(trainer, path)
    path.write_bytes(whole + b"\0")
    refused(trainer, path)
    assert bits(trainer) == before


def test_flipped_bits_are_found(whole: bytes, target: Path) -> None:
    flips(whole, target, 300)


def test_cuts_are_found(whole: bytes, target: Path) -> None:
    cuts(whole, target, 300)


@pytest.mark.faults
def test_ten_thousand_flipped_bits_are_found(whole: bytes, target: Path) -> None:
    flips(whole, target, FLIPS)


@pytest.mark.faults
def test_every_cut_is_found(whole: bytes, target: Path) -> None:
    cuts(whole, target, CUTS)


@each(list(CRAFTED), str, "name")
def test_what_is_crafted_is_refused(name: str, whole: bytes, tmp_path: Path) -> None:
    parts = Parts(whole)
    CRAFTED[name](parts)
    path = tmp_path / "crafted.safetensors"
    path.write_bytes(data := parts.data())
    trainer = trainer_for("numpy")
    before = bits(trainer)
    message = refused(trainer, path)
    assert bits(trainer) == before
    assert message.count("\n") == 0
    assert len(message) < 600
    assert "expected " in message, message
    if len(data) < 10**6:
        return  # to trace memory takes ten times as long
    tracemalloc.start()
    refused(trainer, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(data) + 50e6


def test_what_is_not_crafted_is_resumed(whole: bytes, target: Path) -> None:
    target.write_bytes(Parts(whole).data())
    trainer = trainer_for("numpy", seed=3)
    trainer.resume(target)
    assert trainer.epoch == 1
    assert len(CRAFTED) >= 40
