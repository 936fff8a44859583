"""Defaults of a recipe by model and data set, chosen on the validation sets of the named data sets."""

from __future__ import annotations

from typing import Any

_ALWAYS: dict[str, Any] = {"standardize": False, "optimizer": "adam", "batch_size": 32}
# By model, then by data set; "" is every other data set, such as a file.
DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "dense": {
        "digits": {"hidden": (256, 128), "epochs": 60, "lr": 2e-3, "label_smoothing": 0.1},
        "disc": {"hidden": (25, 25, 25), "epochs": 100, "lr": 1e-2},
        "cubes": {
            "hidden": (100, 50),
            "epochs": 60,
            "lr": 3e-3,
            "weight_decay": 1e-2,
            "optimizer": "adamw",
            "best": False,  # the validation loss rises from the start, and so does the accuracy
        },
        "": {"hidden": (64, 64), "epochs": 60, "lr": 3e-3, "standardize": True},
    },
    "cnn": {
        "digits": {"epochs": 20, "lr": 2e-3, "label_smoothing": 0.1},
        "": {"epochs": 10, "lr": 1e-3},
    },
    "lenet": {"": {"epochs": 10, "lr": 1e-3}},
    "resnet": {"": {"epochs": 10, "lr": 1e-3}},
    "jin": {
        "cubes": {
            "loss": "bce_with_logits",  # one output, as in the paper
            "optimizer": "adamw",
            "lr": 1e-2,
            "weight_decay": 1.0,
            "batch_size": 64,
            "epochs": 200,
        },
        "": {"epochs": 20, "lr": 3e-3},
    },
}


def defaults_for(source: str, model: str) -> dict[str, Any]:
    """Return the default options, by name, for a model on a data set."""
    rows = DEFAULTS[model.removesuffix("_naive")]
    common = {"activation": ("relu",)} if model == "dense" else {}
    return {**_ALWAYS, **common, **rows.get(source, rows[""])}


def defaults_text(option: str) -> str:
    """Return an option's defaults as text: "dense: digits 60, disc 100; lenet: 10"."""
    parts = []
    for model, rows in DEFAULTS.items():
        texts = {source or "others": _text(row[option]) for source, row in rows.items() if option in row}
        if len(texts) == len(rows) and len(set(texts.values())) == 1:
            parts.append(f"{model}: {next(iter(texts.values()))}")
        elif texts:
            parts.append(f"{model}: " + ", ".join(f"{source} {text}" for source, text in texts.items()))
    return "; ".join(parts)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
