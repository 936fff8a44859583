"""The runner of all papers: runs by seed, statistics, pictures, a report; an interrupted one resumes."""

from .paper import (
    Choice,
    Options,
    Paper,
    Picture,
    Results,
    Row,
    Table,
    Values,
    accuracies,
    epochs_to,
    measured,
    ratio,
    scored,
)
from .plan import MLP, Plan
from .report import Report
from .runner import reproduce
from .statistics import summarize
from .text import figure
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
