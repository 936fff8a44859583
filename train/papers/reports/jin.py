"""What the report on Jin, Shen, Zhu draws and says."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median

from .. import runner as r
from ..jin import CHOICES, COLLAPSE, DISC, LEARNT, collapsed, difference, experiments, rows, runs
from ..runner import pictures

SLOW = "search, disc: gradient mean, weights uniform, last layer relu"
"""What learns most slowly in the search."""


def draw(results: r.Results, folder: Path, options: r.Options) -> list[r.Picture]:
    """Draw figures 3, 4 and 5."""
    pictures.data("jin", options.seed, folder / "data.png", "1,000 points and the disc")
    found = [r.Picture("data.png", "Figure 3: the data of the first run.")]
    panels = []
    for part, what in (("train", "loss"), ("test", "accuracy")):
        bands = _apart(results, "disc, last layer relu", f"{part}_{what}")
        bands.append(pictures.band(results, "disc, last layer none", f"{part}_{what}", "no last ReLU"))
        panels.append(pictures.Panel(f"disc, {part}", what, bands))
    pictures.curves(folder / "disc.png", panels)
    pictures.curves(folder / "cubes.png", pictures.parts_panels(results, "cubes", "cubes"))
    for file, caption in (
        ("disc.png", "Figure 4: losses on the disc, with and without a ReLU after the last layer."),
        ("cubes.png", "Figure 5: losses of the convolutional network."),
    ):
        found.append(r.Picture(file, f"{caption} Mean of the runs and one standard deviation."))
    return found


def _apart(results: r.Results, name: str, what: str) -> list[pictures.Band]:
    """Return runs that collapse and runs that do not as two bands: their mean would be no run's."""
    found = pictures.band(results, name, what)
    low = collapsed(name)(results)
    kinds = {
        kind: [v for v, is_low in zip(found.values, low, strict=True) if is_low == kind] for kind in (0, 1)
    }
    said = {0: "a last ReLU", 1: f"a last ReLU, {len(kinds[1])} of {len(low)} that collapsed"}
    return [pictures.Band(said[kind], found.epochs, values) for kind, values in kinds.items() if values]


def tables(results: r.Results, options: r.Options) -> list[r.Table]:
    """Return the search over what is open."""
    found: list[tuple[str, ...]] = []
    disc, cubes = (
        [n for n in experiments(options) if n.startswith(f"search, {data}")] for data in ("disc", "cubes")
    )
    for name in (name for name in disc if name in results):
        values = results.numbers(name, "test_accuracy")
        slowest = max(r.epochs_to(name, "test_accuracy", LEARNT)(results))
        shown = (f"{median(values):.2%}", f"{min(values):.2%}", f"{sum(collapsed(name)(results)):.0f}")
        found.append((name, *shown, "never" if math.isinf(slowest) else f"{slowest:.0f}", str(len(values))))
    heads = ("", "median test accuracy", "worst run", "below 85 %", "slowest run's epochs to 90 %", "n")
    searched = [r.Table("The search: the disc", heads, found, f"{20 if options.quick else 100} epochs each.")]
    if cubes:
        searched.append(r.accuracies(results, cubes, "The search: the cubes", "200 epochs each."))
    return searched


def notes(results: r.Results, options: r.Options) -> list[str]:
    """Say why runs collapse, what 74 % is, and what loops cost, with the figures of the runs."""
    relu, plain = (f"disc, last layer {last}" for last in DISC)
    if relu not in results or plain not in results:
        return []
    accuracies, zeros = results.numbers(relu, "test_accuracy"), results.numbers(relu, "test_zeros")
    ended = [f"{a:.1%} with {z:.0%}" for a, z in zip(accuracies, zeros, strict=True) if a < COLLAPSE]
    said = f" ({'; '.join(ended)} of the outputs on test data exactly 0)" if ended else ""
    without = f"{sum(collapsed(plain)(results)):.0f} of {len(results.runs[plain])}"
    train, test = (results.mean("cubes", f"{part}_accuracy") for part in ("train", "test"))
    found = [
        f"**Why do runs collapse?** With a ReLU after the last layer {len(ended)} of {len(accuracies)} "
        f"runs end below {COLLAPSE:.0%}{said}; without it {without}. Where its input is negative, that ReLU "
        "gives 0 and passes no gradient; if it is for every point, only the penalty still moves a weight. "
        "The other ReLUs are behind a batch normalisation, which keeps part of their input positive; this "
        "one is not.",
        "**What is 74 %?** Not where a dead output rests: that is the share of one class, about half. An "
        "output that is dead for most points may come back, slowly, and passes 74 % on its way"
        + (f": {_on_the_way(results)}." if SLOW in results else "."),
        "**Cubes.** Of which data the accuracy of .7 is, the paper does not say. Here "
        f"{train:.1%} of the training data are right, and {test:.1%} of the test data.",
    ]
    if "loops" in results and "unfold" in results:
        loops, unfold = (results.mean(name, "seconds_per_epoch") for name in ("loops", "unfold"))
        found.append(
            f"**What do loops cost?** {loops:.2f} s a pass over {results.runs['loops'][0][0].plan.samples:,} "
            f"samples, beside {unfold:.3f} s of the same convolution as one product; their losses differ by "
            f"at most {max(difference(results)):.1g}."
        )
    return found


def _on_the_way(results: r.Results) -> str:
    """Say where the runs are of what learns most slowly in the search."""
    found = sorted(results.numbers(SLOW, "test_accuracy"))
    epochs, zeros = results.runs[SLOW][0][0].plan.epochs, results.numbers(SLOW, "test_zeros")
    ends = ", ".join(f"{value:.0%}" for value in found)
    return (
        "with the gradient of the mean and weights from U[-1, 1], and that ReLU, test accuracies after "
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
