"""Rows for every optimizer, in every mode."""

from __future__ import annotations

from typing import Any

from .. import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .case import OptimizerCase


def _row(kind: type[Optimizer], label: str = "", *, in_torch: bool = True, **options: Any) -> OptimizerCase:
    """Return the row of an optimizer; torch's has the same name and options."""
    make: Any = kind

    def twin(parameters: Any) -> Any:
        from torch import optim

        return getattr(optim, kind.__name__)(parameters, **options)

    name = f"{kind.__name__} {label}".rstrip()
    return OptimizerCase(name, lambda p: make(p, **options), twin if in_torch else None)


OPTIMIZER_CASES: tuple[OptimizerCase, ...] = (
    _row(SGD, lr=0.05),
    _row(SGD, "weight decay", lr=0.05, weight_decay=0.1),
    _row(SGD, "momentum", lr=0.02, momentum=0.9),
    _row(SGD, "dampening", lr=0.05, momentum=0.8, dampening=0.5, weight_decay=0.01),
    _row(SGD, "nesterov", lr=0.02, momentum=0.9, nesterov=True),
    _row(RMSprop, lr=0.01),
    _row(RMSprop, "centered", lr=0.01, alpha=0.9, centered=True),
    _row(RMSprop, "momentum", lr=0.003, alpha=0.9, momentum=0.7, weight_decay=0.05),
    _row(RMSprop, "centered momentum", lr=0.003, eps=1e-4, momentum=0.5, centered=True),
    _row(Adagrad, lr=0.1),
    _row(Adagrad, "decay", lr=0.1, lr_decay=0.01, weight_decay=0.05, initial_accumulator_value=0.5),
    _row(Adam, lr=0.01),
    _row(Adam, "weight decay", lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    _row(AdamW, lr=0.01),
    _row(AdamW, "decay", lr=0.02, betas=(0.5, 0.9), weight_decay=0.3),
    _row(SGD, "ema", in_torch=False, lr=0.1, momentum=0.9, momentum_form="ema"),
    _row(SGD, "lr_inside", in_torch=False, lr=0.02, momentum=0.9, momentum_form="lr_inside"),
    _row(RMSprop, "eps_inside_root", in_torch=False, lr=0.01, alpha=0.9, eps=1e-3, eps_inside_root=True),
)
"""Every optimizer, in every mode; torch lacks the last three, which are from papers."""
