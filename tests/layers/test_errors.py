"""Bad input: every failure is a LaminaError that names the layer or loss, and changes no parameter."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lamina.backends import (
    Backend,
    DataError,
    DtypeError,
    LaminaError,
    OptionError,
    ShapeError,
    StateError,
    get_backend,
)
from lamina.layers import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Flatten,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Loss,
    Module,
    MSELoss,
    NLLLoss,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    manual_seed,
)


@contextlib.contextmanager
def refused(kind: type[LaminaError], message: str, *models: Module) -> Iterator[None]:
    before = [model.state_dict() for model in models]
    with pytest.raises(kind, match=message) as caught:
        yield
    assert isinstance(caught.value, LaminaError)
    for model, state in zip(models, before, strict=True):
        for name, value in model.state_dict().items():
            assert value.tobytes() == state[name].tobytes()


def stack(b: Backend) -> Sequential:
    return Sequential(Linear(25, 5, backend=b), ReLU(backend=b), Linear(5, 2, backend=b))


# -- layers ---------------------------------------------------------------------------------------


def test_linear_says_what_it_expected(backend: Backend) -> None:
    layer = Linear(25, 2, backend=backend)
    message = "^" + re.escape("Linear(25 -> 2): expected input (N, ..., 25), got (64, 20)") + "$"
    with refused(ShapeError, message, layer):
        layer(backend.from_host(np.zeros((64, 20))))


@pytest.mark.parametrize("shape", [(), (25,), (24,), (3, 24), (2, 3, 24), (25, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_refuses_other_shapes(backend: Backend, shape: tuple[int, ...], bias: bool) -> None:
    layer = Linear(25, 2, bias, backend=backend)
    with refused(ShapeError, r"^Linear\(25 -> 2.*\): expected input \(N, \.\.\., 25\), got", layer):
        layer(backend.from_host(np.zeros(shape)))


def test_a_single_sample_gets_advice(backend: Backend) -> None:
    with pytest.raises(ShapeError, match=r"a single sample needs a batch axis: \(1, 25\)"):
        Linear(25, 2, backend=backend)(backend.from_host(np.zeros(25)))


def test_the_layer_inside_a_model_is_the_one_named(backend: Backend) -> None:
    model = stack(backend)
    with refused(ShapeError, r"^Linear\(25 -> 5\): expected input \(N, \.\.\., 25\), got \(64, 20\)$", model):
        model(backend.from_host(np.zeros((64, 20))))
    nested = Sequential(Sequential(Sequential(Linear(3, 2, backend=backend))))
    with refused(ShapeError, r"^Linear\(3 -> 2\): expected", nested):
        nested(backend.from_host(np.zeros((2, 2))))


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_unequal_dtypes(backend: Backend, dtype: str) -> None:
    x = backend.astype(backend.from_host(np.zeros((2, 25))), dtype)
    layer, model = Linear(25, 2, backend=backend), stack(backend)
    with refused(DtypeError, r"^Linear\(25 -> 2\): .*" + dtype, layer):
        layer(x)
    with refused(DtypeError, r"^Linear\(25 -> 5\): .*" + dtype, model):
        model(x)


@pytest.mark.parametrize("kind", [ReLU, LeakyReLU, Sigmoid, Tanh, Softmax, LogSoftmax])
def test_activations_take_floats(backend: Backend, kind: type[Module]) -> None:
    with refused(DtypeError, rf"^{kind.__name__}\(.*\): "):
        kind(backend=backend)(backend.from_host(np.ones((2, 3), np.int64)))


@pytest.mark.parametrize("layer", ["Linear", "ReLU", "Softmax", "Flatten", "Sequential"])
def test_tensors_of_another_backend(backend: Backend, layer: str) -> None:
    torch = pytest.importorskip("torch", reason="the other backend is torch's")
    b = backend
    model: Module = {
        "Linear": lambda: Linear(3, 2, backend=b),
        "ReLU": lambda: ReLU(backend=b),
        "Softmax": lambda: Softmax(backend=b),
        "Flatten": lambda: Flatten(backend=b),
        "Sequential": lambda: Sequential(Linear(3, 2, backend=b)),
    }[layer]()
    array = np.zeros((4, 3), np.float32)
    strangers: list[Any] = [array.tolist(), None, 3.0, "text"]
    # A decorator may have handles of its own, or its inner backend's.
    strangers += [x for x in (array, torch.tensor(array)) if type(x) is not type(b.from_host(array))]
    if b.name == "strict":
        strangers.append(get_backend(b.spec).from_host(array))
    for stranger in strangers:
        with refused(DtypeError, "^Linear" if layer == "Sequential" else rf"^{layer}", model):
            model(stranger)


def test_an_axis_that_is_not_there(backend: Backend) -> None:
    x = backend.from_host(np.zeros((2, 3)))
    for kind in (Softmax, LogSoftmax):
        with refused(ShapeError, rf"^{kind.__name__}\(dim=2\): expected input with an axis 2, got \(2, 3\)"):
            kind(2, backend=backend)(x)
    with refused(ShapeError, r"^Flatten\(start_dim=1, end_dim=3\): expected"):
        Flatten(1, 3, backend=backend)(x)
    with refused(ShapeError, r"^Flatten\(start_dim=1, end_dim=0\): expected.*axis 1 before axis 0"):
        Flatten(1, 0, backend=backend)(x)


def test_a_gradient_of_another_shape(backend: Backend) -> None:
    model = stack(backend)
    model(backend.from_host(np.ones((4, 25))))
    for shape in ((3, 2), (4, 3), (4, 2, 1)):
        with refused(LaminaError, r"^Linear\(5 -> 2\)", model):
            model.backward(backend.from_host(np.ones(shape)))


# -- making layers --------------------------------------------------------------------------------


def test_what_sequential_takes() -> None:
    b = get_backend("numpy")
    with pytest.raises(OptionError, match=r"expected layer '1' to be a Module.*call the class: ReLU\(\)"):
        Sequential(Linear(2, 2, backend=b), ReLU)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="expected layer '0' to be a Module"):
        Sequential([Linear(2, 2, backend=b)])  # type: ignore[arg-type]
    for name in ("a.b", 3):
        with pytest.raises(OptionError, match=f"layer names to be new and without a dot, got {name!r}"):
            Sequential({name: ReLU(backend=b)})  # type: ignore[dict-item]
    with pytest.raises(OptionError, match="layer names to be new and without a dot, got 'a'"):
        Sequential({"a": ReLU(backend=b)}).append(Tanh(backend=b), "a")


def test_layers_on_two_backends() -> None:
    pytest.importorskip("torch", reason="two backends")
    with pytest.raises(OptionError, match=r"layer '1'.* on <backend numpy .*, got <backend torch float32>"):
        Sequential(Linear(2, 2, backend="numpy"), Linear(2, 2, backend="torch"))
    with pytest.raises(OptionError, match="float64"):
        Sequential(Linear(2, 2, backend="numpy"), ReLU(backend=get_backend("numpy", dtype="float64")))


def test_two_stacks_of_one_name_are_two_backends() -> None:
    with pytest.raises(OptionError, match="get_backend makes a new stack at each call"):
        Sequential(Linear(2, 2, backend="strict+numpy"), ReLU(backend="strict+numpy"))


def test_one_layer_in_two_places_would_forget_what_it_kept() -> None:
    b = get_backend("numpy")
    layer, act = Linear(2, 2, backend=b), ReLU(backend=b)
    with pytest.raises(OptionError, match=r"layer '2' to be new, got layer '0' again; make a new"):
        Sequential(layer, act, layer)
    with pytest.raises(OptionError, match=r"layer '1' to be new, got layer '0\.1' again"):
        Sequential(Sequential(layer, act), Sequential(act))


def test_sizes_that_do_not_fit() -> None:
    b = get_backend("numpy")
    first = Linear(3, 4, backend=b)
    with pytest.raises(
        ShapeError, match=r"layer '2' does not fit after ReLU\(\): Linear\(5 -> 2\): expected"
    ):
        Sequential(first, ReLU(backend=b), Linear(5, 2, backend=b))
    model = Sequential(first)
    with refused(ShapeError, r"layer '1' does not fit after Linear\(3 -> 4\)", model):
        model.append(Linear(5, 2, backend=b))
    assert len(model) == 1
    with pytest.raises(ShapeError, match="layer '1' does not fit"):
        Sequential(Sequential(first), Linear(5, 1, backend=b))


def test_sizes_that_fit_inputs_of_more_axes() -> None:
    b = get_backend("numpy")
    model = Sequential(
        Linear(4, 3, backend=b), Softmax(2, backend=b), Flatten(backend=b), Linear(6, 1, backend=b)
    )
    assert b.shape(model(b.from_host(np.ones((5, 2, 4))))) == (5, 1)
    with pytest.raises(ShapeError, match=r"^Linear\(6 -> 1\): expected input \(N, \.\.\., 6\), got \(5, 9\)"):
        model(b.from_host(np.ones((5, 3, 4))))


# -- losses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MSELoss, BCELoss, BCEWithLogitsLoss])
def test_pairs_of_unequal_shape(backend: Backend, kind: Any) -> None:
    message = rf"^{kind.__name__}\(\): expected a target of the prediction's shape \(3, 1\), got \(3,\)"
    with refused(ShapeError, message):
        kind(backend=backend)(backend.from_host(np.full((3, 1), 0.5)), backend.from_host(np.ones(3)))


@pytest.mark.parametrize("kind", [MSELoss, BCELoss, BCEWithLogitsLoss, NLLLoss, CrossEntropyLoss])
def test_unknown_reduction(kind: Any) -> None:
    with pytest.raises(
        OptionError, match=rf"^{kind.__name__}: expected reduction to be one of 'mean'.*, got 'average'"
    ):
        kind(reduction="average", backend="numpy")


@pytest.mark.parametrize("kind", [MSELoss, BCELoss, BCEWithLogitsLoss])
def test_pairs_of_unequal_dtype(backend: Backend, kind: Any) -> None:
    prediction = backend.from_host(np.full((3, 2), 0.5))
    with refused(DtypeError, rf"^{kind.__name__}\(\): "):
        kind(backend=backend)(prediction, backend.from_host(np.ones((3, 2), np.int64)))
    with refused(DtypeError, rf"^{kind.__name__}\(\): "):
        kind(backend=backend)(prediction, backend.from_host(np.ones((3, 2)), dtype="float64"))


@pytest.mark.parametrize("kind", [MSELoss, BCELoss, BCEWithLogitsLoss, NLLLoss, CrossEntropyLoss])
def test_losses_of_another_backend(backend: Backend, kind: Any) -> None:
    own, array = backend.from_host(np.full((3, 2), 0.5)), np.full((3, 2), 0.5, np.float32)
    foreign = get_backend("strict+numpy").from_host(array)
    for pair in ((foreign, own), (own, foreign), (array.tolist(), own), (own, None)):
        with refused(DtypeError, rf"^{kind.__name__}\(\): "):
            kind(backend=backend)(*pair)


@pytest.mark.parametrize("kind", [NLLLoss, CrossEntropyLoss])
def test_labels(backend: Backend, kind: Any) -> None:
    b, loss = backend, kind(backend=backend)
    x = b.from_host(np.zeros((3, 4)))
    for labels, bad in (([0, 4, 1], 4), ([0, -1, 1], -1), ([0, -100, 99], 99)):
        with refused(
            DataError, rf"^{kind.__name__}\(\): expected labels to be class numbers from 0 to 3, got {bad}"
        ):
            loss(x, b.from_host(labels))
    with refused(DtypeError, rf"^{kind.__name__}\(\): expected int64 labels, got float32"):
        loss(x, b.from_host([0.0, 1.0, 2.0]))
    for shape in ((2,), (3, 1), (3, 4, 1), ()):
        with refused(ShapeError, rf"^{kind.__name__}\(\): expected a prediction"):
            loss(x, b.from_host(np.zeros(shape, np.int64)))
    with refused(ShapeError, rf"^{kind.__name__}\(\): expected a prediction"):
        loss(b.from_host(np.zeros(4)), b.from_host(1))


def test_cross_entropy_of_probabilities_without_a_batch(backend: Backend) -> None:
    x = backend.from_host(np.zeros(4))
    with refused(ShapeError, r"^CrossEntropyLoss\(\): expected a prediction \(N, C, ...\), got \(4,\)"):
        CrossEntropyLoss(backend=backend)(x, x)


def test_ignore_index_with_probabilities(backend: Backend) -> None:
    b = backend
    x = b.full((2, 3), 0.25)
    CrossEntropyLoss(backend=b)(x, x)
    for index in (0, -1, 5):
        text = rf"expected labels \(N, ...\) with ignore_index={index}, got probabilities \(2, 3\); give"
        with refused(OptionError, rf"^CrossEntropyLoss\(.*\): {text}"):
            CrossEntropyLoss(ignore_index=index, backend=b)(x, x)


@pytest.mark.parametrize("kind", [MSELoss, BCELoss, BCEWithLogitsLoss, NLLLoss, CrossEntropyLoss])
def test_weights_of_samples(kind: Any, backend: Backend) -> None:
    b = backend
    labels = issubclass(kind, NLLLoss)
    loss, x = kind(backend=b), b.full((2, 3), 0.25)
    target = b.from_host([0, 1]) if labels else x
    fits = r"\(2,\)" if labels else r"\(2, 3\)"
    for shape in ((), (3,), (2, 1), (2, 3, 1), (1, 2)):
        with refused(ShapeError, rf"^{kind.__name__}\(\): expected weight to be .* {fits}, got \("):
            loss(x, target, b.full(shape, 1.0))
    with refused(DtypeError, rf"^{kind.__name__}\(\): expected weight of dtype float32, .*, got int64"):
        loss.fraction(x, target, b.from_host([1, 2]))


def test_a_loss_without_weights_of_samples(backend: Backend) -> None:
    class Own(Loss):
        def forward(self, prediction: Any, target: Any) -> Any:
            return self.backend.mean(prediction)

    x = backend.full((2,), 1.0)
    for call in (Own(backend=backend), Own(backend=backend).fraction):
        with refused(
            OptionError, r"^Own\(\): expected no weight, for forward\(prediction, target\) takes none"
        ):
            call(x, x, x)


def test_class_weights_of_another_number(backend: Backend) -> None:
    b = backend
    loss = CrossEntropyLoss(weight=b.from_host([1.0, 2.0]), backend=b)
    with refused(LaminaError, r"^CrossEntropyLoss\(\): expected weight to have shape \(3,\), got \(2,\)"):
        loss(b.from_host(np.zeros((2, 3))), b.from_host([0, 1]))


def test_weights_that_would_widen_the_loss(backend: Backend) -> None:
    b = backend
    x, wide = b.from_host(np.full(3, 0.5)), b.from_host(np.ones((2, 3)))
    for kind, name in ((BCELoss, "weight"), (BCEWithLogitsLoss, "weight"), (BCEWithLogitsLoss, "pos_weight")):
        with refused(ShapeError, rf"^{kind.__name__}\(\): expected {name} to .* \(3,\), got \(2, 3\)"):
            kind(**{name: wide}, backend=b)(x, x)


@pytest.mark.parametrize("value", [-0.01, 1.01, np.inf])
def test_probabilities_out_of_range(backend: Backend, value: float) -> None:
    b = backend
    good, bad = b.from_host([0.5, 0.5]), b.from_host([0.5, value])
    with refused(DataError, r"^BCELoss\(\): expected every prediction within \[0, 1\], got"):
        BCELoss(backend=b)(bad, good)
    for kind in (BCELoss, BCEWithLogitsLoss):
        with refused(DataError, rf"^{kind.__name__}\(\): expected every target within \[0, 1\], got"):
            kind(backend=b)(good, bad)


def test_a_failed_loss_forgets_nothing_that_matters(backend64: Backend) -> None:
    b = backend64
    loss = CrossEntropyLoss(backend=b)
    x = b.from_host(np.zeros((2, 3)))
    loss(x, b.from_host([0, 1]))
    with pytest.raises(DataError):
        loss(x, b.from_host([0, 7]))
    assert b.shape(loss.backward()) == (2, 3)


# -- state and modules ----------------------------------------------------------------------------


def test_load_state_dict_fails_whole(backend: Backend) -> None:
    manual_seed(1)
    model = stack(backend)
    good = {name: np.zeros_like(value) for name, value in model.state_dict().items()}
    cases: list[tuple[dict[str, Any], type[LaminaError], str]] = [
        ({k: v for k, v in good.items() if k != "2.bias"}, StateError, "missing 2.bias"),
        ({**good, "2.biass": good["2.bias"]}, StateError, r"unknown '2\.biass'\. Did you mean '2\.bias'\?"),
        ({**good, "2.bias": np.zeros(3)}, ShapeError, r"'2\.bias': expected shape \(2,\), got \(3,\)"),
        ({**good, "2.weight": np.zeros((5, 2))}, ShapeError, r"'2\.weight': expected shape \(2, 5\)"),
        ({**good, "2.bias": ["a", "b"]}, DtypeError, r"'2\.bias': expected an array of numbers"),
        ({**good, "2.bias": None}, LaminaError, r"'2\.bias'"),
        ({}, StateError, "missing 0.weight, 0.bias, 2.weight, 2.bias"),
    ]
    for state, kind, message in cases:
        with refused(kind, message, model):
            model.load_state_dict(state)
    model.load_state_dict(good)
    assert not any(value.any() for value in model.state_dict().values())


def test_moving_to_a_backend_with_another_dtype() -> None:
    model = stack(get_backend("numpy"))
    with refused(OptionError, "name 'numpy' to have it in float64", model):
        model.to(get_backend("numpy"), dtype="float64")


def test_a_layer_that_defines_nothing() -> None:
    b = get_backend("numpy")
    module = Module(b)
    with pytest.raises(TypeError, match="must define forward"):
        module(b.from_host([1.0]))
    with pytest.raises(TypeError, match="must define backward"):
        module.backward(b.from_host([1.0]))
