"""The training step of a trainer: forward, backward, update; and the same for `compile`."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...backends import Tensor
from ..optimizers import clip_grad_norm, clip_grad_value
from .dependencies import Keyed
from .guard import Guard

if TYPE_CHECKING:
    from .trainer import Trainer

Batch = tuple[Tensor, ...]


def take_step(
    trainer: Trainer, batch: Batch, numbers: Mapping[str, float], guard: Guard | None
) -> tuple[Tensor, ...]:
    """Take one step, as `Trainer.train_step` says. guard: what undoes it if it has a NaN or infinity."""
    x, *rest = batch
    model, loss, optimizer = trainer.model, trainer.loss, trainer.optimizer
    kept = None if guard is None else guard.keep()
    optimizer.zero_grad()
    prediction = model(x)
    fraction: tuple[Tensor, ...] = loss.fraction(prediction, *rest)
    model.backward(loss.backward())
    if trainer.penalty is not None:
        trainer.penalty.backward()
    fault = None if guard is None else guard.fault(fraction[0], optimizer)
    if trainer.clip_norm is not None:
        clip_grad_norm(optimizer, trainer.clip_norm)
    if trainer.clip_value is not None:
        clip_grad_value(optimizer, trainer.clip_value)
    optimizer.update(numbers)
    if guard is not None and kept is not None and fault is not None:
        fraction = guard.settle(kept, fault, fraction)
    return (*fraction, prediction)


def keyed_step(trainer: Trainer, *, predictions: bool) -> Keyed:
    """Return `take_step` for `compile`, with the prediction if it is wanted.

    It belongs to a run that belongs to the trainer, so it must not keep the trainer alive.
    """
    found, owner = None if predictions else 2, weakref.ref(trainer)

    def living() -> Trainer:
        one = owner()
        assert one is not None
        return one

    def training(batch: Batch, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        return living().train_step(batch, numbers)[:found]

    def more() -> tuple[object, ...]:
        one = living()
        return one.model, one.loss, one.optimizer, one.penalty, one.clip_norm, one.clip_value, one.guard

    owners = [part for part in (trainer.loss, trainer.penalty) if part is not None]
    return Keyed(training, trainer.model, *owners, optimizer=trainer.optimizer, more=more)
