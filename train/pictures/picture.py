"""A figure in our style, which a notebook shows although pyplot is not imported."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from matplotlib import rc_context, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...backends.drawing.fonts import families

# Any: some versions' stubs want literal keys.
_STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "legend.fontsize": 10,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "svg.hashsalt": "lamina",  # equal pictures are equal files
}


def _style() -> Any:
    return {**_STYLE, "font.family": families(rcParams["font.family"])}


class Picture(Figure):
    """A figure that becomes the content of a file."""

    def encoded(self, kind: str) -> bytes:
        """Return the content of a file, "png" or "svg"."""
        buffer = io.BytesIO()
        with rc_context(_style()):
            # A date in the file would make equal pictures differ.
            metadata = {"Date": None} if kind == "svg" else None
            self.savefig(buffer, format=kind, metadata=metadata)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self.encoded("png")


def drawn(draw: Callable[[Figure], None]) -> Picture:
    """Let `draw` fill a figure in our style, and return it."""
    with rc_context(_style()):
        figure = Picture(dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
    return figure
