"""Kernels in parts: the bits do not depend on the threads, and helpers come and go with the run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from rows import each

from lamina.backends import get_backend
from lamina.backends.decorators.jit import bound, decorator, parts, team
from lamina.backends.decorators.jit.bound import Bound
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.decorators.jit.kernels import sums
from lamina.backends.errors import DataError
from lamina.backends.host import limited_threads
from lamina.layers import CrossEntropyLoss, Embedding, Module, named_scopes
from lamina.layers.proofs import LAYER_CASES
from lamina.layers.random import seeded
from lamina.train import LeNet, ResNet
from lamina.train.models import Dense
from lamina.train.optimizers import SGD

Patch = pytest.MonkeyPatch

NETWORKS: dict[str, tuple[Any, int]] = {
    "LeNet": (LeNet((1, 28, 28), 10), 64),
    "ResNet-8": (ResNet((3, 16, 16), 10), 16),
    "784-1024-1024-10": (Dense((784,), (1024, 1024), 10, output=""), 64),
}


@pytest.fixture
def threads(monkeypatch: Patch) -> Iterator[Callable[[int], None]]:
    """Return a function that sets how many threads the next runs use, however small their steps are."""
    alive = threading.active_count()

    def use(count: int) -> None:
        monkeypatch.setattr(decorator, "threads_at_most", lambda wanted: count)
        monkeypatch.setattr(decorator, "WORTH_HELP", 1)

    yield use
    assert threading.active_count() == alive


class Training:
    """Steps of a network on random images and classes."""

    def __init__(self, backend: Any, model: Module, shape: tuple[int, ...], batch: int) -> None:
        self.model, self.batch = model, batch
        self.loss = CrossEntropyLoss(backend=backend)
        self.loss.validate = False
        self.optimizer = SGD(model.parameters(), lr=1e-2, momentum=0.9)
        source = np.random.default_rng(0)
        x = source.standard_normal((2 * batch, *shape)).astype(backend.default_dtype)
        self.data = x, source.integers(0, 10, 2 * batch)
        self.order = source.permutation(2 * batch)
        self.run = backend.compile(self.step)

    def step(self, batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        with named_scopes(self.model):
            self.optimizer.zero_grad()
            value = self.loss(self.model(batch[0]), batch[1])
            self.model.backward(self.loss.backward())
            self.optimizer.update(numbers)
        return (value,)

    def train(self) -> list[np.ndarray]:
        """Take two steps; return the losses and the state."""
        rows = [self.optimizer.scalars(k + 1) for k in range(2)]
        numbers = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        (losses,) = self.run(self.data, self.order, batch_size=self.batch, numbers=numbers)
        return [np.array(losses), *self.model.state_dict().values()]


def training(network: Any, batch: int, backend: Any) -> Training:
    with seeded(1):
        model = network.build(backend)
    return Training(backend, model, network.input_shape, batch)


def jit(dtype: str) -> Any:
    return JitBackend(get_backend("numpy", dtype=dtype))  # type: ignore[abstract]  # made by funnelled


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in NETWORKS), ("784-1024-1024-10", "float64")]
)
def test_bits_do_not_depend_on_threads(name: str, dtype: str, threads: Any) -> None:
    network, batch = NETWORKS[name]
    backend, found = jit(dtype), []
    for count in (1, 2, 3):
        threads(count)
        found.append(training(network, batch, backend).train())
    for one, two, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    if dtype == "float64":  # two float32 results differ by more than a small update
        eager = training(network, batch, get_backend("numpy", dtype=dtype)).train()
        for one, other in zip(found[0], eager, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


ONE_OF_EACH = list({c.name.split()[0]: c for c in reversed(LAYER_CASES) if "Naive" not in c.name}.values())


@each(ONE_OF_EACH)
def test_small_kernels_in_parts(case: Any) -> None:
    """Every kernel that can be cut is cut: no part misses or repeats a piece, whatever the shapes."""
    with pytest.MonkeyPatch.context() as patch:
        whole = layer_results(case)
        patch.setenv("LAMINA_CACHE", "off")
        patch.setattr(parts, "GRAIN", 1)
        patch.setattr(decorator, "threads_at_most", lambda wanted: 2)
        patch.setattr(decorator, "WORTH_HELP", 1)
        cut = layer_results(case)
    for one, other in zip(cut, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


def layer_results(case: Any) -> list[np.ndarray]:
    b = jit("float64")
    with seeded(1):
        layer = case.build(b)
    x = [b.from_host(np.asarray(one)) for one in case.inputs()]
    with seeded(1):
        copy = case.build(b)
    parameters = list(layer.parameters())
    optimizer = SGD(parameters, lr=0.1, momentum=0.5) if parameters else None
    g = np.random.default_rng(3).standard_normal(b.shape(copy(*x)))
    rows = b.shape(x[0])[0]

    def step(batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        if optimizer is not None:
            optimizer.zero_grad()
        y = layer(*batch[:-1])
        dx = layer.backward(batch[-1])
        if optimizer is not None:
            optimizer.update(numbers)
        return (y,) if dx is None else (y, dx)

    numbers = {} if optimizer is None else {k: np.array([v] * 2) for k, v in optimizer.scalars(1).items()}
    order = np.tile(np.arange(rows), 2)
    data = (*x, b.from_host(g))
    results = b.compile(step)(data, order, batch_size=rows, numbers=numbers)
    return [*(np.array(b.to_host(r)) for r in results), *layer.state_dict().values()]


# -- planted faults --------------------------------------------------------------------------------


def parts_overlap(patch: Patch) -> None:
    def bound_of(code: Any, part: Any, count: int, parts: int) -> Any:
        found = right(code, part, count, parts)
        more = code.sum([(found, 1), (1, 1)]) if len(part) == 2 else found
        return code.intrinsic("smin", more, code.number(more.type, count)) if len(part) == 2 else more

    right = sums._bound
    patch.setattr(sums, "_bound", bound_of)


def a_part_is_lost(patch: Patch) -> None:
    right = parts.in_parts

    def in_parts(*found: Any) -> None:
        before = parts._TEXT
        try:
            parts._TEXT = before.replace("phi i64 [ 0, %entry ]", "phi i64 [ 1, %entry ]")
            right(*found)
        finally:
            parts._TEXT = before

    from lamina.backends.decorators.jit.emit import parts as emitted

    patch.setattr(emitted, "in_parts", in_parts)


def threads_share_what_is_their_own(patch: Patch) -> None:
    """A helper works in the memory of the thread that runs the steps."""
    place = "  %fault.at = getelementptr i8, ptr %team, i64 {OWN}\n"
    call = "  call void %kernel(ptr %frame, i64 %part, ptr %{})\n"
    text = parts._TEXT.replace("post:\n", f"post:\n{place}  store ptr %own, ptr %fault.at, align 8\n")
    load = "  %fault = load ptr, ptr %fault.at, align 8\n"
    patch.setattr(parts, "_TEXT", text.replace(call.format("own"), place + load + call.format("fault")))


@pytest.mark.parametrize("plant", [parts_overlap, a_part_is_lost])
def test_a_planted_fault_is_caught(plant: Callable[[Patch], None], monkeypatch: Patch, threads: Any) -> None:
    network = LeNet((1, 13, 12), 10)
    threads(1)
    right = training(network, 8, jit("float64")).train()
    monkeypatch.setenv("LAMINA_CACHE", "off")
    monkeypatch.setattr(parts, "GRAIN", 1 << 9)
    plant(monkeypatch)
    wrong = training(network, 8, jit("float64")).train()
    assert any(not np.allclose(one, other, rtol=1e-6) for one, other in zip(right, wrong, strict=True))


def test_own_memory_of_threads_that_share_it_is_caught(monkeypatch: Patch, threads: Any) -> None:
    """Helpers that pack their rows into the memory of another thread compute nonsense, sooner or later."""
    network = ResNet((3, 16, 16), 10)
    threads(1)
    sound = training(network, 16, jit("float32"))
    expected = [sound.train() for _ in range(20)]
    monkeypatch.setenv("LAMINA_CACHE", "off")
    threads_share_what_is_their_own(monkeypatch)
    threads(3)
    faulty = training(network, 16, jit("float32"))
    for right in expected:
        wrong = faulty.train()
        if any(not np.array_equal(one, other) for one, other in zip(right, wrong, strict=True)):
            return
    pytest.fail("threads that share their own memory were not noticed")


# -- helpers ---------------------------------------------------------------------------------------


NETWORK = Dense((784,), (512,), 10, output="")


def test_helpers_leave_when_a_run_is_interrupted(monkeypatch: Patch, threads: Any) -> None:
    threads(3)
    trained = training(NETWORK, 64, jit("float32"))
    trained.train()
    right = Bound._run

    def interrupted(self: Bound) -> None:
        right(self)
        assert sum(t.name.startswith(team.NAME) for t in threading.enumerate()) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(bound.Bound, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained.train()


def test_helpers_leave_when_their_start_is_interrupted(monkeypatch: Patch, threads: Any) -> None:
    threads(3)
    trained = training(NETWORK, 64, jit("float32"))
    right = trained.train()
    started: list[Any] = []

    def interrupted(thread: Any) -> None:
        thread.start()
        started.append(thread)
        if len(started) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(team, "_start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained.train()
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()
    assert len(started) == 2
    assert np.isfinite(right[0]).all()


def test_nobody_waits_for_a_helper_that_does_not_run(monkeypatch: Patch, threads: Any) -> None:
    threads(1)
    right = training(NETWORK, 64, jit("float32")).train()
    monkeypatch.setattr(team.Team, "_help", lambda self, number: None)
    threads(3)
    for one, other in zip(training(NETWORK, 64, jit("float32")).train(), right, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_system_without_threads(monkeypatch: Patch, threads: Any) -> None:
    def refuse(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    threads(3)
    with monkeypatch.context() as patch:
        patch.setattr(team, "_start", refuse)
        found = training(NETWORK, 64, jit("float32")).train()
    for one, other in zip(found, training(NETWORK, 64, jit("float32")).train(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_runs_beside_each_other(threads: Any) -> None:
    threads(2)
    backend = jit("float32")
    trainings = [training(NETWORK, 64, backend) for _ in range(3)]
    found: dict[int, list[np.ndarray]] = {}

    def train(i: int) -> None:
        found[i] = [x for _ in range(5) for x in trainings[i].train()]

    runners = [threading.Thread(target=train, args=(i,)) for i in range(3)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    for one, two, three in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork beside other libraries' threads
def test_a_child_runs_on(threads: Any) -> None:
    threads(2)
    trained = training(NETWORK, 64, jit("float32"))
    trained.train()
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if np.isfinite(trained.train()[0]).all() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_index_out_of_range_among_parts(threads: Any) -> None:
    threads(3)
    backend = jit("float32")
    with seeded(0):
        layer = Embedding(1000, 512, backend=backend)
    run = backend.compile(lambda batch, numbers: (backend.exp(layer(batch[0])),))
    rows = np.arange(2000) % 1000
    assert backend.shape(run((rows,), batch_size=1000)[0]) == (2000, 512)
    rows[1500] = 1000
    with pytest.raises(DataError, match="indices from 0 to 999, got 1000"):
        run((rows,), batch_size=1000)


def test_the_threads_of_the_inner_backend_count() -> None:
    backend = jit("float32")
    with limited_threads(1):
        assert backend.threads == 1
    assert 1 <= backend.threads <= (os.cpu_count() or 1)
