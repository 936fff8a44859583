"""Gradient clipping, over an optimizer's flat gradients: a few ops however many layers there are."""

from __future__ import annotations

from ...backends import OptionError, Tensor
from .optimizer import Optimizer


def clip_grad_norm(optimizer: Optimizer, max_norm: float) -> Tensor:
    """Scale all gradients so that their joint 2-norm is at most `max_norm`; return the norm before, ().

    As torch.nn.utils.clip_grad_norm_: the factor is min(1, max_norm / (norm + 1e-6)).
    """
    if not max_norm > 0.0:
        raise OptionError(f"clip_grad_norm: max_norm must be above 0, got {max_norm!r}")
    max_norm = float(max_norm)
    b = optimizer.groups[0].backend
    squares = []
    optimizer.check_parameters()
    for group in optimizer.groups:
        group.storage.finish_gradients()
        squares.append(b.sum(b.square(group.grad)))
    total = squares[0]
    for square in squares[1:]:
        total = b.add(total, square)
    norm = b.sqrt(total)
    factor = b.minimum(b.divide(max_norm, b.add(norm, 1e-6)), 1.0)
    for group in optimizer.groups:
        group.put("grad", b.multiply(group.grad, factor, out=group.grad))
    return norm


def clip_grad_value(optimizer: Optimizer, clip_value: float) -> None:
    """Hold every element of every gradient within [-clip_value, clip_value]."""
    if not clip_value > 0.0:
        raise OptionError(f"clip_grad_value: clip_value must be above 0, got {clip_value!r}")
    clip_value = float(clip_value)
    optimizer.check_parameters()
    for group in optimizer.groups:
        group.storage.finish_gradients()
        group.put("grad", group.backend.clip(group.grad, -clip_value, clip_value))
