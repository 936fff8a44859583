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
FIGURE_5 = ("PyTorch, its convention", "ours, PyTorch's convention")
"""The experiments beside figure 5."""
TORCH_RUNS = {"PyTorch, its convention": 8, "PyTorch, the paper's convention": 4}
"""torch.nn takes minutes for what the compiled layers do in seconds; the report says why these are enough."""
TIMED = {"ours, compiled": "compiled", "ours, eager": "eager", "PyTorch": "torch"}
SECONDS = {"ours, compiled": 0.24, "ours, eager": 0.24, "PyTorch": 0.65}
"""Of an epoch; the paper has one engine of its own."""
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
        epochs=100,
        batch_size=1,
    )


def torch_plan(options: r.Options) -> r.Plan:
    """Return section VI.B: PyTorch with a mean over elements and a constant rate, 150 epochs."""
    network = replace(NETWORK, initializer=options["torch_init"])
    return replace(plan(options), network=network, loss="mean", decay=1.0, epochs=150, engine="torch")


def experiments(options: r.Options) -> dict[str, tuple[r.Plan, range]]:
    """Return {experiment: (plan, seeds)}."""
    ours, torch = plan(options), torch_plan(options)
    all_runs, few = options.seeds(30), options.seeds(10)
    own, papers = (options.seeds(runs) for runs in TORCH_RUNS.values())
    result = {
        "SGD": (ours, all_runs),
        "PyTorch, its convention": (torch, own),
        "PyTorch, the paper's convention": (replace(ours, engine="torch"), papers),
        "ours, PyTorch's convention": (replace(torch, engine="layers"), all_runs),
        "momentum": (
            replace(ours, options={"lr": 0.01, "momentum": 0.5, "momentum_form": "ema"}),
            few,
        ),
        "batches of 10": (replace(ours, batch_size=10), few),
    }
    for name, data in REGIONS.items():
        result[f"search: region {name}"] = (replace(ours, data=data, every=10), options.seeds(5))
    for init in ("torch", "uniform"):
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
                options.seeds(5),
            )
    return result


def runs(options: r.Options) -> list[r.Run]:
    """Return section VI's runs, and a few timed epochs of each framework in turns."""
    result = [
        r.Run(name, seed, plan, keep_weights=name == "SGD")
        for name, (plan, seeds) in experiments(options).items()
        for seed in seeds
    ]
    few = replace(plan(options), epochs=5, every=1000)
    for seed in options.seeds(10):
        for name, engine in TIMED.items():
            timed = replace(few, engine=engine)  # type: ignore[arg-type]
            result.append(r.Run(f"seconds, {name}", seed, timed, timed=True))
    return result


def rows(options: r.Options) -> list[r.Row]:
    """Return figures 1 and 5, and the numbers of sections VI.B and VI.C."""
    result = []
    for name, figure in (("SGD", "SGD"), *((one, FIGURE_5[0]) for one in FIGURE_5)):
        where, *numbers = FIGURES[figure]
        read = partial(r.measured, name)
        for (part, what), (value, std) in zip(NUMBERS, numbers, strict=True):
            label = f"{name}: {part} {'MSE' if what == 'loss' else what}"
            below = (part, what) == ("validation", "loss") and value < numbers[0][0]
            why = "the paper's is below its training MSE: see what was found" if below else ""
            result.append(r.scored(f"{part}_{what}", read, label, where, value, std, why=why))
    for name, seconds in SECONDS.items():
        result.append(
            r.Row(
                f"seconds an epoch, {name}",
                "VI.B",
                seconds,
                r.measured(f"seconds, {name}", "seconds_per_epoch"),
                form="seconds",
                statistic="median",
                better="",
                incomparable="another machine",
            )
        )
    for name in ("ours, eager", "ours, compiled"):
        ratio = r.ratio("seconds, PyTorch", f"seconds, {name}")
        what = f"time of PyTorch / {name}"
        result.append(r.Row(what, "VI.B", 0.65 / 0.24, ratio, form="ratio", statistic="median"))
    for name, epochs in (("SGD", 70), *((one, 150) for one in FIGURE_5)):
        result.append(
            r.Row(
                f"{name}: epochs to 97.5 % validation",
                "VI.B",
                epochs,
                r.epochs_to(name, "validation_accuracy", 0.975),
                form="count",
                better="lower",
                statistic="median",
            )
        )
    result.append(
        r.Row(
            "momentum: validation accuracy",
            "VI.C",
            0.96,
            r.measured("momentum", "validation_accuracy"),
            baseline=r.measured("momentum", "validation_baseline"),
        )
    )
    return result
