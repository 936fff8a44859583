"""What a command is about: the network of a data set's recipe, of a run folder, or of a model file."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends import OptionError
from ...layers import Module
from ..runs.experiment import Experiment
from ..runs.predictor import Predictor
from ..runs.recipe import Recipe
from . import options as o
from .folders import model_file

NetworkSource = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A run folder or model file (.safetensors, .onnx), or a data set as in `lamina train`.",
    ),
]


def network_options(
    variant: o.Variant = None,
    target: o.Target = None,
    task: o.TaskOption = "auto",
    model: o.Model = None,
    hidden: o.Hidden = None,
    activation: o.Activation = None,
    output: o.Output = None,
    loss: o.LossOption = None,
) -> dict[str, Any]:
    """Return what describes the network of a data set, as a recipe has it; None where nothing was said."""
    return {
        "variant": variant,
        "target": target,
        "task": None if task == "auto" else task,
        "model": model,
        "hidden": o.sizes(hidden),
        "activation": o.names(activation),
        "output": output,
        "loss": loss,
    }


def of_a_network(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command have the options of `network_options`; it takes what those return, as `options`."""
    described = inspect.signature(network_options, eval_str=True).parameters
    own = dict(inspect.signature(command, eval_str=True).parameters)
    del own["options"]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = network_options(**{name: given.pop(name) for name in described})
        command(options=options, **given)

    shown: Any = run  # typer reads this
    shown.__signature__ = inspect.Signature([*described.values(), *own.values()])
    return run


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
