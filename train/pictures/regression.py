"""Predicted against true values of a regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, ShapeError
from ..loop.metrics import mean_squared_error, r2
from .figure import COLOURS, PathLike, make_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def regression_scatter(
    targets: npt.ArrayLike, predictions: npt.ArrayLike, path: PathLike | None = None, *, title: str = ""
) -> Figure:
    """Return a figure of predicted against true values, with R^2 and the mean squared error.

    Parameters
    ----------
    targets, predictions
        Real numbers of one shape, (N,) or (N, K); pairs that are not finite are counted, not drawn.
    path
        A file to write, .png or .svg, if any.
    title
        Stands above the picture.
    """
    if np.shape(targets) != np.shape(predictions) or np.ndim(targets) not in (1, 2) or np.size(targets) == 0:
        raise ShapeError(
            "regression_scatter: expected targets and predictions of one shape, (N,) or (N, K), got "
            f"{np.shape(targets)} and {np.shape(predictions)}"
        )
    true, guess = (np.asarray(array, dtype=np.float64) for array in (targets, predictions))
    true, guess = true.reshape(len(true), -1), guess.reshape(len(guess), -1)
    finite = (np.isfinite(true) & np.isfinite(guess)).all(axis=1)
    if not finite.any():
        raise DataError(f"regression_scatter: none of the {len(true)} pairs is finite")
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

    return make_figure(draw, path)
