"""The roofline (Williams, Waterman & Patterson 2009): the speed of ops, and the limit of the machine.

An op of I FLOPs per byte cannot exceed min(peak, I bandwidth). Both are measured: peak by a large matrix
product, bandwidth by a copy larger than any cache.
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
from ..pictures.figure import COLOURS, PathLike, make_figure, plain
from .labels import LARGE_FONT, around, count_overlaps, extent, label_box, offset, pixels, within, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

_LABELLED = 0.01
"""Points with at least this share of the time have a colour and a label."""
_NOTE_WIDTH = 92
_SMALL = "#B5B5B5"
# The places of a label: distances from its point (points) and directions (degrees).
_REACHES = (4, 9, 18, 30, 45, 65, 90)
_ANGLES = (0, 180, 30, -30, 150, -150, 60, -60, 120, -120, 90, -90)


@dataclass(frozen=True)
class Roof:
    """The machine's speed: FLOPs a second in a matrix product, bytes a second in a copy."""

    flops_per_second: float
    bytes_per_second: float

    @property
    def ridge(self) -> float:
        """The FLOPs per byte above which arithmetic is the limit."""
        return self.flops_per_second / self.bytes_per_second

    def bound(self, intensity: float) -> float:
        """Return the most FLOPs a second at an intensity in FLOPs per byte."""
        return min(self.flops_per_second, intensity * self.bytes_per_second)


def measure_roof(backend: Backend, *, seconds: float = 0.3) -> Roof:
    """Time a matrix product and a copy on a backend, for about `seconds` each; the fastest call counts."""
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


def draw_roofline(report: Report, roof: Roof, path: PathLike | None = None, *, title: str = "") -> Figure:
    """Return a figure of each op of a report as a point under the roof; its area is its share of the time.

    Parameters
    ----------
    report
        The measured ops. Ops without FLOPs have no place on the axes and are named below them.
    roof
        The machine.
    path
        A file to write, .png or .svg, if any.
    title
        Stands above the picture.
    """
    total = report.total.seconds
    rows = [row for row in report.by_op() if row.seconds]
    points = [row for row in rows if row.flops and row.bytes]
    others = [row for row in rows if row not in points and row.seconds >= _LABELLED * total]
    note = "without FLOPs: " + ", ".join(_label(row, total).replace(" ", "\u00a0") for row in others)

    def draw(figure: Figure) -> None:
        figure.set_size_inches(8.2, 5.6)
        axes = figure.add_subplot()
        _draw_roof(axes, roof, points)
        _draw_points(axes, points, total)
        axes.set(title=plain(title), xlabel="FLOPs per byte", ylabel="FLOP/s")
        if others:
            axes.set_xlabel(f"FLOPs per byte\n{textwrap.fill(note, _NOTE_WIDTH)}")
        _draw_labels(figure, axes, roof, points, total)

    return make_figure(draw, path)


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
    # The largest first, so that small points lie on top.
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
    """Write the name and share of each larger op near its point, in the free place nearest to it."""
    figure.draw_without_rendering()  # computes all places
    pixel, inside = figure.dpi / 72, axes.get_window_extent()
    taken = [text.get_window_extent() for text in axes.texts]
    taken += [legend.get_window_extent()] if (legend := axes.get_legend()) is not None else []
    line = np.geomspace(*axes.get_xlim(), 120)
    taken += [around(pixels(axes, x, roof.bound(x)), 2 * pixel) for x in line]
    spots = [pixels(axes, row.intensity, row.flops_per_second) for row in points]
    radii = [pixel * math.sqrt(_area(row, total) / math.pi) for row in points]
    taken += [around(spot, radius + 2 * pixel) for spot, radius in zip(spots, radii, strict=True)]
    for row, spot, radius in zip(points, spots, radii, strict=True):
        if row.seconds < _LABELLED * total:
            continue
        width, height = extent(axes, _label(row, total))
        tried = [
            (reach, label_box(spot, radius + pixel * reach, angle, width, height))
            for reach in _REACHES
            for angle in _ANGLES
        ]
        fitting = [(reach, box) for reach, box in tried if within(box, inside)] or tried
        clashes = count_overlaps([box for _, box in fitting], taken)
        _, (reach, box) = min(zip(clashes, fitting, strict=True), key=lambda one: (one[0], one[1][0]))
        taken.append(box)
        place = (row.intensity, row.flops_per_second)
        away = offset(spot, box, pixel)
        write(axes, _label(row, total), place, away, leader=reach > _REACHES[1])
    _name_slope(axes, roof, pixel, taken)


def _name_slope(axes: Axes, roof: Roof, pixel: float, taken: Sequence[Bbox]) -> None:
    """Write the bandwidth above the slope, in a free place."""
    text = f"copy: {si(roof.bytes_per_second)}B/s"
    width, height = extent(axes, text, LARGE_FONT)
    low = axes.get_xlim()[0]
    places = [low ** (1 - part) * roof.ridge**part for part in (0.5, 0.6, 0.7, 0.8, 0.4, 0.3)]

    boxes = [label_box(pixels(axes, x, roof.bound(x)), 8 * pixel, 150, width, height) for x in places]
    best = int(np.argmin(count_overlaps(boxes, taken)))
    x = places[best]
    away = offset(pixels(axes, x, roof.bound(x)), boxes[best], pixel)
    write(axes, text, (x, roof.bound(x)), away, font=LARGE_FONT)
