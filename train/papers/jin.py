"""Jin, Shen, Zhu: batch normalisation on the disc, and convolutions by loops on small cubes.

Section IV. What the regularisation is, over what the gradient is summed, the first weights, and whether the
last layer has a ReLU too are not said; nor are the epochs of the convolutional network.
"""

from __future__ import annotations

from dataclasses import replace

from ..models import Dense, Jin
from . import runner as r

DENSE = Dense((2,), (100, 50, 20), 1, batch_norm=True)
"""2 x 100, 100 x 50, 50 x 20, 20 x 1; the first three with batch normalisation and ReLU."""
CUBES = Jin((3, 4, 4), 1)
USUAL, LESS = 0.977, 0.74
"""Test accuracies of most of the paper's runs on the disc, and of some."""
COLLAPSE, LEARNT = 0.85, 0.9
"""A run that ends below the one collapsed; one that is above the other has learnt the disc."""

ENDINGS = {"relu": "relu", "none": "", "sigmoid": "sigmoid"}
DISC = ("relu", "none")
CHOICES = (
    r.Choice(
        "last",
        DISC,
        "The layers have ReLU, the last one perhaps too: only with it do runs on the disc collapse.",
    ),
    r.Choice(
        "gradient",
        ("sum", "mean"),
        "Over a batch. The loss is called a mean, but with the gradient of one hardly a run collapses, and "
        "the cubes take several times as many epochs.",
    ),
    r.Choice("initializer", ("torch", "xavier_uniform", "kaiming_uniform", "uniform"), "The first weights."),
    r.Choice("penalty", ("half", "whole"), "Regularisation .05 as λ/2 Σ w², or as λ Σ w²."),
    r.Choice("cubes_last", ("none", "relu", "sigmoid"), "After the last layer of the convolutional network."),
    r.Choice(
        "cubes_norm", ("yes", "no"), "Batch normalisation in the convolutional network; each layer may."
    ),
)


def plan(options: r.Options) -> r.Plan:
    """Return the disc: 1,000 epochs of batches of 64, rate .002, regularisation .05."""
    return r.Plan(
        data="jin",
        network=replace(DENSE, output=ENDINGS[options["last"]], initializer=options["initializer"]),
        loss=options["gradient"],
        options={"lr": 2e-3},
        epochs=40 if options.quick else 1000,
        batch_size=64,
        penalty={"half": 0.05, "whole": 0.1}[options["penalty"]],
        every=2 if options.quick else 10,
    )


def cubes_plan(options: r.Options) -> r.Plan:
    """Return the cubes: the same at rate .003, and as many epochs as losses need to level off."""
    network = replace(
        CUBES,
        output=ENDINGS[options["cubes_last"]],
        initializer=options["initializer"],
        batch_norm=options["cubes_norm"] == "yes",
    )
    epochs = 40 if options.quick else 300
    return replace(plan(options), data="cubes", network=network, options={"lr": 3e-3}, epochs=epochs)


def experiments(options: r.Options) -> dict[str, tuple[r.Plan, range]]:
    """Return what is run, and with which seeds."""
    disc, cubes = plan(options), cubes_plan(options)
    found = {}
    for last in DISC:
        network = replace(DENSE, output=ENDINGS[last], initializer=options["initializer"])
        seeds = options.seeds(30, 8) if last == options["last"] else options.seeds(20, 3)
        found[f"disc, last layer {last}"] = (replace(disc, network=network), seeds)
    found["cubes"] = (cubes, options.seeds(10, 2))
    for name, changed in _search(disc, 20 if options.quick else 100).items():
        found[f"search, disc: {name}"] = (changed, options.seeds(10, 1))
    for name, changed in {} if options.quick else _search(cubes, 200).items():
        found[f"search, cubes: {name}"] = (changed, options.seeds(2, 1))
    return found


def _search(base: r.Plan, epochs: int) -> dict[str, r.Plan]:
    """Return a plan under all conventions of the gradient, and of the network those that matter."""
    found = {}
    for loss in ("sum", "mean"):
        changed = replace(base, loss=loss, epochs=epochs)
        if base.data == "cubes":
            for last, norm in ((last, norm) for last in ENDINGS for norm in (True, False)):
                network: Dense | Jin = replace(CUBES, output=ENDINGS[last], batch_norm=norm)
                name = f"gradient {loss}, last layer {last}, {'' if norm else 'no '}batch norm"
                found[name] = replace(changed, network=network)
            continue
        for weights, last in ((w, last) for w in ("torch", "kaiming_uniform", "uniform") for last in DISC):
            network = replace(DENSE, output=ENDINGS[last], initializer=weights)
            found[f"gradient {loss}, weights {weights}, last layer {last}"] = replace(
                changed, network=network
            )
    return found


def runs(options: r.Options) -> list[r.Run]:
    """Return the disc, the cubes, what is searched, and some steps by both convolutions in turns."""
    found = [
        r.Run(name, seed, plan) for name, (plan, seeds) in experiments(options).items() for seed in seeds
    ]
    once = replace(cubes_plan(options), epochs=1, samples=128 if options.quick else 1000)
    for seed in options.seeds(3, 1):
        for name, naive in (("loops", True), ("unfold", False)):
            network = replace(CUBES, naive=naive)
            found.append(r.Run(name, seed, replace(once, network=network), timed=True))
    return found


def collapsed(name: str) -> r.Values:
    """Return what reads 1 for each run that ended below `COLLAPSE`, else 0."""
    return lambda results: [float(x < COLLAPSE) for x in results.numbers(name, "test_accuracy")]


def worst(name: str) -> r.Values:
    """Return what reads the lowest test accuracy at the end of a run."""
    return lambda results: [min(found)] if (found := results.numbers(name, "test_accuracy")) else []


def difference(results: r.Results) -> list[float]:
    """Return the largest difference of losses between loops and unfold, seed by seed."""
    found = []
    for seed in range(min(len(results.runs.get(name, [])) for name in ("loops", "unfold"))):
        pairs = [
            (results.numbers("loops", number)[seed], results.numbers("unfold", number)[seed])
            for number in ("train_loss", "validation_loss", "test_loss")
        ]
        found.append(max(abs(a - b) for a, b in pairs))
    return found


def rows(options: r.Options) -> list[r.Row]:
    """Return the accuracies of section IV, how many runs collapse, and the two convolutions."""
    ours, baseline = f"disc, last layer {options['last']}", "test_baseline"
    short = f"{plan(options).epochs} epochs instead of 1000" if options.quick else ""
    found = [
        r.Row(
            "disc: test accuracy of a usual run",
            "IV, fig. 4",
            USUAL,
            r.measured(ours, "test_accuracy"),
            statistic="median",
            baseline=r.measured(ours, baseline),
            ran=short,
        ),
        r.Row(
            "disc: test accuracy of the worst run",
            "IV",
            LESS,
            worst(ours),
            baseline=r.measured(ours, baseline),
            why="an output that stays dead says the same of every point",
            ran=short,
        ),
    ]
    for last, said in (("relu", "a last ReLU"), ("none", "no last ReLU")):
        name = f"disc, last layer {last}"
        found += [
            r.Row(f"disc, {said}: runs that collapse", "IV", None, collapsed(name), form="share", better=""),
            r.Row(
                f"disc, {said}: epochs to 90 %",
                "IV",
                None,
                r.epochs_to(name, "test_accuracy", LEARNT),
                form="count",
                statistic="median",
            ),
        ]
    for part in ("test", "train"):
        found.append(
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
        *found,
        r.Row(
            "cubes: loops and unfold, largest difference of losses", "II-B", None, difference, form="number"
        ),
        r.Row("cubes: time of loops / unfold", "II-B", None, r.ratio("loops", "unfold"), form="ratio"),
    ]
