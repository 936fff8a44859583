"""What the report on Félisaz, Jacqueroud, Rezaie draws and says."""

from __future__ import annotations

import math
from pathlib import Path

from .. import runner as r
from ..felisaz import CHOICES, GRADIENTS, RATES, TABLE, chosen, grid, name, rows, runs
from ..runner import pictures


def draw(results: r.Results, folder: Path, options: r.Options) -> list[r.Picture]:
    """Draw figures 6, 7 and 8."""
    pictures.data("felisaz", options.seed, folder / "data.png", "A training set")
    found = [r.Picture("data.png", "Figure 6: a training set over the regions of its rule.")]
    rates = {name(5, "ReLU", rate): f"lr {rate:g}" for rate in RATES}
    best = {batch: chosen(results, batch, "ReLU") for batch in TABLE}
    batches = {name(batch, "ReLU", rate): f"batch {batch}, lr {rate:g}" for batch, rate in best.items()}
    for file, what, shown in (
        ("rates.png", "Figure 7: losses for each learning rate, batches of 5, ReLU.", rates),
        ("batches.png", "Figure 8: losses for each batch size, ReLU, with the rate chosen for it.", batches),
    ):
        panels = []
        for part in ("train", "test"):
            bands = [
                pictures.band(results, one, f"{part}_loss", label)
                for one, label in shown.items()
                if one in results
            ]
            panels.append(pictures.Panel(f"{part} loss", "loss", bands, log=True))
        pictures.curves(folder / file, panels)
        found.append(r.Picture(file, f"{what} Mean of the runs and one standard deviation."))
    return found


def tables(results: r.Results, options: r.Options) -> list[r.Table]:
    """Return what choosing on test data does, the test losses of the grid, and the search."""

    def mean(cell: tuple[int, str], rate: float, number: str) -> str:
        one, form = name(*cell, rate), "number" if number == "test_loss" else "percent"
        return r.figure(results.mean(one, number), form) if one in results else "not run"

    numbers, lines, losses = ("lr", "test_loss", "test_accuracy"), [], []
    for cell in grid(options):
        label, rates = (
            f"batch {cell[0]}, {cell[1]}",
            [chosen(results, *cell, p) for p in ("validation", "test")],
        )
        means = [mean(cell, rate, number) for number in numbers[1:] for rate in rates]
        lines.append((label, *(f"{rate:g}" for rate in rates), *means))
        losses.append((label, *(mean(cell, rate, "test_loss") for rate in RATES)))
    heads = [f"{n.replace('_', ' ')}, by {part}" for n in numbers for part in ("validation", "test")]
    about = "The paper chose by the test loss that it then reports. Above, validation loss chooses."
    searched = [one for one in results.runs if one.startswith("search")]
    reported = [f"{TABLE[b][2][0]} and {TABLE[b][4][0]} % with batches of {b}" for b in (100, 200)]
    goal = f"ReLU, one thing changed at a time. Table I, with lr .001, has {' and '.join(reported)}."
    return [
        r.Table("The rate by validation and by test data", ("", *heads), lines, about),
        r.Table("The grid: mean test loss", ("", *(f"lr {rate:g}" for rate in RATES)), losses),
        r.accuracies(results, searched, "The search", goal),
    ]


def notes(results: r.Results, options: r.Options) -> list[str]:
    """Say what was run, which gradient it is, what follows, what cannot be in table I, what diverged."""
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
    wild = [one for one in done if not math.isfinite(results.mean(one, "test_loss"))]
    count = sum(len(results.runs[one]) for one in done)
    return [
        f"**What was run.** {len(done)} of the grid's 70 models, {count} of its 700 runs; `--full` is all.",
        "**Which gradient?** With ReLU and batches of 100 table I has a test loss of .181 and 90.48 % at lr "
        f".001, the better rate. Found: {'; '.join(tried)}. Only the mean error has both: .001 is the better "
        "rate, and its loss is as high as reported.",
        "**Why are large batches worse?** The gradient of the mean error is that of another loss: N times "
        "the squared norm of a batch's mean error. Errors of opposite sign cancel before they are squared: "
        "the larger the batch, the less is left to learn from; for one sample it is the usual loss. What "
        "table I shows of batch sizes is mostly this: `--set gradient=sum` is the grid without it.",
        "**What cannot be in table I.** Training and test accuracy are the same to the last digit in "
        f"{same} of 14 cells, on different data. With batches of 20 and ReLU the training loss is .0987, "
        f"three times the test loss; it comes out as {twenty:.4f} at lr .01.",
        f"**What diverged** in at least one run, and has no mean: {'; '.join(wild) or 'nothing'}.",
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
