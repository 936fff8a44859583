"""The style of Lamina's pictures, and how a figure becomes a file.

matplotlib is imported when the first picture is drawn, because that takes longer than the rest of Lamina.
pyplot is never imported: it keeps global state and may open a window.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...backends.drawing.fonts import drawable, import_matplotlib
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


def make_figure(draw: Callable[[Figure], None], path: PathLike | None = None) -> Figure:
    """Let `draw` fill a figure in our style, and return it; a notebook shows it.

    path: also write it as .png or .svg, whole or not at all.
    """
    kind = None if path is None else picture_format(path)
    import_matplotlib()
    from .picture import drawn

    figure = drawn(draw)
    if path is not None and kind is not None:
        atomic_write(path, figure.encoded(kind))
    return figure
