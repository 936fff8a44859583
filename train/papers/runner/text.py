"""Numbers and tables as text: 98.5 %, 0.0254, 3.1 s, and Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

_UNITS = {"percent": " %", "share": " % of the runs", "seconds": " s"}


def figure(value: float, form: str, std: float | None = None) -> str:
    """Return a number with its unit, and its deviation if there is one."""
    if not math.isfinite(value):  # an infinite count: the epochs to an event that never happened
        return "never" if form == "count" and value == math.inf else "not finite"
    spread = "" if std is None or math.isnan(std) or form == "share" else " ± " + _digits(std, form)
    return f"{_digits(value, form)}{spread}{_UNITS.get(form, '')}"


def span(low: float, high: float, form: str) -> str:
    """Return an interval, "98.1 to 98.7"; "" if it is NaN."""
    return "" if math.isnan(low) else f"{_digits(low, form)} to {_digits(high, form)}"


def _digits(value: float, form: str) -> str:
    if form in ("percent", "share"):
        return f"{100 * value:.2f}"
    if form == "count":
        return f"{value:.1f}"
    return f"{value:.2f}" if form == "ratio" else f"{value:.3g}"


def grid(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
