"""Gradient clipping over an optimizer's flat gradients: a few ops for any number of layers."""

from __future__ import annotations

from ...backends import OptionError, Tensor
from ...backends.options import number, shown
from .optimizer import Optimizer


def clip_grad_norm(optimizer: Optimizer, max_norm: float) -> Tensor:
    """Scale all gradients so that their joint 2-norm is at most `max_norm`; return the norm before, ().

    As torch.nn.utils.clip_grad_norm_: the factor is min(1, max_norm / (norm + 1e-6)).
    """
    _check("clip_grad_norm", optimizer)
    max_norm = number("clip_grad_norm", "max_norm", max_norm, above=0.0, infinite=True)
    optimizer.finish_gradients()
    b = optimizer.groups[0].backend
    total, *squares = [b.sum(b.square(group.grad)) for group in optimizer.groups]
    for square in squares:
        total = b.add(total, square)
    norm = b.sqrt(total)
    factor = b.minimum(b.divide(max_norm, b.add(norm, 1e-6)), 1.0)
    for group in optimizer.groups:
        group.put("grad", b.multiply(group.grad, factor, out=group.grad))
    return norm


def clip_grad_value(optimizer: Optimizer, clip_value: float) -> None:
    """Clip every element of every gradient to [-clip_value, clip_value]."""
    _check("clip_grad_value", optimizer)
    clip_value = number("clip_grad_value", "clip_value", clip_value, above=0.0, infinite=True)
    optimizer.finish_gradients()
    for group in optimizer.groups:
        group.put("grad", group.backend.clip(group.grad, -clip_value, clip_value))


def _check(owner: str, optimizer: object) -> None:
    if not isinstance(optimizer, Optimizer):
        raise OptionError(f"{owner}: expected an optimizer, got {shown(optimizer)}")
