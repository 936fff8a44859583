"""Pictures that several papers share: curves over many runs, decision boundaries, data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....backends.host import Host
from ...data import Scaling, circle, disc, disc_variant
from ...pictures import decision_boundaries, decision_boundary
from ...pictures.figure import COLOURS, make_figure, plain
from .paper import Results
from .plan import Plan, dataset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Band:
    """A curve with its band: one number at each evaluated epoch of several runs."""

    label: str
    epochs: Sequence[float]
    values: Sequence[Sequence[float]]
    """(runs, epochs); a run that ended early is shorter."""


@dataclass(frozen=True)
class Panel:
    """One diagram of a picture."""

    title: str
    ylabel: str
    bands: list[Band]
    log: bool = False
    xlabel: str = "epoch"


def band(results: Results, name: str, column: str, label: str = "") -> Band:
    """Return a column of an experiment's series as a band."""
    epochs: Sequence[float] = max(results.series(name, "epoch"), key=len, default=[])
    return Band(label or name, epochs, results.series(name, column))


def curves(path: Path, panels: Sequence[Panel], *, columns: int = 2, title: str = "") -> None:
    """Draw panels of curves: the mean over runs, in a band of one standard deviation."""

    def draw(figure: Figure) -> None:
        across = min(columns, len(panels))
        down = -(-len(panels) // across)
        figure.set_size_inches(5.0 * across + 0.4, 3.8 * down)
        axes = [figure.add_subplot(down, across, index + 1) for index in range(len(panels))]
        for one, panel in zip(axes, panels, strict=True):
            _panel(one, panel)
        _legends(figure, axes)
        if title:
            figure.suptitle(plain(title), fontsize=13)

    make_figure(draw, path)


def _panel(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    for index, one in enumerate(one for one in panel.bands if len(one.epochs)):
        mean, std = _mean_std(one.values, len(one.epochs))
        colour = COLOURS[index % len(COLOURS)]
        style = "-" if index < len(COLOURS) else "--"
        axes.plot(one.epochs, mean, style, color=colour, label=plain(one.label), linewidth=1.7)
        low = mean - std
        if panel.log:  # a logarithmic axis cannot show a band that reaches 0
            low = np.maximum(low, 0.5 * mean)
        high = mean + std
        if panel.ylabel == "accuracy":
            low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
        elif panel.ylabel == "loss":
            low = np.maximum(low, 0.0)
        axes.fill_between(one.epochs, low, high, color=colour, alpha=0.18, linewidth=0)
    if panel.log:
        axes.set_yscale("log")
        for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            ticks(FuncFormatter(lambda value, place: f"{value:g}" if f"{value:e}"[0] in "125" else ""))
    if panel.ylabel == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel, title=plain(panel.title))
    axes.grid(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legends(figure: Figure, axes: Sequence[Axes]) -> None:
    """Give each panel a legend; if all show the same four or more curves, put one below them instead."""
    handles, labels = axes[0].get_legend_handles_labels()
    alike = all(one.get_legend_handles_labels()[1] == labels for one in axes)
    if alike and len(labels) > 3:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5), fontsize=9)
        return
    for one in axes:
        if one.get_legend_handles_labels()[1]:
            one.legend(frameon=True, framealpha=0.75, fontsize=9)


def _mean_std(values: Sequence[Sequence[float]], length: int) -> tuple[Host, Host]:
    """Return mean and deviation over runs at each epoch, without runs that ended or diverged before."""
    table = np.full((len(values), length), np.nan)
    for row, run in zip(table, values, strict=True):
        row[: len(run)] = run
    table[~np.isfinite(table)] = np.nan
    count = np.sum(~np.isnan(table), axis=0)
    mean, std = np.full(length, np.nan), np.zeros(length)
    mean[count > 0] = np.nanmean(table[:, count > 0], axis=0)
    std[count > 1] = np.nanstd(table[:, count > 1], axis=0, ddof=1)
    return mean, std


def parts_panels(results: Results, name: str, title: str, names: dict[str, str] | None = None) -> list[Panel]:
    """Return two panels of learning curves, loss and accuracy; names: {part: label}."""
    labels = names or {"train": "train", "test": "test"}
    return [
        Panel(title, what, [band(results, name, f"{part}_{what}", label) for part, label in labels.items()])
        for what in ("loss", "accuracy")
    ]


def boundary(results: Results, name: str, path: Path, title: str) -> bool:
    """Draw the decision boundary of an experiment's first run; return False if it was not run."""
    return boundaries(results, {title: name}, path)


def boundaries(results: Results, names: dict[str, str], path: Path) -> bool:
    """Draw the networks of several experiments, {title: name}, over the first one's test data.

    Experiments that were not run are omitted; return False if there are no others.
    """
    models = {title: pair for title, name in names.items() if (pair := results.model(name)) is not None}
    if not models:
        return False
    run = next(iter(models.values()))[0]
    test = dataset(run.plan, run.seed, "test")
    scores = {title: _score(model, one.plan, one.seed) for title, (one, model) in models.items()}
    decision_boundaries(
        scores,
        test.inputs,
        test.targets,
        path,
        classes=test.classes or (),
        circle=circle(run.plan.data),
    )
    return True


def _score(model: Any, plan: Plan, seed: int) -> Any:
    """Return a function from unscaled points to the network's outputs."""
    scaling = Scaling.fit(dataset(plan, seed, "train").inputs) if plan.standardize else None

    def score(points: Host) -> Host:
        b = model.backend
        inputs = points if scaling is None else scaling.apply(points)
        return np.asarray(b.to_host(model(b.from_host(inputs))))

    return score


def data(variant: str, seed: int, path: Path, title: str, n: int = 1000) -> None:
    """Draw a data set over the regions of its rule."""
    points, rule = disc(n, variant=variant, seed=seed), disc_variant(variant)
    decision_boundary(
        lambda x: np.eye(2)[rule.labels(x)],
        points.inputs,
        points.targets,
        path,
        classes=points.classes or (),
        circle=circle(variant),
        title=title,
        ring=False,
    )
