"""Proofs: one table of cases for every layer, loss and optimizer, and finite differences over it."""

from .case import LayerCase, LossCase, OptimizerCase
from .cases import LAYER_CASES, LOSS_CASES, OPTIMIZER_CASES
from .finite_differences import Difference, Report, check_layer, check_loss

__all__ = [
    "LAYER_CASES",
    "LOSS_CASES",
    "OPTIMIZER_CASES",
    "Difference",
    "LayerCase",
    "LossCase",
    "OptimizerCase",
    "Report",
    "check_layer",
    "check_loss",
]
