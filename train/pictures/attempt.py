"""`attempt`: a picture that cannot be drawn costs a line of text, not the results of a run."""

from __future__ import annotations

from collections.abc import Callable

from ...backends.errors import LaminaError


def attempt(name: str, draw: Callable[[], object]) -> str:
    """Draw a picture; return "", or one line with the reason why it cannot be drawn."""
    try:
        draw()
    except MemoryError:
        reason = "there is not enough memory"
    except Exception as error:  # matplotlib, its fonts and settings, and the disk raise many kinds
        text = " ".join(str(error).split())
        reason = text if isinstance(error, LaminaError) else f"{type(error).__name__}: {text}"
    else:
        return ""
    return f"{name} cannot be drawn: {reason[:300]}"
