"""What the report on Chahed, Karray, Hammami draws and says."""

from __future__ import annotations

from dataclasses import replace
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
    panels = [pictures.Panel(f"{part} loss", "loss", found, log=True) for part, found in bands.items()]
    pictures.curves(folder / "optimizers.png", panels)
    found = [
        r.Picture("optimizers.png", "Figure 2: four optimizers, mean of the runs and one standard deviation.")
    ]
    if pictures.boundaries(results, {name: name for name in OPTIMIZERS}, folder / "boundaries.png"):
        found.append(r.Picture("boundaries.png", "Figure 3: what each has learnt, over one run's test data."))
    return found


def tables(results: r.Results, options: r.Options) -> list[r.Table]:
    """Return the optimizers side by side, and the search."""
    compared = r.accuracies(results, list(OPTIMIZERS), "Optimizers (figure 2)")
    compared = replace(
        compared, about="The figure has no numbers; these are those of the curves' last epoch."
    )
    searched = r.accuracies(
        results, [name for name in results.runs if name.startswith("search")], "The search"
    )
    about = "Table III's 93 % is reached under several of the conventions that are open; the default is ours."
    return [compared, replace(searched, about=about)]


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
