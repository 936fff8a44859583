"""The report on Félisaz, Jacqueroud, Rezaie."""

from __future__ import annotations

import math
from pathlib import Path

from .. import runner as r
from ..felisaz import CHOICES, GRADIENTS, GRID, RATES, TABLE, chosen, name, rows, runs
from ..runner import pictures


def draw(results: r.Results, folder: Path, options: r.Options) -> list[r.Picture]:
    """Draw figures 6, 7 and 8."""
    pictures.data("felisaz", options.seed, folder / "data.png", "A training set")
    drawn = [r.Picture("data.png", "Figure 6: a training set over the regions of its rule.")]
    rates = {name(5, "ReLU", rate): f"lr {rate:g}" for rate in RATES}
    best = {batch: chosen(results, batch, "ReLU") for batch in TABLE}
    batches = {name(batch, "ReLU", rate): f"batch {batch}, lr {rate:g}" for batch, rate in best.items()}
    for file, caption, labels in (
        ("rates.png", "Figure 7: losses for each learning rate, batches of 5, ReLU.", rates),
        ("batches.png", "Figure 8: losses for each batch size at its chosen rate, ReLU.", batches),
    ):
        panels = []
        for part in ("train", "test"):
            bands = [
                pictures.band(results, one, f"{part}_loss", label)
                for one, label in labels.items()
                if one in results
            ]
            panels.append(pictures.Panel(f"{part} loss", "loss", bands, log=True))
        pictures.curves(folder / file, panels)
        drawn.append(r.Picture(file, f"{caption} Mean of the runs and one standard deviation."))
    return drawn


def tables(results: r.Results, options: r.Options) -> list[r.Table]:
    """Return the effect of choosing on test data, the test losses of the grid, and the search."""

    def mean(cell: tuple[int, str], rate: float, number: str) -> str:
        one, form = name(*cell, rate), "number" if number == "test_loss" else "percent"
        return r.figure(results.mean(one, number), form) if one in results else "not run"

    numbers, lines, losses = ("lr", "test_loss", "test_accuracy"), [], []
    for cell in GRID:
        label, rates = (
            f"batch {cell[0]}, {cell[1]}",
            [chosen(results, *cell, p) for p in ("validation", "test")],
        )
        means = [mean(cell, rate, number) for number in numbers[1:] for rate in rates]
        lines.append((label, *(f"{rate:g}" for rate in rates), *means))
        losses.append((label, *(mean(cell, rate, "test_loss") for rate in RATES)))
    heads = [f"{n.replace('_', ' ')}, by {part}" for n in numbers for part in ("validation", "test")]
    about = "The paper chose by the test loss that it reports. The first table chooses by validation loss."
    searched = [one for one in results.runs if one.startswith("search")]
    reported = [f"{TABLE[b][2][0]} and {TABLE[b][4][0]} % with batches of {b}" for b in (100, 200)]
    goal = f"ReLU, with one change each. Table I, with lr .001, has {' and '.join(reported)}."
    return [
        r.Table("The rate by validation and by test data", ("", *heads), lines, about),
        r.Table("The grid: mean test loss", ("", *(f"lr {rate:g}" for rate in RATES)), losses),
        r.accuracies(results, searched, "The search", goal),
    ]


def notes(results: r.Results, options: r.Options) -> list[str]:
    """State what was run, which gradient fits, what follows, what table I gets wrong, and what diverged."""
    done = [one for one in results.runs if one.startswith("batch")]
    label, numbers = "search: batch 100, lr", ("test_loss", "test_accuracy")
    tried = []
    for gradient in GRADIENTS:
        fast = r.figure(results.mean(f"{label} 0.01, {gradient}", "test_loss"), "number")
        loss, accuracy = (results.mean(f"{label} 0.001, {gradient}", number) for number in numbers)
        tried.append(f"{gradient} {loss:.3f} and {r.figure(accuracy, 'percent')} (lr .01: {fast})")
    columns = [row[3:] for row in TABLE.values()]
    same = sum(train[k] == test[k] for train, test in columns for k in (0, 2))
    twenty = results.mean(name(20, "ReLU", 0.01), "train_loss")
    diverged = [one for one in done if not math.isfinite(results.mean(one, "test_loss"))]
    count = sum(len(results.runs[one]) for one in done)
    steps = sum(
        run.plan.steps / run.plan.epochs * outcome.numbers["epochs"]
        for one in done
        for run, outcome in results.runs[one]
    )
    return [
        f"**What was run.** All {len(done)} models of the grid with {count} runs, {steps / 1e6:.1f} million "
        "steps. A run ends early if its loss is not finite.",
        "**Which gradient?** With ReLU and batches of 100, table I has a test loss of .181 and 90.48 % at lr "
        f".001, the better rate. Reproduced at lr .001: {'; '.join(tried)}. Only the mean error agrees: .001 "
        "is the better rate, and its loss is as high as reported.",
        "**Why are large batches worse?** The mean error has another loss: N times the squared norm of a "
        "batch's mean error. Errors of opposite sign cancel before they are squared, so a larger batch "
        "leaves less to learn from; for one sample it is the usual loss. This explains most of table I's "
        "differences between batch sizes: `--set gradient=sum` runs the grid without it.",
        "**What is implausible in table I.** Training and test accuracy agree to the last digit in "
        f"{same} of 14 cells, on different data. With batches of 20 and ReLU the training loss is .0987, "
        f"three times the test loss; reproduced at lr .01 it is {twenty:.4f}.",
        f"**What diverged** in at least one run, and so has no mean: {'; '.join(diverged) or 'nothing'}.",
    ]


PAPER = r.Paper(
    "felisaz",
    "Félisaz et al.: learning rates, batch sizes, activations",
    "Johan Félisaz, Lorenzo Jacqueroud, Amir Rezaie",
    CHOICES,
    runs,
    rows,
    draw,
    tables,
    notes,
)
