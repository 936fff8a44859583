"""Decision boundaries: the regions that classifiers of the plane have learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, OptionError, ShapeError
from ...backends.host import Host
from ..data import Circle
from ..loop.metrics import predicted_classes, target_classes
from .figure import MARKERS, WRONG, PathLike, class_colour, make_figure, picture_format, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NAMED = 30
"""More classes than this have no names in the legend."""
_BLOCK, _SCORES = 16384, 2**21
"""Points, and scores, that are computed at once."""
Score = Callable[[Host], Host]


def decision_boundary(
    score: Score,
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    path: PathLike | None = None,
    *,
    classes: Sequence[str],
    circle: Sequence[Circle] | None = None,
    title: str = "",
    threshold: float = 0.5,
    resolution: int = 400,
    ring: bool = True,
) -> Figure:
    """Return a figure of the regions that a classifier of the plane has learnt; rings mark wrong samples.

    Parameters
    ----------
    score
        Maps points (M, 2), of the dtype of `inputs`, to scores (M, K), (M, 1) or (M,); called in blocks.
    inputs, labels
        The samples (N, 2) and their true classes, (N,) or one-hot (N, K).
    path
        A file to write, .png or .svg, if any.
    classes
        The names of the classes.
    circle
        The true boundary, dashed: (centre, radius) of each of its circles.
    title
        Stands above the picture.
    threshold
        Scores (M,) or (M, 1) from this value on mean class 1.
    resolution
        The number of grid points along each axis.
    ring
        Whether to draw rings around misclassified samples, and count them in the legend.
    """
    return decision_boundaries(
        {title: score},
        inputs,
        labels,
        path,
        classes=classes,
        circle=circle,
        threshold=threshold,
        resolution=resolution,
        ring=ring,
    )


def decision_boundaries(
    scores: Mapping[str, Score],
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    path: PathLike | None = None,
    *,
    classes: Sequence[str],
    circle: Sequence[Circle] | None = None,
    threshold: float = 0.5,
    resolution: int = 400,
    ring: bool = True,
) -> Figure:
    """Return a figure of several classifiers of the same samples side by side.

    scores: the classifiers by title. The other parameters are those of `decision_boundary`.
    """
    points, true = np.asarray(inputs), target_classes(labels)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) != len(true):
        raise ShapeError(
            f"decision_boundary: expected inputs (N, 2) with N labels, got {points.shape} with "
            f"{len(true)} labels"
        )
    if not np.isfinite(points).all():
        raise DataError(
            "decision_boundary: expected finite inputs, got NaN or infinity; remove these samples"
        )
    if true.max() >= len(classes):
        raise OptionError(
            f"decision_boundary: classes: expected at least {true.max() + 1} names, got {len(classes)}"
        )
    if path is not None:
        picture_format(path)  # before the classifiers run
    low, high = _limits(points)
    grid = _grid(low, high, resolution).astype(points.dtype if points.dtype.kind == "f" else np.float64)
    panels = []
    for title, score in scores.items():
        regions = _classify(score, grid, threshold, len(classes)).reshape(resolution, resolution)
        panels.append((title, regions, _classify(score, points, threshold, len(classes)) != true))

    def draw(figure: Figure) -> None:
        many = len(panels) > 1
        columns = 2 if many else 1
        rows = -(-len(panels) // columns)
        figure.set_size_inches(7.8 + 3.0 * (columns - 1), 5.2 if not many else 4.4 * rows)
        # "constrained" would cut off the labels of square axes beside a legend.
        figure.set_layout_engine("compressed")
        for index, (title, regions, wrong) in enumerate(panels):
            axes = figure.add_subplot(rows, columns, index + 1)
            _draw_regions(axes, regions, low, high)
            _draw_samples(axes, points, true, wrong if ring else None, classes)
            _draw_circles(axes, circle or ())
            axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
            count = f": {wrong.sum()} of {len(points)} wrong" if many else ""
            axes.set(xlabel="$x_1$", ylabel="$x_2$", title=plain(title + count))
        handles, names = axes.get_legend_handles_labels()
        names = ["misclassified" if many and n.startswith("misclassified") else n for n in names]
        figure.legend(handles, names, loc="outside right upper", frameon=False, markerscale=1.3)

    return make_figure(draw, path)


def _limits(points: Host) -> tuple[Host, Host]:
    """Return the corners of the picture: the unit square if the data fill it, else their box."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    if low.min() >= 0 and high.max() <= 1 and (high - low).min() > 0.5:
        return np.zeros(2), np.ones(2)
    margin = 0.06 * max(float((high - low).max()), 1e-6)
    return low - margin, high + margin


def _grid(low: Host, high: Host, resolution: int) -> Host:
    """Return the centres of resolution x resolution cells, (resolution^2, 2), row by row from below."""
    steps = (np.arange(resolution) + 0.5) / resolution
    x, y = np.meshgrid(low[0] + steps * (high[0] - low[0]), low[1] + steps * (high[1] - low[1]))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _classify(score: Score, points: Host, threshold: float, k: int) -> Host:
    """Return the class of each point, (M,), -1 for a NaN score, in blocks because a grid is large."""
    classes, block = [], max(min(_BLOCK, _SCORES // k), 1)
    for start in range(0, len(points), block):
        part = points[start : start + block]
        scores = np.asarray(score(part))
        if scores.ndim not in (1, 2) or len(scores) != len(part):
            raise ShapeError(
                f"decision_boundary: expected scores ({len(part)},) or ({len(part)}, K) for points "
                f"{part.shape}, got {scores.shape}"
            )
        classes.append(predicted_classes(scores, threshold))
    result = np.concatenate(classes)
    if result.max() >= k:
        raise OptionError(
            f"decision_boundary: classes: expected a name for class {result.max()}, got {k} names"
        )
    return result


def _draw_regions(axes: Axes, regions: Host, low: Host, high: Host) -> None:
    from matplotlib.colors import to_rgb

    # The last row, index -1, is for NaN scores: white.
    tints = [[0.68 + 0.32 * c for c in to_rgb(class_colour(k))] for k in range(regions.max() + 1)]
    image = np.array([*tints, [1.0, 1.0, 1.0]])[regions]
    # Painted, because contours would draw an edge between two classes twice.
    edge = np.zeros(regions.shape, dtype=bool)
    edge[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    edge[1:] |= regions[1:] != regions[:-1]
    image[edge] = 0.35
    axes.imshow(image, origin="lower", extent=(low[0], high[0], low[1], high[1]), interpolation="antialiased")
    if regions.min() < 0:
        axes.scatter([], [], 40, "white", marker="s", edgecolors="#222222", label="no prediction (NaN)")


def _draw_samples(axes: Axes, points: Host, true: Host, wrong: Host | None, classes: Sequence[str]) -> None:
    size = float(np.clip(20000 / len(points), 16, 40))
    many = len(classes) > _MOST_NAMED
    # Many classes are drawn by style, as a legend of all would be taller than the picture.
    styles = true % len(MARKERS) if many else true
    names = [f"{len(classes):,} classes"] + ["_others"] * (len(MARKERS) - 1) if many else map(plain, classes)
    for k, name in enumerate(names):
        x, y = points[styles == k].T
        marker = MARKERS[k % len(MARKERS)]
        edge: dict[str, Any] = {"edgecolors": "#222222", "linewidths": 0.5, "zorder": 2}
        axes.scatter(x, y, size, class_colour(k), marker=marker, label=name, **edge)
    if wrong is None:
        return
    x, y = points[wrong].T
    label = f"misclassified: {len(x)} of {len(points)}"
    edge = {"facecolors": "none", "edgecolors": WRONG, "linewidths": 1.4, "zorder": 3}
    axes.scatter(x, y, 2.5 * size + 20, marker="o", label=label, **edge)


def _draw_circles(axes: Axes, circles: Sequence[Circle]) -> None:
    angles = np.linspace(0, 2 * np.pi, 361)
    for index, ((x, y), radius) in enumerate(circles):
        # A label with a leading underscore stays out of the legend.
        label = "true boundary" if index == 0 else "_again"
        axes.plot(x + radius * np.cos(angles), y + radius * np.sin(angles), "k--", linewidth=1.8, label=label)
