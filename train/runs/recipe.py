"""`Recipe`: everything that decides a training run, with defaults that suit data set and model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from ...backends import Backend, DataError, OptionError, ShapeError
from ...layers import Module
from ...layers.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss, NLLLoss
from ..data import Dataset, Splits, Task, load_splits
from ..loop.objective import outputs_for
from ..loop.schedules import Schedule, parse_schedule
from ..models import ACTIVATIONS, INITIALIZERS, MODELS, OUTPUTS, Description, check_name, models_for
from ..optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .defaults import defaults_for

LOSSES: dict[str, Callable[..., Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "nll": NLLLoss,
    "mse": MSELoss,
    "bce": BCELoss,
    "bce_with_logits": BCEWithLogitsLoss,
}
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
}
# What stands after the last layer where the loss leaves no choice.
_OUTPUT_OF = {"nll": "log_softmax", "bce": "sigmoid", "bce_with_logits": ""}
# What describes the hidden layers of "dense"; the other models have theirs.
_OF_DENSE = ("hidden", "activation")
_POSITIVE = ("a number above 0", lambda v: 0 < v < math.inf)
_FROM_0 = ("a number of at least 0", lambda v: 0 <= v < math.inf)
_COUNT = ("a whole number of at least 1", lambda v: v >= 1)
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "n": _COUNT,
    "validation": ("a share from 0 to below 1", lambda v: 0 <= v < 1),
    "test": ("a share above 0 and below 1", lambda v: 0 < v < 1),
    "hidden": ("sizes of at least 1, such as 128,64", lambda v: all(size >= 1 for size in v)),
    "label_smoothing": ("a number from 0 to 1", lambda v: 0 <= v <= 1),
    "lr": _POSITIVE,
    "momentum": _FROM_0,
    "weight_decay": _FROM_0,
    "clip_norm": _POSITIVE,
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "patience": _COUNT,
    "seed": ("a whole number from 0 to 2**64 - 1", lambda v: 0 <= v < 2**64),
}


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how. None means: what suits data set and model (see `settled`).

    Errors call the options as the command line does.
    """

    source: str = "digits"
    variant: str | None = None
    n: int | None = None
    target: str | None = None
    task: str = "auto"
    validation: float | None = None
    test: float | None = None
    standardize: bool | None = None
    check_finite: bool = False
    model: str | None = None
    hidden: tuple[int, ...] | None = None
    activation: tuple[str, ...] | None = None
    output: str | None = None
    initializer: str = "torch"
    loss: str | None = None
    label_smoothing: float | None = None
    optimizer: str | None = None
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    schedule: str = "cosine"
    clip_norm: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    patience: int | None = None
    best: bool = False
    seed: int = 0

    def settled(self) -> Recipe:
        """Return the recipe with what suits data set and model in place of None.

        Whatever can be checked without the data is.
        """
        model = "dense" if self.model is None else self.model
        check_name("--model", model, MODELS)
        chosen = {"model": model, **defaults_for(self.source, model)}
        if self.loss not in (None, chosen.get("loss"), "cross_entropy"):
            chosen.pop("label_smoothing", None)
        if self.optimizer not in (None, chosen["optimizer"]):
            # A learning rate found for one optimizer says nothing of another: take that one's own default.
            chosen.pop("lr", None)
            chosen.pop("weight_decay", None)
        filled = {name: value for name, value in chosen.items() if getattr(self, name) is None}
        recipe = replace(self, **filled)
        recipe._check()
        return recipe

    def _check(self) -> None:
        if self.model != "dense":
            for own in _OF_DENSE:
                if getattr(self, own) is not None:
                    raise OptionError(
                        f"--{own} describes the hidden layers of the model dense; {self.model} has its own: "
                        "leave it out"
                    )
        for option, name, known in (
            ("--task", self.task, get_args(Task)),
            ("--loss", self.loss, LOSSES),
            ("--optimizer", self.optimizer, OPTIMIZERS),
            ("--init", self.initializer, INITIALIZERS),
            ("--output", self.output, OUTPUTS),
            *(("--activation", name, ACTIVATIONS) for name in self.activation or ()),
        ):
            if name is not None:
                check_name(option, name, known)
        self._check_ranges()
        layers = len(self.hidden or ())
        if self.activation is not None and len(self.activation) not in (1, layers):
            raise OptionError(
                f"--activation: expected one name, or {layers}, one for each hidden layer; "
                f"got {len(self.activation)}"
            )
        if self.momentum is not None and self.optimizer not in ("sgd", "rmsprop"):
            raise OptionError(
                f"--momentum goes with the optimizers sgd and rmsprop, not with {self.optimizer}"
            )
        needed = _OUTPUT_OF.get(self.loss or "")
        if None not in (needed, self.output) and needed != self.output:
            what = f"needs {needed}" if needed else "takes the last layer as it is, with nothing"
            raise OptionError(
                f"--output: the loss {self.loss} {what} after it, got {self.output!r}; leave it out"
            )
        self.make_schedule()

    def _check_ranges(self) -> None:
        for name, (expected, holds) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise OptionError(f"--{name.replace('_', '-')}: expected {expected}, got {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_dict` gave, or that a JSON file holds of it."""
        try:
            given: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in options.items()
            }
            return cls(**given)
        except (TypeError, AttributeError) as error:
            raise DataError(f"the recipe is incomplete or foreign: {error}") from error

    # -- the parts of a run --------------------------------------------------------------------------

    def load(self) -> Splits:
        """Load the data; what is to be standardised must be finite."""
        return load_splits(
            self.source,
            seed=self.seed,
            variant=self.variant,
            n=self.n,
            target=self.target,
            task=self.task,  # type: ignore[arg-type]
            validation=self.validation,
            test=self.test,
            check_finite=self.check_finite or bool(self.standardize),
        )

    def make_loss(self, data: Dataset, backend: Backend) -> Loss:
        """Return the loss: by default cross-entropy for classes, squared error for numbers."""
        if data.classes is not None and len(data.classes) < 2:
            raise DataError(
                f"{data.name}: all targets are {data.classes[0]!r}; with one class there is nothing to learn"
            )
        name = self.loss or ("mse" if data.classes is None else "cross_entropy")
        if self.label_smoothing is not None and name != "cross_entropy":
            raise OptionError(f"--label-smoothing goes with the loss cross_entropy, not with {name}")
        smoothing: dict[str, Any] = {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}
        loss = LOSSES[name](**smoothing, backend=backend)
        binary = isinstance(loss, (BCELoss, BCEWithLogitsLoss))
        if data.classes is None and not isinstance(loss, MSELoss):
            raise OptionError(f"--loss: {data.name} has real targets, which {name} cannot take; use mse")
        if binary and data.n_outputs != 2:
            raise OptionError(
                f"--loss: {name} is for two classes, {data.name} has {data.n_outputs}; use cross_entropy"
            )
        return loss

    def describe_model(self, data: Dataset, loss: Loss) -> Description:
        """Return the network that fits data and loss; OptionError if the model cannot take such samples."""
        model = self.model or "dense"
        options: dict[str, Any] = {
            "input_shape": data.shape,
            "outputs": outputs_for(loss, data),
            "output": _OUTPUT_OF.get(self.loss or "", "") if self.output is None else self.output,
            "initializer": self.initializer,
        }
        if model == "dense":
            options |= {"hidden": self.hidden or (), "activation": self.activation or ("relu",)}
        try:
            return MODELS[model](**options)
        except ShapeError as error:
            fitting = ", ".join(models_for(data.shape))
            raise OptionError(
                f"--model: {error} from {data.name}; what takes such samples: {fitting}"
            ) from error

    def make_optimizer(self, model: Module) -> Optimizer:
        """Return the optimizer, with its own defaults where the recipe is silent."""
        name = self.optimizer or "adam"
        options = {"lr": self.lr, "momentum": self.momentum, "weight_decay": self.weight_decay}
        given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        if name == "sgd":
            given.setdefault("lr", 0.1)
        return OPTIMIZERS[name](model.parameters(), **given)

    def make_schedule(self) -> Schedule:
        """Return the schedule of the learning rate."""
        return parse_schedule(self.schedule, self.epochs or 1)
