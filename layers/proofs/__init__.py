"""Proofs: one table of cases for every layer and loss, and the oracles that judge them."""

from .against_torch import compare_with_torch
from .case import LayerCase, LossCase
from .cases import LAYER_CASES, LOSS_CASES
from .check import Proof, check, check_case
from .finite_differences import check_differences
from .report import Difference, Report
from .subject import Subject

__all__ = [
    "LAYER_CASES",
    "LOSS_CASES",
    "Difference",
    "LayerCase",
    "LossCase",
    "Proof",
    "Report",
    "Subject",
    "check",
    "check_case",
    "check_differences",
    "compare_with_torch",
]
