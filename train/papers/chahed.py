"""Chahed, Karray, Hammami: four optimizers, decision boundaries, and the same network in PyTorch.

Section V. The network, learning rates and epochs are not given, and the disc has no centre.
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
"""Figure 2's four, in the paper's forms (its equations 4, 5 and 6)."""

CHOICES = (
    r.Choice(
        "centre",
        ("square", "origin"),
        "The disc's centre is not given: that of the square makes half of it 1.",
    ),
    r.Choice(
        "gradient", ("mean", "sum"), "Table II's gradient of the MSE lacks its 1/n; mean is the loss's own."
    ),
    r.Choice("optimizer", tuple(OPTIMIZERS), "Which one Table III was trained with is not said."),
)
_CENTRES = {"square": "jin", "origin": "chahed"}


def plan(options: r.Options, optimizer: str) -> r.Plan:
    """Return what an optimizer is tried on: section II's data, batches of 10."""
    kind, settings = OPTIMIZERS[optimizer]
    return r.Plan(
        data=_CENTRES[options["centre"]],
        network=NETWORK,
        loss="sum" if options["gradient"] == "sum" else "batchmean",
        optimizer=kind,
        options=settings,
        epochs=30 if options.quick else 100,
        batch_size=10,
    )


def runs(options: r.Options) -> list[r.Run]:
    """Return figures 2 and 3, Table III, and the search over what is open."""
    found = [
        r.Run(name, seed, plan(options, name), keep_weights=True)
        for name in OPTIMIZERS
        for seed in options.seeds(10, 2)
    ]
    table = replace(plan(options, options["optimizer"]), every=1000)
    for seed in options.seeds(20, 2):
        found += [
            r.Run("ours", seed, table, timed=True),
            r.Run("PyTorch", seed, _like_torch(table), timed=True),
        ]
    for label, changed in _search(options).items():
        found += [r.Run(label, seed, changed) for seed in options.seeds(5, 1)]
    return found


def _like_torch(base: r.Plan) -> r.Plan:
    """Return the same in PyTorch, which has no epsilon inside the root: there RMSprop's is outside."""
    settings = {name: value for name, value in base.options.items() if name != "eps_inside_root"}
    return replace(base, options=settings, engine="torch")


def _search(options: r.Options) -> dict[str, r.Plan]:
    base, found = replace(plan(options, "SGD"), every=10), {}
    for centre, data in _CENTRES.items():
        for gradient, loss in (("mean", "batchmean"), ("sum", "sum")):
            for lr in (0.01, 0.001):
                label = f"search: centre {centre}, gradient {gradient}, SGD lr {lr:g}"
                found[label] = replace(base, data=data, loss=loss, options={"lr": lr})
    return found


def rows(options: r.Options) -> list[r.Row]:
    """Return Table III."""
    baseline = r.measured("ours", "test_baseline")
    unit = "the paper gives no unit, and another machine"
    ran = f"{plan(options, 'SGD').epochs} epochs instead of 100" if options.quick else ""
    return [
        r.Row(
            "correct of 1000, PyTorch",
            "table III",
            936.5,
            r.measured("PyTorch", "test_right"),
            form="count",
            baseline=baseline,
            ran=ran,
        ),
        r.Row(
            "correct of 1000, ours",
            "table III",
            931.4,
            r.measured("ours", "test_right"),
            form="count",
            baseline=baseline,
            ran=ran,
        ),
        r.Row(
            "time, PyTorch",
            "table III",
            340.5,
            r.measured("PyTorch", "seconds"),
            form="seconds",
            better="",
            incomparable=unit,
        ),
        r.Row(
            "time, ours",
            "table III",
            321.79,
            r.measured("ours", "seconds"),
            form="seconds",
            better="",
            incomparable=unit,
        ),
        r.Row(
            "time of PyTorch / ours", "table III", 340.5 / 321.79, r.ratio("PyTorch", "ours"), form="ratio"
        ),
    ]
