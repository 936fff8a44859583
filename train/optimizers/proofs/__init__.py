"""Proofs of the optimizers: their table of cases, and the trajectories that are compared."""

from .case import OptimizerCase
from .cases import OPTIMIZER_CASES
from .check import check_case

__all__ = ["OPTIMIZER_CASES", "OptimizerCase", "check_case"]
