"""The command line."""

import importlib
import io
import sys
import warnings
from collections.abc import Sequence

from .app import app

COMMANDS = (
    "backends", "cache", "check", "export", "graph", "predict", "profile", "reproduce", "runs", "summary",
    "train",
)  # fmt: skip
"""Each is a module here."""

__all__ = ["COMMANDS", "app", "load", "main"]


def load(words: Sequence[str] = ()) -> None:
    """Add to the app the command that the words begin with, or else every command.

    What all commands import together takes as long as a short training.
    """
    for name in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        importlib.import_module(f".{name}", __package__)


def main() -> None:
    """Run the `lamina` command. `lamina.main` calls it, after its imports."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a character prints "?"
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        app(prog_name="lamina")


def _show_warning(message: Warning | str, *place: object, **more: object) -> None:
    """Print a warning as one line, without the line of code that it comes from."""
    print(f"Warning: {message}", file=sys.stderr)
