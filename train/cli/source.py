"""What a command is about: the network of a data set's recipe, of a run folder, or of a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends import OptionError
from ...layers import Module
from ..experiment import Experiment
from ..predictor import Predictor
from ..recipe import Recipe
from .folders import model_file

NetworkSource = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A run folder or model file (.safetensors, .onnx), or a data set as in `lamina train`.",
    ),
]


@dataclass(frozen=True)
class Network:
    """A network, the shape of one sample that it takes, and where both come from: one of the other two."""

    model: Module
    input_shape: tuple[int, ...]
    experiment: Experiment | None = None
    predictor: Predictor | None = None


def find_network(source: str, options: Mapping[str, Any]) -> Network:
    """Return the trained network of a file or run folder, or a new one for a data set, by a recipe's options.

    Raises
    ------
    OptionError
        If an option of a recipe was given (is not None) for a trained network.
    LaminaError
        If there is no such file or data set, or it cannot be used.

    """
    given = {name: value for name, value in options.items() if value is not None}
    path = model_file(source)
    if path is None:
        experiment = Experiment.prepare(Recipe(source=source, **given))
        return Network(experiment.model, experiment.splits.train.shape, experiment=experiment)
    for name in given:
        raise OptionError(
            f"--{name.replace('_', '-')} is for a data set; '{Path(source)}' is a trained model, as it is"
        )
    predictor = Predictor.load(path)
    return Network(predictor.model, predictor.input_shape, predictor=predictor)
