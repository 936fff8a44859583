"""Carlier: a graph of operators built on the fly, its pictures, and the same network in PyTorch.

Section 3. The framework's published example has what the text lacks: full batch, lr .1, the loss, the
disc's centre.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from ..models import Dense
from . import runner as r

CHOICES = (
    r.Choice(
        "weights",
        ("xavier_normal", "xavier_uniform", "kaiming_normal"),
        "The text does not say which Xavier; the example uses the normal one.",
    ),
    r.Choice(
        "biases", ("as_weights", "torch", "zeros"), "Not given; the example draws them like the weights."
    ),
    r.Choice("batch_size", ("1000", "500", "250"), "Not given; the example takes all samples in one step."),
)
ENGINES = {
    "the graph": "graph",
    "layers, compiled": "compiled",
    "layers, eager": "eager",
    "PyTorch": "torch",
}
MEASURED = {
    "train_loss": (0.0228, 0.0023),
    "test_loss": (0.0254, 0.0028),
    "train_accuracy": (0.986, 0.0034),
    "test_accuracy": (0.983, 0.0055),
}
SECONDS = {"PyTorch": (0.804, 0.779), "the graph": (1.961, 1.920)}
"""Mean and median of 20 runs."""


def plan(options: r.Options) -> r.Plan:
    """Return section 3.1: softmax, Σ (p - t)² / (2 N), 500 epochs of SGD on standardised inputs."""
    return r.Plan(
        data="carlier",
        network=Dense(
            (2,),
            (25, 25, 25),
            2,
            output="softmax",
            initializer=options["weights"],
            biases=options["biases"],
        ),
        loss="half_batchmean",
        options={"lr": 0.1},
        epochs=500,
        batch_size=int(options["batch_size"]),
        standardize=True,
        every=5,
    )


def search(options: r.Options) -> dict[str, r.Plan]:
    """Return the plans of the search, with one change each."""
    base = replace(plan(options), every=100)
    own: Any = base.network
    return {
        "search: as it is": base,
        **{
            f"search: weights {init}": replace(base, network=replace(own, initializer=init))
            for init in ("xavier_uniform", "kaiming_normal", "torch")
        },
        **{
            f"search: biases {biases}": replace(base, network=replace(own, biases=biases))
            for biases in ("torch", "zeros")
        },
        **{f"search: batches of {size}": replace(base, batch_size=size) for size in (500, 250)},
        "search: loss Σ / N": replace(base, loss="batchmean"),
        "search: momentum .9": replace(base, options={"lr": 0.1, "momentum": 0.9}),
        "search: Adam, lr .001": replace(base, optimizer="Adam", options={"lr": 0.001}),
        "search: inputs as drawn": replace(base, standardize=False),
    }


def runs(options: r.Options) -> list[r.Run]:
    """Return the layers' runs, timed runs of the four engines in turns, and the search."""
    base, seeds = plan(options), options.seeds(20)
    result = [r.Run("hand-written layers", seed, base) for seed in seeds]
    result += [
        r.Run(name, seed, replace(base, engine=engine), timed=True)  # type: ignore[arg-type]
        for seed in seeds
        for name, engine in ENGINES.items()
    ]
    for label, changed in search(options).items():
        result += [r.Run(label, seed, changed) for seed in options.seeds(10)]
    return result


def rows(options: r.Options) -> list[r.Row]:
    """Return the tables of sections 3.1 and 3.2."""
    result = []
    for name in ("the graph", "hand-written layers"):
        read = partial(r.measured, name)
        for number, (value, std) in MEASURED.items():
            why = (
                "slightly wider initial weights give the paper's: see the search" if "loss" in number else ""
            )
            label = f"{name}: {number.replace('_', ' ')}"
            row = r.scored(number, read, label, "3.1", value, std, statistic="median", why=why)
            result.append(row)
    for name in ENGINES:
        for statistic, seconds in zip(("mean", "median"), SECONDS.get(name, (None, None)), strict=True):
            result.append(
                r.Row(
                    f"{name}: seconds for 500 epochs",
                    "3.2",
                    seconds,
                    r.measured(name, "seconds"),
                    form="seconds",
                    better="",
                    statistic=statistic,  # type: ignore[arg-type]
                    incomparable="" if seconds is None else "another machine",
                )
            )
    paper = SECONDS["PyTorch"][1] / SECONDS["the graph"][1]
    for name in ("the graph", "layers, eager", "layers, compiled"):
        what = f"time of PyTorch / {name}"
        result.append(r.Row(what, "3.2", paper, r.ratio("PyTorch", name), form="ratio", statistic="median"))
    return result
