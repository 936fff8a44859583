"""What a recipe leaves open: by model and data set, found on the validation sets of those with a name."""

from __future__ import annotations

from typing import Any

_ALWAYS: dict[str, Any] = {"standardize": False, "optimizer": "adam", "batch_size": 32}
# By model, then by data set; "" is any other data set, a file of the user's above all.
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
        },
        "": {"hidden": (64, 64), "epochs": 60, "lr": 3e-3, "standardize": True},
    },
    "cnn": {
        "digits": {"epochs": 20, "lr": 2e-3, "label_smoothing": 0.1},
        "": {"epochs": 10, "lr": 1e-3},
    },
    "lenet": {"": {"epochs": 10, "lr": 1e-3}},
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
    """Return the options, by name, that suit a model on a data set."""
    rows = DEFAULTS[model.removesuffix("_naive")]
    common = {"activation": ("relu",)} if model == "dense" else {}
    return {**_ALWAYS, **common, **rows.get(source, rows[""])}
