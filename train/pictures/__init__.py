"""Pictures of runs, and graphs of networks (in `graphs`)."""

from .attempt import attempt
from .boundaries import decision_boundaries, decision_boundary
from .confusion import confusion_matrix
from .curves import learning_curves
from .regression import regression_scatter

__all__ = [
    "attempt",
    "confusion_matrix",
    "decision_boundaries",
    "decision_boundary",
    "learning_curves",
    "regression_scatter",
]
