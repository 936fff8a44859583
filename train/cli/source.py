"""The network of a command: new, for a data set, or trained, from a run folder or a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends import OptionError
from ...layers import Module
from ..runs.experiment import Experiment
from ..runs.predictor import Predictor
from ..runs.recipe import OPTIONS, Recipe
from .folders import model_file
from .options import recipe_flags

NetworkSource = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A run folder, a model file (.safetensors, .onnx), or a data set as in `lamina train`.",
    ),
]


NETWORK_FIELDS = ("variant", "target", "task", "header", "model", "hidden", "activation", "output", "loss")
"""The fields of a recipe that decide its network."""

network_flags = recipe_flags(NETWORK_FIELDS)
"""Adds the flags that describe a network to a command, which takes them as `options`."""


@dataclass(frozen=True)
class Network:
    """A network and the shape of its samples; it belongs to an experiment or to a predictor."""

    model: Module
    input_shape: tuple[int, ...]
    experiment: Experiment | None = None
    predictor: Predictor | None = None


def find_network(source: str, options: Mapping[str, Any]) -> Network:
    """Return the trained network of a file or run folder, or a new one for a data set and a recipe's options.

    Raises
    ------
    OptionError
        If an option is set for a trained network.
    LaminaError
        If there is no such file or data set, or it cannot be used.

    """
    path = model_file(source)
    if path is None:
        experiment = Experiment.prepare(Recipe(source=source, **options))
        return Network(experiment.model, experiment.splits.train.shape, experiment=experiment)
    for name in options:
        raise OptionError(
            f"{OPTIONS[name].flag}: expected a data set, got the trained model '{Path(source)}'"
        )
    predictor = Predictor.load(path)
    return Network(predictor.model, predictor.input_shape, predictor=predictor)
