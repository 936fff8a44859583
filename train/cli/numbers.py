"""Numbers on the command line: `typer.Option(..., **INTEGER)` says `expected an integer, got 'x'`."""

from __future__ import annotations

from typing import Any

import typer


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"expected an integer, got {text!r:.80}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"expected a number, got {text!r:.80}") from None


INTEGER: dict[str, Any] = {"parser": _integer, "metavar": "<int>"}
NUMBER: dict[str, Any] = {"parser": _number, "metavar": "<float>"}
