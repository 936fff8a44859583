"""Félisaz, Jacqueroud, Rezaie: a grid of activations, batch sizes and learning rates.

Sections III to V. The paper gives neither the gradient of a batch nor the initial weights, and it chose the
learning rate on test data.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from ..models import Dense
from . import runner as r

RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
ACTIVATIONS = ("ReLU", "Tanh")
COLUMNS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
TABLE = {
    1: (0.01, (0.0160, 0.0027, 0.0171, 0.0025), (0.0189, 0.0047, 0.0191, 0.0039),
        (98.82, 0.19, 98.78, 0.17), (98.82, 0.29, 98.78, 0.24)),
    5: (0.01, (0.0148, 0.0033, 0.0164, 0.0032), (0.0187, 0.0043, 0.0198, 0.0044),
        (98.78, 0.27, 98.78, 0.27), (98.88, 0.27, 98.78, 0.36)),
    10: (0.01, (0.0174, 0.0041, 0.0269, 0.0099), (0.0220, 0.0058, 0.0292, 0.0053),
         (98.61, 0.29, 98.56, 0.45), (98.61, 0.44, 98.56, 0.32)),
    20: (0.01, (0.0987, 0.0028, 0.0708, 0.0148), (0.0339, 0.0037, 0.0704, 0.0114),
         (98.39, 0.22, 96.63, 0.91), (98.39, 0.36, 96.63, 0.83)),
    50: (0.001, (0.1077, 0.0078, 0.1290, 0.0104), (0.1071, 0.0076, 0.1270, 0.0073),
         (96.28, 0.63, 94.89, 1.25), (96.28, 0.79, 94.89, 0.89)),
    100: (0.001, (0.1815, 0.0311, 0.2748, 0.0628), (0.1812, 0.0309, 0.2736, 0.0595),
          (90.48, 3.67, 81.74, 2.91), (90.48, 3.62, 81.74, 4.00)),
    200: (0.001, (0.3600, 0.0305, 0.3866, 0.0308), (0.3598, 0.0363, 0.3865, 0.0286),
          (72.76, 4.06, 75.93, 6.36), (72.76, 5.87, 75.93, 6.45)),
}  # fmt: skip
"""Table I by batch size: the learning rate, then `COLUMNS`, each with mean and deviation of ReLU and Tanh."""

GRADIENTS = {"mean error": "mean_error", "sum": "sum", "mean": "batchmean"}
CHOICES = (
    r.Choice(
        "gradient",
        tuple(GRADIENTS),
        "The gradient of a batch. Averaging the errors over the batch before the backward pass reproduces "
        "table I; a public copy of the framework, with the calls of figures 1 to 5, does so. The sum of the "
        "samples' gradients gives far lower losses; with their mean, lr .01 is best for large batches too.",
    ),
    r.Choice("inputs", ("standardized", "raw"), "Not given; that copy uses mean 0 and deviation 1."),
    r.Choice(
        "init",
        ("xavier_normal", "torch"),
        "Not given; that copy draws N(0, 2 / (in + out)), with biases 0.",
    ),
)


def network(activation: str, init: str) -> Dense:
    """Return the network 2-25-25-25-2 with one activation."""
    biases = "zeros" if init == "xavier_normal" else ""
    return Dense((2,), (25, 25, 25), 2, (activation.lower(),), initializer=init, biases=biases)


def plan(options: r.Options, batch: int, activation: str, rate: float) -> r.Plan:
    """Return the plan of a cell of the grid; losses are sums over the two outputs."""
    return r.Plan(
        data="felisaz",
        network=network(activation, options["init"]),
        loss=GRADIENTS[options["gradient"]],
        options={"lr": rate},
        epochs=500,
        batch_size=batch,
        standardize=options["inputs"] == "standardized",
        every=5,
    )


GRID = [(batch, activation) for batch in TABLE for activation in ACTIVATIONS]
"""The cells of table I: batch size and activation. Each has five learning rates, with `RUNS` runs each."""
RUNS = 10


def name(batch: int, activation: str, rate: float) -> str:
    """Return the name of an experiment of the grid."""
    return f"batch {batch}, {activation}, lr {rate:g}"


def search(options: r.Options) -> dict[str, r.Plan]:
    """Return the plans of the search, with one change each, for batch sizes that show its effect."""
    plans = {}
    for batch in (100, 200):
        for gradient, loss in GRADIENTS.items():
            for rate in RATES[:2]:
                changed = replace(plan(options, batch, "ReLU", rate), loss=loss, every=100)
                plans[f"search: batch {batch}, lr {rate:g}, {gradient}"] = changed
        base = replace(plan(options, batch, "ReLU", TABLE[batch][0]), every=100)
        plans[f"search: batch {batch}, inputs as drawn"] = replace(base, standardize=False)
        plans[f"search: batch {batch}, torch's initial weights"] = replace(
            base, network=network("ReLU", "torch")
        )
    return plans


def runs(options: r.Options) -> list[r.Run]:
    """Return the runs of the grid and of the search."""
    result = [
        r.Run(name(*cell, rate), seed, plan(options, *cell, rate))
        for cell in GRID
        for rate in RATES
        for seed in options.seeds(RUNS)
    ]
    for label, changed in search(options).items():
        result += [r.Run(label, seed, changed) for seed in options.seeds(5)]
    return result


def chosen(results: r.Results, batch: int, activation: str, part: str = "validation") -> float:
    """Return the learning rate with the lowest mean loss on a part of the data; NaN if none was run."""
    losses = {
        rate: results.mean(name(batch, activation, rate), f"{part}_loss")
        for rate in RATES
        if name(batch, activation, rate) in results
    }
    return min(
        losses, key=lambda rate: losses[rate] if losses[rate] < math.inf else math.inf, default=math.nan
    )


def tuned(batch: int, activation: str, number: str) -> r.Values:
    """Return a reader of a number at the learning rate that validation loss chooses."""
    return lambda results: results.numbers(
        name(batch, activation, chosen(results, batch, activation)), number
    )


def rows(options: r.Options) -> list[r.Row]:
    """Return table I; unlike the paper, its rates are chosen on validation data."""
    result = []
    for batch, (rate, *columns) in TABLE.items():
        for place, activation in enumerate(ACTIVATIONS):
            cell = f"batch {batch}, {activation}"
            result.append(_rate(batch, activation, rate))
            read = partial(tuned, batch, activation)
            for number, column in zip(COLUMNS, columns, strict=True):
                unit = 1 if number.endswith("loss") else 100
                value, std = (column[2 * place + k] / unit for k in range(2))
                label = f"{cell}: {number.replace('_', ' ')}"
                result.append(r.scored(number, read, label, "table I", value, std))
    return result


def _rate(batch: int, activation: str, reported: float) -> r.Row:
    """Return the row of a learning rate."""

    def read(results: r.Results) -> list[float]:
        rate = chosen(results, batch, activation)
        return [] if math.isnan(rate) else [rate]

    what = f"batch {batch}, {activation}: lr"
    why = "the lowest mean validation loss decides; the grid below has the losses of all rates"
    return r.Row(what, "table I", reported, read, form="number", better="", why=why)
