"""Models in files: sealed safetensors, with a description to build them from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...backends import Backend, DataError, LaminaError
from ...backends.shape_backend import ShapeBackend
from ...layers import Module, Sequential
from ...layers.random import seeded
from ..files import Content, Seal, read_sealed, write_sealed
from ..loop.checkpoint_folder import checkpoints_in, is_checkpoint
from ..loop.state import SEAL as CHECKPOINT
from ..models import Description, model_from_dict

FORMAT = "1"
SEAL = Seal("model", FORMAT)


def save_model(path: str | Path, model: Module, description: dict[str, Any]) -> None:
    """Write a model's weights and a JSON description, whole or not at all; "model" says how to build it.

    Equal weights and descriptions make equal files.

    Raises
    ------
    OutputError
        If the file cannot be written.

    """
    write_sealed(path, SEAL, model.state_dict(), description)


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (weights by name, description) of a model's file, or of a checkpoint of `lamina train`.

    Raises
    ------
    DataError
        If the file is absent, damaged or not Lamina's.

    """
    if not (isinstance(path, Path) and is_checkpoint(path)):
        return read_sealed("load_model", path, SEAL)
    arrays, written = _last(path)
    try:
        description = written["description"]
        wanted = _wanted(model_from_dict(description["model"]))
        return {name: arrays[f"model.{name}"] for name in wanted}, description
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"'{path}': expected a checkpoint of `lamina train`, got another one.") from error


def _last(path: Path) -> Content:
    """Return what a checkpoint holds, or a newer one, if the training has removed it by now."""
    while True:
        try:
            return read_sealed("load_model", path, CHECKPOINT)
        except DataError:
            newest = checkpoints_in(path.parent)[-1:]
            if path.exists() or not newest:
                raise
            path = newest[0]


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
    wanted = _wanted(network)
    got = {name: value.shape for name, value in weights.items()}
    if wanted != got:
        name = next(name for name in (*wanted, *got) if wanted.get(name) != got.get(name))
        raise DataError(f"expected {name!r} to be {wanted.get(name, 'absent')}, got {got.get(name, 'none')}")


def _wanted(network: Description) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's weights by name, as a `state_dict` has them."""
    shapes: Any = ShapeBackend
    with seeded(0):  # the caller's seed must not advance
        model = network.build(shapes())
    cells = (*model.named_parameters(), *model.named_buffers())
    return {name: tuple(cell.shape) for name, cell in cells if cell.persistent}
