"""The report on Chahed, Karray, Hammami."""

from __future__ import annotations

from pathlib import Path

from .. import runner as r
from ..chahed import CHOICES, OPTIMIZERS, rows, runs
from ..runner import pictures


def draw(results: r.Results, folder: Path, options: r.Options) -> list[r.Picture]:
    """Draw figures 2 and 3."""
    bands = {
        part: [pictures.band(results, name, f"{part}_loss", name) for name in OPTIMIZERS]
        for part in ("train", "test")
    }
    panels = [pictures.Panel(f"{part} loss", "loss", lines, log=True) for part, lines in bands.items()]
    pictures.curves(folder / "optimizers.png", panels)
    drawn = [
        r.Picture("optimizers.png", "Figure 2: four optimizers, mean of the runs and one standard deviation.")
    ]
    if pictures.boundaries(results, {name: name for name in OPTIMIZERS}, folder / "boundaries.png"):
        drawn.append(r.Picture("boundaries.png", "Figure 3: decision boundaries on one run's test data."))
    return drawn


def tables(results: r.Results, options: r.Options) -> list[r.Table]:
    """Return the optimizers side by side, and the search."""
    searched = [name for name in results.runs if name.startswith("search")]
    compared = "The paper's figure has no numbers; these are from the last epoch of the curves."
    reached = "Several of the open conventions reach table III's 93 %."
    return [
        r.accuracies(results, list(OPTIMIZERS), "Optimizers (figure 2)", compared),
        r.accuracies(results, searched, "The search", reached),
    ]


PAPER = r.Paper(
    "chahed",
    "Chahed et al.: optimizers, and the same network in PyTorch",
    "Ridha Chahed, Ghassen Karray, Haitham Hammami",
    CHOICES,
    runs,
    rows,
    draw,
    tables,
)
