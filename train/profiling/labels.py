"""Labels beside the points of a picture, and their boxes in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

Spot = tuple[float, float]
FONT, LARGE_FONT = 9, 11


def pixels(axes: Axes, x: float, y: float) -> Spot:
    """Return the pixels of a point of the data."""
    across, up = axes.transData.transform((x, y))
    return float(across), float(up)


def offset(spot: Spot, box: Bbox, pixel: float) -> Spot:
    """Return the offset of a box's middle from a spot, in points."""
    return ((box.x0 + box.x1) / 2 - spot[0]) / pixel, ((box.y0 + box.y1) / 2 - spot[1]) / pixel


def write(
    axes: Axes,
    text: str,
    place: Spot,
    offset: Spot,
    *,
    leader: bool = False,
    font: float = FONT,
) -> None:
    """Write a text at an offset (points) from a place of the data; leader: draw a line between them."""
    from matplotlib.patheffects import withStroke

    arrow = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 2}
    label = axes.annotate(
        text,
        place,
        offset,
        textcoords="offset points",
        fontsize=font,
        ha="center",
        va="center",
        zorder=100,
        arrowprops=arrow if leader else None,
    )
    label.set_path_effects([withStroke(linewidth=2, foreground="#F2F5F8")])
    label.set_in_layout(False)  # else the layout would move the axes, and the label with them


def extent(axes: Axes, text: str, font: float = FONT) -> tuple[float, float]:
    """Return the width and height of a text, in pixels."""
    trial = axes.text(0, 0, text, fontsize=font, transform=None)
    box = trial.get_window_extent()
    trial.remove()
    return box.width, box.height


def label_box(spot: Spot, reach: float, angle: float, width: float, height: float) -> Bbox:
    """Return the box of a label whose nearest edge is `reach` pixels from a spot, at an angle (degrees)."""
    from matplotlib.transforms import Bbox

    dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    left = spot[0] + reach * dx + (dx - 1) * width / 2
    bottom = spot[1] + reach * dy + (dy - 1) * height / 2
    return Bbox([[left, bottom], [left + width, bottom + height]])


def around(spot: Spot, half: float) -> Bbox:
    """Return the square around a spot with sides of twice `half`."""
    from matplotlib.transforms import Bbox

    x, y = spot
    return Bbox([[x - half, y - half], [x + half, y + half]])


def within(box: Bbox, outer: Bbox) -> bool:
    """Return whether a box lies inside another."""
    return bool(outer.x0 <= box.x0 and box.x1 <= outer.x1 and outer.y0 <= box.y0 and box.y1 <= outer.y1)


def count_overlaps(boxes: Sequence[Bbox], others: Sequence[Bbox]) -> list[int]:
    """Return for each box how many of the others it overlaps or touches."""
    a, b = (np.array([box.extents for box in group]).reshape(-1, 4) for group in (boxes, others))
    low, high = a[:, None, :2], a[:, None, 2:]
    counts: list[int] = ((low <= b[:, 2:]) & (b[:, :2] <= high)).all(axis=2).sum(axis=1).tolist()
    return counts
