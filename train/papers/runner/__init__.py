"""The one runner of all papers: repeats by seed, statistics, pictures, a report, going on after a stop."""

from .paper import (
    Choice,
    Options,
    Paper,
    Picture,
    Results,
    Row,
    Table,
    Values,
    epochs_to,
    measured,
    ratio,
    scored,
)
from .plan import MLP, Plan
from .report import Report, accuracies, figure
from .runner import reproduce
from .statistics import summarize
from .training import Outcome, Run, first_losses, perform

__all__ = [
    "MLP",
    "Choice",
    "Options",
    "Outcome",
    "Paper",
    "Picture",
    "Plan",
    "Report",
    "Results",
    "Row",
    "Run",
    "Table",
    "Values",
    "accuracies",
    "epochs_to",
    "figure",
    "first_losses",
    "measured",
    "perform",
    "ratio",
    "reproduce",
    "scored",
    "summarize",
]
