"""The command line."""

from . import backends, predict, train
from .app import app

__all__ = ["app", "backends", "main", "predict", "train"]


def main() -> None:
    """Run the `lamina` command."""
    app(prog_name="lamina")
