"""`jit` as a backend: eager calls are the inner backend's, and a run of a step is a program."""

from __future__ import annotations

import copy
import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from steps import jit_around

from lamina.backends import Backend, BackendError, OptionError, StateError, get_backend, select, variable
from lamina.backends.decorators.jit import trace
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.errors import EagerWarning, TraceError
from lamina.backends.loop import compilations_of
from lamina.backends.numpy_backend import NumpyBackend
from lamina.backends.ops import OPS
from lamina.layers import Linear, MSELoss, ReLU, Sequential
from lamina.layers.random import seeded
from lamina.train.optimizers import SGD, Adam

OWN = ("cells", "compile")


def test_eager_methods_are_the_inner_backends(backend: Backend) -> None:
    b = jit_around(backend)
    for op in OPS:
        if op not in OWN:
            method = vars(b)[op]
            assert method == getattr(b.inner, op), op
            assert getattr(method, "__self__", b.inner) is b.inner
    assert vars(b)["unrecorded"] == b.inner.unrecorded
    assert (b.scoped, b.cache_size) == (False, b.inner.cache_size)


def test_they_are_back_after_a_trace(backend: Backend) -> None:
    b = jit_around(backend)
    before = dict(vars(b))

    def step(batch: Any, numbers: Any) -> Any:
        assert b.scoped
        assert b.cache_size > 1 << 60
        assert "exp" not in vars(b)
        return (b.exp(b.full((2,), 1.0)),)

    b.trace(step, ())
    assert vars(b) == before
    with pytest.raises(ZeroDivisionError):
        b.trace(lambda batch, numbers: 1 // 0, ())
    assert vars(b) == before


def test_one_instance_for_each_raw_backend(backend: Backend) -> None:
    if backend.raw.device != "cpu":
        pytest.skip("jit runs on the CPU")
    text = f"jit+{backend.raw.spec}"
    b = get_backend(text)
    assert get_backend(text) is b
    assert get_backend(text, dtype="float64") is not b
    assert get_backend(f"strict+{text}").inner is b  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(b)) is b
    assert copy.deepcopy(b) is b
    assert (b.spec, repr(b)) == (text, f"<backend {text} float32>")


def test_it_stands_innermost() -> None:
    with pytest.raises(BackendError, match=r"in this order: strict, autodiff, crosscheck, profile, jit\."):
        get_backend("jit+profile+numpy")


def test_variables_stand_around_it() -> None:
    b: Any = get_backend("jit+numpy", dtype="float64")
    x = variable([1.0, 2.0], b)
    (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [2.0, 4.0]


def test_another_device_is_refused() -> None:
    numpy = NumpyBackend("cuda:0")
    with pytest.raises(BackendError, match=r"jit: expected a backend on the CPU, got .*; name the backend"):
        JitBackend(numpy)  # type: ignore[abstract]  # made by funnelled


def test_cells_that_nobody_holds_leave_the_table(backend: Backend) -> None:
    b = jit_around(backend)
    flat, views = b.cells({"a": (2,), "b": (3,)})
    one = views.pop("a")
    views.clear()
    gc.collect()
    assert len(b._table) == 2
    del flat
    gc.collect()
    assert b._table.find(one).offset == 0  # a view keeps its buffer
    assert len(b._table) == 2
    whole, parts = b.cells({"a": (2,)})
    parts.clear()
    gc.collect()
    assert b._table.find(whole).shape == (2,)  # and the buffer needs no view
    del one, whole
    gc.collect()
    assert len(b._table) == 0


# -- runs ------------------------------------------------------------------------------------------


def training(b: Any) -> tuple[Any, Any]:
    model = Sequential(Linear(2, 5, backend=b), ReLU(backend=b), Linear(5, 1, backend=b), backend=b)
    loss, optimizer = MSELoss(backend=b), Adam(model.parameters())

    def step(batch: Any, numbers: Any) -> Any:
        optimizer.zero_grad()
        prediction = model(batch[0])
        value = loss(prediction, batch[1])
        model.backward(loss.backward())
        optimizer.finish_gradients()
        optimizer.update(numbers)
        return prediction, value

    return model, step


def test_a_run_trains_as_the_loop_does(backend64: Backend) -> None:
    """Seven rows in batches of 3: two shapes, with a learning rate that changes."""
    b = jit_around(backend64)
    source = np.random.default_rng(0)
    data = source.standard_normal((7, 2)), source.standard_normal((7, 1))
    order = np.array([6, 2, 0, 5, 1, 3, 4])
    numbers = {
        "lr": np.array([0.1, 0.05, 0.2]),
        "correction1": 1 - 0.9 ** np.arange(1.0, 4),
        "correction2": 1 - 0.999 ** np.arange(1.0, 4),
    }
    found = []
    for compiled in (False, True):
        with seeded(0):
            model, step = training(b)
        run = b.compile(step) if compiled else b.inner.compile(step)
        tensors = [b.from_host(x) for x in data]
        results = [run(tensors, order, batch_size=3, numbers=numbers) for _ in range(2)][-1]
        found.append([b.to_host(x) for x in results] + list(model.state_dict().values()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_whole_batches_are_traced_once_and_the_rest_runs_eagerly(backend: Backend) -> None:
    b, runs = jit_around(backend), []

    def step(batch: Any, numbers: Any) -> Any:
        runs.append(tuple(b.shape(batch[0])))
        return (b.sum(batch[0]),)

    run = b.compile(step)
    for _ in range(3):
        run((b.full((5, 2), 1.0),), batch_size=2)
    assert runs == [(2, 2)] * 2 + [(1, 2)] * 3


class Scaling:
    """A step with an option that may change between runs."""

    def __init__(self, b: Any) -> None:
        self.b, self.factor, self.traces = b, 2.0, 0

    def key(self) -> float:
        return self.factor

    def __call__(self, batch: Any, numbers: Any) -> Any:
        self.traces += self.b.tracing
        return (self.b.multiply(batch[0], self.factor),)


@pytest.mark.parametrize("text", ["jit+numpy", "strict+jit+numpy"])
def test_a_step_is_traced_again_for_another_key(text: str) -> None:
    b = get_backend(text)
    step = Scaling(b)
    run, x = b.compile(step), b.full((2,), 1.0)
    found = []
    for factor in (2.0, 3.0, 2.0):
        step.factor = factor
        found.append(b.to_host(run((x,), batch_size=2)[0]).tolist())
    assert found == [[2.0, 2.0], [3.0, 3.0], [2.0, 2.0]]
    assert step.traces == 4
    assert not b.tracing


def test_an_optimizers_step_is_refused() -> None:
    """Its numbers would be those of the first step for ever."""
    b = jit_around(get_backend("numpy"))
    model = Linear(2, 1, backend=b)
    optimizer = SGD(model.parameters(), lr=0.1)

    def step(batch: Any, numbers: Any) -> Any:
        optimizer.zero_grad()
        prediction = model(batch[0])
        model.backward(prediction)
        optimizer.step()
        return (prediction,)

    x = b.full((4, 2), 1.0)
    with pytest.raises(
        StateError, match=r"SGD: expected a compiled step to call update\(numbers\), got step"
    ):
        b.compile(step)((x,), batch_size=2)
    step((x,), {})
    assert optimizer.steps == 1


def test_a_large_step_runs_eagerly_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace.Tracer.__init__, "__defaults__", (20,))
    b = jit_around(get_backend("numpy"))

    def step(batch: Any, numbers: Any) -> Any:
        y = batch[0]
        for _ in range(15 * b.shape(y)[0]):
            y = b.add(y, 1.0)
        return (y,)

    run, x = b.compile(step), b.full((5, 1), 0.0)
    with pytest.warns(UserWarning, match="runs eagerly: expected a step of at most 20 ops, got more"):
        (y,) = run((x,), batch_size=2)
    assert b.to_host(y).ravel().tolist() == [30.0] * 4 + [15.0]
    run((b.full((3, 1), 0.0),), batch_size=3)  # another large one: no second warning
    for rows, made in zip((2, 3), compilations_of(run), strict=True):
        assert (made.rows, made.kernels) == (rows, 0)
        assert made.reason == "expected a step of at most 20 ops, got more"


def test_the_warning_names_the_users_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace.Tracer.__init__, "__defaults__", (0,))
    b = jit_around(get_backend("numpy"))
    run = b.compile(lambda batch, numbers: (b.sum(batch[0]),))
    with pytest.warns(EagerWarning) as found:
        run((b.full((4, 1), 1.0),), batch_size=2)
    assert [one.filename for one in found] == [__file__]


def test_a_relative_cache_is_refused_when_the_backend_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CACHE", "here")
    with pytest.raises(OptionError, match="LAMINA_CACHE: expected an absolute path or 'off', got 'here'"):
        JitBackend(get_backend("numpy"))  # type: ignore[abstract]  # made by funnelled


@pytest.mark.parametrize(("version", "usable"), [("0.44.0", False), ("0.45.0rc1", True), ("1.2", True)])
def test_an_old_llvmlite_counts_as_none(version: str, usable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "installed_version", lambda package: version)
    monkeypatch.setattr(select, "_instances", {})
    assert (select._default() == "jit+numpy") == usable
    if usable:
        assert get_backend("jit+numpy").spec == "jit+numpy"
        return
    wanted = rf"jit needs llvmlite 0\.45 or later, got {version} \(pip install 'llvmlite>=0\.45'\)"
    with pytest.raises(BackendError, match=wanted):
        get_backend("jit+numpy")


def test_a_version_is_read_from_the_metadata() -> None:
    llvmlite = pytest.importorskip("llvmlite")
    assert select.installed_version("llvmlite") == llvmlite.__version__
    assert select.installed_version("surely_not_there") == ""


def test_a_run_tells_what_it_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    b = jit_around(get_backend("numpy"))
    x = b.full((6, 1), 2.0)
    for cached in (False, True):
        run = b.compile(lambda batch, numbers: (b.sum(batch[0]),))
        assert compilations_of(run) == []
        for batch_size in (2, 2, 3):
            run((x,), batch_size=batch_size)
        assert [(one.rows, one.cached, one.reason) for one in compilations_of(run)] == [
            (2, cached, ""),
            (3, cached, ""),
        ]
        assert all(one.kernels == 1 and one.seconds > 0 for one in compilations_of(run))
    assert compilations_of(get_backend("numpy").compile(lambda batch, numbers: batch)) == ()


def test_a_run_inside_a_step_is_refused() -> None:
    b = jit_around(get_backend("numpy"))
    inner = b.compile(lambda batch, numbers: (b.sum(batch[0]),))
    x = b.full((4, 1), 1.0)
    inner((x,), batch_size=2)
    outer = b.compile(lambda batch, numbers: inner(batch, batch_size=2))
    with pytest.raises(TraceError, match="run: expected compiled steps to run outside other steps"):
        outer((x,), batch_size=4)


def test_a_refused_step_changes_no_cell() -> None:
    b = jit_around(get_backend("numpy"))
    _, views = b.cells({"a": (1,)})

    def step(batch: Any, numbers: Any) -> Any:
        b.assign(views["a"], b.add(views["a"], 1.0))
        return (b.full((), b.item(b.sum(batch[0]))),)

    with pytest.raises(TraceError, match="item"):
        b.compile(step)((b.full((4, 1), 1.0),), batch_size=2)
    assert b.to_host(views["a"]).tolist() == [0.0]
