"""`Recipe`: everything that decides a training run, with defaults that suit each data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..backends import Backend, OptionError
from ..backends.errors import did_you_mean
from ..layers import Module
from ..layers.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss, NLLLoss
from .data import Dataset, Splits, load_splits
from .models import Dense
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .schedules import Schedule, parse_schedule
from .trainer import outputs_for

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
# What each data set does best with, found on its validation set; a file of the user's gets the last row.
DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {"hidden": (256, 128), "epochs": 60, "lr": 2e-3, "label_smoothing": 0.1},
    "disc": {"hidden": (25, 25, 25), "epochs": 100, "lr": 1e-2},
    "cubes": {"hidden": (100, 50), "epochs": 60, "lr": 3e-3, "weight_decay": 1e-2, "optimizer": "adamw"},
    "": {"hidden": (64, 64), "epochs": 60, "lr": 3e-3, "standardize": True},
}


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how. None means: the data set's own default (see `settled`)."""

    source: str = "digits"
    variant: str | None = None
    n: int | None = None
    target: str | None = None
    task: str = "auto"
    validation: float | None = None
    test: float | None = None
    standardize: bool | None = None
    check_finite: bool = False
    hidden: tuple[int, ...] | None = None
    activation: tuple[str, ...] = ("relu",)
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
    batch_size: int = 32
    patience: int | None = None
    best: bool = False
    seed: int = 0

    def settled(self) -> Recipe:
        """Return the recipe with the data set's defaults in place of None, and its names checked."""
        defaults = DEFAULTS.get(self.source, DEFAULTS[""])
        chosen = {"standardize": False, "optimizer": "adam", **defaults}
        if self.loss not in (None, "cross_entropy"):
            chosen.pop("label_smoothing", None)
        if self.optimizer not in (None, chosen["optimizer"]):
            # A learning rate found for one optimizer says nothing of another: take that one's own default.
            chosen.pop("lr", None)
            chosen.pop("weight_decay", None)
        filled = {name: value for name, value in chosen.items() if getattr(self, name) is None}
        recipe = replace(self, **filled)
        for option, value, table in (("loss", recipe.loss, LOSSES), ("optimizer", recipe.optimizer, OPTIMIZERS)):
            if value is not None and value not in table:
                known = ", ".join(table)
                raise OptionError(f"{option}: expected one of {known}, got {value!r}.{did_you_mean(value, table)}")
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dict that JSON can hold."""
        return asdict(self)

    # -- the parts of a run --------------------------------------------------------------------------

    def load(self) -> Splits:
        """Load the data."""
        return load_splits(
            self.source,
            seed=self.seed,
            variant=self.variant,
            n=self.n,
            target=self.target,
            task=self.task,  # type: ignore[arg-type]
            validation=self.validation,
            test=self.test,
            check_finite=self.check_finite,
        )

    def make_loss(self, data: Dataset, backend: Backend) -> Loss:
        """Return the loss: by default cross-entropy for classes, squared error for numbers."""
        name = self.loss or ("mse" if data.classes is None else "cross_entropy")
        if self.label_smoothing is not None and name != "cross_entropy":
            raise OptionError(f"label_smoothing goes with the loss cross_entropy, not with {name}")
        smoothing = {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}
        loss = LOSSES[name](**smoothing, backend=backend)
        binary = isinstance(loss, (BCELoss, BCEWithLogitsLoss))
        if data.classes is None and not isinstance(loss, MSELoss):
            raise OptionError(f"loss: {data.name} has real targets, which {name} cannot take; use mse")
        if binary and data.n_outputs != 2:
            raise OptionError(f"loss: {name} is for two classes, {data.name} has {data.n_outputs}; use cross_entropy")
        return loss

    def describe_model(self, data: Dataset, loss: Loss) -> Dense:
        """Return the network that fits the data and the loss."""
        needed = "sigmoid" if isinstance(loss, BCELoss) else ""
        return Dense(
            input_shape=data.shape,
            hidden=self.hidden or (),
            outputs=outputs_for(loss, data),
            activation=self.activation,
            output=needed if self.output is None else self.output,
            initializer=self.initializer,
        )

    def make_optimizer(self, model: Module) -> Optimizer:
        """Return the optimizer, with its own defaults where the recipe is silent."""
        name = self.optimizer or "adam"
        options = {"lr": self.lr, "momentum": self.momentum, "weight_decay": self.weight_decay}
        given = {key: value for key, value in options.items() if value is not None}
        if "momentum" in given and name not in ("sgd", "rmsprop"):
            raise OptionError(f"momentum goes with the optimizers sgd and rmsprop, not with {name}")
        if name == "sgd":
            given.setdefault("lr", 0.1)
        return OPTIMIZERS[name](model.parameters(), **given)

    def make_schedule(self) -> Schedule:
        """Return the schedule of the learning rate."""
        return parse_schedule(self.schedule, self.epochs or 1)


def run_folder(out: str | None, source: str) -> Path:
    """Make and return an empty folder for a run: `out`, or the next free runs/NAME-K."""
    from .files import OutputError

    name = Path(source).stem if source not in DEFAULTS else source
    chosen = Path(out) if out else next(
        path for k in range(1, 1_000_000) if not (path := Path("runs") / f"{name}-{k}").exists()
    )
    try:
        if chosen.is_dir() and any(chosen.iterdir()):
            raise OutputError(f"The run folder '{chosen}' is not empty; name another, or remove it.")
        chosen.mkdir(parents=True, exist_ok=True)
        probe = chosen / ".lamina-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"Cannot write the run folder '{chosen}': {error.strerror or error}.") from error
    return chosen
