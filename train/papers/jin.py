"""Jin, Shen, Zhu: batch normalisation on the disc, and convolutions by loops on small cubes.

Section IV. The paper does not give the regularisation, the reduction of the gradient over a batch, the
initial weights, whether the last layer has a ReLU, or the epochs of the convolutional network.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..models import Dense, Jin
from . import runner as r

DENSE = Dense((2,), (100, 50, 20), 1, batch_norm=True)
"""2 x 100, 100 x 50, 50 x 20, 20 x 1; the first three with batch normalisation and ReLU."""
CUBES = Jin((3, 4, 4), 1)
CONVOLUTIONS = {"loops": (True, "eager"), "unfold": (False, "eager"), "unfold, compiled": (False, "compiled")}
"""The timed convolutions: whether by loops, and the engine. The loops have too many ops to compile."""
USUAL, LESS = 0.977, 0.74
"""Test accuracies on the disc of most of the paper's runs, and of the others."""
EVERY = 10
"""Epochs between evaluations."""
COLLAPSE, LEARNT = 0.85, 0.9
"""Test accuracies: a run that ends below the first collapsed; one above the second has learnt the disc."""

ENDINGS = {"relu": "relu", "none": "", "sigmoid": "sigmoid"}
DISC = ("relu", "none")
CHOICES = (
    r.Choice(
        "last",
        DISC,
        "The layers have ReLU, perhaps including the last one. Runs on the disc collapse only with it.",
    ),
    r.Choice(
        "gradient",
        ("sum", "mean"),
        "Over a batch. The paper calls the loss a mean, but with the mean's gradient hardly a run collapses, "
        "and the cubes take several times as many epochs.",
    ),
    r.Choice("initializer", ("torch", "xavier_uniform", "kaiming_uniform", "uniform"), "Initial weights."),
    r.Choice("penalty", ("half", "whole"), "Regularisation .05 as λ/2 Σ w², or as λ Σ w²."),
    r.Choice("cubes_last", ("none", "relu", "sigmoid"), "The end of the convolutional network."),
    r.Choice(
        "cubes_norm",
        ("yes", "no"),
        "Batch normalisation in the convolutional network; optional in the paper.",
    ),
)


def plan(options: r.Options) -> r.Plan:
    """Return the disc's plan: 1,000 epochs of batches of 64, rate .002, regularisation .05."""
    return r.Plan(
        data="jin",
        network=replace(DENSE, output=ENDINGS[options["last"]], initializer=options["initializer"]),
        loss=options["gradient"],
        options={"lr": 2e-3},
        epochs=1000,
        batch_size=64,
        penalty={"half": 0.05, "whole": 0.1}[options["penalty"]],
        every=EVERY,
    )


def cubes_plan(options: r.Options) -> r.Plan:
    """Return the cubes' plan: the same at rate .003, and 300 epochs, after which losses level off."""
    network = replace(
        CUBES,
        output=ENDINGS[options["cubes_last"]],
        initializer=options["initializer"],
        batch_norm=options["cubes_norm"] == "yes",
    )
    return replace(plan(options), data="cubes", network=network, options={"lr": 3e-3}, epochs=300)


def experiments(options: r.Options) -> dict[str, tuple[r.Plan, range]]:
    """Return {experiment: (plan, seeds)}."""
    disc, cubes = plan(options), cubes_plan(options)
    result = {}
    for last in DISC:
        network = replace(DENSE, output=ENDINGS[last], initializer=options["initializer"])
        seeds = options.seeds(30 if last == options["last"] else 20)
        result[f"disc, last layer {last}"] = (replace(disc, network=network), seeds)
    result["cubes"] = (cubes, options.seeds(10))
    for name, changed in _search(disc, 100).items():
        result[f"search, disc: {name}"] = (changed, options.seeds(10))
    for name, changed in _search(cubes, 200).items():
        result[f"search, cubes: {name}"] = (changed, options.seeds(2))
    return result


def _search(base: r.Plan, epochs: int) -> dict[str, r.Plan]:
    """Return a plan under every convention of the gradient, and those of the network that matter."""
    plans = {}
    for loss in ("sum", "mean"):
        changed = replace(base, loss=loss, epochs=epochs)
        if base.data == "cubes":
            for last, norm in ((last, norm) for last in ENDINGS for norm in (True, False)):
                network: Dense | Jin = replace(CUBES, output=ENDINGS[last], batch_norm=norm)
                name = f"gradient {loss}, last layer {last}, {'' if norm else 'no '}batch norm"
                plans[name] = replace(changed, network=network)
            continue
        for weights, last in ((w, last) for w in ("torch", "kaiming_uniform", "uniform") for last in DISC):
            network = replace(DENSE, output=ENDINGS[last], initializer=weights)
            plans[f"gradient {loss}, weights {weights}, last layer {last}"] = replace(
                changed, network=network
            )
    return plans


def runs(options: r.Options) -> list[r.Run]:
    """Return the runs of disc, cubes and search, and timed epochs of both convolutions in turns."""
    result = [
        r.Run(name, seed, plan) for name, (plan, seeds) in experiments(options).items() for seed in seeds
    ]
    once = replace(cubes_plan(options), epochs=1)
    for seed in options.seeds(3):
        for name, (naive, engine) in CONVOLUTIONS.items():
            network = replace(CUBES, naive=naive)
            timed = replace(once, network=network, engine=engine)  # type: ignore[arg-type]
            result.append(r.Run(name, seed, timed, timed=True))
    return result


def collapsed(name: str) -> r.Values:
    """Return a reader of 1 for each run that ended below `COLLAPSE`, else 0."""
    return lambda results: [float(x < COLLAPSE) for x in results.numbers(name, "test_accuracy")]


def worst(name: str) -> r.Values:
    """Return a reader of the lowest final test accuracy of all runs."""
    return lambda results: [min(values)] if (values := results.numbers(name, "test_accuracy")) else []


def difference(results: r.Results) -> list[float]:
    """Return the largest difference of a loss between loops and unfold, seed by seed."""
    losses = ("train_loss", "validation_loss", "test_loss")
    loops, unfold = (
        list(zip(*(results.numbers(name, loss) for loss in losses), strict=True))
        for name in ("loops", "unfold")
    )
    return [
        float(np.max(np.abs(np.subtract(one, other))))  # NaN if a loss is
        for one, other in zip(loops, unfold, strict=False)
    ]


def rows(options: r.Options) -> list[r.Row]:
    """Return the accuracies of section IV, the collapses, and the two convolutions."""
    ours, baseline = f"disc, last layer {options['last']}", "test_baseline"
    result = [
        r.Row(
            "disc: test accuracy of a usual run",
            "IV, fig. 4",
            USUAL,
            r.measured(ours, "test_accuracy"),
            statistic="median",
            baseline=r.measured(ours, baseline),
        ),
        r.Row(
            "disc: test accuracy of the worst run",
            "IV",
            LESS,
            worst(ours),
            baseline=r.measured(ours, baseline),
            why="an output that stays dead predicts one class for every point",
        ),
    ]
    for last, label in (("relu", "a last ReLU"), ("none", "no last ReLU")):
        name = f"disc, last layer {last}"
        result += [
            r.Row(f"disc, {label}: runs that collapse", "IV", None, collapsed(name), form="share", better=""),
            r.Row(
                f"disc, {label}: epochs to 90 %, evaluated every {EVERY}",
                "IV",
                None,
                r.epochs_to(name, "test_accuracy", LEARNT),
                form="count",
                statistic="median",
            ),
        ]
    for part in ("test", "train"):
        result.append(
            r.Row(
                f"cubes: {part} accuracy",
                "IV, fig. 5",
                0.7,
                r.measured("cubes", f"{part}_accuracy"),
                statistic="median",
                baseline=r.measured("cubes", f"{part}_baseline"),
                ran=f"{cubes_plan(options).epochs} epochs here; the paper does not give them",
            )
        )
    return [
        *result,
        r.Row(
            "cubes: loops and unfold, largest difference of losses", "II-B", None, difference, form="number"
        ),
        *(
            r.Row(f"cubes: time of loops / {name}", "II-B", None, r.ratio("loops", name), form="ratio")
            for name in list(CONVOLUTIONS)[1:]
        ),
    ]
