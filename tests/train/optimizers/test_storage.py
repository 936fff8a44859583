"""Flat storage, what an optimizer notices, the ops that a step takes, and refused options."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, LaminaError, OptionError, ShapeError, StateError, get_backend
from lamina.backends.ops import OPS
from lamina.backends.wrapper import Wrapper
from lamina.layers import Linear, ReLU, Sequential
from lamina.layers.initializers import Constant
from lamina.layers.parameter import Parameter
from lamina.train.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop, clip_grad_norm, clip_grad_value


def stack(b: Backend, depth: int = 2) -> Sequential:
    layers = [Linear(3, 3, backend=b) for _ in range(depth)]
    return Sequential(*layers)


def fill(model: Any, value: float = 1.0) -> None:
    for parameter in model.parameters():
        parameter.accumulate(parameter.backend.full(parameter.shape, value))


# -- one buffer -----------------------------------------------------------------------------------


def test_parameters_are_views_of_one_buffer(backend: Backend) -> None:
    b = backend
    model = stack(b)
    before = model.state_dict()
    optimizer = SGD(model.parameters(), lr=0.5)
    (group,) = optimizer.groups
    assert b.shape(group.data) == b.shape(group.grad) == (24,)
    assert all(before[k].tobytes() == v.tobytes() for k, v in model.state_dict().items())
    flat = np.concatenate([v.ravel() for v in before.values()])
    assert np.array_equal(b.to_host(group.data), flat)
    b.assign(group.data, b.full((24,), 7.0))
    assert all((v == 7.0).all() for v in model.state_dict().values())
    fill(model)
    assert (b.to_host(group.grad) == 1.0).all()
    optimizer.step()
    assert (b.to_host(group.data) == 6.5).all()
    assert all((v == 6.5).all() for v in model.state_dict().values())
    model.load_state_dict(before)
    assert np.array_equal(b.to_host(group.data), flat)


def test_gradients_from_before_the_optimizer_count(backend: Backend) -> None:
    b = backend
    model = stack(b)
    fill(model, 2.0)
    before = model.state_dict()
    SGD(model.parameters(), lr=1.0).step()
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(before[name] - value, 2.0, atol=1e-6)


def test_a_parameter_without_a_gradient_has_a_gradient_of_zero(backend: Backend) -> None:
    b = backend
    model = stack(b)
    optimizer = SGD(model.parameters(), lr=1.0, momentum=0.5)
    fill(model)
    optimizer.step()
    optimizer.zero_grad()
    model[0].weight.accumulate(b.full((3, 3), 1.0))
    before = model.state_dict()
    optimizer.step()
    moved = {name: before[name] - value for name, value in model.state_dict().items()}
    np.testing.assert_allclose(moved["0.weight"], 1.5, atol=1e-6)
    np.testing.assert_allclose(moved["1.weight"], 0.5, atol=1e-6)  # its momentum alone


def test_a_second_optimizer_shares_the_storage(backend: Backend) -> None:
    b = backend
    model = stack(b)
    first, second = SGD(model.parameters(), lr=1.0), SGD(model.parameters(), lr=10.0)
    assert first.groups[0].storage is second.groups[0].storage
    b.assign(first.groups[0].data, b.full((24,), 100.0))
    fill(model)
    first.step()
    second.step()
    assert all((v == 89.0).all() for v in model.state_dict().values())


def test_another_packing_retires_the_older_optimizer(backend: Backend) -> None:
    b = backend
    model = stack(b)
    old = SGD(model.parameters(), lr=1.0)
    new = SGD(list(reversed(model.parameters())), lr=1.0)
    fill(model)
    before = model.state_dict()
    for call in (old.step, lambda: clip_grad_norm(old, 1.0), lambda: clip_grad_value(old, 1.0)):
        with pytest.raises(StateError, match=r"out of date.*packed again by a later optimizer"):
            call()
    assert all(before[k].tobytes() == v.tobytes() for k, v in model.state_dict().items())
    new.step()
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(before[name] - value, 1.0, atol=1e-6)


def test_packing_a_part_retires_the_whole() -> None:
    model = stack(get_backend("numpy"))
    old = SGD(model.parameters())
    SGD(model[0].parameters())
    with pytest.raises(StateError, match="out of date"):
        old.step()
    SGD(model.parameters()).step()


def test_moving_the_model_retires_the_optimizer() -> None:
    model = stack(get_backend("numpy"))
    optimizer = SGD(model.parameters())
    model.to("strict+numpy")
    with pytest.raises(StateError, match="out of date: the parameters were moved to another backend"):
        optimizer.step()


def test_a_copy_of_the_model_is_in_no_optimizer(backend: Backend) -> None:
    model = stack(backend)
    optimizer = SGD(model.parameters(), lr=1.0)
    twin = copy.deepcopy(model)
    before = twin.state_dict()
    fill(model)
    optimizer.step()
    assert all(before[k].tobytes() == v.tobytes() for k, v in twin.state_dict().items())
    assert all(p.storage is None for p in twin.parameters())


def test_groups_must_live_together() -> None:
    pytest.importorskip("torch", reason="two backends")
    here, there = Linear(2, 2, backend="numpy"), Linear(2, 2, backend="torch")
    with pytest.raises(LaminaError, match="one group must live on one backend and have one dtype"):
        SGD([*here.parameters(), *there.parameters()])


# -- parameters that appear later -----------------------------------------------------------------


def test_an_appended_layer_is_noticed(backend: Backend) -> None:
    model = stack(backend)
    optimizer = SGD(model.parameters())
    optimizer.step()
    model.append(Linear(3, 1, backend=backend))
    before = model.state_dict()
    for _ in range(2):
        with pytest.raises(StateError, match=r"SGD: the parameters 2\.weight, 2\.bias appeared after"):
            optimizer.step()
    assert optimizer.steps == 1
    assert all(before[k].tobytes() == v.tobytes() for k, v in model.state_dict().items())
    SGD(model.parameters()).step()


def test_an_older_layer_that_is_appended_is_noticed() -> None:
    b = get_backend("numpy")
    model, late = stack(b), Linear(3, 1, backend=b)
    optimizer = SGD(model.parameters())
    for _ in range(3):
        optimizer.step()
    model.append(late)
    with pytest.raises(StateError, match=r"2\.weight, 2\.bias"):
        optimizer.step()


def test_a_new_attribute_is_noticed() -> None:
    b = get_backend("numpy")
    model = stack(b)
    optimizer = SGD(model.parameters())
    for _ in range(3):
        optimizer.step()
    model[0].extra = Parameter((2,), Constant(0.0), b)
    with pytest.raises(StateError, match=r"0\.extra appeared"):
        optimizer.step()


def test_a_single_parameter_after_an_appended_layer_is_noticed() -> None:
    b = get_backend("numpy")
    model = stack(b)
    optimizer = SGD(model.parameters())
    model.append(ReLU(backend=b))
    for _ in range(3):
        optimizer.step()
    model[0].extra = Parameter((2,), Constant(0.0), b)
    with pytest.raises(StateError, match=r"0\.extra appeared"):
        optimizer.step()


def test_an_older_layer_that_becomes_an_attribute_is_noticed_before_the_first_step() -> None:
    b = get_backend("numpy")
    model, late = stack(b), Linear(3, 1, backend=b)
    optimizer = SGD(model.parameters())
    model.extra = late
    with pytest.raises(StateError, match=r"extra\.weight, extra\.bias"):
        optimizer.step()


def test_a_replaced_parameter_is_noticed() -> None:
    b = get_backend("numpy")
    model = stack(b)
    optimizer = SGD([{"params": model[0].parameters()}, {"params": model[1].parameters()}])
    optimizer.step()
    model[1].bias = Parameter((3,), Constant(0.0), b)
    with pytest.raises(StateError, match="the parameters bias appeared"):
        optimizer.step()


def test_other_models_are_no_concern() -> None:
    b = get_backend("numpy")
    model = stack(b)
    optimizer = SGD(model[0].parameters())  # a part, as when the rest is frozen
    model.append(Linear(3, 1, backend=b))
    stack(b)
    optimizer.step()


# -- a step is a handful of ops -------------------------------------------------------------------


class Counting(Wrapper):
    name = "counting"

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.calls: list[str] = []

    def around(self, op: Any, args: Any, kwargs: Any) -> Any:
        self.calls.append(op.name)
        return super().around(op, args, kwargs)


MAKERS = {
    "SGD": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "RMSprop": lambda p: RMSprop(p, momentum=0.9, centered=True, weight_decay=0.1),
    "Adagrad": lambda p: Adagrad(p, lr_decay=0.1),
    "Adam": lambda p: Adam(p, weight_decay=0.1),
    "AdamW": lambda p: AdamW(p),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_number_of_ops_does_not_depend_on_the_number_of_layers(name: str, backend: Backend) -> None:
    counts = []
    for depth in (1, 7):
        b = Counting(backend)
        model = stack(b, depth)
        optimizer = MAKERS[name](model.parameters())
        fill(model)
        scalars = optimizer.scalars(1)
        b.calls.clear()
        optimizer.update(scalars)
        counts.append(list(b.calls))
        assert set(b.calls) <= set(OPS)
        assert not {"to_host", "from_host", "item"} & set(b.calls)
        optimizer.zero_grad()
        fill(model)
        b.calls.clear()
        optimizer.step()
        # What a step adds to an update (checks, gradients that did not come) asks for no op.
        assert b.calls == counts[-1]
    assert counts[0] == counts[1]
    assert len(counts[0]) <= 20


# -- options --------------------------------------------------------------------------------------


def one(b: str = "numpy") -> list[Parameter]:
    return [Parameter((2,), Constant(0.0), get_backend(b))]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, lr=-1.0), "SGD: lr must be at least 0, got -1.0"),
        (lambda p: SGD(p, lr=None), "SGD: lr must be at least 0, got None"),
        (lambda p: SGD(p, lr="fast"), "SGD: lr must be at least 0, got 'fast'"),
        (lambda p: SGD(p, lr=float("nan")), "SGD: lr must be at least 0, got nan"),
        (lambda p: SGD(p, lr=float("inf")), "SGD: lr must be at least 0, got inf"),
        (lambda p: SGD(p, lr=True), "SGD: lr must be at least 0, got True"),
        (lambda p: SGD(p, lr=np.float32(-1.0)), "SGD: lr must be at least 0, got -1.0"),
        (lambda p: SGD(p, lr=1j), "SGD: lr must be at least 0, got 1j"),
        (lambda p: SGD(p, momentum=-0.1), "SGD: momentum must be at least 0, got -0.1"),
        (lambda p: SGD(p, weight_decay=-0.1), "SGD: weight_decay must be at least 0"),
        (lambda p: SGD(p, nesterov=True), "SGD: nesterov needs a momentum above 0"),
        (lambda p: SGD(p, momentum=0.9, dampening=0.1, nesterov=True), "and a dampening of 0"),
        (lambda p: SGD(p, momentum_form="heavy"), "SGD: momentum_form must be one of heavy_ball, ema"),
        (lambda p: SGD(p, momentum=0.9, nesterov=True, momentum_form="ema"), "goes with neither nesterov"),
        (lambda p: RMSprop(p, alpha=1.0), "RMSprop: alpha must be at least 0 and below 1, got 1.0"),
        (lambda p: RMSprop(p, eps=-1e-8), "RMSprop: eps must be at least 0, got -1e-08"),
        (lambda p: Adagrad(p, lr_decay=-1), "Adagrad: lr_decay must be at least 0, got -1"),
        (lambda p: Adagrad(p, initial_accumulator_value=-1), "Adagrad: initial_accumulator_value must be"),
        (lambda p: Adam(p, betas=(0.9, 1.0)), r"Adam: betas must be at least 0 and below 1, got \(0"),
        (lambda p: Adam(p, betas=0.9), "Adam: betas must be two numbers, got 0.9"),
        (lambda p: AdamW(p, betas=(0.9,)), r"AdamW: betas must be two numbers, got \(0.9,\)"),
        (lambda p: SGD([{"params": p, "momentun": 0.9}]), "unknown option 'momentun'.*mean 'momentum'"),
        (lambda p: SGD([{"params": p, "lr": -2.0}]), "SGD: lr must be at least 0, got -2.0"),
        (lambda p: SGD([{"lr": 1.0}]), "SGD: a group needs 'params', got lr"),
        (lambda p: SGD([{"params": []}]), "SGD: a group has no parameters"),
        (lambda p: SGD([{"params": p}, p[0]]), "SGD: expected groups only, or parameters only"),
        (lambda p: SGD([*p, {"params": p}]), "SGD: expected parameters, got"),
        (lambda p: SGD([]), "SGD: there are no parameters to optimize"),
        (lambda p: SGD([*p, *p]), r"SGD: Parameter\(2,\) comes twice"),
        (lambda p: SGD([{"params": p}, {"params": p}]), "comes twice"),
        (lambda p: SGD(["weight"]), "SGD: expected parameters, got 'weight'"),
        (lambda p: SGD(p[0]), "SGD: expected model.parameters"),
        (lambda p: SGD(Linear(2, 2, backend="numpy")), "SGD: expected model.parameters"),
        (lambda p: clip_grad_norm(SGD(p), 0.0), "clip_grad_norm: max_norm must be above 0, got 0.0"),
        (lambda p: clip_grad_value(SGD(p), -1.0), "clip_grad_value: clip_value must be above 0, got -1.0"),
    ],
)  # fmt: skip
def test_options_that_are_refused(make: Any, message: str) -> None:
    parameters = one()
    with pytest.raises(OptionError, match=message):
        make(parameters)


def test_a_refused_group_packs_nothing() -> None:
    parameters = one()
    first = SGD(parameters)
    others = one()
    with pytest.raises(OptionError):
        SGD([{"params": [*parameters, others[0]]}, {"params": one(), "lr": -1.0}])
    first.step()


def test_an_optimizer_of_one_s_own_must_define_its_update() -> None:
    from lamina.train.optimizers import Optimizer

    with pytest.raises(TypeError, match="Optimizer must define update_group"):
        Optimizer(one(), {"lr": 0.1}).step()


def test_loading_a_state_that_does_not_fit_changes_nothing() -> None:
    b = get_backend("numpy")
    model = stack(b)
    optimizer = Adam(model.parameters(), lr=0.5)
    fill(model)
    optimizer.step()
    good = optimizer.state_dict()
    (group,) = good["groups"]

    def with_group(**changes: Any) -> dict[str, Any]:
        return {**good, "steps": 99, "groups": [{**group, **changes}]}

    cells = group["cells"]
    cases: list[tuple[dict[str, Any], type[LaminaError], str]] = [
        ({**good, "groups": []}, StateError, "expected the state of 1 groups, got 0"),
        ({"groups": good["groups"]}, StateError, "Adam: the state lacks steps, lr_factor"),
        (with_group(cells={"first_moment": cells["first_moment"]}), StateError, "expected the cells"),
        (
            with_group(cells={**cells, "first_moment": np.zeros(3)}),
            ShapeError,
            r"first_moment: expected \(24,\)",
        ),
        (with_group(options={**group["options"], "lr": -1.0}), OptionError, "lr must be at least 0"),
        (with_group(options={"lr": 1.0}), StateError, "expected the options"),
    ]
    for state, kind, message in cases:
        with pytest.raises(kind, match=message):
            optimizer.load_state_dict(state)
        now = optimizer.state_dict()
        assert now["steps"] == 1
        assert now["groups"][0]["options"] == group["options"]
        assert all(now["groups"][0]["cells"][k].tobytes() == cells[k].tobytes() for k in cells)


@pytest.mark.parametrize(
    ("kind", "options", "cell"),
    [
        (SGD, {"momentum": 0.5}, "momentum"),
        (RMSprop, {"momentum": 0.5}, "momentum"),
        (RMSprop, {"centered": True}, "average"),
    ],
)
def test_options_that_need_cells_come_too_late(
    kind: Any, options: dict[str, Any], cell: str, backend: Backend
) -> None:
    model = stack(backend)
    optimizer = kind(model.parameters())
    fill(model)
    optimizer.step()
    optimizer.groups[0].options.update(options)
    for _ in range(2):
        with pytest.raises(
            StateError, match=rf"{kind.__name__}: the options were changed.*{cell}.*a new one"
        ):
            optimizer.step()
    assert optimizer.steps == 1
    state = optimizer.state_dict()
    other = kind(model.parameters())
    before = other.state_dict()
    with pytest.raises(StateError, match=rf"the state's options need the cells \['{cell}'\]"):
        other.load_state_dict(state)
    assert other.state_dict()["groups"][0]["options"] == before["groups"][0]["options"]
    fill(model)
    other.step()
    kind(model.parameters(), **options).step()


def test_a_key_error_of_an_optimizer_s_own_stays() -> None:
    class Broken(SGD):
        def update_group(self, group: Any, scalars: Any) -> None:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Broken(one()).step()


def test_repr() -> None:
    assert repr(Adagrad(one(), lr=0.5)).startswith("Adagrad(lr=0.5, lr_decay=0.0, ")
