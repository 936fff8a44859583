"""Models by name: what `lamina train` builds, and what a saved file says to build again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...backends import DataError, ShapeError
from .convolutional import CNN, LeNet
from .dense import Dense
from .description import Description, ImageModel
from .jin import Jin
from .names import ACTIVATIONS, INITIALIZERS, OUTPUTS, check_name

MODELS: dict[str, Callable[..., Description]] = {
    "dense": Dense,
    "cnn": CNN,
    "lenet": LeNet,
    "jin": Jin,
    "jin_naive": partial(Jin, naive=True),
}
"""What `--model` may name: each makes a description."""

_KINDS: dict[str, type[Description]] = {"dense": Dense, "cnn": CNN, "lenet": LeNet, "jin": Jin}

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "INITIALIZERS",
    "MODELS",
    "OUTPUTS",
    "Dense",
    "Description",
    "ImageModel",
    "Jin",
    "LeNet",
    "check_name",
    "model_from_dict",
    "models_for",
]


def model_from_dict(config: dict[str, Any]) -> Description:
    """Return the description that `to_dict` gave, or that a JSON file holds of it.

    Raises
    ------
    DataError
        If it is of no known kind, or lacks something.
    OptionError, ShapeError
        If it names what is not known, or an input that the model cannot take.

    """
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in config.items()}
    kind = given.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise DataError(f"unknown kind of model {kind!r}; this Lamina builds: {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](**given)
    except TypeError as error:
        raise DataError(f"the description of the model is incomplete or foreign: {error}") from error


def models_for(shape: tuple[int, ...]) -> list[str]:
    """Return the names of the models that take samples of a shape, without the batch axis."""
    return [name for name in MODELS if _takes(name, shape)]


def _takes(name: str, shape: tuple[int, ...]) -> bool:
    options: dict[str, Any] = {"hidden": ()} if name == "dense" else {}
    try:
        MODELS[name](input_shape=shape, outputs=1, **options)
    except ShapeError:
        return False
    return True
