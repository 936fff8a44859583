"""Recipes: defaults by data set and model; errors name the flag."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lamina.backends import get_backend
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


def test_classes_have_the_cross_entropy_by_default() -> None:
    assert isinstance(make_loss(Recipe(), THREE, get_backend("numpy")), CrossEntropyLoss)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_made(name: str) -> None:
    b = get_backend("numpy")
    recipe = Recipe("my.csv", optimizer=name, weight_decay=0.01).settled()
    model = describe_model(recipe, TWO, make_loss(recipe, TWO, b)).build(b)
    optimizer = make_optimizer(recipe, model)
    assert type(optimizer) is OPTIMIZERS[name]
    assert optimizer.groups[0].options["weight_decay"] == 0.01
    assert optimizer.lr > 0
