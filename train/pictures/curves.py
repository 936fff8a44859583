"""Learning curves: loss and accuracy against epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...backends.errors import DataError
from ...backends.host import Host
from ..loop.history import History
from .figure import COLOURS, MARKERS, PathLike, make_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAIN, _VALIDATION = COLOURS[0], COLOURS[1]


def learning_curves(
    history: History, path: PathLike | None = None, *, title: str = "", baseline: float | None = None
) -> Figure:
    """Return a figure of loss, and accuracy if it was recorded, against epochs.

    Parameters
    ----------
    history
        With any of the columns epoch, train_loss, validation_loss, train_accuracy, validation_accuracy.
        A cross at the foot of a panel marks a value that is not finite.
    path
        A file to write, .png or .svg, if any.
    title
        Stands above the panels.
    baseline
        The accuracy of the majority class: a dashed line.
    """
    panels = [what for what in ("loss", "accuracy") if _series(history, what)]
    if not panels:
        known = ", ".join(history.names) or "nothing"
        raise DataError(f"learning_curves: the history has no loss or accuracy to draw; it has: {known}")

    def draw(figure: Figure) -> None:
        figure.set_size_inches(0.4 + 5.0 * len(panels), 4.0)
        for index, what in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), index + 1)
            _draw_curves(axes, history, what, baseline if what == "accuracy" else None)
        if title:
            figure.suptitle(plain(title), fontsize=13)

    return make_figure(draw, path)


def _series(history: History, what: str) -> list[tuple[str, Host, Host]]:
    """Return (label, epochs, values) of each recorded column, train and validation."""
    series = []
    for label in ("train", "validation"):
        name = f"{label}_{what}"
        # Rows without the value are skipped: validation at every tenth epoch is still a line.
        points = [(row.get("epoch", i + 1), row[name]) for i, row in enumerate(history) if name in row]
        if points:
            epochs, values = np.array(points, dtype=np.float64).T
            series.append((label, epochs, values))
    return series


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
