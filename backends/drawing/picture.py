"""A graph as a picture, drawn by matplotlib, which is imported when the first picture is drawn."""

from __future__ import annotations

import io
import itertools
import textwrap
from typing import TYPE_CHECKING, Any

from .data import SMALL, GraphData, Node, printable
from .fonts import drawable, families, import_matplotlib
from .layout import CAPTION, LABEL, PAD, Cell, Frame, Layout, Point, Size, ends, layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

PICTURES = ("png", "svg", "pdf")

_FIRST, _SMALL, _CAPTION, _TITLE = 12.0, 9.0, 10.0, 13.0  # sizes of text in points
_LINE = 1.25  # heights of text from line to line
_WIDEST = 40  # characters in a line of a box
_MARGIN = 10.0
_LEAN = 0.8  # the steepest dx/dy of an edge at a box or a label
_DPI, _PIXELS = 150.0, 30000.0  # of a PNG, at most; the pixels along its longer side
_DARK, _GREY, _LIGHT = "#222222", "#555555", "#aaaaaa"
# The user's settings of matplotlib must not change the picture. A salt makes equal graphs equal SVG files.
_STYLE: Any = {
    "text.usetex": False,
    "path.sketch": None,
    "svg.hashsalt": "lamina",
}


def picture(graph: GraphData, kind: str) -> bytes:
    """Return a picture of a graph as the content of a file: "png", "svg" or "pdf"."""
    rc_context = import_matplotlib().rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "font.family": families()}):
        lines = [_lines(node) for node in graph.nodes]
        labels = [_shown(edge.label) for edge in graph.edges]
        captions = {
            path: textwrap.shorten(_shown(g.caption), 60, placeholder=" ...")
            for path, g in graph.groups.items()
        }
        places = layout(
            graph,
            [_box(one) for one in lines],
            [_extent(label, _SMALL) if label else (0.0, 0.0) for label in labels],
            {path: _extent(text, _CAPTION)[0] for path, text in captions.items()},
        )
        width, height = places.size
        title = textwrap.wrap(_shown(graph.title), max(30, int(width / (0.55 * _TITLE))))
        top = _MARGIN + len(title) * _TITLE * _LINE + (6.0 if title else 0.0)
        wide = max([width, *(_extent(line, _TITLE)[0] for line in title)])
        inches = (wide + 2 * _MARGIN) / 72, (top + height + _MARGIN) / 72
        figure = Figure(figsize=inches, dpi=min(_DPI, _PIXELS / max(inches)))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        left = (wide - width) / 2 + _MARGIN
        axes.set(xlim=(-left, 72 * inches[0] - left), ylim=(72 * inches[1] - top, -top))
        axes.set_axis_off()
        for i, line in enumerate(title):
            _write(axes, (width / 2, (i + 0.5 - len(title)) * _TITLE * _LINE - 6.0), line, _TITLE)
        for path, frame in places.frames.items():
            _draw_frame(axes, frame, captions[path])
        _draw_edges(axes, graph, places, labels)
        for node, cell, one in zip(graph.nodes, places.nodes, lines, strict=True):
            _draw_node(axes, cell, one, graph.colours.get(node.kind, "white"))
        data = io.BytesIO()
        # A date in the file would make equal pictures differ.
        dates: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure.savefig(data, format=kind, metadata=dates.get(kind))
    return data.getvalue()


def _shown(text: str) -> str:
    return drawable(printable(text))


def _lines(node: Node) -> list[tuple[str, float, str]]:
    """Return the lines of a node's label: (text, size, colour)."""
    first, *rest = node.label.split("\n")
    size = _SMALL + 1 if node.kind in SMALL else _FIRST
    head = [(line, size, _DARK) for line in textwrap.wrap(_shown(first), _WIDEST) or [""]]
    return head + [
        (line, _SMALL, _GREY) for text in rest for line in textwrap.wrap(_shown(text), int(1.3 * _WIDEST))
    ]


def _box(lines: list[tuple[str, float, str]]) -> Size:
    width = max(_extent(text, size)[0] for text, size, _ in lines)
    size = lines[0][1]
    return max(width + size + 6, 2.5 * size), sum(_LINE * size for _, size, _ in lines) + 0.7 * size


def _extent(text: str, size: float) -> Size:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=families(), size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width), size


def _write(
    axes: Axes, place: Point, text: str, size: float, colour: str = _DARK, align: Any = "center"
) -> Text:
    """Write a line of text, its middle at a place."""
    x, y = place[0], place[1] + 0.35 * size
    return axes.text(x, y, text, fontsize=size, color=colour, ha=align, va="baseline", parse_math=False)


def _draw_frame(axes: Axes, frame: Frame, caption: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    extent = frame.right - frame.left, frame.bottom - frame.top
    style = "round,pad=0,rounding_size=8"
    axes.add_patch(
        FancyBboxPatch(
            (frame.left, frame.top), *extent, style, facecolor="none", edgecolor=_LIGHT, linewidth=0.9
        )
    )
    place = frame.left + PAD, frame.top + CAPTION / 2
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # of the arrows that pass behind it
    _write(axes, place, caption, _CAPTION, _GREY, "left").set(bbox=clear, zorder=3)


def _draw_node(axes: Axes, cell: Cell, lines: list[tuple[str, float, str]], colour: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = cell.x - cell.left, cell.y - cell.height / 2
    style = "round,pad=0,rounding_size=7"
    extent = cell.left + cell.right, cell.height
    axes.add_patch(FancyBboxPatch(corner, *extent, style, facecolor=colour, edgecolor=_GREY, linewidth=0.9))
    y = cell.y - sum(_LINE * size for _, size, _ in lines) / 2
    for text, size, grey in lines:
        _write(axes, (cell.x, y + _LINE * size / 2), text, size, grey)
        y += _LINE * size


def _draw_edges(axes: Axes, graph: GraphData, places: Layout, labels: list[str]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    tails, tips = ends(places.chains, up=False), ends(places.chains, up=True)
    for edge, chain, label, tail, tip in zip(graph.edges, places.chains, labels, tails, tips, strict=True):
        upper, *between, lower = chain
        first, last = (tail, upper.y + upper.height / 2), (tip, lower.y - lower.height / 2)
        points = [first]
        for cell in between:
            half = cell.height / 2  # vertical beside boxes and labels
            points += [(cell.x, cell.y - half), (cell.x, cell.y + half)] if half else [(cell.x, cell.y)]
        points = _curve([*points, last])
        if chain[0] is not places.nodes[edge.source]:
            points.reverse()
        path = Path(points, [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)])
        arrow = "-|>,head_length=6,head_width=2.4"
        axes.add_patch(
            FancyArrowPatch(
                path=path,
                arrowstyle=arrow,
                mutation_scale=1,
                color=_GREY,
                linewidth=1.0,
                shrinkA=0,
                shrinkB=0,
            )
        )
        if label:
            _write(axes, (between[0].x + LABEL, between[0].y), label, _SMALL, _GREY, "left")


def _curve(points: list[Point]) -> list[Point]:
    """Return the Bezier points of a monotone cubic spline downwards."""
    secants = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in itertools.pairwise(points)]
    inner = [
        2 * s * t / (s + t) if s * t > 0 else 0.0  # the slope dx/dy at a point between others
        for s, t in itertools.pairwise(secants)
    ]
    slopes = [_clip(slope) for slope in (secants[0], *inner, secants[-1])]
    curve = points[:1]
    for (a, b), (m, n) in zip(itertools.pairwise(points), itertools.pairwise(slopes), strict=True):
        third = (b[1] - a[1]) / 3
        curve += [(a[0] + m * third, a[1] + third), (b[0] - n * third, b[1] - third), b]
    return curve


def _clip(slope: float) -> float:
    return max(-_LEAN, min(slope, _LEAN))
