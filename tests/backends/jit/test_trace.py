"""The tracer: what a step becomes, and what it refuses."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from steps import jit_around

from lamina.backends import DtypeError, ShapeError, StateError, get_backend
from lamina.backends.decorators.jit.program import lines, show
from lamina.backends.decorators.jit.trace import Tracer
from lamina.backends.errors import TraceError
from lamina.backends.meta import Meta
from lamina.layers import Linear, ReLU, Sequential, named_scopes

pytestmark = pytest.mark.without_torch
X = Meta((2, 3), "float64")
Step = Callable[..., Any]


@pytest.fixture
def b() -> Any:
    return jit_around(get_backend("numpy", dtype="float64"))


def text(b: Any, step: Step, *inputs: Meta, numbers: tuple[str, ...] = ()) -> list[str]:
    return lines(b.trace(step, inputs or (X,), numbers).program)


def test_ops_become_instructions(b: Any) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        (x,) = batch
        return b.sum(b.multiply(b.softmax(x, axis=1), 2.0), axis=0, keepdims=True), b.linear_grad(
            x, x, bias=False
        )[0]

    assert text(b, step) == [
        "%0: f64[2, 3] = softmax(%x0, axis=1)",
        "%1: f64[2, 3] = multiply(%0, 2.0)",
        "%2: f64[1, 3] = sum(%1, axis=0, keepdims=True)",
        "%3: f64[3, 3] = linear_grad(%x0, %x0, bias=False)",
    ]


def test_shapes_and_dtypes_are_known(b: Any) -> None:
    seen: list[Any] = []

    def step(batch: Any, numbers: Any) -> Any:
        y = b.greater(b.permute_dims(batch[0], (1, 0)), 0.0)
        seen.append((b.shape(y), b.dtype(y), b.shape(batch[0])))
        return (y,)

    b.trace(step, (X,))
    assert seen == [((3, 2), "bool", (2, 3))] * 2


def test_cells_are_loaded_and_stored(b: Any) -> None:
    flat, views = b.cells({"w": (2, 3), "b": (3,)})

    def step(batch: Any, numbers: Any) -> Any:
        b.assign(views["b"], b.sum(b.add(batch[0], views["w"]), axis=0))
        b.assign(flat, b.multiply(flat, 0.5, out=flat))
        b.assign(flat, flat)
        return (views["b"],)

    traced = b.trace(step, (X,))
    assert lines(traced.program) == [
        "%0: f64[2, 3] = load @0[0:6]",
        "%1: f64[2, 3] = add(%x0, %0)",
        "%2: f64[3] = sum(%1, axis=0)",
        "store @0[6:9] = %2",
        "%3: f64[9] = load @0[0:9]",
        "%4: f64[9] = multiply(%3, 0.5)",
        "store @0[0:9] = %4",
        "%5: f64[3] = load @0[6:9]",
    ]
    assert traced.program.buffers[0].views == ((0, (2, 3)), (6, (3,)))
    assert list(traced.cells) == ["@0"]
    assert traced.cells["@0"] is flat
    assert np.array_equal(b.to_host(flat), np.zeros(9))  # nothing ran


def test_out_is_ignored(b: Any) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        y = b.add(batch[0], 1.0, out=b.empty((2, 3)))
        z = b.multiply(y, 2.0, out=y)
        return y, z

    assert text(b, step) == ["%0: f64[2, 3] = add(%x0, 1.0)", "%1: f64[2, 3] = multiply(%0, 2.0)"]


def test_constants(b: Any) -> None:
    before = b.from_host([[1.0, 2.0, 3.0]])

    def step(batch: Any, numbers: Any) -> Any:
        inside = b.from_host(np.arange(6), dtype="float64")
        y = b.add(b.multiply(batch[0], before), before)
        return (b.add(y, b.reshape(inside, (2, 3))),)

    found = text(b, step)
    assert found[0].startswith("%0: f64[6] = constant #")
    assert found[1] == "%1: f64[1, 3] = constant [[1.0, 2.0, 3.0]]"  # once for two uses


def test_numbers_are_symbols(b: Any) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        rate, correction = numbers["lr"], numbers["c"]
        y = b.add_scaled(batch[0], batch[0], -rate / (1 - correction**0.5))
        return (b.multiply(y, b.full((), rate)),)

    assert text(b, step, numbers=("lr", "c")) == [
        "%0: f64[2, 3] = add_scaled(%x0, %x0, ((-lr) / (1 - (c ** 0.5))))",
        "%1: f64[] = full((), lr, dtype='float64')",
        "%2: f64[2, 3] = multiply(%0, %1)",
    ]


def test_layers_are_named(b: Any) -> None:
    model = Sequential(Linear(3, 2, backend=b), Sequential(ReLU(backend=b), backend=b), backend=b)

    def step(batch: Any, numbers: Any) -> Any:
        with named_scopes(model):
            model.zero_grad()
            y = model(batch[0])
            return (model.backward(y),)

    traced = b.trace(step, (X,))
    paths = [instruction.path for instruction in traced.program.body]
    assert list(dict.fromkeys(paths)) == ["0", "1.0", "1.backward.0.backward", "0.backward"]
    assert "\n# 1.0\n  %3: f64[2, 2] = relu(%2)\n" in show(traced.program)
    assert all("forward" not in vars(module) for _, module in model.named_modules())


# -- refusals --------------------------------------------------------------------------------------

LOOKS: dict[str, Callable[[Any, Any], Any]] = {
    "item: expected a step that reads no value": lambda b, x: b.item(b.sum(x)),
    "to_host: expected a step that reads no value": lambda b, x: b.to_host(x),
    r"if, and, or, not on an opaque tensor; use where": lambda b, x: bool(x),
    r"\+ on an opaque tensor; use add": lambda b, x: x + 1.0,
    r"\.mean on an opaque tensor; use mean": lambda b, x: x.mean(),
    "a numpy function on an opaque tensor": lambda b, x: np.asarray(x),
    "cells: expected cells to be made before": lambda b, x: b.cells({"a": (2,)}),
    "compile: expected steps to be compiled outside": lambda b, x: b.compile(lambda batch, numbers: ()),
    "assign: expected a cell": lambda b, x: b.assign(x, x),
    "got storage from `empty`": lambda b, x: b.add(b.empty((2, 3)), x),
}


@pytest.mark.parametrize("message", LOOKS)
def test_a_look_at_a_value_is_refused(b: Any, message: str) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        LOOKS[message](b, batch[0])
        return ()

    with pytest.raises((TraceError, TypeError, AttributeError), match=message):
        b.trace(step, (X,))


@pytest.mark.parametrize("message", LOOKS)
def test_a_swallowed_refusal_is_raised_at_the_end(b: Any, message: str) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        try:
            LOOKS[message](b, batch[0])
        except Exception:
            return (batch[0],)
        return ()

    with pytest.raises(TraceError, match=message):
        b.trace(step, (X,))


def test_a_number_has_no_truth(b: Any) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        try:
            return (b.multiply(batch[0], 2.0) if numbers["lr"] > 0.5 else batch[0],)
        except TraceError:
            return batch

    with pytest.raises(TraceError, match=r"expected arithmetic .* on lr"):
        b.trace(step, (X,), ("lr",))


def test_a_cell_and_its_value_are_refused_alike(b: Any) -> None:
    _, views = b.cells({"count": ()}, dtype="int64")
    with pytest.raises(TraceError, match="item: expected a step that reads no value in Python"):
        b.trace(lambda batch, numbers: (b.full((), b.item(views["count"])),), (X,))
    constant = b.from_host(3.0)
    assert text(b, lambda batch, numbers: (b.multiply(batch[0], b.item(constant)),)) == [
        "%0: f64[2, 3] = multiply(%x0, 3.0)"
    ]


@pytest.mark.parametrize("raw", ["numpy", "torch"])
def test_a_view_of_a_cell_from_before_the_step_is_refused(raw: str) -> None:
    pytest.importorskip(raw, reason="its views are looked at")
    b = jit_around(get_backend(raw))
    flat, views = b.cells({"w": (2, 3), "b": (3,)})
    with b.session():
        stale = [b.reshape(views["w"], (3, 2)), b.slice(b.permute_dims(views["w"], (1, 0)), (0, 0), (2, 2))]
    for view in (*stale, b.reshape(flat, (3, 3)), b.reshape(views["w"], (6,))):
        with pytest.raises(TraceError, match="exp: expected a cell or a view made in the step"):
            b.trace(lambda batch, numbers, view=view: (b.exp(view),), ())
    value = b.reshape(b.exp(flat), (3, 3))
    b.trace(lambda batch, numbers: (b.exp(value), b.exp(views["w"])), ())


def test_an_ordinary_error_is_the_eager_one(b: Any) -> None:
    layer = Linear(4, 2, backend=b)
    with pytest.raises(ShapeError, match=r"Linear\(4 -> 2\): expected input .*, got \(2, 3\)"):
        b.trace(lambda batch, numbers: (layer(batch[0]),), (X,))
    with pytest.raises(DtypeError, match="add: expected tensors of equal dtypes, got float64 and int64"):
        b.trace(lambda batch, numbers: (b.add(*batch),), (X, Meta((3,), "int64")))
    with pytest.raises(DtypeError, match="expected the step to return a tuple of tensors, got list"):
        b.trace(lambda batch, numbers: list(batch), (X,))
    assert b.matmul == b.inner.matmul


def test_a_handle_kept_from_a_trace_is_refused(b: Any) -> None:
    kept: list[Any] = []

    def step(batch: Any, numbers: Any) -> Any:
        kept.append(b.exp(batch[0]))
        return (b.add(kept[0], batch[0]),)

    with pytest.raises(DtypeError, match=r"add: expected a tensor of this step, got .*Handle"):
        b.trace(step, (X,))
    with pytest.raises(DtypeError, match=r"kept from a step that was traced; run the forward"):
        b.add(kept[0], 1.0)


class Counting:
    """A step that differs at its second run."""

    def __init__(self, b: Any, change: Callable[[Any, Any, int], Any]) -> None:
        self.b, self.change, self.runs = b, change, 0

    def __call__(self, batch: Any, numbers: Any) -> Any:
        self.runs += 1
        with self.b.scope("layer"):
            return (self.change(self.b, batch[0], self.runs),)


CHANGES: dict[str, Callable[[Any, Any, int], Any]] = {
    "multiply.%x0, 1.0.*multiply.%x0, 2.0": lambda b, x, k: b.multiply(x, float(k)),
    "constant #.*constant #": lambda b, x, k: b.add(x, b.from_host(np.full((2, 3), float(k)))),
    "step=1.*step=2": lambda b, x, k: b.random((2, 3), seed=0, stream=0, step=k),
    "`%1.* = exp.%0.`.*`no more ops`": lambda b, x, k: b.exp(x) if k == 2 else b.exp(b.exp(x)),
    "`no more ops` .*`%1": lambda b, x, k: b.exp(x) if k == 1 else b.exp(b.exp(x)),
}


@pytest.mark.parametrize("message", CHANGES)
def test_a_step_that_changes_is_refused(b: Any, message: str) -> None:
    with pytest.raises(TraceError, match=f"^layer: expected the same ops at each run.*{message}"):
        b.trace(Counting(b, CHANGES[message]), (X,))


def test_results_that_change_are_refused(b: Any) -> None:
    def change(b: Any, x: Any, k: int) -> Any:
        y = b.exp(x)
        return x if k == 1 else y

    with pytest.raises(TraceError, match=r"^the step: .*`return %x0` in the first and `return %0`"):
        b.trace(Counting(b, change), (X,))


def test_other_cells_at_the_second_run_are_refused(b: Any) -> None:
    cells = [b.cells({"a": (2, 3)})[0] for _ in range(2)]
    runs = iter(cells)
    with pytest.raises(TraceError, match="expected the same cells at each run, got two buffers for @0"):
        b.trace(lambda batch, numbers: (b.exp(next(runs)),), (X,))


def test_a_nan_is_equal_to_itself(b: Any) -> None:
    text(b, lambda batch, numbers: (b.maximum(batch[0], float("nan")),))


# -- what a trace leaves behind --------------------------------------------------------------------


def test_layers_keep_nothing_of_a_trace(b: Any) -> None:
    model = Sequential(Linear(3, 2, backend=b), ReLU(backend=b), backend=b)
    x = b.from_host(np.ones((2, 3)))
    model(x)
    before = model[0].kept()

    def step(batch: Any, numbers: Any) -> Any:
        model.zero_grad()
        return (model.backward(model(batch[0])),)

    b.trace(step, (X,))
    assert model[0].kept() is before
    model.backward(model(x))  # eager code goes on

    fresh = Linear(3, 2, backend=b)
    b.trace(lambda batch, numbers: (fresh(batch[0]),), (X,))
    with pytest.raises(StateError, match="backward"):
        fresh.backward(x)


def test_a_handle_does_not_hold_the_tracer(b: Any) -> None:
    kept: list[Any] = []

    def step(batch: Any, numbers: Any) -> Any:
        kept.append((b.exp(batch[0]), numbers["lr"] * 2))
        return (kept[-1][0],)

    b.trace(step, (X,), ("lr",))
    gc.collect()
    assert len(kept) == 2
    assert not [x for x in gc.get_objects() if type(x) is Tracer]


def test_other_threads_run_eagerly_during_a_trace(b: Any) -> None:
    inside, done = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        inside.wait(10)
        x = b.full((2,), 3.0)
        _, views = b.cells({"a": (2,)})
        b.assign(views["a"], b.exp(x))
        seen.append(b.to_host(views["a"]))
        done.set()

    def step(batch: Any, numbers: Any) -> Any:
        y = b.exp(batch[0])
        inside.set()
        assert done.wait(10)
        return (b.exp(y),)

    thread = threading.Thread(target=other)
    thread.start()
    assert len(text(b, step)) == 2
    thread.join()
    assert np.allclose(seen[0], np.exp(3.0))


def test_threads_trace_at_once(b: Any) -> None:
    """Each waits in the middle of its step for the others."""
    barrier, before = threading.Barrier(3, timeout=10), dict(vars(b))
    found: list[list[str]] = []

    def traced(op: str) -> None:
        def step(batch: Any, numbers: Any) -> Any:
            y = getattr(b, op)(batch[0])
            barrier.wait()
            return (getattr(b, op)(y),)

        found.append(text(b, step))

    threads = [threading.Thread(target=traced, args=(op,)) for op in ("exp", "abs", "tanh")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lines[1].split("= ")[1] for lines in found) == ["abs(%0)", "exp(%0)", "tanh(%0)"]
    assert vars(b) == before
