"""Proofs of the optimizers: a table of cases, and comparisons of 1,000 steps."""

from .case import OptimizerCase
from .cases import OPTIMIZER_CASES
from .check import check_case

__all__ = ["OPTIMIZER_CASES", "OptimizerCase", "check_case"]
