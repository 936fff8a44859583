"""Models in files: safetensors, with a description to build them from and a checksum over every byte.

safetensors has no checksum of its own, and a weight with a flipped bit is a valid weight.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from ...backends import Backend, DataError, LaminaError
from ...backends.options import shown
from ...backends.shape_backend import ShapeBackend
from ...layers import Module, Sequential
from ...layers.random import seeded
from ..files import as_path, atomic_write
from ..models import Description, model_from_dict

FORMAT = "1"
_BLANK = "0" * 64
_KEY = "lamina"
# In the file it is JSON text inside a JSON string, hence the backslashes.
_MARK = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')


def save_model(path: str | Path, model: Module, description: dict[str, Any]) -> None:
    """Write a model's weights and a JSON description, whole or not at all; "model" says how to build it.

    Equal weights and descriptions make equal files.

    Raises
    ------
    OutputError
        If the file cannot be written.

    """
    # One entry of metadata: safetensors writes several in an order that changes from run to run.
    head = json.dumps({"format": FORMAT, "sha256": _BLANK, "description": description})
    state = {name: _contiguous(value) for name, value in model.state_dict().items()}
    data = safetensors.numpy.save(state, {_KEY: head})
    mark = _MARK.search(data)
    assert mark is not None
    atomic_write(path, data[: mark.start(1)] + _digest(data).encode() + data[mark.end(1) :])


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (weights by name, description); DataError if the file is absent, damaged or not Lamina's."""
    try:
        data = as_path("load_model", path).read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read model '{path}': {error.strerror or error}.") from error
    mark = _MARK.search(data)
    if mark is None:
        raise DataError(
            f"'{path}': expected a model file of Lamina, got one without its checksum; "
            "it is damaged, or another program wrote it."
        )
    if _digest(data[: mark.start(1)] + _BLANK.encode() + data[mark.end(1) :]) != mark.group(1).decode():
        raise DataError(
            f"'{path}' is damaged: expected bytes that match its checksum, got others; use another copy."
        )
    try:
        length = int.from_bytes(data[:8], "little")
        head = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        if head["format"] == FORMAT:
            return safetensors.numpy.load(data), head["description"]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"'{path}' cannot be read: expected a model of Lamina, got another file, or a damaged one."
        ) from error
    raise DataError(
        f"'{path}': expected format {FORMAT!r}, got {shown(head['format'])}; use the Lamina that wrote it."
    )


def load_model(path: str | Path, backend: str | Backend | None = None) -> tuple[Sequential, dict[str, Any]]:
    """Return a file's model, in evaluation mode, and its description."""
    weights, description = read_model(path)
    try:
        config = description["model"]
    except (KeyError, TypeError) as error:
        raise DataError(f"'{path}': expected a description of the model, got none.") from error
    try:
        network = model_from_dict(config)
        _check_weights(network, weights)
        model = network.build(backend)
        model.load_state_dict(weights)
    except LaminaError as error:
        raise DataError(f"'{path}' holds a model that cannot be built here: {error}") from error
    return model.eval(), description


def _check_weights(network: Description, weights: Mapping[str, Any]) -> None:
    """Raise DataError unless the file's weights are those of the described network, before it is built."""
    hidden = len(getattr(network, "hidden", ()))
    if hidden >= max(len(weights), 1):
        raise DataError(f"expected weights of {hidden + 1} layers, got {len(weights)} arrays")
    shapes: Any = ShapeBackend
    with seeded(0):  # the caller's seed must not advance
        model = network.build(shapes())
    cells = (*model.named_parameters(), *model.named_buffers())
    wanted = {name: tuple(cell.shape) for name, cell in cells if cell.persistent}
    got = {name: value.shape for name, value in weights.items()}
    if wanted != got:
        name = next(name for name in (*wanted, *got) if wanted.get(name) != got.get(name))
        raise DataError(f"expected {name!r} to be {wanted.get(name, 'absent')}, got {got.get(name, 'none')}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _contiguous(value: Any) -> Any:
    return value if value.flags.c_contiguous else value.copy(order="C")
