"""Model files: changed in their bytes, header and description, with a right checksum."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from lamina.layers.random import seeded
from lamina.train import CNN, Dense, load_model, save_model
from lamina.train.runs.predictor import Predictor
from lamina.train.runs.recipe import Recipe

from . import Example, Target, randoms
from .json_values import altered
from .mutations import chance, changed, mutated

TOKENS = (
    b"sha256", b'\\"sha256\\": \\"', b'"data_offsets":[0,8]', b'"F64"', b"{", b"}", b"[" * 3000,
    b"\\u0000", b"99",
    b'"__metadata__"', b'"shape":[4,3]',
)  # fmt: skip


@functools.cache
def valid() -> tuple[bytes, ...]:
    """Return the bytes of some model files."""
    made = []
    for network in (
        Dense((3,), (4,), 2),
        Dense((2, 2), (3,), 2, batch_norm=True),
        CNN((1, 4, 4), 2, width=1),
    ):
        description = {
            "format": "1", "classes": ["no", "yes"], "features": None, "target": None, "scaling": None,
            "target_scaling": {"mean": [0.0, 0.0], "scale": [1.0, 1.0]}, "threshold": 0.5, "link": "softmax",
            "recipe": Recipe("a.csv").to_dict(), "model": network.to_dict(),
        }  # fmt: skip
        with seeded(0), tempfile.TemporaryDirectory() as folder:
            save_model(Path(folder, "m"), network.build("numpy"), description)
            made.append(Path(folder, "m").read_bytes())
    return tuple(made)


def sealed(data: bytes) -> bytes:
    """Return a file with the right checksum, if it has a place for one."""
    mark = b'\\"sha256\\": \\"'
    start = data.find(mark) + len(mark)
    if start < len(mark):
        return data
    blank = data[:start] + b"0" * 64 + data[start + 64 :]
    return data[:start] + hashlib.sha256(blank).hexdigest().encode() + data[start + 64 :]


def opened(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return a file's header without Lamina's entry, that entry, and the rest."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header.pop("__metadata__")["lamina"]), data[8 + length :]


def structured(r: Random) -> bytes:
    """Draw a file with another header, description or body, and the checksum of what it is now."""
    header, entry, body = opened(r.choice(valid()))
    which = r.randrange(4)
    entry = altered(r, entry, 2 if which else 4)
    if isinstance(entry, dict):
        entry = {"format": entry.get("format", "1"), "sha256": "0" * 64} | entry
    metadata: Any = {"lamina": json.dumps(entry)}
    if which == 1:
        header = altered(r, header)
    if which == 2:
        body = changed(r, body, valid(), TOKENS)
    if which == 3:
        metadata = altered(r, metadata, 1)
    text = json.dumps({**header, "__metadata__": metadata} if isinstance(header, dict) else header).encode()
    return sealed(len(text).to_bytes(8, "little") + text + body)


def file(r: Random) -> bytes:
    """Draw a file."""
    if chance(r, 2):
        return structured(r)
    data = mutated(r, valid(), TOKENS)
    return sealed(data) if chance(r, 2) else data


def examples(folder: Path) -> st.SearchStrategy[Example]:
    """Load a model, alone or as a predictor."""
    path = folder / "fuzzed.safetensors"

    def example(r: Random, whole: bool) -> Example:
        data = file(r)

        def call() -> object:
            path.write_bytes(data)
            return Predictor.load(path, "numpy") if whole else load_model(path, "numpy")

        return Example(data, call, (path.name,), options=f"predictor {whole}")

    return st.builds(example, randoms, st.booleans())


TARGET = Target("model", examples)
