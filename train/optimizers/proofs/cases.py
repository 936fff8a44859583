"""Rows for every optimizer, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import SGD, Adagrad, Adam, AdamW, RMSprop
from .case import OptimizerCase


def _optimizer(kind: Callable[..., Any], label: str = "", **options: Any) -> OptimizerCase:
    """Return the case of an optimizer whose options torch has under the same names."""
    name = getattr(kind, "__name__", "")

    def twin(parameters: Any) -> Any:
        from torch import optim

        return getattr(optim, name)(parameters, **options)

    return OptimizerCase(f"{name} {label}".rstrip(), lambda p: kind(p, **options), twin)


def _papers(kind: Callable[..., Any], label: str, **options: Any) -> OptimizerCase:
    name = getattr(kind, "__name__", "")
    return OptimizerCase(f"{name} {label}", lambda p: kind(p, **options))


OPTIMIZER_CASES: tuple[OptimizerCase, ...] = (
    _optimizer(SGD, lr=0.05),
    _optimizer(SGD, "weight decay", lr=0.05, weight_decay=0.1),
    _optimizer(SGD, "momentum", lr=0.02, momentum=0.9),
    _optimizer(SGD, "dampening", lr=0.05, momentum=0.8, dampening=0.5, weight_decay=0.01),
    _optimizer(SGD, "nesterov", lr=0.02, momentum=0.9, nesterov=True),
    _optimizer(RMSprop, lr=0.01),
    _optimizer(RMSprop, "centered", lr=0.01, alpha=0.9, centered=True),
    _optimizer(RMSprop, "momentum", lr=0.003, alpha=0.9, momentum=0.7, weight_decay=0.05),
    _optimizer(RMSprop, "centered momentum", lr=0.003, eps=1e-4, momentum=0.5, centered=True),
    _optimizer(Adagrad, lr=0.1),
    _optimizer(Adagrad, "decay", lr=0.1, lr_decay=0.01, weight_decay=0.05, initial_accumulator_value=0.5),
    _optimizer(Adam, lr=0.01),
    _optimizer(Adam, "weight decay", lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    _optimizer(AdamW, lr=0.01),
    _optimizer(AdamW, "decay", lr=0.02, betas=(0.5, 0.9), weight_decay=0.3),
    _papers(SGD, "ema", lr=0.1, momentum=0.9, momentum_form="ema"),
    _papers(SGD, "lr_inside", lr=0.02, momentum=0.9, momentum_form="lr_inside"),
    _papers(RMSprop, "eps_inside_root", lr=0.01, alpha=0.9, eps=1e-3, eps_inside_root=True),
)
"""Every optimizer, in every mode; those of papers without a twin in torch."""
