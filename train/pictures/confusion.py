"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, ShapeError
from ...backends.host import Host
from .figure import PathLike, make_figure, plain, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_WRITTEN, MOST_DRAWN = 40, 256
_NAMED = 24


def confusion_matrix(
    matrix: npt.ArrayLike,
    classes: Sequence[str],
    path: PathLike | None = None,
    title: str = "",
    *,
    correct: int | None = None,
) -> Figure:
    """Return a figure of a confusion matrix: counts, coloured by their share of the true class.

    More than 40 classes are a heat map without numbers; more than 256 are drawn in groups of neighbours.

    Parameters
    ----------
    matrix
        Counts (k, k) from `metrics.confusion_matrix`: a row for each true class, a column for each
        predicted class.
    classes
        The k names.
    path
        A file to write, .png or .svg, if any.
    title
        Stands above the picture, before the accuracy.
    correct
        The number of right predictions, if the rows are groups of classes.
    """
    counts = np.asarray(matrix)
    k = len(classes)
    if counts.shape != (k, k) or k == 0:
        raise ShapeError(f"confusion_matrix: expected ({k}, {k}) for {k} class names, got {counts.shape}")
    if counts.dtype.kind not in "iu" or counts.min() < 0 or counts.sum() == 0:
        raise DataError("confusion_matrix: expected whole counts >= 0, not all 0")
    right, total = int(np.trace(counts)) if correct is None else correct, int(counts.sum())
    heading = f"accuracy {right / total:.1%} ({right} of {total})"
    if k > MOST_DRAWN:
        counts, classes = _grouped(counts, classes)
        k = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    written = k <= MOST_WRITTEN
    ticks = list(range(0, k, 1 if written else -(-k // _NAMED)))
    names = [_short(shown(classes[i])) for i in ticks]
    longest = max(map(len, names))

    def draw(figure: Figure) -> None:
        cell = float(np.clip(5.0 / k, 0.34, 1.1)) if written else 8.0 / k
        margin = 1.0 + 0.085 * longest
        figure.set_size_inches(cell * k + margin + 0.7, cell * k + margin + 0.5)
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if written:
            _write_counts(axes, counts, shares, cell)
        font = float(np.clip(28 * cell, 8, 11))
        turned = longest * font * 0.6 > cell * (ticks[1] if len(ticks) > 1 else 1) * 72
        labels = list(map(plain, names))
        axes.set_xticks(ticks, labels, fontsize=font, rotation=90 if turned else 0)
        axes.set_yticks(ticks, labels, fontsize=font)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"{plain(title)}\n{heading}" if title else heading)
        bar = figure.colorbar(image, cax=axes.inset_axes((1 + 0.15 / k**0.7, 0.1, 0.04, 0.8)))
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)

    return make_figure(draw, path)


def group_of(classes: Host, k: int) -> Host:
    """Return the group of each class number (N,): k classes are drawn as `MOST_DRAWN` groups at most."""
    return classes * min(k, MOST_DRAWN) // k


def group_names(classes: Sequence[str]) -> list[str]:
    """Return the name of each group of classes: its first and its last class."""
    firsts = _firsts(len(classes))
    pairs = zip(firsts, [*(firsts[1:] - 1), len(classes) - 1], strict=True)
    return [classes[i] if i == j else f"{classes[i]} … {classes[j]}" for i, j in pairs]


def _firsts(k: int) -> Host:
    """Return the first class of each group."""
    return np.flatnonzero(np.diff(group_of(np.arange(k), k), prepend=-1))


def _grouped(counts: Host, classes: Sequence[str]) -> tuple[Host, list[str]]:
    starts = _firsts(len(classes))
    return np.add.reduceat(np.add.reduceat(counts, starts, axis=0), starts, axis=1), group_names(classes)


def _write_counts(axes: Axes, counts: Host, shares: Host, cell: float) -> None:
    digits = len(str(counts.max()))
    font = float(np.clip(cell * 72 * 0.8 / (0.62 * digits), 4, 12))
    for i, j in np.ndindex(counts.shape):
        # In a large matrix zeros would hide the rest.
        if counts[i, j] or len(counts) <= 12:
            colour = "#AAAAAA" if counts[i, j] == 0 else "white" if shares[i, j] > 0.55 else "black"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour, fontsize=font)


def _short(name: str, most: int = 28) -> str:
    """Cut a long name in its middle, because names often differ at their ends."""
    half = most // 2
    return name if len(name) <= most else f"{name[: half - 1]}…{name[-half:]}"
