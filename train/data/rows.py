"""`Rows`: new samples for a trained model, from a file."""

from __future__ import annotations

from dataclasses import dataclass

from ...backends.host import Host
from .targets import Targets


@dataclass(frozen=True)
class Rows:
    """Rows for a trained model."""

    inputs: Host
    """(N, ...)"""
    targets: Targets | None = None
    """Targets and classes, if the file has any."""
    problem: str = ""
    """The reason why a target column cannot be read."""
    reading: str = ""
    """How a file of text was read."""
