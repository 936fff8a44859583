"""Recipes: defaults by data set and model; errors name the flag."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lamina.backends import DataError, OptionError, get_backend
from lamina.layers.losses import CrossEntropyLoss
from lamina.train.data import Dataset
from lamina.train.models import MODELS
from lamina.train.runs.assemble import describe_model, make_loss, make_optimizer
from lamina.train.runs.defaults import DEFAULTS
from lamina.train.runs.names import LOSSES, OPTIMIZERS
from lamina.train.runs.recipe import Recipe

TWO = Dataset("two", np.zeros((4, 3)), np.array([0, 1, 0, 1]), ("no", "yes"))
THREE = Dataset("three", np.zeros((3, 3)), np.arange(3), ("a", "b", "c"))
REAL = Dataset("real", np.zeros((4, 3)), np.zeros((4, 2)))
PICTURES = Dataset("pictures", np.zeros((4, 1, 8, 8)), np.array([0, 1, 0, 1]), ("no", "yes"))


@pytest.mark.parametrize("source", ["digits", "disc", "cubes", "my.csv"])
@pytest.mark.parametrize("model", [None, *MODELS])
def test_defaults_replace_none(source: str, model: str | None) -> None:
    settled = Recipe(source, model=model).settled()
    rows = DEFAULTS[(model or "dense").removesuffix("_naive")]
    for name, value in rows.get(source, rows[""]).items():
        assert getattr(settled, name) == value
    assert settled.model == (model or "dense")
    assert settled.batch_size == Recipe(source, model=model, epochs=3).settled().batch_size
    assert Recipe(source, model=model, lr=0.5).settled().lr == 0.5
    assert settled.settled() == settled


def test_only_dense_takes_hidden_layers() -> None:
    settled = Recipe("digits", hidden=(7,), epochs=3).settled()
    assert (settled.hidden, settled.activation) == ((7,), ("relu",))
    for model in MODELS:
        if model != "dense":
            settled = Recipe("digits", model=model).settled()
            assert (settled.hidden, settled.activation) == (None, None)
            for name, value in (("hidden", (7,)), ("hidden", ()), ("activation", ("relu",))):
                with pytest.raises(
                    OptionError,
                    match=f"--{name}: expected --model dense, got {model}, whose",
                ):
                    Recipe("digits", model=model, **{name: value}).settled()  # type: ignore[arg-type]


def test_a_recipe_of_an_early_version() -> None:
    old = {"source": "digits", "hidden": [256, 128], "activation": ["relu"], "batch_size": 32, "epochs": 60}
    recipe = Recipe.from_dict(old)
    assert recipe.model is None
    assert recipe.settled() == Recipe("digits", model="dense").settled()
    network = describe_model(recipe, PICTURES, make_loss(recipe, PICTURES, get_backend("numpy")))
    assert (network.kind, network.input_shape) == ("dense", (1, 8, 8))


def test_another_optimizer_has_its_own_rate() -> None:
    assert Recipe("disc").settled().lr == 1e-2
    assert Recipe("disc", optimizer="adam").settled().lr == 1e-2
    assert Recipe("disc", optimizer="sgd").settled().lr is None
    assert Recipe("cubes", optimizer="adam").settled().weight_decay is None
    assert Recipe("digits", loss="mse").settled().label_smoothing is None


def test_json_round_trip() -> None:
    recipe = Recipe("x.csv", hidden=(3, 2), activation=("relu", "tanh"), target="y").settled()
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    for foreign in ({"sauce": 1}, [1, 2], None):
        with pytest.raises(DataError, match="expected the options of a recipe, got others"):
            Recipe.from_dict(foreign)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "--lr: expected a finite number, above 0, got -1.0"),
        ({"lr": float("nan")}, "--lr: expected a finite number, above 0, got nan"),
        ({"lr": float("inf")}, "--lr: expected a finite number, above 0, got inf"),
        ({"epochs": 0}, "--epochs: expected an integer of at least 1, got 0"),
        ({"batch_size": 0}, "--batch-size: expected an integer of at least 1, got 0"),
        ({"patience": 0}, "--patience: expected an integer of at least 1, got 0"),
        ({"n": 0}, "--n: expected an integer of at least 1 and at most 100000000, got 0"),
        ({"clip_norm": 0.0}, "--clip-norm: expected a finite number, above 0, got 0.0"),
        ({"weight_decay": -0.1}, "--weight-decay: expected a finite number, at least 0, got -0.1"),
        (
            {"optimizer": "sgd", "momentum": -0.9},
            "--momentum: expected a finite number, at least 0",
        ),
        ({"momentum": 0.9}, "--momentum: expected --optimizer sgd or rmsprop, got adam"),
        (
            {"label_smoothing": 3.0},
            "--label-smoothing: expected a finite number, at least 0 and at most 1",
        ),
        ({"validation": 1.5}, "--validation: expected a finite number, at least 0 and below 1, got 1.5"),
        ({"test": 0.0}, "--test: expected a finite number, above 0 and below 1, got 0.0"),
        ({"seed": -1}, "--seed: expected an integer of at least 0 and at most 18446744073709551615, got"),
        ({"seed": 2**64}, "--seed: expected an integer of at least 0 and at most 18446744073709551615, got"),
        ({"hidden": (3, 0)}, "--hidden: expected an integer of at least 1, got 0"),
        ({"task": "guess"}, "--task: expected one of auto, classification, regression, got 'guess'"),
        ({"loss": "cross"}, r"--loss: expected one of .*, got 'cross'. Did you mean 'cross_entropy'\?"),
        ({"optimizer": "adm"}, r"--optimizer: expected one of .* Did you mean 'adam'\?"),
        ({"initializer": "xavier"}, r"--init: expected one of .* Did you mean 'xavier_"),
        ({"output": "sigmod"}, r"--output: expected one of .* Did you mean 'sigmoid'\?"),
        ({"model": "cn"}, r"--model: expected one of dense, cnn, .*, got 'cn'. Did you mean 'cnn'\?"),
        ({"model": ""}, "--model: expected one of dense, cnn, .*, got ''"),
        ({"activation": ("relu", "tanh")}, "--activation: expected one name, or 3, .* got 2"),
        ({"activation": ()}, "--activation: expected one name, or 3, .* got 0"),
        ({"activation": ("reluu",)}, r"--activation: expected one of .* Did you mean 'relu'\?"),
        ({"loss": "bce", "output": "tanh"}, "--output: expected sigmoid with the loss bce, got 'tanh'"),
        ({"loss": "nll", "output": "softmax"}, "--output: expected log_softmax with the loss nll"),
        (
            {"loss": "bce_with_logits", "output": "sigmoid"},
            "--output: expected no activation with",
        ),
        ({"schedule": "cosin"}, r"Did you mean 'cosine'\?"),
        ({"schedule": "step:0,1"}, "step_size"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Recipe("disc", **options).settled()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_fitting_network(name: str) -> None:
    b = get_backend("numpy")
    data = REAL if name == "mse" else TWO
    recipe = Recipe("my.csv", loss=name).settled()
    loss = make_loss(recipe, data, b)
    network = describe_model(recipe, data, loss)
    assert network.outputs == (1 if "bce" in name else 2)
    assert network.output == {"bce": "sigmoid", "nll": "log_softmax"}.get(name, "")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_described(name: str) -> None:
    b = get_backend("numpy")
    recipe = Recipe("my.npz", model=name, loss="nll", initializer="xavier_normal").settled()
    data = (
        PICTURES if name != "lenet" else Dataset("large", np.zeros((2, 1, 12, 12)), np.arange(2), ("a", "b"))
    )
    network = describe_model(recipe, data, make_loss(recipe, data, b))
    assert network.kind == name.removesuffix("_naive")
    assert (network.input_shape, network.outputs, network.output) == (data.shape, 2, "log_softmax")
    assert network.to_dict()["initializer"] == "xavier_normal"
    assert network.to_dict().get("naive", False) == name.endswith("_naive")


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (
            "cnn",
            TWO,
            r"cnn: expected images .* 4 x 4, got samples \(3,\) from two; use one of dense$",
        ),
        ("lenet", PICTURES, r"--model: lenet: .* 12 x 12, got .* from pictures; use one of dense, cnn, jin"),
        ("jin_naive", REAL, r"--model: jin: expected images \(C, H, W\), got samples \(3,\) from real"),
    ],
)
def test_samples_that_a_model_cannot_take(model: str, data: Dataset, message: str) -> None:
    recipe = Recipe("my.npz", model=model).settled()
    loss = make_loss(recipe, data, get_backend("numpy"))
    with pytest.raises(OptionError, match=message):
        describe_model(recipe, data, loss)


def test_losses_that_do_not_fit_the_data() -> None:
    b = get_backend("numpy")
    assert isinstance(make_loss(Recipe(), THREE, b), CrossEntropyLoss)
    for recipe, data, message in (
        (
            Recipe(loss="cross_entropy"),
            REAL,
            "--loss: expected mse for the real targets of real, got cross_entropy",
        ),
        (
            Recipe(loss="bce"),
            THREE,
            "--loss: expected two classes for bce, got 3 in three",
        ),
        (
            Recipe(loss="mse", label_smoothing=0.1),
            TWO,
            "--label-smoothing: expected --loss cross_entropy",
        ),
    ):
        with pytest.raises(OptionError, match=message):
            make_loss(recipe, data, b)
    one = Dataset("one", np.zeros((4, 3)), np.zeros(4, int), ("only",))
    with pytest.raises(DataError, match="one: expected at least two classes, got 'only' alone"):
        make_loss(Recipe(), one, b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_made(name: str) -> None:
    b = get_backend("numpy")
    recipe = Recipe("my.csv", optimizer=name, weight_decay=0.01).settled()
    model = describe_model(recipe, TWO, make_loss(recipe, TWO, b)).build(b)
    optimizer = make_optimizer(recipe, model)
    assert type(optimizer) is OPTIMIZERS[name]
    assert optimizer.groups[0].options["weight_decay"] == 0.01
    assert optimizer.lr > 0
