"""A layer, loss or optimizer against itself on a second backend, in float64."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...backends import Backend
from .. import Loss, Module
from .against_torch import close
from .passes import run_layer, run_loss
from .report import Report, compare

Host = np.ndarray[Any, Any]


def compare_layer_with_backend(layer: Module, other: Backend, x: Host) -> Report:
    """Compare a layer's passes, and its state after them, with its copy's on another backend, at 1e-9."""
    mine, twin = copy.deepcopy(layer), copy.deepcopy(layer).to(other)
    with mine.backend.session():  # infinities may be meant
        ours = run_layer(mine, x)
    with other.session():
        theirs = run_layer(twin, x)
    report = Report(str(layer), other.spec, compare(ours, theirs, close, same=True))
    left, right = ({f"{n}, afterwards": v for n, v in m.state_dict().items()} for m in (mine, twin))
    report.differences += compare(left, right, close, same=True)
    return report


def compare_loss_with_backend(loss: Loss, other: Backend, prediction: Host, target: Host) -> Report:
    """Compare a loss and its gradient with those of its copy on another backend, at 1e-9."""
    mine, twin = copy.deepcopy(loss), copy.deepcopy(loss).to(other)
    with mine.backend.session():
        ours = run_loss(mine, prediction, target)
    with other.session():
        theirs = run_loss(twin, prediction, target)
    return Report(str(loss), other.spec, compare(ours, theirs, close, same=True))
