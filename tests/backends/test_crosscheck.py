"""crosscheck: names the op and layer of planted faults, replays its files, and passes correct backends."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged import judged

from lamina.backends import (
    Backend,
    BackendError,
    DivergenceError,
    DtypeError,
    OptionError,
    Window,
    get_backend,
)
from lamina.backends.conformance import run
from lamina.backends.conformance.suite import attempt
from lamina.backends.decorators.crosscheck import CrosscheckBackend, crosscheck_of, replay
from lamina.backends.loop import Loop
from lamina.backends.numpy_backend import NumpyBackend
from lamina.backends.ops import OPS
from lamina.backends.protocol import Run, Step
from lamina.layers import Linear, Module, MSELoss, ReLU, Sequential, named_scopes
from lamina.train.optimizers import SGD, Adam

WIDE = NumpyBackend("cpu", "float64")


class Plain(NumpyBackend):
    """numpy under another class, as crosscheck refuses two backends of one class."""


class WrongRounding(Plain):
    def relu(self, x: Any) -> Any:
        y = super().relu(x)
        return np.where(y > 0, np.nextafter(y, np.float32(9)), y)


class WrongAxis(Plain):
    def linear_grad(self, grad: Any, x: Any, *, bias: bool = True, out: Any = None) -> Any:
        weight, _ = super().linear_grad(grad, x)
        return weight, np.sum(grad, axis=1)


class WritesItsInput(Plain):
    def relu_grad(self, grad: Any, y: Any) -> Any:
        return np.multiply(grad, y > 0, out=grad)


class ReadsWhatItWrote(Plain):
    def sgd_step(self, parameter: Any, gradient: Any, learning_rate: float, *, out: Any = None) -> Any:
        return np.add(parameter, np.multiply(gradient, -learning_rate, out=out), out=out)


class Stale(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.transposed: dict[int, tuple[Any, Any]] = {}

    def linear(self, x: Any, weight: Any, bias: Any = None) -> Any:
        _, transposed = self.transposed.setdefault(id(weight), (weight, weight.T.copy()))
        return x @ transposed + bias


class WrongDtype(Plain):
    def relu(self, x: Any) -> Any:
        return super().relu(x).astype(np.float64)


class WrongShape(Plain):
    def relu(self, x: Any) -> Any:
        return super().relu(x)[:1]


class Forgets(Plain):
    def assign(self, cell: Any, value: Any) -> None:
        cell[:1] = value[:1]


def checked(kind: type[Plain], folder: Path | None = None, **options: Any) -> CrosscheckBackend:
    return CrosscheckBackend(kind(), WIDE, folder=folder, **options)


def network(backend: Backend) -> Module:
    return Sequential(*(f(backend) for f in (_linear, lambda b: ReLU(backend=b), _linear)))


def _linear(backend: Backend) -> Module:
    return Linear(4, 4, backend=backend)


def train(backend: Backend, steps: int = 3, optimizer: Callable[..., Any] = SGD) -> Module:
    model, criterion = network(backend), MSELoss(backend=backend)
    steps_of = optimizer(model.parameters(), lr=0.1)
    source = np.random.default_rng(0)
    x, y = (backend.from_host(source.standard_normal((4, 4))) for _ in range(2))
    for _ in range(steps):
        with backend.session(), named_scopes(model):
            steps_of.zero_grad()
            criterion(model(x), y)
            model.backward(criterion.backward())
            steps_of.step()
    return model


@pytest.mark.parametrize("mode", ["lockstep", "drift"])
@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_correct_backends_pass(mode: Any, optimizer: Any) -> None:
    backend = checked(Plain, mode=mode)
    train(backend, optimizer=optimizer)
    report = backend.report()
    assert report.passed
    assert report.rows["linear"].calls == 6
    assert 0 < report.rows["linear"].share <= 1


def test_a_result_that_is_none_is_not_compared() -> None:
    backend = checked(Plain)
    g, x = (backend.from_host(np.random.default_rng(0).standard_normal((50, n))) for n in (2, 3))
    _, bias = backend.linear_grad(g, x, bias=False)
    assert bias is None
    assert 0 < backend.report().rows["linear_grad"].share <= 1


@pytest.mark.parametrize(
    ("kind", "op", "layer", "said"),
    [
        (WrongRounding, "relu", "1", "or 1 ULP; it must be equal"),
        (WrongAxis, "linear_grad", "2.backward", "result 1: at ("),
        (WritesItsInput, "relu_grad", "1.backward", "the op changed its input tensor 0"),
        (ReadsWhatItWrote, "sgd_step", "", "out is tensor 0"),
        (Stale, "linear", "0", "(summed)"),
        (WrongDtype, "relu", "1", "got float64, expected float32"),
        (WrongShape, "relu", "1", "got shape (1, 4), expected (4, 4)"),
        (Forgets, "assign", "", "it must be equal"),
    ],
)
def test_planted_faults_are_caught_at_their_op_and_layer(
    tmp_path: Path, kind: type[Plain], op: str, layer: str, said: str
) -> None:
    with pytest.raises(DivergenceError) as caught:
        train(checked(kind, tmp_path))
    error = caught.value
    assert (error.op, error.layer) == (op, layer)
    assert error.repro == tmp_path / f"crosscheck-{op}-1.npz"
    text = str(error)
    assert text.startswith(f"{op}{' in layer ' + layer if layer else ''}: ")
    for part in (said, "(lockstep)", "arguments: ", "float32", f"lamina check --replay {error.repro}"):
        assert part in text
    assert isinstance(error, ArithmeticError)
    # The file reproduces the fault, and numpy passes; it does not hold a stale value.
    assert replay(error.repro, kind(), WIDE).passed == (kind is Stale)
    again = replay(error.repro, Plain(), WIDE)
    assert again.passed
    assert f"{op}{' (from layer ' + layer + ')' if layer else ''}: " in str(again)


def test_a_message_in_full(tmp_path: Path) -> None:
    backend = checked(WrongRounding, tmp_path)
    with pytest.raises(DivergenceError) as caught, backend.scope("net"), backend.scope("3"):
        backend.relu(backend.from_host([[-1.0, 2.0]]))
    path = tmp_path / "crosscheck-relu-1.npz"
    assert str(caught.value) == (
        f"relu in layer net.3: {__name__}:WrongRounding differs from numpy (lockstep): at (0, 1) got "
        "2.000000238418579, expected 2.0, off by 2.38e-07 or 1 ULP; it must be equal, and 1 of 2 elements "
        "are not\n"
        "  arguments: x (1, 2) float32\n"
        f"  repro: {path} (lamina check --replay {path} runs it again)"
    )


def test_the_path_ends_with_its_scope() -> None:
    backend = checked(WrongRounding)
    with pytest.raises(KeyError), backend.scope("0"):
        raise KeyError
    with pytest.raises(DivergenceError) as caught:
        backend.relu(backend.full((2,), 1.0))
    assert (caught.value.layer, caught.value.repro) == ("", None)


def test_a_reference_that_raises_is_a_divergence() -> None:
    class Refuses(NumpyBackend):
        def exp(self, x: Any, *, out: Any = None) -> Any:
            raise ValueError("not today")

    backend = CrosscheckBackend(Plain(), Refuses(), folder=None)
    with pytest.raises(DivergenceError, match=r"exp: .* raised ValueError: not today"):
        backend.exp(backend.full((2,), 1.0))


# -- keep_going and tolerance --------------------------------------------------------------------


def test_keep_going_counts_and_reports(tmp_path: Path) -> None:
    backend = checked(WrongRounding, tmp_path, keep_going=True)
    train(backend, steps=5)
    report = backend.report()
    assert not report.passed
    assert report.divergences == report.rows["relu"].divergences == report.rows["relu"].calls == 5
    assert (report.rows["relu"].layer, report.rows["relu"].share) == ("1", np.inf)
    assert [path.name for path in tmp_path.iterdir()] == ["crosscheck-relu-1.npz"], "one file for an op"
    lines = str(report).splitlines()
    assert lines[0].endswith(f"calls of {len(report.rows)} ops, 5 divergences")
    assert lines[2].split()[:5] == ["relu", "5", "inf", "1", "5"]
    assert lines[2].endswith(str(tmp_path / "crosscheck-relu-1.npz"))


def test_tolerance_is_a_factor_on_the_bar() -> None:
    class Coarse(Plain):
        def multiply(self, x: Any, y: Any, *, out: Any = None) -> Any:
            return np.nextafter(super().multiply(x, y), np.float32(9))

    backend = checked(Coarse)
    x = backend.full((3,), 1.5)
    with pytest.raises(DivergenceError, match=r"must be within 2\.98e-08 \(ulp\), and 3 of 3"):
        backend.multiply(x, 0.5)
    backend.tolerance = 1.5
    with pytest.raises(DivergenceError, match=r"\(ulp\) times 1\.5, and"):
        backend.multiply(x, 0.5)
    backend.tolerance = 2.0
    backend.multiply(x, 0.5)
    assert backend.report().rows["multiply"].share == 2.0


# -- drift ---------------------------------------------------------------------------------------


class Truncates(Plain):
    """Every result is within the tolerance, and too small."""

    def add_scaled(self, x: Any, y: Any, scale: float, *, out: Any = None) -> Any:
        return np.nextafter(super().add_scaled(x, y, scale), np.float32(0))


def accumulate(backend: Backend) -> None:
    value, one = backend.full((3,), 1.0), backend.full((3,), 1.0)
    for _ in range(200):
        value = backend.add_scaled(value, one, 2.0**-12)


def test_drift_sees_accumulated_rounding() -> None:
    accumulate(checked(Truncates))
    accumulate(checked(Plain, mode="drift"))
    with pytest.raises(DivergenceError, match=r"\(drift\)") as caught:
        accumulate(checked(Truncates, mode="drift"))
    assert caught.value.op == "add_scaled"
    loose = checked(Truncates, mode="drift", tolerance=1000.0)
    accumulate(loose)
    assert loose.report().rows["add_scaled"].share > 1


class SharesStorage(Plain):
    def relu(self, x: Any) -> Any:
        return x if np.all(x > 0) else super().relu(x)


def test_drift_sees_shared_storage() -> None:
    def reuse(backend: Backend) -> float:
        x = backend.full((2,), 1.0)
        y = backend.relu(x)
        backend.multiply(y, 3.0, out=y)
        return float(backend.item(backend.sum(x)))

    assert reuse(checked(SharesStorage)) == 6.0, "each op alone is right"
    with pytest.raises(DivergenceError, match=r"sum: .* got 6\.0, expected 2\.0"):
        reuse(checked(SharesStorage, mode="drift"))


def test_drift_holds_views_of_cells_together() -> None:
    backend = checked(Plain, mode="drift")
    flat, views = backend.cells({"a": (2,), "b": (2,)})
    backend.assign(views["b"], backend.full((2,), 5.0))
    assert backend.to_host(flat).tolist() == [0, 0, 5, 5]
    assert backend.to_host(backend.add(flat, 1.0)).tolist() == [1, 1, 6, 6]


def test_a_decision_near_a_tie_does_not_stop_a_drift() -> None:
    backend = checked(Truncates, mode="drift")
    one = backend.full((1,), 1.0)
    value = backend.add_scaled(one, one, 2.0**-12)
    assert backend.to_host(backend.less(value, 1.0 + 2.0**-12)).tolist() == [True]
    assert backend.report().rows["less"].divergences == 1


def test_a_decision_does_not_hide_the_number_beside_it() -> None:
    class Drifts(Plain):
        def max_pool(self, x: Any, window: Any) -> Any:
            values, indices = super().max_pool(x, window)
            return values + 1, indices + 1

    backend = checked(Drifts, mode="drift")
    with pytest.raises(DivergenceError, match=r"max_pool: .* result 0: at"):
        backend.max_pool(backend.from_host(np.arange(16.0).reshape(1, 1, 4, 4)), Window.of((4, 4), (2, 2)))


def test_drift_runs_the_conformance_suite() -> None:
    backend = checked(Plain, mode="drift", tolerance=1e9, keep_going=True)
    ops = ["matmul", "sum", "where", "concat", "take", "fold", "linear_grad", "assign", "cells", "random"]
    checks = ("out is an input", "strangers")
    # Drift may pass through float32 what float64 holds: only what the primary gives is judged here.
    wanted = [x for op in OPS for x in judged(op, backend) if op in ops or x.check in checks]
    assert wanted
    assert [str(r) for r in (attempt(item, backend) for item in wanted) if not r.passed] == []


# -- compiled steps ------------------------------------------------------------------------------


def compiles(scale: float) -> type[Plain]:
    """Return a backend whose compiled step multiplies each number by `scale`."""

    class Compiles(Plain):
        def compile(self, step: Step) -> Run:
            loop = super().compile(
                lambda batch, numbers: step(batch, {k: v * scale for k, v in numbers.items()})
            )
            return lambda *args, **options: loop(*args, **options)

    return Compiles


@pytest.mark.parametrize("shown", ["cell 'total'", "result 0"])
def test_a_compiled_step_leaves_the_cells_and_results_that_the_step_does(shown: str) -> None:
    for scale in (1.0, 2.0):
        backend = checked(compiles(scale))
        _, cells = backend.cells({"total": (2,), "other": (2,)})

        def step(batch: Any, numbers: Any, b: Backend = backend, total: Any = cells["total"]) -> Any:
            scaled = b.multiply(total, numbers["factor"])
            b.assign(total, b.add(scaled, b.sum(batch[0], axis=0)))
            return (b.sum(scaled if shown == "result 0" else batch[0]),)

        compiled = backend.compile(step)
        assert not isinstance(compiled, Loop)
        data = (backend.full((5, 2), 1.0),)
        (sums,) = compiled(data, batch_size=2, numbers={"factor": np.zeros(3)})
        assert backend.to_host(sums).tolist() == ([0, 0, 0] if shown == "result 0" else [4, 4, 2])
        assert backend.to_host(cells["total"]).tolist() == [1, 1], "the cells show one run"
        numbers = {"factor": np.array([3.0])}
        if scale == 1.0:
            compiled(data, batch_size=5, numbers=numbers)
            assert backend.to_host(cells["total"]).tolist() == [8, 8]
        else:
            with pytest.raises(DivergenceError, match=rf"{shown} after the compiled step: at \(") as raised:
                compiled(data, batch_size=5, numbers=numbers)
            assert raised.value.steps_done == 0  # type: ignore[attr-defined]


def test_a_step_that_is_not_compiled_is_compared_op_by_op() -> None:
    def step(batch: Any, numbers: Any) -> Any:
        return (backend.relu(batch[0]),)

    backend = checked(WrongRounding)
    assert isinstance(backend.compile(step), Loop)
    with pytest.raises(DivergenceError, match="relu"):
        backend.compile(step)((backend.full((3, 2), 1.0),), batch_size=2)
    assert isinstance(checked(compiles(2.0), mode="drift").compile(step), Loop)


# -- refusals -------------------------------------------------------------------------------------


def test_a_backend_is_not_compared_with_itself() -> None:
    for text in ("crosscheck(numpy)+numpy", "crosscheck(strict+numpy)+numpy"):
        with pytest.raises(BackendError, match="would compare numpy with itself"):
            get_backend(text)
    get_backend("crosscheck(numpy)+jit+numpy")  # programs against ops
    with pytest.raises(BackendError, match="one crosscheck is enough"):
        CrosscheckBackend(Plain(), checked(Plain))
    with pytest.raises(BackendError, match="one crosscheck is enough"):
        CrosscheckBackend(checked(Plain), WIDE)


@pytest.mark.parametrize("options", [{"mode": "both"}, {"tolerance": 0.0}, {"tolerance": float("nan")}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        checked(Plain, **options)
    backend = checked(Plain)
    with pytest.raises(OptionError):
        setattr(backend, *next(iter(options.items())))


def test_foreign_handles_are_refused() -> None:
    lockstep, drift, other = checked(Plain), checked(Plain, mode="drift"), checked(Plain, mode="drift")
    for stranger in (drift.full((2,), 1.0), object(), "x"):
        with pytest.raises(DtypeError, match="exp: expected a tensor"):
            lockstep.exp(stranger)
    for stranger in (lockstep.full((2,), 1.0), other.full((2,), 1.0), object()):
        with pytest.raises(DtypeError, match=r"exp: expected a tensor of .* in drift mode"):
            drift.exp(stranger)


# -- the stack as a whole ----------------------------------------------------------------------------


def test_names_and_options_of_a_stack() -> None:
    pytest.importorskip("torch", reason="the two libraries that ship")
    stack = get_backend("strict+crosscheck(numpy)+torch")
    check = crosscheck_of(stack)
    assert check is not None
    assert (stack.spec, check.reference.default_dtype) == ("strict+crosscheck(numpy)+torch", "float64")
    assert crosscheck_of(get_backend("strict+numpy")) is None
    check.mode, check.tolerance, check.keep_going = "drift", 3.0, True
    again = pickle.loads(pickle.dumps(check))
    assert (again.spec, again.mode, again.tolerance, again.keep_going) == (check.spec, "drift", 3.0, True)
    stack.exp(stack.full((2,), 1.0))
    assert "exp" in str(check.report())


@pytest.mark.without_torch
@pytest.mark.parametrize("op", ["compile", "cells", "assign", "session", "linear"])
def test_compiled_loops_conform(op: str) -> None:
    pytest.importorskip("llvmlite")
    report = run(get_backend("crosscheck(numpy)+jit+numpy"), only=op)
    assert report.passed, str(report)


@pytest.mark.without_torch
def test_compiled_steps_in_two_threads() -> None:
    """A step is put back and run again: another thread must not come between."""
    pytest.importorskip("llvmlite")
    b: Any = get_backend("crosscheck(numpy)+jit+numpy")
    _, cells = b.cells({"a": (2,), "b": (2,)})

    def training(name: str) -> Callable[[], None]:
        def step(batch: Any, numbers: Any) -> Any:
            b.assign(cells[name], b.add(cells[name], b.sum(batch[0], axis=0)))
            return (b.sum(batch[0]),)

        run, x = b.compile(step), b.full((40, 2), 1.0)
        return lambda: run((x,), batch_size=2)

    calls = [training(name) for name in cells]
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(call) for call in calls]:
            done.result(60)
    assert [b.to_host(cell).tolist() for cell in cells.values()] == [[40.0, 40.0]] * 2
    assert not b.report().divergences
