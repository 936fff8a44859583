"""The roofline (Williams, Waterman & Patterson 2009): how fast ops run, and what the machine would allow.

An op that does I FLOPs for each byte it moves cannot exceed min(peak, I bandwidth). Both are measured: the
rate of a large matrix product, and that of copying what no cache holds.
"""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import Backend
from ...backends.decorators.report import Report, Row, si
from ..plots import COLOURS, PathLike, plain, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

_LABELLED = 0.01
"""The share of the time from which on a point has a colour and its name beside it."""
_NOTE_WIDTH = 92
_SMALL = "#B5B5B5"
# Of labels: the size, how far from the point they may stand (points), and in which direction (degrees).
_FONT = 9
_REACHES = (4, 9, 18, 30, 45, 65, 90)
_ANGLES = (0, 180, 30, -30, 150, -150, 60, -60, 120, -120, 90, -90)


@dataclass(frozen=True)
class Roof:
    """What the machine reaches: FLOPs a second in a matrix product, bytes a second in a copy."""

    flops_per_second: float
    bytes_per_second: float

    @property
    def ridge(self) -> float:
        """The FLOPs per byte from which on the arithmetic is the limit."""
        return self.flops_per_second / self.bytes_per_second

    def bound(self, intensity: float) -> float:
        """Return the FLOPs a second that are possible at so many FLOPs per byte."""
        return min(self.flops_per_second, intensity * self.bytes_per_second)


def measure_roof(backend: Backend, *, seconds: float = 0.3) -> Roof:
    """Time a matrix product and a copy on a backend, each for about so many seconds; the fastest counts."""
    far = backend.device != "cpu"
    n, count = (4096, 1 << 27) if far else (1024, 1 << 24)
    with backend.session():
        x, product = backend.full((n, n), 1.0), backend.empty((n, n))
        flops = 2 * n**3 / _fastest(backend, lambda: backend.matmul(x, x, out=product), seconds)
        source, target = backend.full((count,), 1.0), backend.empty((count,))
        moved = 2 * count * (8 if backend.default_dtype == "float64" else 4)
        return Roof(flops, moved / _fastest(backend, lambda: backend.copy(source, out=target), seconds))


def _fastest(backend: Backend, call: Callable[[], Any], seconds: float) -> float:
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        backend.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def draw_roofline(report: Report, roof: Roof, path: PathLike, *, title: str = "") -> None:
    """Draw each op of a report as a point under the roof, its area its share of the time.

    Parameters
    ----------
    report
        What ran. Ops that move bytes and do no FLOPs have no place on the axes, and are named below them.
    roof
        The machine.
    path
        The file, .png or .svg.
    title
        Stands above the picture.
    """
    total = report.total.seconds
    rows = [row for row in report.by_op() if row.seconds]
    points = [row for row in rows if row.flops and row.bytes]
    others = [row for row in rows if row not in points and row.seconds >= _LABELLED * total]
    note = "no FLOPs, so not here: " + ", ".join(_label(row, total).replace(" ", "\u00a0") for row in others)

    def draw(figure: Figure) -> None:
        figure.set_size_inches(8.2, 5.6)
        axes = figure.add_subplot()
        _draw_roof(axes, roof, points)
        _draw_points(axes, points, total)
        axes.set(title=plain(title), xlabel="FLOPs per byte", ylabel="FLOP/s")
        if others:
            axes.set_xlabel(f"FLOPs per byte\n{textwrap.fill(note, _NOTE_WIDTH)}")
        _draw_labels(figure, axes, roof, points, total)

    save_figure(draw, path)


def _label(row: Row, total: float) -> str:
    return f"{row.op} {row.seconds / total:.1%}"


def _draw_roof(axes: Axes, roof: Roof, points: Sequence[Row]) -> None:
    from matplotlib.ticker import FuncFormatter

    intensities = [row.intensity for row in points] + [roof.ridge]
    speeds = [row.flops_per_second for row in points] + [roof.flops_per_second]
    low, high = min(intensities) / 4, max(intensities) * 6
    x = np.array([low, roof.ridge, high])
    y = np.array([roof.bound(value) for value in x])
    floor, top = min([*speeds, y[0]]) / 3, max(speeds) * 4
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(floor, top))
    axes.fill_between(x, y, floor, color="#F2F5F8", zorder=0)
    axes.plot(x, y, color="black", linewidth=1.8, zorder=2)
    peak = f"matrix product: {si(roof.flops_per_second)}FLOP/s"
    axes.annotate(
        peak, (high, roof.flops_per_second), (-6, 5), textcoords="offset points", ha="right", va="bottom"
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_points(axes: Axes, points: Sequence[Row], total: float) -> None:
    # The largest first, so that small ones lie on top and are seen.
    for i, row in enumerate(points):
        named = row.seconds >= _LABELLED * total
        colour = COLOURS[i % len(COLOURS)] if named else _SMALL
        edge: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.8, "zorder": 3 + i}
        axes.scatter([row.intensity], [row.flops_per_second], _area(row, total), colour, **edge)
    if any(row.seconds < _LABELLED * total for row in points):
        label = f"less than {_LABELLED:.0%} of the time each"
        axes.scatter([], [], 24, _SMALL, label=label)
        axes.legend(loc="lower right", frameon=False)


def _area(row: Row, total: float) -> float:
    return 24 + 900 * row.seconds / total


def _draw_labels(figure: Figure, axes: Axes, roof: Roof, points: Sequence[Row], total: float) -> None:
    """Write each larger op's name and share near its point, where nothing is drawn yet."""
    figure.draw_without_rendering()  # type: ignore[no-untyped-call]  # so that all places are known
    pixel, inside = figure.dpi / 72, axes.get_window_extent()
    taken = [text.get_window_extent() for text in axes.texts]
    taken += [legend.get_window_extent()] if (legend := axes.get_legend()) is not None else []
    line = np.geomspace(*axes.get_xlim(), 120)
    taken += [_around(*axes.transData.transform((x, roof.bound(x))), 2 * pixel) for x in line]
    spots = [axes.transData.transform((row.intensity, row.flops_per_second)) for row in points]
    radii = [pixel * math.sqrt(_area(row, total) / math.pi) for row in points]
    taken += [_around(x, y, radius + 2 * pixel) for (x, y), radius in zip(spots, radii, strict=True)]
    for row, (x, y), radius in zip(points, spots, radii, strict=True):
        if row.seconds < _LABELLED * total:
            continue
        width, height = _extent(axes, _label(row, total))
        tried = [
            (reach, _label_box(x, y, radius + pixel * reach, angle, width, height))
            for reach in _REACHES
            for angle in _ANGLES
        ]
        fitting = [(reach, box) for reach, box in tried if _within(box, inside)] or tried
        reach, box = min(fitting, key=lambda found: (sum(map(found[1].overlaps, taken)), found[0]))
        taken.append(box)
        offset = ((box.x0 + box.x1) / 2 - x) / pixel, ((box.y0 + box.y1) / 2 - y) / pixel
        spot = (row.intensity, row.flops_per_second)
        _write(axes, _label(row, total), spot, offset, leader=reach > _REACHES[1])
    _name_slope(axes, roof, pixel, taken)


def _name_slope(axes: Axes, roof: Roof, pixel: float, taken: Sequence[Bbox]) -> None:
    """Write what the slope is above it, where there is room."""
    text = f"copy: {si(roof.bytes_per_second)}B/s"
    width, height = _extent(axes, text, axes.xaxis.label.get_fontsize())
    low = axes.get_xlim()[0]
    spots = [low ** (1 - part) * roof.ridge**part for part in (0.5, 0.6, 0.7, 0.8, 0.4, 0.3)]

    def box(x: float) -> Bbox:
        return _label_box(*axes.transData.transform((x, roof.bound(x))), 8 * pixel, 150, width, height)

    x = min(spots, key=lambda spot: sum(map(box(spot).overlaps, taken)))
    place, (x0, y0) = box(x), axes.transData.transform((x, roof.bound(x)))
    offset = ((place.x0 + place.x1) / 2 - x0) / pixel, ((place.y0 + place.y1) / 2 - y0) / pixel
    _write(axes, text, (x, roof.bound(x)), offset, font=axes.xaxis.label.get_fontsize())


def _write(
    axes: Axes,
    text: str,
    spot: tuple[float, float],
    offset: tuple[float, float],
    *,
    leader: bool = False,
    font: float = _FONT,
) -> None:
    """Write a text so many points away from a spot, with a line to it if it is far."""
    from matplotlib.patheffects import withStroke

    arrow = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 2}
    label = axes.annotate(
        text,
        spot,
        offset,
        textcoords="offset points",
        fontsize=font,
        ha="center",
        va="center",
        zorder=100,
        arrowprops=arrow if leader else None,
    )
    label.set_path_effects([withStroke(linewidth=2, foreground="#F2F5F8")])
    label.set_in_layout(False)  # else the axes would move, and the label with them


def _extent(axes: Axes, text: str, font: float = _FONT) -> tuple[float, float]:
    """Return the width and height of a text, in pixels."""
    trial = axes.text(0, 0, text, fontsize=font, transform=None)
    box = trial.get_window_extent()
    trial.remove()
    return box.width, box.height


def _label_box(x: float, y: float, reach: float, angle: float, width: float, height: float) -> Bbox:
    """Return where a label lies whose nearest edge is so far from (x, y), in that direction (degrees)."""
    from matplotlib.transforms import Bbox

    dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    left = x + reach * dx + (dx - 1) * width / 2
    bottom = y + reach * dy + (dy - 1) * height / 2
    return Bbox([[left, bottom], [left + width, bottom + height]])


def _around(x: float, y: float, half: float) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox([[x - half, y - half], [x + half, y + half]])


def _within(box: Bbox, outer: Any) -> bool:
    return bool(outer.x0 <= box.x0 and box.x1 <= outer.x1 and outer.y0 <= box.y0 and box.y1 <= outer.y1)
