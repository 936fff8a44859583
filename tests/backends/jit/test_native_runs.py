"""Native runs: equal bits wherever they run, several threads, errors, and an interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from steps import jit_around

from lamina.backends import Backend, DataError, get_backend
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.decorators.jit.emit import roots
from lamina.backends.errors import TraceError

pytestmark = pytest.mark.without_torch
TRAINING = """
import hashlib
import numpy as np
from lamina.backends import get_backend
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.layers import BatchNorm1d, CrossEntropyLoss, Dropout, Linear, ReLU, Sequential
from lamina.layers.random import seeded
from lamina.train.optimizers import Adam

def train(width, epochs=3):
    b = JitBackend(get_backend("numpy"))
    with seeded(5):
        layers = [Linear(7, width, backend=b), BatchNorm1d(width, backend=b), ReLU(backend=b)]
        layers += [Dropout(0.3, backend=b), Linear(width, 3, backend=b)]
        model = Sequential(*layers, backend=b)
    loss, optimizer = CrossEntropyLoss(backend=b), Adam(model.parameters())
    loss.validate = False

    def step(batch, numbers):
        optimizer.zero_grad()
        value = loss(model(batch[0]), batch[1])
        model.backward(loss.backward())
        optimizer.finish_gradients()
        optimizer.update(numbers)
        return (value,)

    source = np.random.default_rng(0)
    data = b.from_host(source.standard_normal((34, 7))), b.from_host(source.integers(0, 3, 34))
    run = b.compile(step)
    rows = [optimizer.scalars(k + 1) for k in range(9)]
    numbers = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for _ in range(epochs):
        losses, = run(data, source.permutation(34), batch_size=4, numbers=numbers)
    state = b"".join(np.ascontiguousarray(x).tobytes() for x in model.state_dict().values())
    return hashlib.sha256(state + losses.tobytes()).hexdigest()
"""


@pytest.fixture(scope="module")
def train() -> Callable[..., str]:
    namespace: dict[str, Any] = {}
    exec(TRAINING, namespace)
    return namespace["train"]  # type: ignore[no-any-return]


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    """Call functions at once, each in a thread of its own; return their results."""
    results: list[Any] = [None] * len(calls)
    ready = threading.Barrier(len(calls))

    def run(place: int) -> None:
        ready.wait()
        results[place] = calls[place]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_same_seed_gives_the_same_bits(
    train: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty trainings: alone, two at once beside another model, in other processes, cached or not."""
    environment = {**os.environ, "LAMINA_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "2"}
    text = f"{TRAINING}\nprint(train(25))"
    found = []
    for _ in range(2):  # the first fills the cache
        done = subprocess.run(
            [sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=True
        )
        found.append(done.stdout.strip())
    monkeypatch.setenv("LAMINA_CACHE", "off")
    found += [train(25), train(25)]
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    found += [train(25) for _ in range(8)]
    alone = train(18)
    for _ in range(4):
        first, second, other = in_threads(lambda: train(25), lambda: train(25), lambda: train(18))
        found += [first, second]
        assert other == alone
    assert len(found) == 20
    assert len(set(found)) == 1
    assert alone not in found


def test_one_run_in_two_threads() -> None:
    b = jit()
    run = b.compile(lambda batch, numbers: (b.exp(b.matmul(batch[0], batch[0])), b.sum(batch[0])))
    tensors = [np.random.default_rng(seed).standard_normal((800, 8)) / 8 for seed in range(2)]
    calls = [lambda x=x: [run((x,), batch_size=8) for _ in range(5)] for x in tensors]
    for x, found in zip(tensors, in_threads(*calls), strict=True):
        for product, sums in found:
            squares = [np.exp(part @ part) for part in x.reshape(100, 8, 8)]
            np.testing.assert_allclose(product, np.concatenate(squares), rtol=1e-12)
            np.testing.assert_allclose(sums, x.reshape(100, 64).sum(axis=1), atol=1e-12)


# -- errors ----------------------------------------------------------------------------------------


def jit(dtype: str = "float64") -> Any:
    return JitBackend(get_backend("numpy", dtype=dtype))  # type: ignore[abstract]  # made by funnelled


X = np.arange(12.0).reshape(6, 2)


def outcome(step: Callable[..., Any], run: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a run returns, or its error: the kind, the text and how many steps were done."""
    try:
        return [np.asarray(x).tolist() for x in run(step)(*arguments, **options)]
    except Exception as error:
        return type(error), str(error), error.steps_done  # type: ignore[attr-defined]


def eager_and_native(
    make: Callable[[Any, Any], Callable[..., Any]], *arguments: Any, **options: Any
) -> list[Any]:
    """Return the outcome of a step and the cell after it: eager, then native."""
    found = []
    for compiled in (False, True):
        b = jit()
        flat, cell = b.cells({"w": (3, 2), "s": ()})
        step = make(b, cell)
        result = outcome(step, b.compile if compiled else b.inner.compile, *arguments, **options)
        found.append((result, np.asarray(flat).tolist()))
    return found


@pytest.mark.parametrize("indices", [[0, 1, 2, 1, 0, 5, 0, 0], [0, 1, 2, -1, 0, 2, 0, 0]])
def test_an_index_out_of_range_ends_the_run_before_its_step(indices: list[int]) -> None:
    def make(b: Any, cell: Any) -> Any:
        def step(batch: Any, numbers: Any) -> Any:
            rows = b.take(cell["w"], batch[0], axis=0)
            b.assign(cell["w"], b.add(cell["w"], 1.0))
            return (rows,)

        return step

    eager, native = eager_and_native(make, (np.array(indices),), batch_size=2)
    assert native == eager
    (kind, text, done), cells = native
    assert (kind, cells[:-1]) == (DataError, [float(done)] * 6)
    assert text.startswith("take: expected indices from 0 to 2")


@pytest.mark.parametrize(("function", "bad"), [(lambda lr: 1 / (lr - 1), 1.0), (lambda lr: lr**0.5, -1.0)])
def test_a_number_that_python_refuses_is_its_error(function: Any, bad: float) -> None:
    def make(b: Any, cell: Any) -> Any:
        def step(batch: Any, numbers: Any) -> Any:
            b.assign(cell["s"], b.add(cell["s"], 1.0))
            return (b.multiply(batch[0], function(numbers["lr"])),)

        return step

    numbers = {"lr": np.array([2.0, 4.0, bad])}
    eager, native = eager_and_native(make, (X,), batch_size=2, numbers=numbers)
    assert native == eager
    assert native[0][2] == 2


LAYOUTS = {
    "transposed": np.asfortranarray(X),
    "backwards": X[::-1],
    "strided": np.arange(24.0).reshape(6, 4)[:, ::2],
    "unaligned": np.frombuffer(b"x" + X.tobytes(), np.float64, offset=1).reshape(6, 2),
    "overlapping": np.lib.stride_tricks.as_strided(X, (6, 2), (8, 8)),
}


@pytest.mark.parametrize("layout", [*LAYOUTS, "read-only"])
@pytest.mark.parametrize("order", [None, np.arange(10)[::-2] // 2 + 1])
def test_data_of_any_layout(layout: str, order: Any) -> None:
    x = LAYOUTS.get(layout, X).view()
    x.flags.writeable = x.flags.writeable and layout != "read-only"
    before = x.copy()

    def make(b: Any, cell: Any) -> Any:
        return lambda batch, numbers: (b.add(batch[0], 1.0), b.sum(batch[0]))

    for size in (1, 2, 100):
        eager, native = eager_and_native(make, (x,), order, batch_size=size, numbers={})
        assert native == eager
    np.testing.assert_array_equal(x, before)


def test_results_that_no_kernel_computes() -> None:
    def make(b: Any, cell: Any) -> Any:
        def step(batch: Any, numbers: Any) -> Any:
            x = batch[0]
            y = b.add(x, 1.0)
            rows = b.from_host(np.ones((2, 1)))
            return x, x, y, y, b.full((), 2.0), rows, b.slice(cell["w"], (0, 0), (2, 2)), cell["s"]

        return step

    eager, native = eager_and_native(make, (X,), batch_size=2)
    assert native == eager


def test_a_step_without_results() -> None:
    eager, native = eager_and_native(lambda b, cell: lambda batch, numbers: (), (X,), batch_size=2)
    assert native == eager == ([], [0.0] * 7)


def test_tensors_that_require_gradients(backend: Backend) -> None:
    """Those of torch, as data."""
    b = jit_around(backend)
    x = b.from_host(X.astype(np.float32))
    x = getattr(x, "requires_grad_", lambda: x)()
    (y,) = b.compile(lambda batch, numbers: (b.multiply(batch[0], 2.0),))((x,), batch_size=2)
    np.testing.assert_array_equal(b.to_host(y), 2 * X)


def test_a_step_that_reads_a_value_is_refused() -> None:
    b = jit()
    step = b.compile(lambda batch, numbers: (b.full((), b.item(b.sum(batch[0]))),))
    with pytest.raises(TraceError, match="item: expected a step that reads no value in Python"):
        step((X,), batch_size=2)


def test_an_op_without_a_rule_runs_eagerly_and_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(roots.ROOTS, "take")
    b = jit()
    run = b.compile(lambda batch, numbers: (b.take(batch[0], b.from_host(np.array([1, 0])), axis=0),))
    with pytest.warns(UserWarning, match="runs eagerly: take: expected an op with a rule") as caught:
        (y,) = run((X,), batch_size=2)
    assert len(caught) == 1
    np.testing.assert_array_equal(y, X.reshape(3, 2, 2)[:, ::-1].reshape(6, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run((X,), batch_size=2)
        run((X,), np.array([0, 1, 2, 3, 4, 5]), batch_size=2)


# -- interrupts ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "SIGPROF"), reason="there is no timer of CPU time")
def test_an_interrupt_comes_soon_and_says_how_many_steps_are_done() -> None:
    b, steps = jit("float32"), 2_000_000
    _, cell = b.cells({"s": (), "w": (64, 64)})

    def step(batch: Any, numbers: Any) -> Any:
        b.assign(cell["w"], b.tanh(b.matmul(cell["w"], cell["w"])))
        b.assign(cell["s"], b.add(cell["s"], 1.0))
        return ()

    run, x = b.compile(step), np.zeros((steps, 1), np.float32)
    run((x[:1],), batch_size=1)
    raised: list[float] = []

    def interrupt(*_: Any) -> None:
        raised.append(time.process_time())
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGPROF, interrupt)
    try:
        signal.setitimer(signal.ITIMER_PROF, 0.15)
        started = time.process_time()
        with pytest.raises(KeyboardInterrupt) as stopped:
            run((x,), batch_size=1)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert raised[0] - started < 0.15 + 0.2  # Python runs the handler when the native call returns
    assert 0 < stopped.value.steps_done < steps  # type: ignore[attr-defined]
    assert float(cell["s"]) - 1 == stopped.value.steps_done  # type: ignore[attr-defined]


# -- what a step must not see change -----------------------------------------------------------------


def test_a_cell_as_a_result_has_its_value_after_each_step() -> None:
    """On a raw backend too, whose results are views of the cell."""

    def make(b: Any, cell: Any) -> Any:
        def step(batch: Any, numbers: Any) -> Any:
            b.assign(cell["w"], b.add(cell["w"], 1.0))
            b.assign(cell["s"], b.add(cell["s"], b.sum(batch[0])))
            return cell["s"], b.add(batch[0], 0.0)

        return step

    eager, native = eager_and_native(make, (X,), batch_size=2)
    assert eager == native
    assert eager[0][0] == [6.0, 28.0, 66.0]


def test_a_number_of_the_step_may_fill_padding() -> None:
    def make(b: Any, cell: Any) -> Any:
        return lambda batch, numbers: (b.sum(b.pad(batch[0], ((0, 0), (1, 2)), value=numbers["n"] * 2.0)),)

    numbers = {"n": np.array([1.0, 2.0, -3.0])}
    eager, native = eager_and_native(make, (X,), batch_size=2, numbers=numbers)
    assert eager == native


def test_cells_may_be_among_the_data() -> None:
    """Each step sees what the one before wrote."""
    found = []
    for compiled in (False, True):
        b = jit()
        _, cells = b.cells({"w": (4, 1)})

        def step(batch: Any, numbers: Any, b: Any = b, w: Any = cells["w"]) -> Any:
            b.assign(w, b.add(w, b.add(b.sum(batch[0]), 1.0)))
            return (b.multiply(batch[0], 2.0),)

        run = b.compile(step) if compiled else b.inner.compile(step)
        (y,) = run((cells["w"],), batch_size=1)
        found.append((y.tolist(), cells["w"].tolist()))
    assert found[0] == found[1]
