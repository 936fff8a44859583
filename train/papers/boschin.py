"""Boschin, Rebjock, Lei: stochastic gradient descent, sample by sample, and the same network in PyTorch.

Sections V and VI. Two things are unclear: whether the radius, typeset as 1/(√2 π), is a misprint, and what
the PyTorch model shares with the paper's own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..models import Dense
from . import runner as r

NETWORK = Dense((2,), (25, 25, 25), 2, ("relu", "relu", "tanh"), initializer="uniform")
"""Section VI: three hidden layers of 25 with ReLU, ReLU and Tanh; weights and biases from U[-1, 1]."""

REGIONS = {
    "typeset": "boschin",
    "half": "jin",
    "typeset at the origin": "boschin-origin",
    "half at the origin": "chahed",
}
Number = tuple[float, float]
FIGURES: dict[str, tuple[str, Number, Number, Number, Number]] = {
    "SGD": ("fig. 1", (0.04256, 0.00469), (0.9852, 0.0057), (0.04013, 0.00455), (0.9858, 0.0068)),
    "PyTorch, its convention": (
        "fig. 5",
        (0.02514, 0.00295),
        (0.9751, 0.0061),
        (0.03010, 0.00349),
        (0.9611, 0.00613),
    ),
}
EPOCHS = {"SGD": 100, "PyTorch, its convention": 150, "momentum": 100}
NUMBERS = tuple((part, what) for part in ("train", "validation") for what in ("loss", "accuracy"))
"""The numbers in figures 1 and 5, in order, each with mean and deviation."""
CHOICES = (
    r.Choice(
        "region",
        tuple(REGIONS),
        "The radius is typeset as 1/(√2 π), which covers 16 % of the square; 1/√(2π) would cover half. No "
        "centre is given. The typeset radius around the square's centre reproduces figure 1. Half of the "
        "square comes near figure 1 only if the MSE is a mean over both outputs, contrary to its formula; it "
        "comes nearer to figure 5.",
    ),
    r.Choice(
        "torch_init",
        ("torch", "uniform"),
        "The PyTorch model's initial weights are not given: torch's default.",
    ),
)


def plan(options: r.Options) -> r.Plan:
    """Return section VI.A: loss 1/n Σ ‖ŷ - t‖², one sample per step, the rate times 0.9 after each epoch."""
    return r.Plan(
        data=REGIONS[options["region"]],
        network=NETWORK,
        loss="batchmean",
        options={"lr": 0.01},
        decay=0.9,
        epochs=20 if options.quick else EPOCHS["SGD"],
        batch_size=1,
    )


def torch_plan(options: r.Options) -> r.Plan:
    """Return section VI.B: PyTorch with a mean over elements and a constant rate, 150 epochs."""
    network = replace(NETWORK, initializer=options["torch_init"])
    epochs = 20 if options.quick else EPOCHS["PyTorch, its convention"]
    return replace(plan(options), network=network, loss="mean", decay=1.0, epochs=epochs, engine="torch")


def experiments(options: r.Options) -> dict[str, tuple[r.Plan, range]]:
    """Return {experiment: (plan, seeds)}."""
    ours, torch, few = plan(options), torch_plan(options), options.seeds(10, 2)
    result = {
        "SGD": (ours, options.seeds(30, 2)),
        "PyTorch, its convention": (torch, options.seeds(30, 2)),
        "PyTorch, the paper's convention": (replace(ours, engine="torch"), options.seeds(10, 1)),
        "ours, PyTorch's convention": (replace(torch, engine="layers"), few),
        "momentum": (
            replace(ours, options={"lr": 0.01, "momentum": 0.5, "momentum_form": "ema"}),
            few,
        ),
        "batches of 10": (replace(ours, batch_size=10), few),
    }
    for name, data in REGIONS.items():
        result[f"search: region {name}"] = (replace(ours, data=data, every=10), options.seeds(5, 1))
    for init in () if options.quick else ("torch", "uniform"):
        for name in ("typeset", "half"):
            changed = replace(
                torch,
                data=REGIONS[name],
                network=replace(NETWORK, initializer=init),
                engine="layers",
                every=10,
            )
            result[f"search: PyTorch's convention, region {name}, init {init}"] = (
                changed,
                options.seeds(5, 1),
            )
    return result


def runs(options: r.Options) -> list[r.Run]:
    """Return section VI's runs, and a few timed epochs of each framework in turns."""
    result = [
        r.Run(name, seed, plan, keep_weights=name == "SGD")
        for name, (plan, seeds) in experiments(options).items()
        for seed in seeds
    ]
    few = replace(plan(options), epochs=2 if options.quick else 5, every=1000)
    for seed in options.seeds(10, 2):
        result += [
            r.Run("seconds, ours", seed, few, timed=True),
            r.Run("seconds, PyTorch", seed, replace(few, engine="torch"), timed=True),
        ]
    return result


def rows(options: r.Options) -> list[r.Row]:
    """Return figures 1 and 5, and the numbers of sections VI.B and VI.C."""
    ran = {name: f"20 epochs instead of {n}" if options.quick else "" for name, n in EPOCHS.items()}
    result = []
    for name, (where, *numbers) in FIGURES.items():
        read = partial(r.measured, name)
        for (part, what), (value, std) in zip(NUMBERS, numbers, strict=True):
            label = f"{name}: {part} {'MSE' if what == 'loss' else what}"
            below = (part, what) == ("validation", "loss") and value < numbers[0][0]
            why = "the paper's is below its training MSE: see what was found" if below else ""
            result.append(r.scored(f"{part}_{what}", read, label, where, value, std, ran=ran[name], why=why))
    ours, torch = "seconds, ours", "seconds, PyTorch"
    for name, seconds in ((ours, 0.24), (torch, 0.65)):
        result.append(
            r.Row(
                name.replace("seconds", "seconds an epoch"),
                "VI.B",
                seconds,
                r.measured(name, "seconds_per_epoch"),
                form="seconds",
                better="",
                incomparable="another machine",
            )
        )
    result.append(r.Row("time of PyTorch / ours", "VI.B", 0.65 / 0.24, r.ratio(torch, ours), form="ratio"))
    for name, epochs in (("SGD", 70), ("PyTorch, its convention", 150)):
        result.append(
            r.Row(
                f"{name}: epochs to 97.5 % validation",
                "VI.B",
                epochs,
                r.epochs_to(name, "validation_accuracy", 0.975),
                form="count",
                better="lower",
                statistic="median",
                ran=ran[name],
            )
        )
    result.append(
        r.Row(
            "momentum: validation accuracy",
            "VI.C",
            0.96,
            r.measured("momentum", "validation_accuracy"),
            baseline=r.measured("momentum", "validation_baseline"),
            ran=ran["momentum"],
        )
    )
    return result
