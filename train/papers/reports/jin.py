"""The report on Jin, Shen, Zhu."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median

import numpy as np

from .. import runner as r
from ..jin import (
    CHOICES,
    COLLAPSE,
    CONVOLUTIONS,
    DISC,
    EVERY,
    LEARNT,
    collapsed,
    difference,
    experiments,
    rows,
    runs,
)
from ..runner import pictures

SLOW = "search, disc: gradient mean, weights uniform, last layer relu"
"""The experiment of the search that learns most slowly."""


def draw(results: r.Results, folder: Path, options: r.Options) -> list[r.Picture]:
    """Draw figures 3, 4 and 5."""
    pictures.data("jin", options.seed, folder / "data.png", "1,000 points and the disc")
    drawn = [r.Picture("data.png", "Figure 3: the data of the first run.")]
    panels = []
    for part, what in (("train", "loss"), ("test", "accuracy")):
        bands = _by_collapse(results, "disc, last layer relu", f"{part}_{what}")
        bands.append(pictures.band(results, "disc, last layer none", f"{part}_{what}", "no last ReLU"))
        panels.append(pictures.Panel(f"disc, {part}", what, bands))
    pictures.curves(folder / "disc.png", panels)
    pictures.curves(folder / "cubes.png", pictures.parts_panels(results, "cubes", "cubes"))
    for file, caption in (
        ("disc.png", "Figure 4: losses on the disc, with and without a ReLU after the last layer."),
        ("cubes.png", "Figure 5: losses of the convolutional network."),
    ):
        drawn.append(r.Picture(file, f"{caption} Mean of the runs and one standard deviation."))
    return drawn


def _by_collapse(results: r.Results, name: str, column: str) -> list[pictures.Band]:
    """Return separate bands for runs that collapse and runs that do not; a common mean fits neither."""
    band, flags = pictures.band(results, name, column), collapsed(name)(results)
    groups = {flag: [v for v, f in zip(band.values, flags, strict=True) if f == flag] for flag in (0, 1)}
    labels = {0: "a last ReLU", 1: f"a last ReLU, {len(groups[1])} of {len(flags)} that collapsed"}
    return [pictures.Band(labels[flag], band.epochs, values) for flag, values in groups.items() if values]


def tables(results: r.Results, options: r.Options) -> list[r.Table]:
    """Return the searches."""
    rows: list[tuple[str, ...]] = []
    disc, cubes = (
        [n for n in experiments(options) if n.startswith(f"search, {data}")] for data in ("disc", "cubes")
    )
    for name in (name for name in disc if name in results):
        values = results.numbers(name, "test_accuracy")
        slowest = max(r.epochs_to(name, "test_accuracy", LEARNT)(results))
        cells = (f"{median(values):.2%}", f"{min(values):.2%}", f"{sum(collapsed(name)(results)):.0f}")
        rows.append((name, *cells, "never" if math.isinf(slowest) else f"{slowest:.0f}", str(len(values))))
    heads = ("", "median test accuracy", "worst run", "below 85 %", "slowest run's epochs to 90 %", "n")
    searched = [r.Table("The search: the disc", heads, rows, f"100 epochs each, evaluated every {EVERY}.")]
    if cubes:
        searched.append(r.accuracies(results, cubes, "The search: the cubes", "200 epochs each."))
    return searched


def notes(results: r.Results, options: r.Options) -> list[str]:
    """Explain why runs collapse and what the 74 % are, and state what loops cost."""
    relu, plain = (f"disc, last layer {last}" for last in DISC)
    if relu not in results or plain not in results:
        return []
    accuracies, zeros = results.numbers(relu, "test_accuracy"), results.numbers(relu, "test_zeros")
    ended = [f"{a:.1%} with {z:.0%}" for a, z in zip(accuracies, zeros, strict=True) if a < COLLAPSE]
    details = f" ({'; '.join(ended)} of the outputs on test data exactly 0)" if ended else ""
    without = f"{sum(collapsed(plain)(results)):.0f} of {len(results.runs[plain])}"
    train, test = (results.mean("cubes", f"{part}_accuracy") for part in ("train", "test"))
    paragraphs = [
        f"**Why do runs collapse?** With a ReLU after the last layer, the runs that end below "
        f"{COLLAPSE:.0%} are {len(ended)} of {len(accuracies)}{details}; without it, {without}. That ReLU "
        "gives 0 for a negative input and passes no gradient. If its input is negative for every point, "
        "only the penalty still moves a weight. The other ReLUs follow a batch normalisation, which keeps "
        "part of their input positive.",
        "**What are the 74 %?** They are not the end of a dead output: that is the share of one class, about "
        "half. An output that is dead for most points may recover slowly and pass 74 % on its way"
        + (f": {_slow_runs(results)}." if SLOW in results else "."),
        "**Cubes.** The paper does not say which data its accuracy of .7 refers to. Here "
        f"{train:.1%} of the training data are right, and {test:.1%} of the test data.",
    ]
    if "loops" in results and "unfold" in results:
        loops, unfold, compiled = (results.mean(name, "seconds_per_epoch") for name in CONVOLUTIONS)
        also = f", or {compiled:.4f} s if that is compiled" if math.isfinite(compiled) else ""
        paragraphs.append(
            f"**What do loops cost?** {loops:.2f} s per pass over "
            f"{results.runs['loops'][0][0].plan.samples:,} samples; {unfold:.3f} s if the convolution is one "
            f"product{also}. The loops have too many ops to compile. Their losses differ by at most "
            f"{np.max(difference(results)):.1g}."
        )
    return paragraphs


def _slow_runs(results: r.Results) -> str:
    """Describe the runs of the slowest experiment of the search."""
    accuracies = sorted(results.numbers(SLOW, "test_accuracy"))
    epochs, zeros = results.runs[SLOW][0][0].plan.epochs, results.numbers(SLOW, "test_zeros")
    ends = ", ".join(f"{value:.0%}" for value in accuracies)
    return (
        "with the mean's gradient, weights from U[-1, 1] and that ReLU, test accuracies after "
        f"{epochs} epochs are {ends}, with up to {max(zeros):.0%} of the outputs 0"
    )


PAPER = r.Paper(
    "jin",
    "Jin et al.: batch normalisation on the disc, and convolutions by loops",
    "Menghe Jin, Yueqing Shen, Jiaan Zhu",
    CHOICES,
    runs,
    rows,
    draw,
    tables,
    notes,
)
