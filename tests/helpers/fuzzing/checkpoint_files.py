"""Checkpoints: changed in their bytes, header, description and arrays, with a right checksum."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from crafted import Parts
from hypothesis import strategies as st

from lamina.layers import BatchNorm1d, CrossEntropyLoss, Dropout, Linear, ReLU, Sequential
from lamina.layers.random import seeded
from lamina.train import Adam, Callback, CheckpointWarning, CosineAnnealingLR, EarlyStopping, Trainer

from . import Example, Target, randoms
from .json_values import altered
from .model_files import TOKENS, sealed
from .mutations import chance, changed, mutated

X, Y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 2


class Save(Callback):
    """Save in the middle of the first epoch."""

    pause_steps = 1

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_pause(self, trainer: Any) -> None:
        """Save once."""
        if not self.path.exists():
            trainer.save(self.path, {"option": [1, "a"]})


def trainer(*callbacks: Callback) -> Trainer:
    """Return a trainer of a small network."""
    with seeded(0):
        layers = [Linear(3, 4, backend="numpy"), BatchNorm1d(4, backend="numpy"), ReLU("numpy")]
        model = Sequential(*layers, Dropout(0.5, backend="numpy"), Linear(4, 2, backend="numpy"))
    loss, optimizer = CrossEntropyLoss(backend="numpy"), Adam(model.parameters())
    stop = EarlyStopping("train_loss", patience=9)
    return Trainer(
        model, loss, optimizer, schedule=CosineAnnealingLR(2), callbacks=[stop, *callbacks], seed=0
    )


@functools.cache
def valid(folder: Path) -> tuple[bytes, ...]:
    """Return the bytes of checkpoints from within a fit, and from after one."""
    within, after = folder / "within", folder / "after"
    one = trainer(Save(within))
    one.fit((X, Y), epochs=2, batch_size=4)
    two = trainer()
    two.fit((X, Y), epochs=1, batch_size=4)
    two.save(after)
    return within.read_bytes(), after.read_bytes()


def structured(r: Random, data: bytes) -> bytes:
    """Draw a file with other entries, description or bytes, and the checksum of what it is now."""
    parts = Parts(data)
    match r.randrange(5):
        case 0:
            parts.entries |= altered(r, {k: v for k, v in parts.entries.items() if k != "__metadata__"}) or {}
        case 1:
            parts.body = changed(r, parts.body, [parts.body], TOKENS)
        case 2:
            name = r.choice([name for name in parts.entries if name != "__metadata__"])
            value = parts.array(name)
            kinds = ("f4", "f8", "i8", "?")
            with np.errstate(all="ignore"):
                new = np.array(r.choice((np.nan, np.inf, -1, 0, 2**62)), "f8").astype(r.choice(kinds))
            parts.replace(name, np.full(r.choice((value.shape, (3,), (), (0,))), new))
        case _:
            parts.head["description"] = altered(r, parts.written, 4)
    if chance(r, 9):
        parts.head = altered(r, parts.head, 2)
    return parts.data()


def file(r: Random, files: tuple[bytes, ...]) -> bytes:
    """Draw a file."""
    if not chance(r, 3):
        return structured(r, r.choice(files))
    data = mutated(r, files, TOKENS)
    return sealed(data) if chance(r, 2) else data


def examples(folder: Path) -> st.SearchStrategy[Example]:
    """Resume from a file, and from a folder of files."""
    path = folder / "checkpoint-1-epoch-1-step-0.safetensors"
    files, resumed = valid(folder), trainer()

    def example(r: Random) -> Example:
        data = file(r, files)

        def call() -> object:
            path.write_bytes(data)
            with warnings.catch_warnings():  # the file may say that another Lamina wrote it
                warnings.simplefilter("ignore", CheckpointWarning)
                return resumed.resume(path)

        return Example(data, call, (path.name,))

    return st.builds(example, randoms)


TARGET = Target("checkpoint", examples)
