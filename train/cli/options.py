"""The options that describe a recipe, which several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from ...backends import OptionError
from ...backends.select import environment
from ..data import DISC_VARIANTS
from ..models import ACTIVATIONS, INITIALIZERS, MODELS, OUTPUTS
from ..runs.defaults import DEFAULTS
from ..runs.recipe import LOSSES, OPTIMIZERS

_DATA, _NETWORK, _LEARNING = "Data", "Network", "Learning"


def _defaults(option: str) -> str:
    """Return what an option is by model and data set: "dense: digits 60, disc 100; lenet: 10"."""
    parts = []
    for model, rows in DEFAULTS.items():
        found = {source or "others": row[option] for source, row in rows.items() if option in row}
        texts = {source: _text(value) for source, value in found.items()}
        if len(set(texts.values())) == 1 and len(texts) == len(rows):
            parts.append(f"{model}: {next(iter(texts.values()))}")
        elif texts:
            parts.append(f"{model}: " + ", ".join(f"{source} {text}" for source, text in texts.items()))
    return "; ".join(parts)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


Source = Annotated[
    str,
    typer.Argument(help="digits, disc, cubes, a .csv, .tsv or .npz file, or a folder of IDX files (MNIST)."),
]
Variant = Annotated[
    str | None,
    typer.Option(help=f"disc: whose rule ({', '.join(DISC_VARIANTS)}).", rich_help_panel=_DATA),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--n", help="disc, cubes: samples in train and in test (default: 1000).", rich_help_panel=_DATA
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help="CSV: the target column, name or number (default: the last).", rich_help_panel=_DATA),
]
TaskOption = Annotated[
    str, typer.Option("--task", help="CSV, NPZ: auto, classification or regression.", rich_help_panel=_DATA)
]
Validation = Annotated[
    float | None, typer.Option(help="Share held out for validation (default: 0.1).", rich_help_panel=_DATA)
]
Test = Annotated[
    float | None,
    typer.Option(help="CSV, NPZ: share held out for test (default: 0.2).", rich_help_panel=_DATA),
]
Standardize = Annotated[
    bool | None,
    typer.Option(
        help="Scale inputs to mean 0, deviation 1 (default: no; dense on files: yes).",
        rich_help_panel=_DATA,
    ),
]
CheckFinite = Annotated[
    bool,
    typer.Option(
        "--check-finite",
        help="Refuse data with NaN or infinity (to standardize always does).",
        rich_help_panel=_DATA,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help=f"{', '.join(MODELS)} (default: dense). All but dense are for images (C, H, W).",
        rich_help_panel=_NETWORK,
    ),
]
Hidden = Annotated[
    str | None,
    typer.Option(
        help="dense: sizes of the hidden layers, or 0 for none "
        f"(default: {_defaults('hidden').removeprefix('dense: ')}).",
        rich_help_panel=_NETWORK,
    ),
]
Activation = Annotated[
    str | None,
    typer.Option(
        help=f"dense: one for all hidden layers, or one for each: {', '.join(ACTIVATIONS)} (default: relu).",
        rich_help_panel=_NETWORK,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        help=f"After the last layer: {', '.join(OUTPUTS)} (default: none).", rich_help_panel=_NETWORK
    ),
]
Init = Annotated[
    str,
    typer.Option(
        "--init", help=f"What weights start as: {', '.join(INITIALIZERS)}.", rich_help_panel=_NETWORK
    ),
]
LossOption = Annotated[
    str | None,
    typer.Option(
        "--loss",
        help=f"{', '.join(LOSSES)} (default: classes: cross_entropy; numbers: mse; {_defaults('loss')}).",
        rich_help_panel=_LEARNING,
    ),
]
LabelSmoothing = Annotated[
    float | None,
    typer.Option(
        help=f"Cross-entropy: 0 to 1 (default: 0; {_defaults('label_smoothing')}).", rich_help_panel=_LEARNING
    ),
]
OptimizerOption = Annotated[
    str | None,
    typer.Option(
        "--optimizer",
        help=f"{', '.join(OPTIMIZERS)} (default: adam; {_defaults('optimizer')}).",
        rich_help_panel=_LEARNING,
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--lr",
        help=f"Learning rate (default: {_defaults('lr')}).",
        rich_help_panel=_LEARNING,
    ),
]
Momentum = Annotated[float | None, typer.Option(help="sgd, rmsprop: momentum.", rich_help_panel=_LEARNING)]
WeightDecay = Annotated[
    float | None,
    typer.Option(help=f"Weight decay (default: 0; {_defaults('weight_decay')}).", rich_help_panel=_LEARNING),
]
ScheduleOption = Annotated[
    str,
    typer.Option(
        "--schedule",
        help="constant, cosine, exponential:0.9, step:30,0.1, warmup:5+cosine, ...",
        rich_help_panel=_LEARNING,
    ),
]
ClipNorm = Annotated[
    float | None, typer.Option(help="Clip gradients to this norm.", rich_help_panel=_LEARNING)
]
Epochs = Annotated[
    int | None,
    typer.Option(help=f"Passes over the data (default: {_defaults('epochs')}).", rich_help_panel=_LEARNING),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        help=f"Samples in a step (default: 32; {_defaults('batch_size')}).", rich_help_panel=_LEARNING
    ),
]
Patience = Annotated[
    int | None, typer.Option(help="Stop after so many epochs without progress.", rich_help_panel=_LEARNING)
]
Best = Annotated[
    bool, typer.Option("--best", help="Keep the weights of the best epoch.", rich_help_panel=_LEARNING)
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Of data, weights and batches (default: LAMINA_SEED, or 0).", rich_help_panel=_LEARNING
    ),
]


def sizes(text: str | None) -> tuple[int, ...] | None:
    """Return "128,64" as (128, 64), "0" or "" as ()."""
    if text is None:
        return None
    if text.strip() in ("", "0", "none"):
        return ()
    parts = [part.strip() for part in text.replace("-", ",").split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise OptionError(f"--hidden: expected sizes such as 128,64 (or 0 for no hidden layer), got {text!r}")
    return tuple(int(part) for part in parts)


def names(text: str | None) -> tuple[str, ...] | None:
    """Return "relu,tanh" as ("relu", "tanh")."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def seed_or_default(seed: int | None) -> int:
    """Return --seed, else LAMINA_SEED, else 0."""
    if seed is not None:
        return seed
    text = environment("LAMINA_SEED") or "0"
    if not text.isdecimal():
        raise OptionError(f"LAMINA_SEED must be a whole number of at least 0, got {text!r}")
    return int(text)
