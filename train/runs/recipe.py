"""`Recipe`: every option of a training run, declared once.

`lamina train` and the commands that describe a network make their flags from these fields (`cli/options.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from ...backends import DataError, OptionError
from ...backends.options import digits, shown
from ..data import DISC_VARIANTS, MOST_DRAWN, Task
from ..loop.schedule_parser import parse_schedule
from ..models import ACTIVATIONS, INITIALIZERS, MODELS, OUTPUTS
from ..models.description import LARGEST
from .defaults import defaults_for
from .names import LOSSES, OPTIMIZERS, OUTPUT_OF_LOSS
from .option import option, options_of, real, whole, yes_or_no

_DATA, _NETWORK, _LEARNING = "Data", "Network", "Learning"


def sizes(text: str) -> tuple[int, ...]:
    """Return "128,64" as (128, 64), and "0" or "" as ()."""
    if text.strip() in ("", "0", "none"):
        return ()
    found = digits(text.replace("-", ","))
    if not found or min(found) < 1:
        raise OptionError(
            f"--hidden: expected sizes such as 128,64 (or 0 for no hidden layer), got {shown(text)}"
        )
    return found


def names(text: str) -> tuple[str, ...]:
    """Return "relu,tanh" as ("relu", "tanh")."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


_KINDS: dict[str, Any] = {
    "source": str,
    "schedule": str,
    "target": str | None,
}
"""The types of the fields that have no check of their own."""


@dataclass(frozen=True)
class Recipe:
    """What to train, on which data, and how.

    None means the default for the data set and the model (`settled` fills it in). Errors name the flags.
    """

    source: str = "digits"

    variant: str | None = option(
        None, "disc: the paper that defines the circle:", _DATA, choices=DISC_VARIANTS, unset="jin"
    )
    n: int | None = option(
        None,
        "disc, cubes: samples in the training set, and in the test set",
        _DATA,
        unset="1000",
        check=whole(least=1, most=MOST_DRAWN),
    )
    target: str | None = option(
        None, "CSV: the target column, by name or by number from 0", _DATA, unset="the last"
    )
    task: str = option("auto", "CSV, NPZ: how to read the targets:", _DATA, choices=get_args(Task))
    header: bool | None = option(
        None,
        "CSV: whether the first row names the columns",
        _DATA,
        unset="it does if none of its cells is a number",
        check=yes_or_no,
    )
    validation: float | None = option(
        None,
        "Files: share of the samples held out for validation; disc, cubes: share drawn in addition",
        _DATA,
        unset="0.1",
        check=real(least=0, below=1),
    )
    test: float | None = option(
        None,
        "CSV, NPZ: share of the samples held out for the test",
        _DATA,
        unset="0.2",
        check=real(above=0, below=1),
    )
    standardize: bool | None = option(
        None,
        "Scale each input to mean 0 and standard deviation 1",
        _DATA,
        unset="no; dense on files: yes",
        check=yes_or_no,
    )
    check_finite: bool = option(
        False, "Refuse data that contain NaN or infinity; --standardize does so too", _DATA, check=yes_or_no
    )

    model: str | None = option(
        None, "Network; all but dense need images (C, H, W):", _NETWORK, choices=MODELS, unset="dense"
    )
    hidden: tuple[int, ...] | None = option(
        None,
        "dense: sizes of the hidden layers, such as 128,64, or 0 for none",
        _NETWORK,
        parse=sizes,
        check=whole(least=1, most=LARGEST),
    )
    activation: tuple[str, ...] | None = option(
        None,
        "dense: activation of the hidden layers, one for all or one for each:",
        _NETWORK,
        choices=ACTIVATIONS,
        parse=names,
        unset="relu",
    )
    output: str | None = option(
        None,
        "Activation after the last layer:",
        _NETWORK,
        choices=OUTPUTS,
        unset="none, unless the loss needs one",
    )
    initializer: str = option("torch", "Initial weights:", _NETWORK, choices=INITIALIZERS, flag="--init")

    loss: str | None = option(
        None, "Loss function:", _LEARNING, choices=LOSSES, unset="cross_entropy for classes, mse for numbers"
    )
    label_smoothing: float | None = option(
        None, "cross_entropy: label smoothing, from 0 to 1", _LEARNING, unset="0", check=real(least=0, most=1)
    )
    optimizer: str | None = option(None, "Optimizer:", _LEARNING, choices=OPTIMIZERS, unset="adam")
    lr: float | None = option(None, "Learning rate", _LEARNING, check=real(above=0))
    momentum: float | None = option(None, "sgd, rmsprop: momentum", _LEARNING, unset="0", check=real(least=0))
    weight_decay: float | None = option(None, "Weight decay", _LEARNING, unset="0", check=real(least=0))
    schedule: str = option(
        "cosine",
        "Course of the learning rate: constant, cosine, exponential:0.9, step:30,0.1, or warmup:5+cosine",
        _LEARNING,
    )
    clip_norm: float | None = option(
        None,
        "Largest norm of the gradient; a larger gradient is scaled down",
        _LEARNING,
        unset="no limit",
        check=real(above=0),
    )
    epochs: int | None = option(None, "Passes over the training set", _LEARNING, check=whole(least=1))
    batch_size: int | None = option(None, "Samples in a step", _LEARNING, unset="32", check=whole(least=1))
    patience: int | None = option(
        None,
        "Stop once the validation loss has not fallen for this many epochs",
        _LEARNING,
        unset="never",
        check=whole(least=1),
    )
    best: bool | None = option(
        None,
        "Keep the weights of the epoch with the lowest validation loss, or training loss if there is no "
        "validation set",
        _LEARNING,
        unset="yes, with a validation set; dense on cubes: no",
        check=yes_or_no,
    )
    trace_nonfinite: bool = option(
        False,
        "Say in which layer and pass a NaN or infinity first appeared; the epoch then runs twice",
        _LEARNING,
        check=yes_or_no,
    )
    skip_nonfinite: bool = option(
        False,
        "Skip steps whose loss or gradients have NaN or infinity: they change nothing",
        _LEARNING,
        check=yes_or_no,
    )
    seed: int = option(
        0,
        "Seed of data, weights and batches",
        _LEARNING,
        check=whole(least=0, most=2**64 - 1),
        environment="LAMINA_SEED",
    )

    no_jit: bool = option(
        False, "Train op by op on the backend inside jit; compile nothing", _LEARNING, check=yes_or_no
    )

    def settled(self) -> Recipe:
        """Return the recipe with every value checked, and with defaults in place of None.

        Only what depends on the data is left unchecked.
        """
        checked = {name: one.checked(getattr(self, name)) for name, one in OPTIONS.items()}
        model = checked["model"] or "dense"
        defaults = {"model": model, **defaults_for(self.source, model)}
        if self.loss not in (None, defaults.get("loss"), "cross_entropy"):
            defaults.pop("label_smoothing", None)
        if self.optimizer not in (None, defaults["optimizer"]):
            # A learning rate that suits one optimizer does not suit another: use the optimizer's own default.
            defaults.pop("lr", None)
            defaults.pop("weight_decay", None)
        values: dict[str, Any] = {
            name: defaults.get(name) if value is None else value for name, value in checked.items()
        }
        recipe = replace(self, **values)
        recipe._check_combinations()
        return recipe

    def _check_combinations(self) -> None:
        if self.model != "dense":
            for name in ("hidden", "activation"):
                if getattr(self, name) is not None:
                    raise OptionError(
                        f"--{name}: expected --model dense, got {self.model}, whose layers are fixed; omit it"
                    )
        layers = len(self.hidden or ())
        if self.activation is not None and len(self.activation) not in (1, layers):
            raise OptionError(
                f"--activation: expected one name, or {layers}, one for each hidden layer; "
                f"got {len(self.activation)}"
            )
        if self.momentum is not None and self.optimizer not in ("sgd", "rmsprop"):
            raise OptionError(f"--momentum: expected --optimizer sgd or rmsprop, got {self.optimizer}")
        needed = OUTPUT_OF_LOSS.get(self.loss or "")
        if None not in (needed, self.output) and needed != self.output:
            raise OptionError(
                f"--output: expected {needed or 'no activation'} with the loss {self.loss}, "
                f"got {self.output!r}; omit it"
            )
        parse_schedule(self.schedule, self.epochs or 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Recipe:
        """Return the recipe of `to_dict`, also after a way through JSON."""
        what = "expected the options of a recipe, got"
        if not isinstance(options, Mapping):
            raise DataError(f"{what} {shown(options)}")
        if foreign := [name for name in options if name not in ("source", *OPTIONS)]:
            raise DataError(f"{what} others: {shown(foreign[0])}")
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
        recipe = cls(**values)
        for name, kind in _KINDS.items():
            if not isinstance(getattr(recipe, name), kind):
                raise DataError(f"{what} {name} = {shown(getattr(recipe, name))}")
        try:
            for name, one in OPTIONS.items():
                one.checked(getattr(recipe, name))
        except OptionError as error:
            raise DataError(f"{what} others: {error}") from error
        return recipe


OPTIONS = options_of(Recipe)
"""The options of a recipe by field, in the order of `--help`."""
