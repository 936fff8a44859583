"""Chahed, Karray, Hammami: four optimizers, decision boundaries, and the same network in PyTorch.

Section V. The paper gives no network, learning rates, epochs or centre of the disc.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..models import Dense
from . import runner as r

NETWORK = Dense((2,), (25, 25, 25), 2, initializer="xavier_uniform")
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.01}),
    "momentum": ("SGD", {"lr": 0.01, "momentum": 0.9, "momentum_form": "lr_inside"}),
    "RMSprop": ("RMSprop", {"lr": 0.001, "alpha": 0.9, "eps_inside_root": True}),
    "Adam": ("Adam", {"lr": 0.001}),
}
"""Figure 2's optimizers, in the forms of the paper's equations 4, 5 and 6."""

CHOICES = (
    r.Choice(
        "centre",
        ("square", "origin"),
        "The disc's centre is not given. With the square's centre, half of the points have class 1.",
    ),
    r.Choice("gradient", ("mean", "sum"), "Table II's gradient of the MSE lacks the 1/n; mean has it."),
    r.Choice("optimizer", tuple(OPTIMIZERS), "Table III does not name its optimizer."),
)
RUNS = 10
"""Of figure 2 and Table III. The paper gives no number; its 936.5 of 1000 would be a mean of ten."""
_CENTRES = {"square": "jin", "origin": "chahed"}


def plan(options: r.Options, optimizer: str) -> r.Plan:
    """Return the plan that compares optimizers: section II's data, batches of 10."""
    kind, settings = OPTIMIZERS[optimizer]
    return r.Plan(
        data=_CENTRES[options["centre"]],
        network=NETWORK,
        loss="sum" if options["gradient"] == "sum" else "batchmean",
        optimizer=kind,
        options=settings,
        epochs=100,
        batch_size=10,
    )


def runs(options: r.Options) -> list[r.Run]:
    """Return the runs of figures 2 and 3, of Table III, and of the search."""
    result = [
        r.Run(name, seed, plan(options, name), keep_weights=True)
        for name in OPTIMIZERS
        for seed in options.seeds(RUNS)
    ]
    table = replace(plan(options, options["optimizer"]), every=1000)
    for seed in options.seeds(RUNS):
        result += [
            r.Run("ours", seed, table),
            r.Run("ours, compiled", seed, replace(table, engine="compiled"), timed=True),
            r.Run("ours, eager", seed, replace(table, engine="eager"), timed=True),
            r.Run("PyTorch", seed, _like_torch(table), timed=True),
        ]
    for label, changed in _search(options).items():
        result += [r.Run(label, seed, changed) for seed in options.seeds(5)]
    return result


def _like_torch(base: r.Plan) -> r.Plan:
    """Return the plan in PyTorch, whose RMSprop has no epsilon inside the root; there it is outside."""
    settings = {name: value for name, value in base.options.items() if name != "eps_inside_root"}
    return replace(base, options=settings, engine="torch")


def _search(options: r.Options) -> dict[str, r.Plan]:
    base, plans = replace(plan(options, "SGD"), every=10), {}
    for centre, data in _CENTRES.items():
        for gradient, loss in (("mean", "batchmean"), ("sum", "sum")):
            for lr in (0.01, 0.001):
                label = f"search: centre {centre}, gradient {gradient}, SGD lr {lr:g}"
                plans[label] = replace(base, data=data, loss=loss, options={"lr": lr})
    return plans


def rows(options: r.Options) -> list[r.Row]:
    """Return Table III."""
    correct = [
        r.Row(
            f"correct of 1000, {name}",
            "table III",
            reported,
            r.measured(name, "test_right"),
            form="count",
            baseline=r.measured(name, "test_baseline"),
        )
        for name, reported in (("PyTorch", 936.5), ("ours", 931.4))
    ]
    seconds = {"PyTorch": 340.5, "ours, eager": 321.79, "ours, compiled": 321.79}
    times = [
        r.Row(
            f"time, {name}",
            "table III",
            reported,
            r.measured(name, "seconds"),
            form="seconds",
            statistic="median",
            better="",
            incomparable="the paper gives no unit, and another machine",
        )
        for name, reported in seconds.items()
    ]
    ratios = [
        r.Row(
            f"time of PyTorch / {name}",
            "table III",
            seconds["PyTorch"] / seconds[name],
            r.ratio("PyTorch", name),
            form="ratio",
            statistic="median",
        )
        for name in ("ours, eager", "ours, compiled")
    ]
    return [*correct, *times, *ratios]
