"""Models by name, for `lamina train` and for saved files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import partial
from typing import Any

from ...backends import DataError, ShapeError
from ...backends.options import shown
from .convolutional import CNN, LeNet
from .dense import Dense
from .description import Description, ImageModel
from .jin import Jin
from .names import ACTIVATIONS, INITIALIZERS, OUTPUTS
from .residual import ResNet

MODELS: dict[str, Callable[..., Description]] = {
    "dense": Dense,
    "cnn": CNN,
    "lenet": LeNet,
    "resnet": ResNet,
    "jin": Jin,
    "jin_naive": partial(Jin, naive=True),
}
"""The values of --model; each makes a description."""

_KINDS: dict[str, type[Description]] = {
    "dense": Dense,
    "cnn": CNN,
    "lenet": LeNet,
    "resnet": ResNet,
    "jin": Jin,
}

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
    "ResNet",
    "model_from_dict",
    "models_for",
]


def model_from_dict(config: dict[str, Any]) -> Description:
    """Return the description of `to_dict`, also after a way through JSON.

    Raises
    ------
    DataError
        If its kind is unknown, or its fields are wrong.
    OptionError, ShapeError
        If the value of a field is wrong.

    """
    if not isinstance(config, dict):
        raise DataError(f"expected the description of a model, got {shown(config)}")
    options: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in config.items()}
    kind = options.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise DataError(f"expected a model of kind {', '.join(_KINDS)}, got {shown(kind)}")
    known = {f.name: f.default is MISSING for f in fields(_KINDS[kind]) if f.init}  # type: ignore[arg-type]
    if foreign := [name for name in options if name not in known]:
        raise DataError(f"expected a description of the model {kind}, got one with {shown(foreign[0])}")
    if absent := [name for name, needed in known.items() if needed and name not in options]:
        raise DataError(f"expected a description of the model {kind}, got one without {absent[0]!r}")
    return _KINDS[kind](**options)


def models_for(shape: tuple[int, ...]) -> list[str]:
    """Return the names of the models for samples of this shape (without the batch axis)."""
    return [name for name in MODELS if _takes(name, shape)]


def _takes(name: str, shape: tuple[int, ...]) -> bool:
    options: dict[str, Any] = {"hidden": ()} if name == "dense" else {}
    try:
        MODELS[name](input_shape=shape, outputs=1, **options)
    except ShapeError:
        return False
    return True
