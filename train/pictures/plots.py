"""Pictures of a run, for people: learning curves, decision boundaries, confusion matrices, regressions.

Each function draws one figure into one file, PNG or SVG by its suffix, whole or not at all. matplotlib is
imported when the first picture is drawn (it takes longer than the rest of Lamina), and never through pyplot,
which would keep global state and might open a window.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, OptionError, ShapeError
from ..files import atomic_write
from ..loop.history import History
from ..loop.metrics import mean_squared_error, predicted_classes, r2, target_classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
PathLike = str | os.PathLike[str]
Circle = tuple[Sequence[float], float]

# Okabe and Ito's colours, told apart by colour-blind readers too; their vermilion is kept for what is wrong.
# Then three more, so that ten classes have ten colours; markers differ as well.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#555555"]
COLOURS += ["#5D3A9B", "#A6611A", "#B2DF8A"]
MARKERS = "o^sDvP*X<>"
WRONG = "#D00000"
_TRAIN, _VALIDATION = COLOURS[0], COLOURS[1]
# Any: the stubs of some versions want a literal type of every key.
_STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "legend.fontsize": 10,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "svg.hashsalt": "lamina",  # the same picture gives the same file
}


def learning_curves(
    history: History, path: PathLike, *, title: str = "", baseline: float | None = None
) -> None:
    """Draw loss, and accuracy where it was recorded, against epochs.

    Parameters
    ----------
    history
        With any of the columns epoch, train_loss, validation_loss, train_accuracy, validation_accuracy.
        A value that is not finite is marked with a cross at the foot of its panel.
    path
        The file, .png or .svg.
    title
        Stands above the panels.
    baseline
        The accuracy of the majority class: a dashed line.
    """
    panels = [what for what in ("loss", "accuracy") if _series(history, what)]
    if not panels:
        known = ", ".join(history.names) or "nothing"
        raise DataError(f"learning_curves: the history has no loss or accuracy to draw; it has: {known}.")

    def draw(figure: Figure) -> None:
        figure.set_size_inches(0.4 + 5.0 * len(panels), 4.0)
        for index, what in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), index + 1)
            _draw_curves(axes, history, what, baseline if what == "accuracy" else None)
        if title:
            figure.suptitle(plain(title), fontsize=13)

    save_figure(draw, path)


def _series(history: History, what: str) -> list[tuple[str, Array, Array]]:
    """Return (label, epochs, values) of the train and validation columns that were recorded."""
    found = []
    for label in ("train", "validation"):
        name = f"{label}_{what}"
        # Rows without the value are left out, so that validation every tenth epoch is still a line.
        points = [(row.get("epoch", i + 1), row[name]) for i, row in enumerate(history) if name in row]
        if points:
            epochs, values = np.array(points, dtype=np.float64).T
            found.append((label, epochs, values))
    return found


def _draw_curves(axes: Axes, history: History, what: str, baseline: float | None) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    series = _series(history, what)
    for (label, epochs, values), colour, style in zip(
        series, (_TRAIN, _VALIDATION), ("-", "--"), strict=False
    ):
        shown = np.where(np.isfinite(values), values, np.nan)
        marker = MARKERS[label == "validation"] if len(values) <= 30 else None
        axes.plot(epochs, shown, style, color=colour, label=label, marker=marker, markersize=5, linewidth=1.8)
        lost = epochs[~np.isfinite(values)]
        if lost.size:
            foot = axes.get_xaxis_transform()
            text = f"{label}: not finite ({lost.size} of {len(values)})"
            height = np.full(lost.size, 0.03 if label == "train" else 0.07)
            axes.plot(lost, height, "x", color=colour, transform=foot, clip_on=False, label=text)
    if baseline is not None:
        axes.axhline(
            baseline, color="black", linestyle=":", linewidth=1.5, label=f"majority class {baseline:.1%}"
        )
    values = np.concatenate([values for _, _, values in series])
    finite = values[np.isfinite(values)]
    if what == "loss" and finite.size and finite.min() > 0 and finite.max() > 10**1.5 * finite.min():
        axes.set_yscale("log")
    if what == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set(xlabel="epoch", ylabel=what)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    epochs = np.concatenate([epochs for _, epochs, _ in series])
    if epochs.min() == epochs.max():
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.grid(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=True, framealpha=0.9)


def decision_boundary(
    score: Callable[[Array], Array],
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    path: PathLike,
    *,
    classes: Sequence[str],
    circle: Sequence[Circle] | None = None,
    title: str = "",
    threshold: float = 0.5,
    resolution: int = 400,
    ring: bool = True,
) -> None:
    """Draw the regions that a classifier of the plane has learnt, with the samples that it gets wrong ringed.

    Parameters
    ----------
    score
        Maps points (M, 2), of the dtype of `inputs`, to scores (M, K), (M, 1) or (M,); called in blocks.
    inputs, labels
        The samples (N, 2) and their true classes, (N,) or one-hot (N, K).
    path
        The file, .png or .svg.
    classes
        The names of the classes.
    circle
        The true boundary, drawn dashed: (centre, radius) of each of its circles.
    title
        Stands above the picture.
    threshold
        Where a single score per point turns from class 0 to class 1.
    resolution
        The number of grid points along each axis.
    ring
        Whether samples that are misclassified are ringed, and counted in the legend.
    """
    decision_boundaries(
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
    scores: Mapping[str, Callable[[Array], Array]],
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    path: PathLike,
    *,
    classes: Sequence[str],
    circle: Sequence[Circle] | None = None,
    threshold: float = 0.5,
    resolution: int = 400,
    ring: bool = True,
) -> None:
    """Draw what several classifiers, by title, make of the same samples side by side.

    The other parameters are those of `decision_boundary`.
    """
    points, true = np.asarray(inputs), target_classes(labels)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) != len(true):
        raise ShapeError(
            f"decision_boundary: expected inputs (N, 2) with N labels, got {points.shape} with "
            f"{len(true)} labels."
        )
    if not np.isfinite(points).all():
        raise DataError("decision_boundary: expected finite inputs, came a NaN or an infinity.")
    if true.max() >= len(classes):
        raise OptionError(
            f"decision_boundary: classes: expected at least {true.max() + 1} names, came {len(classes)}."
        )
    _suffix(path)
    low, high = _limits(points)
    grid = _grid(low, high, resolution).astype(points.dtype if points.dtype.kind == "f" else np.float64)
    found = []
    for title, score in scores.items():
        regions = _classify(score, grid, threshold, len(classes)).reshape(resolution, resolution)
        found.append((title, regions, _classify(score, points, threshold, len(classes)) != true))

    def draw(figure: Figure) -> None:
        many = len(found) > 1
        columns = 2 if many else 1
        rows = -(-len(found) // columns)
        figure.set_size_inches(7.2 + 2.8 * (columns - 1), 5.2 if not many else 4.4 * rows)
        for index, (title, regions, wrong) in enumerate(found):
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

    save_figure(draw, path)


def _limits(points: Array) -> tuple[Array, Array]:
    """Return the corners to draw: the unit square for data that fill it, else the data's box and a margin."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    if low.min() >= 0 and high.max() <= 1 and (high - low).min() > 0.5:
        return np.zeros(2), np.ones(2)
    margin = 0.06 * max(float((high - low).max()), 1e-6)
    return low - margin, high + margin


def _grid(low: Array, high: Array, resolution: int) -> Array:
    """Return the centres of resolution x resolution cells, (resolution^2, 2), row by row from below."""
    steps = (np.arange(resolution) + 0.5) / resolution
    x, y = np.meshgrid(low[0] + steps * (high[0] - low[0]), low[1] + steps * (high[1] - low[1]))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _classify(
    score: Callable[[Array], Array], points: Array, threshold: float, k: int, block: int = 16384
) -> Array:
    """Return the class of each point, (M,), -1 where the score is NaN; in blocks, for a grid is large."""
    found = []
    for start in range(0, len(points), block):
        part = points[start : start + block]
        scores = np.asarray(score(part))
        if scores.ndim not in (1, 2) or len(scores) != len(part):
            raise ShapeError(
                f"decision_boundary: expected scores ({len(part)},) or ({len(part)}, K) for points "
                f"{part.shape}, got {scores.shape}."
            )
        found.append(predicted_classes(scores, threshold))
    result = np.concatenate(found)
    if result.max() >= k:
        raise OptionError(
            f"decision_boundary: classes: expected a name for class {result.max()}, came {k} names."
        )
    return result


def _draw_regions(axes: Axes, regions: Array, low: Array, high: Array) -> None:
    from matplotlib.colors import to_rgb

    # The last row, which index -1 finds, is for NaN scores: white.
    tints = [[0.68 + 0.32 * c for c in to_rgb(_colour(k))] for k in range(regions.max() + 1)]
    image = np.array([*tints, [1.0, 1.0, 1.0]])[regions]
    # Painted, because contours of k classes would run twice along an edge that two of them share.
    edge = np.zeros(regions.shape, dtype=bool)
    edge[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    edge[1:] |= regions[1:] != regions[:-1]
    image[edge] = 0.35
    axes.imshow(image, origin="lower", extent=(low[0], high[0], low[1], high[1]), interpolation="antialiased")
    if regions.min() < 0:
        axes.scatter([], [], 40, "white", marker="s", edgecolors="#222222", label="no prediction (NaN)")


def _draw_samples(
    axes: Axes, points: Array, true: Array, wrong: Array | None, classes: Sequence[str]
) -> None:
    size = float(np.clip(20000 / len(points), 16, 40))
    for k, name in enumerate(classes):
        x, y = points[true == k].T
        marker, label = MARKERS[k % len(MARKERS)], plain(name)
        edge: dict[str, Any] = {"edgecolors": "#222222", "linewidths": 0.5, "zorder": 2}
        axes.scatter(x, y, size, _colour(k), marker=marker, label=label, **edge)
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


def confusion_matrix(matrix: npt.ArrayLike, classes: Sequence[str], path: PathLike, title: str = "") -> None:
    """Draw a confusion matrix: counts, on colours that show the share of each true class.

    Parameters
    ----------
    matrix
        Counts (k, k): a row for each true class, a column for each predicted one, as
        `metrics.confusion_matrix` gives them.
    classes
        The k names.
    path
        The file, .png or .svg.
    title
        Stands above the picture, before the accuracy.
    """
    counts = np.asarray(matrix)
    k = len(classes)
    if counts.shape != (k, k) or k == 0:
        raise ShapeError(f"confusion_matrix: expected ({k}, {k}) for {k} class names, got {counts.shape}.")
    if counts.dtype.kind not in "iu" or counts.min() < 0 or counts.sum() == 0:
        raise DataError("confusion_matrix: expected whole counts >= 0, not all 0.")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [plain(_short(name)) for name in classes]
    longest = max(map(len, names))
    heading = f"accuracy {np.trace(counts) / counts.sum():.1%} ({np.trace(counts)} of {counts.sum()})"

    def draw(figure: Figure) -> None:
        cell = float(np.clip(5.0 / k, 0.34, 1.1))
        margin = 1.0 + 0.085 * longest
        figure.set_size_inches(cell * k + margin + 0.7, cell * k + margin + 0.5)
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        _write_counts(axes, counts, shares, cell)
        font = float(np.clip(28 * cell, 8, 11))
        turned = longest * font * 0.6 > cell * 72
        axes.set_xticks(range(k), names, fontsize=font, rotation=90 if turned else 0)
        axes.set_yticks(range(k), names, fontsize=font)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"{plain(title)}\n{heading}" if title else heading)
        bar = figure.colorbar(image, cax=axes.inset_axes((1 + 0.15 / k**0.7, 0.1, 0.04, 0.8)))
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)

    save_figure(draw, path)


def _write_counts(axes: Axes, counts: Array, shares: Array, cell: float) -> None:
    digits = len(str(counts.max()))
    font = float(np.clip(cell * 72 * 0.8 / (0.62 * digits), 4, 12))
    for i, j in np.ndindex(counts.shape):
        # Zeros in a large matrix would hide the rest.
        if counts[i, j] or len(counts) <= 12:
            colour = "#AAAAAA" if counts[i, j] == 0 else "white" if shares[i, j] > 0.55 else "black"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour, fontsize=font)


def regression_scatter(
    targets: npt.ArrayLike, predictions: npt.ArrayLike, path: PathLike, *, title: str = ""
) -> None:
    """Draw predicted against true values, with the line on which they are equal, R^2 and the squared error.

    Parameters
    ----------
    targets, predictions
        Real numbers (N,) or (N, K), of one shape; pairs that are not finite are left out and counted.
    path
        The file, .png or .svg.
    title
        Stands above the picture.
    """
    if np.shape(targets) != np.shape(predictions) or np.ndim(targets) not in (1, 2) or np.size(targets) == 0:
        raise ShapeError(
            "regression_scatter: expected targets and predictions of one shape, (N,) or (N, K), got "
            f"{np.shape(targets)} and {np.shape(predictions)}."
        )
    true, guess = (np.asarray(array, dtype=np.float64) for array in (targets, predictions))
    true, guess = true.reshape(len(true), -1), guess.reshape(len(guess), -1)
    finite = (np.isfinite(true) & np.isfinite(guess)).all(axis=1)
    if not finite.any():
        raise DataError(f"regression_scatter: none of the {len(true)} pairs is finite; nothing can be drawn.")
    lost = int((~finite).sum())
    true, guess = true[finite], guess[finite]
    scores = f"$R^2$ = {r2(guess, true):.4f}, MSE = {mean_squared_error(guess, true):.3g}"

    def draw(figure: Figure) -> None:
        figure.set_size_inches(5.4, 5.2)
        axes = figure.add_subplot()
        low, high = min(true.min(), guess.min()), max(true.max(), guess.max())
        pad = 0.04 * (high - low) or 1.0
        ends = (low - pad, high + pad)
        axes.plot(
            ends, ends, color="black", linestyle="--", linewidth=1.3, label="predicted = true", zorder=3
        )
        alpha = float(np.clip(300 / true.size, 0.15, 0.8))
        axes.scatter(
            true, guess, s=18, color=COLOURS[0], alpha=alpha, linewidths=0, label=f"{true.size} values"
        )
        if lost:
            axes.plot([], [], " ", label=f"not finite: {lost} left out")
        axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="true", ylabel="predicted")
        axes.set_title(f"{plain(title)}\n{scores}" if title else scores)
        axes.grid(True)
        legend = axes.legend(loc="upper left")
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1.0)

    save_figure(draw, path)


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def plain(text: str) -> str:
    """Return text in which matplotlib sees no mathematics ("$5 or $6") and that no legend drops ("_a")."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _short(name: str, most: int = 28) -> str:
    """Cut a long name in its middle: what tells it from others often stands at its end."""
    half = most // 2
    return name if len(name) <= most else f"{name[: half - 1]}…{name[-half:]}"


def _suffix(path: PathLike) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg"):
        raise OptionError(
            f"picture file: expected a name that ends in .png or .svg, came '{os.fspath(path)}'."
        )
    return suffix[1:]


def save_figure(draw: Callable[[Figure], None], path: PathLike) -> None:
    """Let `draw` fill a figure of our style, and write it as .png or .svg, whole or not at all."""
    kind = _suffix(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with rc_context(_STYLE):
        figure = Figure(dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        # A date in the file would make equal pictures differ.
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", pad_inches=0.08)
    atomic_write(path, buffer.getvalue())
