"""The style of Lamina's pictures, and how a figure becomes a file.

matplotlib is imported when the first picture is drawn, because that takes longer than the rest of Lamina.
pyplot is never imported: it keeps global state and may open a window.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...backends.drawing.fonts import drawable, families, import_matplotlib
from ...backends.errors import OptionError
from ..files import atomic_write, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PathLike = str | os.PathLike[str]

# Okabe and Ito's colours, which colour-blind readers can tell apart, without vermilion: red marks errors.
# Three more make ten; markers differ too.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#555555"]
COLOURS += ["#5D3A9B", "#A6611A", "#B2DF8A"]
MARKERS = "o^sDvP*X<>"
WRONG = "#D00000"
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


def class_colour(k: int) -> str:
    """Return the colour of class k."""
    return COLOURS[k % len(COLOURS)]


def plain(text: str) -> str:
    """Return text that matplotlib shows as it is, or with codes for characters that no font has.

    There is no mathematics in it ("$5 or $6") and no hidden label ("_a").
    """
    return (" " if text.startswith("_") else "") + shown(text).replace("$", r"\$")


def shown(text: str) -> str:
    """Return text with codes for characters that no font has."""
    return drawable(visible(text, lines=True), import_matplotlib().rcParams["font.family"])


def picture_format(path: PathLike) -> str:
    """Return "png" or "svg", by a file's ending."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg"):
        raise OptionError(f"expected a picture file that ends in .png or .svg, got '{os.fspath(path)}'")
    return suffix[1:]


def save_figure(draw: Callable[[Figure], None], path: PathLike) -> None:
    """Let `draw` fill a figure in our style, and write it as .png or .svg, whole or not at all."""
    kind = picture_format(path)
    matplotlib = import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with matplotlib.rc_context({**_STYLE, "font.family": families(matplotlib.rcParams["font.family"])}):
        figure = Figure(dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        # A date in the file would make equal pictures differ.
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", pad_inches=0.08)
    atomic_write(path, buffer.getvalue())
