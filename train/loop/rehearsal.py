"""What is checked before a fit changes anything: that the parts belong together, and that all data fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

import numpy as np

from ...backends import DataError, LaminaError, OptionError, Tensor
from ...backends.host import Host
from ...backends.options import shown
from ...layers import Module, inference, mode, named_scopes
from ...layers.call import rehearsal
from ...layers.faults import named_error
from ...layers.losses import L2Penalty, Loss, NLLLoss
from ..optimizers import Optimizer
from .metrics import Metric, measured
from .samples import Samples, cuts
from .schedules import Schedule

Batch = tuple[int, int]


def check_kind(owner: str, what: str, value: object, kind: Any) -> None:
    """Raise OptionError unless a value is of a type, such as `Schedule | None`."""
    if not isinstance(value, kind):
        names = [one.__name__ for one in get_args(kind) or (kind,)]
        articles = ("an" if name[0] in "AEIOU" else "a" for name in names)
        wanted = " or ".join(
            "None" if n == "NoneType" else f"{a} {n}" for a, n in zip(articles, names, strict=True)
        )
        raise OptionError(f"{owner}: expected {what} to be {wanted}, got {shown(value)}")


def check_loss(loss: Loss) -> None:
    """Raise OptionError unless a loss returns one value for a batch."""
    if loss.reduction == "none":
        known = " or ".join(repr(name) for name in loss.reductions if name != "none")
        raise OptionError(
            f"Trainer: expected a loss that returns one value per batch (reduction {known}), got {loss}"
        )


def check_metrics(metrics: Mapping[str, Metric]) -> None:
    """Raise OptionError unless metrics are functions with names of their own."""
    if taken := {"loss", "accuracy"} & set(metrics):
        raise OptionError(
            f"Trainer: expected metric names other than 'loss' and 'accuracy', got {min(taken)!r}"
        )
    for name, metric in metrics.items():
        check_kind("Trainer", "a metric's name", name, str)
        if not callable(metric):
            raise OptionError(f"Trainer: expected the metric {name!r} to be a function, got {shown(metric)}")


def check_schedule(schedule: Schedule | None, optimizer: Optimizer, first: int, epochs: int) -> None:
    """Raise OptionError if the optimizer cannot take the rate of the first or the last epoch."""
    if schedule is not None:
        for epoch in (first, first + epochs - 1):
            optimizer.checked_factor(schedule(epoch))


def check_belongs(model: Module, optimizer: Optimizer, penalty: L2Penalty | None) -> None:
    """Raise OptionError if the optimizer or the penalty is another model's.

    An optimizer may leave out parameters of the model (they stay as they are), or have some more.
    """
    own = {id(p): name for name, p in model.named_parameters()}
    held = [p for group in optimizer.groups for p in group.parameters]
    foreign = [p for p in held if id(p) not in own]
    missing = own.keys() - {id(p) for p in held}
    if foreign and (missing or not own):
        names = _listed(name for key, name in own.items() if key in missing)
        raise OptionError(
            f"Trainer: expected an optimizer of the model's parameters, got {optimizer} of {len(foreign)} "
            f"others{f', without {names}' if names else ''}; make it from this model's parameters()"
        )
    if penalty is not None and (others := [p for p in penalty.parameters if id(p) not in own]):
        raise OptionError(
            f"Trainer: expected a penalty on the model's parameters, got {penalty} on {len(others)} others"
        )


def rehearse(
    model: Module,
    loss: Loss,
    samples: Samples,
    batch_size: int,
    *,
    training: bool,
    drop_last: bool = False,
    metrics: Mapping[str, Metric],
) -> None:
    """Run one batch of each size that will occur through model and loss; check all targets and the metrics.

    If a layer refuses some values of its input, all samples run. No parameter, statistic or counter changes.

    Raises
    ------
    LaminaError
        If anything does not fit; a last batch that is the only one at fault is named.

    """
    n, size = samples.size, min(batch_size, samples.size)
    batches = cuts(n, size)
    if drop_last and n % size:
        batches[-1] = (n - size, n)
    if not any(module.refuses_values for _, module in model.named_modules()):
        batches = batches[:1] if n % size == 0 else [batches[0], batches[-1]]
    with mode(training=training), inference(), rehearsal(), named_scopes(model):
        prediction = _first(model, loss, samples, batches[0], training=training)
        check_values(loss, prediction, samples.y, rows=samples.size)
        _check_counted(loss, samples)
        for first, last in batches[1:]:
            try:
                _run(model, loss, samples, (first, last))
            except LaminaError as error:
                if last - first == size:
                    raise
                raise type(error)(
                    f"{error} (the last batch, {last - first} of {n} samples; "
                    f"use {'drop_last or ' if training else ''}another batch_size)"
                ) from error
    if metrics:
        rows = n - n % size if drop_last else n
        outputs = samples.backend.to_host(prediction)
        # As many outputs as the metrics will see; their values repeat those of the first batch.
        outputs = np.take(outputs, np.arange(rows) % len(outputs), axis=0)
        for name, metric in metrics.items():
            measured(name, metric, outputs, samples.targets[:rows])


def _first(model: Module, loss: Loss, samples: Samples, batch: Batch, *, training: bool) -> Tensor:
    """Run the first batch; say so if a single sample is too few."""
    try:
        return _run(model, loss, samples, batch)
    except LaminaError as error:
        if training and batch == (0, 1) and samples.size > 1:
            try:
                _run(model, loss, samples, (0, 2))
            except LaminaError:
                raise error from None
            raise type(error)(f"{error} (a batch of 1 sample; use a batch_size of at least 2)") from error
        raise


def _run(model: Module, loss: Loss, samples: Samples, batch: Batch) -> Tensor:
    x, *rest = samples.rows(*batch)
    with samples.backend.session():
        prediction = model(x)
        loss.fraction(prediction, *rest)
    return prediction


def check_values(loss: Loss, prediction: Tensor, targets: Tensor, *, rows: int | None = None) -> None:
    """Raise DataError unless the loss is defined for the values of a prediction and of the targets.

    rows: the number of targets, if the prediction is of a part of them, which its own pass checked.
    """
    shape = loss.backend.shape(prediction)
    try:
        if rows is None:
            loss.check_prediction(prediction)
        loss.check_targets((rows or shape[0], *shape[1:]), targets)
    except LaminaError as error:
        raise named_error(error, loss) from error


def _check_counted(loss: Loss, samples: Samples) -> None:
    """Raise DataError if no target counts: there would be nothing to learn, and no loss."""
    counted: Host = np.ones(samples.targets.shape, bool)
    if isinstance(loss, NLLLoss) and samples.targets.dtype.kind in "iu":
        counted = samples.targets != loss.ignore_index
    if samples.weight is not None:
        weight = np.asarray(samples.backend.to_host(samples.weight))
        rank = min(weight.ndim, counted.ndim)
        counted = np.asarray(counted.any(axis=tuple(range(rank, counted.ndim))))
        counted &= (weight != 0).any(axis=tuple(range(rank, weight.ndim)))
    if not counted.any():
        raise DataError(
            f"expected a target that counts, got {samples.size} samples that are all ignored or have weight 0"
        )


def _listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")
