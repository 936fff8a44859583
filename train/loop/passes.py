"""Passes over samples, each a run of `compile`: training, scoring and predicting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...backends import Tensor
from ...backends.host import Host
from ...backends.protocol import Run, Step
from ...layers import Module
from ...layers.losses import Loss
from ..optimizers import Optimizer
from .dependencies import Keyed

Batch = tuple[Tensor, ...]


def take_steps(
    run: Run,
    optimizer: Optimizer,
    steps: int,
    data: Sequence[Tensor],
    order: Host | None = None,
    *,
    batch_size: int,
) -> tuple[Tensor, ...]:
    """Run a training step on each of `steps` batches, with the optimizer's numbers; return its results.

    The optimizer counts the steps, also those before an error or an interrupt.
    """
    try:
        results = run(data, order, batch_size=batch_size, numbers=optimizer.next_scalars(steps))
    except BaseException as error:
        optimizer.steps += getattr(error, "steps_done", 0)
        raise
    optimizer.steps += steps
    return results


def scoring(model: Module, loss: Loss, *, predictions: bool) -> Step:
    """Return a step without training: (numerator, denominator), and the prediction if it is wanted."""

    def score(batch: Batch, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        x, *rest = batch
        prediction = model(x)
        fraction = loss.fraction(prediction, *rest)
        return (*fraction, prediction) if predictions else fraction

    return Keyed(score, model, loss)


def predicting(model: Module) -> Step:
    """Return a step of the model alone, on a batch (x,)."""

    def predict(batch: Batch, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        return (model(batch[0]),)

    return Keyed(predict, model)
