"""Passes over samples, each a run of `compile`: training, scoring and predicting."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...backends import Backend, Tensor
from ...backends.host import Host
from ...backends.loop import Compilation, compilations_of
from ...backends.protocol import Run
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


class _Kept(NamedTuple):
    owners: tuple[object, ...]
    step: Keyed
    run: Run


class Runs:
    """The runs of a trainer. What one call compiles is there for the next; a copy compiles its own."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._kept: dict[tuple[str, bool], _Kept] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Runs, (self._backend,)

    def renew(self) -> None:
        """Expect layers that were added or replaced since the last call."""
        for kept in list(self._kept.values()):
            kept.step.forget()

    def training(
        self, owners: tuple[object, ...], make: Callable[[], Keyed], *, predictions: bool = False
    ) -> Run:
        """Return the run of a training step; `make` makes it if it was made for other objects than these."""
        return self._run("training", predictions, owners, make)

    def scoring(self, model: Module, loss: Loss, *, predictions: bool) -> Run:
        """Return the run of a step without training, as `scoring` makes it."""
        return self._run(
            "scoring", predictions, (model, loss), lambda: scoring(model, loss, predictions=predictions)
        )

    def predicting(self, model: Module) -> Run:
        """Return the run of the model alone."""
        return self._run("predicting", True, (model,), lambda: predicting(model))

    def _run(
        self, name: str, predictions: bool, owners: tuple[object, ...], make: Callable[[], Keyed]
    ) -> Run:
        kept = self._kept.get((name, predictions))
        if kept is None or not all(map(operator.is_, kept.owners, owners)):
            step = make()
            kept = self._kept[name, predictions] = _Kept(owners, step, self._backend.compile(step))
        return kept.run

    @property
    def compilations(self) -> dict[str, tuple[Compilation, ...]]:
        """What has been compiled so far for "training" and for "scoring"."""
        return {
            wanted: tuple(
                one
                for (name, _), kept in list(self._kept.items())
                if name == wanted
                for one in compilations_of(kept.run)
            )
            for wanted in ("training", "scoring")
        }


def scoring(model: Module, loss: Loss, *, predictions: bool) -> Keyed:
    """Return a step without training: (numerator, denominator), and the prediction if it is wanted."""

    def score(batch: Batch, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        x, *rest = batch
        prediction = model(x)
        fraction = loss.fraction(prediction, *rest)
        return (*fraction, prediction) if predictions else fraction

    return Keyed(score, model, loss)


def predicting(model: Module) -> Keyed:
    """Return a step of the model alone, on a batch (x,)."""

    def predict(batch: Batch, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        return (model(batch[0]),)

    return Keyed(predict, model)
