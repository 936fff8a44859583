"""Proofs of a user's class, `module:Class`."""

from __future__ import annotations

import ast
import importlib
import math
import os
import sys
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
import typer

from ...backends import Backend, OptionError
from ...backends.errors import did_you_mean
from ...backends.options import digits
from ...layers import Loss, Module, manual_seed
from ...layers.proofs import Proof
from ...layers.proofs import check as prove
from ...layers.proofs.first_run import explained

_MOST = 10**8


class Prediction(StrEnum):
    """The prediction for a user's loss."""

    PROBABILITIES = "probabilities"
    NUMBERS = "numbers"


class Target(StrEnum):
    """The target for a user's loss."""

    PROBABILITIES = "probabilities"
    ONE_HOT = "one-hot"
    LABELS = "labels"


Arguments = Annotated[str, typer.Option(help='module:Class: its arguments, such as "3, bias=True".')]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="module:Class: shape of its input (for a loss, of the prediction), such as 4,3.",
    ),
]
PredictionOption = Annotated[
    Prediction,
    typer.Option(help="module:Class, a loss: predict probabilities in (0, 1), or any numbers."),
]
TargetOption = Annotated[
    Target,
    typer.Option(
        help="module:Class, a loss: targets are probabilities in (0, 1) or one-hot, in the "
        "prediction's shape, or labels, one integer per row."
    ),
]
Large = Annotated[
    bool,
    typer.Option(
        " /--no-range",
        help="module:Class: skip large inputs (for a function undefined there).",
        show_default=False,
    ),
]


def prove_own(
    name: str,
    arguments: str,
    shape: str | None,
    b: Backend,
    prediction: Prediction,
    target: Target,
    large: bool,
) -> Proof:
    """Make an instance of a user's class and prove it."""
    made = _instance(name, arguments, b)
    if isinstance(made, Loss):
        return prove(made, *_prediction_and_target(_shape(shape, name), prediction, target), large=large)
    if not isinstance(made, Module):
        raise OptionError(
            f"{name}: expected a subclass of lamina.Module or lamina.Loss, got {type(made).__name__}"
        )
    size = (2, *made.input_shape) if shape is None and made.input_shape is not None else _shape(shape, name)
    return prove(made, np.random.default_rng(0).standard_normal(size), large=large)


def _prediction_and_target(size: tuple[int, ...], prediction: Prediction, target: Target) -> tuple[Any, Any]:
    """Draw a prediction of this shape, and a target."""
    rng = np.random.default_rng(0)
    numbers = prediction is Prediction.NUMBERS
    values = rng.standard_normal(size) if numbers else rng.uniform(0.05, 0.95, size)
    if target is Target.PROBABILITIES:
        return values, rng.uniform(0.05, 0.95, size)
    if len(size) < 2:
        raise OptionError(f"--target {target}: expected an --input (N, classes), such as 4,3, got {size}")
    labels = rng.integers(0, size[1], (size[0], *size[2:]))
    if target is Target.LABELS:
        return values, labels
    return values, np.moveaxis(np.eye(size[1])[labels], -1, 1)


def _instance(name: str, arguments: str, b: Backend) -> Any:
    kind = _imported(name)
    if isinstance(kind, type) and not issubclass(kind, (Module, Loss)):
        base = kind.__mro__[1]
        of = "" if base is object else f", a subclass of {base.__name__}"
        raise OptionError(
            f"{name}: expected a subclass of lamina.Module or lamina.Loss, got {kind.__name__}{of}"
        )
    try:
        call: Any = ast.parse(f"f({arguments})", mode="eval").body
        positional = [ast.literal_eval(value) for value in call.args]
        options = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise OptionError(
            f'--arguments: expected values such as "3, bias=True", got {arguments!r:.80}'
        ) from error
    manual_seed(0)
    try:
        return kind(*positional, **options, backend=b)
    except TypeError as error:
        raise OptionError(
            f"--arguments: expected those of {name}(..., backend=...), got {arguments!r:.80}: {error}"
        ) from error
    except Exception as error:
        raise OptionError(f"{name}: expected __init__ to run, got {explained(error)}") from error


def _imported(name: str) -> Any:
    """Return what `module:Class` names."""
    module, _, cls = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), cls)):
        raise OptionError(f"{name}: expected a module and a class, such as my_layers:Scale, got {name!r}")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise OptionError(
            f"{name}: expected a module in '{os.getcwd()}' or an installed one, got none named {error.name!r}"
        ) from error
    except Exception as error:  # whatever the user's file raises
        raise OptionError(
            f"{name}: expected a module that can be imported, got {explained(error)} in {module}"
        ) from error
    finally:
        sys.path.remove(os.getcwd())
    if not hasattr(found, cls):
        raise OptionError(
            f"{name}: expected a class of {module}, got none named {cls!r}.{did_you_mean(cls, vars(found))}"
        )
    return getattr(found, cls)


def _shape(shape: str | None, name: str) -> tuple[int, ...]:
    if shape is None:
        raise OptionError(
            f"{name}: expected --input with the shape of its input, such as --input 4,3, got none"
        )
    found = digits(shape)
    if found is None:
        raise OptionError(f"--input: expected a shape such as 4,3, got {shape!r:.80}")
    if math.prod(found) > _MOST:
        raise OptionError(f"--input: expected a shape of at most {_MOST:,} numbers, got {shape!r:.80}")
    return found
