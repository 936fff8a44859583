"""Passes over samples, each a run of `compile`: training, scoring and predicting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...backends import Backend, Tensor
from ...backends.host import Host
from ...backends.loop import Compilation, compilations_of
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


class Runs:
    """The runs of one fit: its training step, and the steps that score, which are compiled once."""

    def __init__(self, backend: Backend, training: Step | None = None) -> None:
        self._backend = backend
        self.training = None if training is None else backend.compile(training)
        self._scoring: dict[tuple[Module, Loss, bool], Run] = {}

    def scoring(self, model: Module, loss: Loss, *, predictions: bool) -> Run:
        """Return the run of a step without training, as `scoring` makes it."""
        key = model, loss, predictions
        if key not in self._scoring:
            self._scoring[key] = self._backend.compile(scoring(model, loss, predictions=predictions))
        return self._scoring[key]

    @property
    def compilations(self) -> dict[str, tuple[Compilation, ...]]:
        """What has been compiled so far for "training" and for "scoring"."""
        training = () if self.training is None else compilations_of(self.training)
        scores = [one for run in self._scoring.values() for one in compilations_of(run)]
        return {"training": tuple(training), "scoring": tuple(scores)}


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
