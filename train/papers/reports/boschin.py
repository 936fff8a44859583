"""The report on Boschin, Rebjock, Lei."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median

from .. import runner as r
from ..boschin import CHOICES, FIGURE_5, FIGURES, NUMBERS, rows, runs
from ..runner import pictures


def draw(results: r.Results, folder: Path, options: r.Options) -> list[r.Picture]:
    """Draw figures 2, 3, 4 and 6."""
    parts = {"train": "train", "validation": "validation"}
    drawn = []
    for name, file, caption in (
        ("SGD", "sgd.png", "Figure 2: learning curves of SGD."),
        ("PyTorch, its convention", "pytorch.png", "Figure 4: learning curves of the PyTorch model."),
        (
            "momentum",
            "momentum.png",
            "Figure 6: learning curves of SGD with momentum .5, an average of gradients.",
        ),
    ):
        if name in results:
            pictures.curves(folder / file, pictures.parts_panels(results, name, name, parts))
            drawn.append(r.Picture(file, f"{caption} Mean of the runs and one standard deviation."))
    if pictures.boundary(results, "SGD", folder / "misclassified.png", "SGD, sample by sample"):
        caption = "Figure 3: the misclassified points of one run lie along the circle."
        drawn.insert(1, r.Picture("misclassified.png", caption))
    return drawn


def tables(results: r.Results, options: r.Options) -> list[r.Table]:
    """Return both frameworks under both conventions, the variants of section V, and the search."""
    frameworks = [
        "SGD",
        "PyTorch, the paper's convention",
        "ours, PyTorch's convention",
        "PyTorch, its convention",
    ]
    about = "Runs of one seed share weights, data and order: conventions make the difference, not frameworks."
    variants = ["SGD", "momentum", "batches of 10"]
    return [
        r.accuracies(results, frameworks, "Two frameworks, two conventions", about),
        r.accuracies(results, variants, "Batch gradient descent and momentum (section V)"),
        _searched(results),
    ]


def _distances(results: r.Results, where: str) -> dict[str, tuple[list[float], float, int]]:
    """Return {label: (four means, mean distance, number of runs)} of the search for figure 1 or 5.

    The distance is in the paper's standard deviations. For figure 1, "MSE" is also read as a mean over both
    outputs, which is half of the paper's formula.
    """
    numbers = next(numbers for place, *numbers in FIGURES.values() if place == where)
    kind, units = ("search: region", (1.0, 0.5)) if where == "fig. 1" else ("search: PyTorch", (1.0,))
    distances = {}
    for name in (name for name in results.runs if name.startswith(kind)):
        for unit in units:
            means = [
                results.mean(name, f"{part}_{what}") * (unit if what == "loss" else 1.0)
                for part, what in NUMBERS
            ]
            off = [abs(mean - value) / std for mean, (value, std) in zip(means, numbers, strict=True)]
            label = name if unit == 1.0 else f"{name}, MSE the mean over outputs"
            distances[label] = (means, sum(off) / len(off), len(results.runs[name]))
    return distances


def _searched(results: r.Results) -> r.Table:
    """Return the distances of each region, and of each initialisation of the PyTorch model."""

    def cells(means: list[float]) -> list[str]:
        forms = {"loss": "number", "accuracy": "percent"}
        return [r.figure(mean, forms[what]) for (_, what), mean in zip(NUMBERS, means, strict=True)]

    rows: list[tuple[str, ...]] = []
    for where, *numbers in FIGURES.values():
        searched = _distances(results, where)
        if searched:
            rows.append((f"**reported, {where}**", *cells([value for value, _ in numbers]), "", ""))
        for name, (means, off, n) in searched.items():
            rows.append((name, *cells(means), f"{off:.1f}", str(n)))
    heads = ("", "train MSE", "train accuracy", "validation MSE", "validation accuracy", "off", "n")
    about = "Off: the mean distance of the four numbers, in the paper's standard deviations."
    return r.Table("The search", heads, rows, about)


def _which_data(results: r.Results) -> list[str]:
    """Explain why figure 1's validation MSE is not reached, and name the nearest region for each figure."""
    parts = (results.numbers("SGD", f"{part}_loss") for part in ("train", "validation"))
    gaps = [validation - train for train, validation in zip(*parts, strict=True)]
    gap = r.summarize(gaps)
    (reported, _), _, (lower, _), _ = FIGURES["SGD"][1:]
    above = r.figure(gap.centre, "number", gap.std)
    paragraphs = [
        f"**Why is the validation MSE of figure 1 not reached?** The paper's is {reported - lower:.4f} below "
        f"its training MSE, in the mean of 30 runs with new data each. Here it is {above} above, and below "
        f"in {sum(one < 0 for one in gaps)} of {gap.n} runs: a network fits its training data better than "
        f"new points. {_below(results)} conventions of the search give a validation MSE below the training "
        "MSE."
    ]
    nearest = []
    for where in ("fig. 1", "fig. 5"):
        if searched := _distances(results, where):
            name, (_, off, _) = min(searched.items(), key=lambda item: item[1][1])
            nearest.append(f"to {where}: {name.removeprefix('search: ')} ({off:.1f} deviations off)")
    if nearest:
        paragraphs.append(f"**Which data?** Nearest {'; nearest '.join(nearest)}. The search has the others.")
    return paragraphs


def _below(results: r.Results) -> str:
    """Count the conventions of the search with a validation loss below the training loss."""
    names = [name for name in results.runs if name.startswith("search")]
    below = sum(results.mean(name, "validation_loss") < results.mean(name, "train_loss") for name in names)
    return f"{below or 'None'} of the {len(names)}"


def _pairs(results: r.Results, torch: str, ours: str) -> str:
    """Compare the validation accuracies of PyTorch's runs with ours of the same seeds."""
    theirs = results.numbers(torch, "validation_accuracy")
    mine = results.numbers(ours, "validation_accuracy")[: len(theirs)]
    apart = r.summarize([a - b for a, b in zip(theirs, mine, strict=True)])
    means = [sum(values) / len(values) for values in (theirs, mine)]
    return (
        f"PyTorch's validation accuracy is {means[0]:.2%} and ours {means[1]:.2%} on the same {apart.n} "
        f"seeds; the 95 % interval of the difference is {100 * apart.low:+.2f} to {100 * apart.high:+.2f} "
        "points"
    )


def _times(results: r.Results, ours: str) -> float:
    """Return the median of PyTorch's time over that of an engine of ours; NaN if it was not run."""
    ratios = r.ratio("seconds, PyTorch", f"seconds, {ours}")(results)
    return median(ratios) if ratios else math.nan


def _enough(results: r.Results) -> str:
    """Say how many runs of PyTorch there are, and why more would not change a verdict."""
    torch, ours = FIGURE_5
    widths = []
    for (part, what), (_, std) in zip(NUMBERS, FIGURES[torch][1:], strict=True):
        summary = r.summarize(results.numbers(torch, f"{part}_{what}"))
        widths.append((summary.high - summary.low) / 2 / std)
    runs, own = (len(results.runs[name]) for name in FIGURE_5)
    return (
        f"**How many runs of PyTorch?** {runs}, where ours has {own}: a PyTorch run takes "
        f"{results.mean(torch, 'seconds'):.0f} s, one of ours {results.mean(ours, 'seconds'):.2f} s. The "
        f"95 % intervals of the four means beside figure 5 reach {min(widths):.1f} to {max(widths):.1f} of "
        "the paper's deviations to each side, and a verdict depends on 2. As a check, our layers run "
        f"PyTorch's convention from the same weights: {_pairs(results, torch, ours)}."
    )


def notes(results: r.Results, options: r.Options) -> list[str]:
    """Answer the questions of section VI.B."""
    slow, same = "PyTorch, its convention", "PyTorch, the paper's convention"
    if slow not in results or same not in results:
        return []
    torch, loss = results.mean(slow, "validation_loss"), results.mean("SGD", "validation_loss")
    eager, compiled = (_times(results, f"ours, {name}") for name in ("eager", "compiled"))
    without = (
        " Our compiled engine runs a step as one native program and leaves all of it out: PyTorch's epochs "
        f"take {compiled:.0f} times as long."
    )
    return [
        "**Why is PyTorch's MSE lower at a lower accuracy?** It is another quantity. The paper's loss is "
        "the sum over both outputs, averaged over samples; PyTorch's is the mean over all elements, which is "
        f"half of it. In the paper's unit, PyTorch's validation loss is {2 * torch:.4f}; that of SGD is "
        f"{loss:.4f}.",
        "**Why does PyTorch need more epochs?** Its gradient is half as long for the same reason, as if the "
        "rate were .005. That rate stays constant, so the curves keep jumping where the paper's settle. "
        f"Under the paper's convention, {_pairs(results, same, 'SGD')}.",
        f"**Why are its epochs longer?** They take {eager:.1f} times as long as those of our eager engine, "
        "with the same arithmetic and as many steps. Each of the 1,000 steps per epoch pays for general "
        "machinery (dispatch, autograd's graph, the optimizer's loop), not for products of 25 numbers."
        + (without if math.isfinite(compiled) else ""),
        _enough(results),
        *_which_data(results),
    ]


PAPER = r.Paper(
    "boschin",
    "Boschin et al.: gradient descent sample by sample, and the same network in PyTorch",
    "Armand Boschin, Quentin Rebjock, Shengzhao Lei",
    CHOICES,
    runs,
    rows,
    draw,
    tables,
    notes,
)
