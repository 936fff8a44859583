"""The negative control: a row of the table with a fault planted in it, and which proofs object.

A check that cannot fail proves nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ...backends import Backend, LaminaError
from ...layers import Loss, Module
from .against_torch import compare_layer, compare_loss
from .case import LayerCase, LossCase
from .finite_differences import check_layer, check_loss
from .report import Report

Host = np.ndarray[Any, Any]
Case = TypeVar("Case", LayerCase, LossCase)

DIFFERENCES = "finite differences"
TORCH = "torch"


def planted(case: Case, faulty: type[Module] | type[Loss]) -> Case:
    """Return the row with a faulty subclass in place of the sound class, and all of its options."""
    make: Any = case.make

    def broken(backend: Backend) -> Any:
        sound = make(backend)
        sound.__class__ = faulty
        return sound

    return replace(case, make=broken)


def objections(case: LayerCase | LossCase, backend: Backend) -> set[str]:
    """Return which proofs fail: DIFFERENCES, and TORCH at the row's inputs or at its special ones.

    An error of Lamina's own that the fault leads to counts as well.
    """
    special = case.special_inputs()
    found = set()
    if _fails(case, backend, case.inputs(), torch=False):
        found.add(DIFFERENCES)
    if case.torch is not None and any(
        _fails(case, backend, inputs, torch=True) for inputs in (case.inputs(), special) if inputs is not None
    ):
        found.add(TORCH)
    return found


def _fails(
    case: LayerCase | LossCase, backend: Backend, inputs: Host | tuple[Host, Host], *, torch: bool
) -> bool:
    try:
        return not _report(case, backend, inputs, torch=torch).passed
    except LaminaError:
        return True


def _report(
    case: LayerCase | LossCase, backend: Backend, inputs: Host | tuple[Host, Host], *, torch: bool
) -> Report:
    twin: Any = case.torch
    if isinstance(case, LayerCase):
        layer, x = case.build(backend), np.asarray(inputs)
        return compare_layer(layer, twin(), x) if torch else check_layer(layer, x)
    loss, (prediction, target) = case.build(backend), inputs
    return compare_loss(loss, twin(), prediction, target) if torch else check_loss(loss, prediction, target)
