"""A class of the user's own, `module:Class`: made, given an input, and proven."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
import typer

from ...backends import Backend, OptionError
from ...layers import Loss, Module, manual_seed
from ...layers.proofs import Proof
from ...layers.proofs import check as prove


class Prediction(StrEnum):
    """What a loss of the user's own is given."""

    PROBABILITIES = "probabilities"
    NUMBERS = "numbers"


class Target(StrEnum):
    """And what it is compared with."""

    PROBABILITIES = "probabilities"
    ONE_HOT = "one-hot"
    LABELS = "labels"


Arguments = Annotated[
    str, typer.Option(help='For module:Class: what it is made with, such as "3, bias=True".')
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="For module:Class: the shape of the input (of a loss: the prediction), such as 4,3.",
    ),
]
PredictionOption = Annotated[
    Prediction,
    typer.Option(help="For a loss, module:Class: probabilities, within (0, 1), or numbers of any size."),
]
TargetOption = Annotated[
    Target,
    typer.Option(
        help="For a loss, module:Class: of the prediction's shape, within (0, 1) or one-hot; "
        "or labels, an integer for each row."
    ),
]
Large = Annotated[
    bool,
    typer.Option(
        " /--no-range",
        help="For module:Class: leave out large inputs (a function not defined there).",
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
    """Make a class of the user's and prove it."""
    made = _made(name, arguments, b)
    if isinstance(made, Loss):
        return prove(made, *_pair(_extents(shape, name), prediction, target), large=large)
    if not isinstance(made, Module):
        raise OptionError(
            f"{name}: expected a subclass of lamina.Module or lamina.Loss, got {type(made).__name__}"
        )
    extents = (
        (2, *made.input_shape) if shape is None and made.input_shape is not None else _extents(shape, name)
    )
    return prove(made, np.random.default_rng(0).standard_normal(extents), large=large)


def _pair(extents: tuple[int, ...], prediction: Prediction, target: Target) -> tuple[Any, Any]:
    """Draw a prediction of those extents, and a target."""
    rng = np.random.default_rng(0)
    numbers = prediction is Prediction.NUMBERS
    given = rng.standard_normal(extents) if numbers else rng.uniform(0.05, 0.95, extents)
    if target is Target.PROBABILITIES:
        return given, rng.uniform(0.05, 0.95, extents)
    if len(extents) < 2:
        raise OptionError(f"--target {target} needs an --input of (N, classes), such as 4,3")
    labels = rng.integers(0, extents[1], (extents[0], *extents[2:]))
    if target is Target.LABELS:
        return given, labels
    return given, np.moveaxis(np.eye(extents[1])[labels], -1, 1)


def _made(name: str, arguments: str, b: Backend) -> Any:
    module, _, cls = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        kind = getattr(importlib.import_module(module), cls)
    except (ImportError, AttributeError) as error:
        raise OptionError(f"{name}: {error}") from error
    finally:
        sys.path.remove(os.getcwd())
    try:
        call: Any = ast.parse(f"f({arguments})", mode="eval").body
        given = [ast.literal_eval(value) for value in call.args]
        options = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise OptionError(
            f'--arguments: expected values such as "3, bias=True", got {arguments!r}'
        ) from error
    manual_seed(0)
    try:
        return kind(*given, **options, backend=b)
    except TypeError as error:
        raise OptionError(
            f"{name} cannot be made with ({arguments}) and backend=...: {error}; see --arguments"
        ) from error


def _extents(shape: str | None, name: str) -> tuple[int, ...]:
    if shape is None:
        raise OptionError(
            f"{name} does not know its input's shape; give it with --input, such as --input 4,3"
        )
    parts = [part.strip() for part in shape.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise OptionError(f"--input: expected extents such as 4,3, got {shape!r}")
    return tuple(map(int, parts))
