"""Proofs: one table of cases for every layer and loss, and the oracles that judge them."""

from .against_torch import compare_layer, compare_loss
from .case import LayerCase, LossCase
from .cases import LAYER_CASES, LOSS_CASES
from .check import Proof, check, check_case
from .finite_differences import check_layer, check_loss
from .report import Difference, Report

__all__ = [
    "LAYER_CASES",
    "LOSS_CASES",
    "Difference",
    "LayerCase",
    "LossCase",
    "Proof",
    "Report",
    "check",
    "check_case",
    "check_layer",
    "check_loss",
    "compare_layer",
    "compare_loss",
]
