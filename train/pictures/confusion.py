"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, ShapeError
from ...backends.host import Host
from .figure import PathLike, plain, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def confusion_matrix(matrix: npt.ArrayLike, classes: Sequence[str], path: PathLike, title: str = "") -> None:
    """Draw a confusion matrix: counts, coloured by their share of the true class.

    Parameters
    ----------
    matrix
        Counts (k, k) from `metrics.confusion_matrix`: a row for each true class, a column for each
        predicted class.
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
        raise ShapeError(f"confusion_matrix: expected ({k}, {k}) for {k} class names, got {counts.shape}")
    if counts.dtype.kind not in "iu" or counts.min() < 0 or counts.sum() == 0:
        raise DataError("confusion_matrix: expected whole counts >= 0, not all 0")
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
