"""A checkpoint of Lamina beside torch.save of the same network and optimizer: times, and flipped bits found.

`python bench/checkpoints.py` prints the table of docs/reliability.md. Adam has trained both networks:
both files hold weights and two moments. Both files are flushed to the disk, as checkpoints are.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lamina.backends import get_backend
from lamina.layers import Linear, Module, ReLU, Sequential
from lamina.layers.losses import CrossEntropyLoss
from lamina.train import Adam, Trainer

SIZES = ((64, 256, 128, 10), (784, 1700, 1700, 10))
ROUNDS = 9
FLIPS = 1000


class Row(NamedTuple):
    """What a way to save a training takes."""

    name: str
    size: int
    """Bytes of the file."""
    save: float
    """Seconds."""
    load: float
    found: int
    """Flipped bits for which loading raised an error."""
    flips: int
    """Flipped bits that would change what is loaded."""


class Way(NamedTuple):
    """A way to save and to load; `state` returns all that was loaded, as arrays."""

    name: str
    save: Callable[[Path], None]
    load: Callable[[Path], None]
    state: Callable[[], list[Any]]


def lamina_way(sizes: tuple[int, ...], x: Any, y: Any) -> Way:
    b = get_backend("numpy")
    pairs = pairwise(sizes)
    layers: list[Module] = [layer for pair in pairs for layer in (Linear(*pair, backend=b), ReLU(b))]
    model = Sequential(*layers[:-1])
    optimizer = Adam(model.parameters())
    trainer = Trainer(model, CrossEntropyLoss(backend=b), optimizer)
    trainer.fit((x, y), epochs=1, batch_size=len(x))

    def state() -> list[Any]:
        return [*model.state_dict().values(), *optimizer.groups[0].host_cells().values()]

    return Way("Trainer.save", trainer.save, lambda path: void(trainer.resume(path)), state)


def torch_way(sizes: tuple[int, ...], x: Any, y: Any) -> Way:
    pairs = pairwise(sizes)
    layers = [layer for pair in pairs for layer in (torch.nn.Linear(*pair), torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters())
    loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    optimizer.step()

    def save(path: Path) -> None:
        with path.open("wb") as file:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
            file.flush()
            os.fsync(file.fileno())

    def load(path: Path) -> None:
        found = torch.load(path)
        model.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])

    def state() -> list[Any]:
        moments = [v for row in optimizer.state_dict()["state"].values() for v in row.values()]
        return [v.detach().numpy().copy() for v in (*model.state_dict().values(), *moments)]

    return Way("torch.save", save, load, state)


def void(value: object) -> None:
    """Return nothing."""


def median(call: Callable[[], None], rounds: int) -> float:
    """Return the median of the seconds of a call."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def found(way: Way, path: Path, flips: int) -> tuple[int, int]:
    """Flip bits, one at a time; return how many loads raised an error, and how many did not load the same."""
    whole, chance = path.read_bytes(), random.Random(0)
    way.load(path)
    right, raised, harmless = [value.tobytes() for value in way.state()], 0, 0
    for _ in range(flips):
        bit = chance.randrange(8 * len(whole))
        with path.open("r+b") as file:
            file.seek(bit // 8)
            file.write(bytes([whole[bit // 8] ^ 1 << bit % 8]))
        try:
            way.load(path)
            harmless += [value.tobytes() for value in way.state()] == right
        except Exception:
            raised += 1
        with path.open("r+b") as file:
            file.seek(bit // 8)
            file.write(whole[bit // 8 : bit // 8 + 1])
        way.load(path)
    return raised, flips - harmless


def rows(sizes: tuple[int, ...], folder: Path, rounds: int = ROUNDS, flips: int = FLIPS) -> list[Row]:
    """Return a row for each way to save a network of these sizes."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, sizes[0])).astype(np.float32), rng.integers(0, sizes[-1], 32)
    made = []
    for make in (lamina_way, torch_way):
        way, path = make(sizes, x, y), folder / "file"
        save = median(lambda way=way, path=path: way.save(path), rounds)  # type: ignore[misc]
        load = median(lambda way=way, path=path: way.load(path), rounds)  # type: ignore[misc]
        made.append(Row(way.name, path.stat().st_size, save, load, *found(way, path, flips)))
        path.unlink()
    return made


def main() -> None:
    torch.set_num_threads(1)
    print("| network | file | MB | save | load | flipped bits found |\n|---|---|---|---|---|---|")
    for sizes in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            for row in rows(sizes, Path(folder), flips=FLIPS if max(sizes) < 1000 else FLIPS // 10):
                times = f"{1e3 * row.save:.1f} ms | {1e3 * row.load:.1f} ms"
                text = f"{'-'.join(map(str, sizes))} | {row.name} | {row.size / 1e6:.2f} | {times}"
                print(f"| {text} | {row.found} of {row.flips} |")


if __name__ == "__main__":
    main()
