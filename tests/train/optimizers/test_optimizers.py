"""Every row of the optimizers' table against torch.optim or its formula: 1,000 steps in float64.

Early steps are compared too: the last step forgets a fault in the first ones.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from rows import each

import lamina.train.optimizers as optimizers
from lamina.backends import Backend, get_backend
from lamina.backends.host import Host
from lamina.layers import Linear, MSELoss, Sequential, Tanh, manual_seed, without_input_gradient
from lamina.layers.initializers import Constant
from lamina.layers.parameter import Parameter
from lamina.train.optimizers import SGD, Adam, Optimizer, clip_grad_norm, clip_grad_value
from lamina.train.optimizers.group import Group
from lamina.train.optimizers.proofs import OPTIMIZER_CASES, OptimizerCase
from lamina.train.optimizers.proofs.trajectories import (
    STEPS,
    Trajectory,
    compare_trajectories,
    drive,
    parameters_on,
    slope,
    starts,
    torch_trajectory,
    trajectory,
)


def values(parameters: list[Parameter]) -> list[Host]:
    return [np.asarray(p.backend.to_host(p.data)) for p in parameters]


def close(actual: list[Host], expected: list[Host], rtol: float = 1e-9) -> None:
    __tracebackhide__ = True
    for one, two in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=rtol, atol=1e-12, strict=True)


def formula_trajectory(formula: Callable[[Host, Callable[[Host, int], Host], int], Host]) -> Trajectory:
    """Return the values of a paper's formula (start, slope, steps) -> value."""
    return {
        f"p{i} after {steps}": np.asarray(formula(p, slope, steps))
        for steps in STEPS
        for i, p in enumerate(starts())
    }


@functools.cache
def torch_result(case: OptimizerCase) -> Any:
    pytest.importorskip("torch", reason="the oracle is torch.optim")
    return torch_trajectory(case)


@pytest.mark.raw_only
@each([case for case in OPTIMIZER_CASES if case.torch is not None])
def test_a_thousand_steps_against_torch(case: OptimizerCase, backend64: Backend) -> None:
    report = compare_trajectories(case.name, "torch.optim", trajectory(case, backend64), torch_result(case))
    assert report.passed, str(report)


def ema(p: Host, g: Callable[[Host, int], Host], steps: int) -> Host:
    """Boschin: v = mu v + (1 - mu) g from v = 0; p = p - lr v."""
    v = np.zeros_like(p)
    for step in range(steps):
        v = 0.9 * v + (1.0 - 0.9) * g(p, step)
        p = p - 0.1 * v
    return p


def lr_inside(p: Host, g: Callable[[Host, int], Host], steps: int) -> Host:
    """Chahed, eq. 5: v = mu v + lr g; p = p - v."""
    v = np.zeros_like(p)
    for step in range(steps):
        v = 0.9 * v + 0.02 * g(p, step)
        p = p - v
    return p


def eps_inside_root(p: Host, g: Callable[[Host, int], Host], steps: int) -> Host:
    """Chahed, eq. 6: s = alpha s + (1 - alpha) g²; p = p - lr g / sqrt(s + eps)."""
    s = np.zeros_like(p)
    for step in range(steps):
        gradient = g(p, step)
        s = 0.9 * s + (1.0 - 0.9) * gradient**2
        p = p - 0.01 * gradient / np.sqrt(s + 1e-3)
    return p


FORMULAS = {"SGD ema": ema, "SGD lr_inside": lr_inside, "RMSprop eps_inside_root": eps_inside_root}


@pytest.mark.raw_only
@each([case for case in OPTIMIZER_CASES if case.torch is None])
def test_a_thousand_steps_against_the_papers_formula(case: OptimizerCase, backend64: Backend) -> None:
    expected = formula_trajectory(FORMULAS[case.name])
    report = compare_trajectories(case.name, "its formula", trajectory(case, backend64), expected)
    assert report.passed, str(report)


@each(OPTIMIZER_CASES)
def test_float32_stays_float32_and_close_to_float64(case: OptimizerCase, backend: Backend) -> None:
    parameters = parameters_on(backend)
    drive(case.make(parameters), parameters, range(20))
    wide = parameters_on(get_backend("numpy", dtype="float64"))
    drive(case.make(wide), wide, range(20))
    assert {v.dtype.name for v in values(parameters)} == {"float32"}
    for one, two in zip(values(parameters), values(wide), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_every_optimizer_has_a_row() -> None:
    public = {
        value
        for value in vars(optimizers).values()
        if inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer
    }
    b = get_backend("numpy")
    made = {type(case.make(parameters_on(b))) for case in OPTIMIZER_CASES}
    assert {kind.__name__ for kind in public - made} == set()
    assert len({case.name for case in OPTIMIZER_CASES}) == len(OPTIMIZER_CASES)


def test_defaults_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="the defaults are torch's")
    for name in ("SGD", "RMSprop", "Adagrad", "Adam", "AdamW"):
        theirs = inspect.signature(getattr(torch.optim, name)).parameters
        ours = inspect.signature(getattr(optimizers, name)).parameters
        for option, parameter in ours.items():
            if option in theirs and option not in ("parameters", "self"):
                assert parameter.default == theirs[option].default, (name, option)


# -- state ----------------------------------------------------------------------------------------


@each(OPTIMIZER_CASES)
def test_a_loaded_state_continues_identically(case: OptimizerCase, backend: Backend) -> None:
    whole = parameters_on(backend)
    drive(case.make(whole), whole, range(20))
    first = parameters_on(backend)
    half = case.make(first)
    drive(half, first, range(10))
    state = copy.deepcopy(half.state_dict())
    second = parameters_on(backend)
    for one, two in zip(first, second, strict=True):
        two.set(one.data)
    rest = case.make(second)
    rest.load_state_dict(state)
    drive(rest, second, range(10, 20))
    drive(half, first, range(10, 20))  # the state is a copy
    assert [v.tobytes() for v in values(second)] == [v.tobytes() for v in values(whole)]
    assert [v.tobytes() for v in values(first)] == [v.tobytes() for v in values(whole)]
    assert rest.steps == 20


# -- groups, schedules, clipping ------------------------------------------------------------------


def test_groups_against_torch(backend64: Backend) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.optim")
    parameters = parameters_on(backend64)
    twins = [torch.nn.Parameter(torch.tensor(value)) for value in starts()]

    def rows(p: list[Any]) -> list[dict[str, Any]]:
        return [{"params": [p[0], p[2]]}, {"params": p[1], "lr": 0.2, "weight_decay": 0.3}]

    ours = SGD(rows(parameters), lr=0.05, momentum=0.5)
    theirs = torch.optim.SGD(rows(twins), lr=0.05, momentum=0.5)
    assert ours.lr == 0.05
    drive(ours, parameters, range(50))
    for step in range(50):
        for twin in twins:
            twin.grad = torch.tensor(slope(twin.detach().numpy(), step))
        theirs.step()
    close(values(parameters), [twin.detach().numpy() for twin in twins])
    assert set(ours.scalars(3)) == {"0.lr", "0.share", "1.lr", "1.share"}


def test_more_than_ten_groups(backend64: Backend) -> None:
    b = backend64
    parameters = [Parameter((1,), Constant(0.0), b) for _ in range(12)]
    optimizer = SGD([{"params": p, "lr": float(i)} for i, p in enumerate(parameters)])
    for parameter in parameters:
        parameter.accumulate(b.full((1,), -1.0))
    optimizer.step()
    assert [b.item(p.data) for p in parameters] == [float(i) for i in range(12)]


@pytest.mark.parametrize(
    "name", ["SGD momentum", "Adam", "AdamW", "RMSprop", "Adagrad decay", "SGD lr_inside"]
)
def test_the_rate_follows_lr_factor(name: str, backend: Backend) -> None:
    case = next(case for case in OPTIMIZER_CASES if case.name == name)
    parameters, twins = parameters_on(backend), parameters_on(backend)
    scheduled, plain = case.make(parameters), case.make(twins)
    # A schedule may return numpy's float64, which is no tensor.
    scheduled.lr_factor = np.float64(0.25)
    for group in plain.groups:
        group.options["lr"] = group.options["lr"] * 0.25
    assert scheduled.lr == plain.lr
    assert type(scheduled.lr) is float
    assert all(type(v) is float for v in scheduled.scalars(1).values())
    drive(scheduled, parameters, range(5))
    drive(plain, twins, range(5))
    assert [v.tobytes() for v in values(parameters)] == [v.tobytes() for v in values(twins)]


def test_options_may_be_numpy_numbers(backend: Backend) -> None:
    one, two = parameters_on(backend), parameters_on(backend)
    f = np.float64
    drive(SGD(one, lr=f(0.1), momentum=f(0.9), weight_decay=f(0.1)), one, range(3))
    drive(SGD(two, lr=0.1, momentum=0.9, weight_decay=0.1), two, range(3))
    assert [v.tobytes() for v in values(one)] == [v.tobytes() for v in values(two)]
    # Numbers that are no subclass of Python's.
    optimizer = Adam(one, lr=np.float32(0.5), betas=(np.float32(0.5), Fraction(1, 4)), eps=np.int64(1))
    options = optimizer.groups[0].options
    assert options == {"lr": 0.5, "betas": (0.5, 0.25), "eps": 1.0, "weight_decay": 0.0}
    assert {type(v) for v in (options["lr"], *options["betas"], options["eps"])} == {float}
    drive(optimizer, one, range(3))
    state = optimizer.state_dict()
    state["groups"][0]["options"]["lr"] = np.float32(0.25)
    optimizer.load_state_dict(state)
    assert type(optimizer.groups[0].options["lr"]) is float
    assert optimizer.lr == 0.25


@pytest.mark.parametrize("at", range(5))
def test_an_interrupt_leaves_no_half_restored_state(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    b = get_backend("numpy")
    first, second = parameters_on(b), parameters_on(b)
    groups = [{"params": first[:1]}, {"params": first[1:], "lr": 0.5}]
    optimizer, other = Adam(groups), Adam([{"params": second[:1], "lr": 0.25}, {"params": second[1:]}])
    drive(other, second, range(3))
    put, calls = Group.put, itertools.count()

    def interrupted(group: Group, name: str, value: Any) -> None:
        if next(calls) == at:
            raise KeyboardInterrupt
        put(group, name, value)

    monkeypatch.setattr(Group, "put", interrupted)
    wanted = other.state_dict()
    with pytest.raises(KeyboardInterrupt) if at < 4 else contextlib.nullcontext():
        optimizer.load_state_dict(wanted)
    np.testing.assert_equal(optimizer.state_dict(), wanted)


@pytest.mark.parametrize("max_norm", [0.5, 1, 1e6, np.float64(0.1)])
def test_clipping_by_norm_against_torch(backend64: Backend, max_norm: float) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.nn.utils")
    b = backend64
    parameters = parameters_on(b)
    optimizer = SGD([{"params": parameters[:1]}, {"params": parameters[1:]}])
    twins = [torch.nn.Parameter(torch.tensor(value)) for value in starts()]
    for parameter, twin in zip(parameters, twins, strict=True):
        gradient = slope(twin.detach().numpy(), 3)
        parameter.accumulate(b.from_host(gradient))
        twin.grad = torch.tensor(gradient)
    norm = clip_grad_norm(optimizer, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(twins, float(max_norm))
    np.testing.assert_allclose(b.item(norm), expected.item(), rtol=1e-12)
    assert b.shape(norm) == ()
    close([b.to_host(p.grad) for p in parameters], [twin.grad.numpy() for twin in twins], rtol=1e-12)


def test_clipping_by_value_against_torch(backend64: Backend) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.nn.utils")
    b = backend64
    parameters = parameters_on(b)
    optimizer = SGD(parameters)
    twins = [torch.nn.Parameter(torch.tensor(value)) for value in starts()]
    for parameter, twin in zip(parameters, twins, strict=True):
        gradient = slope(twin.detach().numpy(), 3)
        parameter.accumulate(b.from_host(gradient))
        twin.grad = torch.tensor(gradient)
    clip_grad_value(optimizer, 0.25)
    torch.nn.utils.clip_grad_value_(twins, 0.25)
    close([b.to_host(p.grad) for p in parameters], [twin.grad.numpy() for twin in twins], rtol=0.0)


def test_clipping_takes_a_missing_gradient_as_zero(backend64: Backend) -> None:
    b = backend64
    parameters = parameters_on(b)
    optimizer = SGD(parameters, lr=1.0)
    before = values(parameters)
    for parameter in parameters:
        parameter.accumulate(b.full(parameter.shape, 100.0))
    optimizer.zero_grad()
    parameters[1].accumulate(b.from_host([3.0, 4.0, 0.0, 0.0]))
    assert b.item(clip_grad_norm(optimizer, 1.0)) == 5.0
    optimizer.step()
    assert values(parameters)[0].tobytes() == before[0].tobytes()
    np.testing.assert_allclose(before[1] - values(parameters)[1], [0.6, 0.8, 0.0, 0.0], atol=1e-6)


# -- training -------------------------------------------------------------------------------------


def test_a_step_inside_a_session_and_one_outside(backend: Backend) -> None:
    b = backend
    results = []
    for inside in (True, False):
        manual_seed(5)
        model = Sequential(Linear(2, 8, backend=b), Tanh(backend=b), Linear(8, 1, backend=b))
        loss = MSELoss(backend=b)
        optimizer = Adam(model.parameters(), lr=0.05)
        source = np.random.default_rng(0)
        x = source.standard_normal((32, 2))
        data, target = b.from_host(x), b.from_host(x[:, :1] * x[:, 1:])

        def step() -> float:
            optimizer.zero_grad()  # noqa: B023
            value = loss(model(data), target)  # noqa: B023
            with without_input_gradient(model):  # noqa: B023
                model.backward(loss.backward())  # noqa: B023
            clip_grad_norm(optimizer, 1.0)  # noqa: B023
            optimizer.step()  # noqa: B023
            return float(b.item(value))

        losses = []
        for i in range(150):
            if inside and i % 3:
                with b.session():
                    losses.append(step())
            else:
                losses.append(step())
        assert losses[-1] < 0.1 * losses[0]
        results.append(model.state_dict())
    assert all(results[0][k].tobytes() == results[1][k].tobytes() for k in results[0])
