"""The parts of a run, made from a settled recipe: data, loss, network, optimizer."""

from __future__ import annotations

from typing import Any

from ...backends import Backend, DataError, OptionError, ShapeError, get_backend
from ...backends.select import without_decorator
from ...layers import Module
from ...layers.losses import BCELoss, BCEWithLogitsLoss, Loss, MSELoss
from ..data import Dataset, Splits, load_splits
from ..loop.objective import outputs_for
from ..models import MODELS, Description, models_for
from ..optimizers import Optimizer
from .compiled import compiles
from .names import LOSSES, OPTIMIZERS, OUTPUT_OF_LOSS
from .recipe import Recipe


def backend_of(recipe: Recipe) -> Backend:
    """Return the current backend, without its `jit` if the recipe says so."""
    backend = get_backend()
    if not recipe.no_jit or not compiles(backend):
        return backend
    return get_backend(without_decorator(backend.spec, "jit"), dtype=backend.default_dtype)


def load(recipe: Recipe) -> Splits:
    """Load the data; data to standardize must be finite."""
    return load_splits(
        recipe.source,
        seed=recipe.seed,
        variant=recipe.variant,
        n=recipe.n,
        target=recipe.target,
        task=recipe.task,  # type: ignore[arg-type]
        header=recipe.header,
        validation=recipe.validation,
        test=recipe.test,
        check_finite=recipe.check_finite or bool(recipe.standardize),
    )


def make_loss(recipe: Recipe, data: Dataset, backend: Backend) -> Loss:
    """Return the loss: by default cross-entropy for classes, squared error for numbers."""
    if data.classes is not None and len(data.classes) < 2:
        raise DataError(f"{data.name}: expected at least two classes, got {data.classes[0]!r} alone")
    name = recipe.loss or ("mse" if data.classes is None else "cross_entropy")
    if recipe.label_smoothing is not None and name != "cross_entropy":
        raise OptionError(f"--label-smoothing: expected --loss cross_entropy, got {name}")
    smoothing = {"label_smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}
    loss = LOSSES[name](**smoothing, backend=backend)
    if data.classes is None and not isinstance(loss, MSELoss):
        raise OptionError(f"--loss: expected mse for the real targets of {data.name}, got {name}")
    if isinstance(loss, (BCELoss, BCEWithLogitsLoss)) and data.n_outputs != 2:
        raise OptionError(
            f"--loss: expected two classes for {name}, got {data.n_outputs} in {data.name}; use cross_entropy"
        )
    return loss


def describe_model(recipe: Recipe, data: Dataset, loss: Loss) -> Description:
    """Return the network for the data and the loss; OptionError if it cannot take these samples."""
    model = recipe.model or "dense"
    options: dict[str, Any] = {
        "input_shape": data.shape,
        "outputs": outputs_for(loss, data),
        "output": OUTPUT_OF_LOSS.get(recipe.loss or "", "") if recipe.output is None else recipe.output,
        "initializer": recipe.initializer,
    }
    if model == "dense":
        options |= {"hidden": recipe.hidden or (), "activation": recipe.activation or ("relu",)}
    try:
        return MODELS[model](**options)
    except ShapeError as error:
        fitting = ", ".join(models_for(data.shape))
        raise OptionError(f"--model: {error} from {data.name}; use one of {fitting}") from error


def make_optimizer(recipe: Recipe, model: Module) -> Optimizer:
    """Return the optimizer; it has its own default for each option that the recipe leaves at None."""
    name = recipe.optimizer or "adam"
    options = {"lr": recipe.lr, "momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
    chosen: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if name == "sgd":
        chosen.setdefault("lr", 0.1)
    return OPTIMIZERS[name](model.parameters(), **chosen)
