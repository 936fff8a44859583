"""The command line."""

import io
import sys

from . import backends, cache, check, export, graph, predict, profile, reproduce, summary, train
from .app import app

__all__ = [
    "app",
    "backends",
    "cache",
    "check",
    "export",
    "graph",
    "main",
    "predict",
    "profile",
    "reproduce",
    "summary",
    "train",
]


def main() -> None:
    """Run the `lamina` command. `lamina.main` calls it, after its imports."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a character prints "?"
    app(prog_name="lamina")
