"""`compile`: memory, interrupts, handles of stacks; and the conformance suite finds faults in loops."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, StateError, Variable, get_backend
from lamina.backends import loop as loops
from lamina.backends.conformance import run as conformance
from lamina.backends.decorators.strict import Handle
from lamina.backends.loop import Loop, batches
from lamina.backends.numpy_backend import NumpyBackend

X = np.arange(40.0).reshape(20, 2)
ORDER = np.random.default_rng(0).permutation(20)


def same(batch: tuple[Any, ...], numbers: Mapping[str, float]) -> tuple[Any, ...]:
    return batch


# -- the loop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 4, 7, 20, 64])
@pytest.mark.parametrize("bound", [1, 48, 64, 100, 10**9])
def test_rows_are_gathered_in_parts(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, size: int, bound: int
) -> None:
    """The batches are the same however many rows are gathered at a time."""
    monkeypatch.setattr(loops, "GATHERED", bound)

    def sums(batch: tuple[Any, ...], numbers: Mapping[str, float]) -> tuple[Any, ...]:
        return batch[0], backend.sum(batch[0])

    rows, totals = backend.compile(sums)((backend.from_host(X),), ORDER, batch_size=size)
    assert np.array_equal(backend.to_host(rows), X[ORDER])
    wanted = [X[ORDER[k : k + size]].sum() for k in range(0, 20, size)]
    assert backend.to_host(totals).tolist() == wanted


def test_a_shuffled_run_holds_few_rows_beside_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    b = get_backend("numpy")
    x = b.full((40_000, 64), 1.0)  # 10 MB
    monkeypatch.setattr(loops, "GATHERED", 2**20)
    run = b.compile(lambda batch, numbers: (b.sum(batch[0]),))
    order = np.arange(40_000)[::-1].copy()
    tracemalloc.start()
    try:
        run((x,), order, batch_size=32)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * 2**20


def test_one_gather_serves_all_batches() -> None:
    seen: list[tuple[int, ...]] = []

    class Watched(NumpyBackend):
        def take(self, x: Any, indices: Any, *, axis: int) -> Any:
            seen.append(indices.shape)
            return super().take(x, indices, axis=axis)

    b = Watched()
    b.compile(same)((b.from_host(X), b.from_host(X[:, 0])), ORDER, batch_size=3)
    assert seen == [(20,), (20,)]
    b.compile(same)((b.from_host(X),), batch_size=3)
    assert len(seen) == 2


def test_a_run_enters_one_session() -> None:
    inside: list[str] = []

    class Watched(NumpyBackend):
        def session(self) -> Any:
            inside.append("session")
            return super().session()

    b = Watched()
    run = b.compile(lambda batch, numbers: inside.append("step") or batch)
    run((b.from_host(X),), batch_size=8)
    assert inside == ["session", "step", "step", "step"]


def test_an_interrupt_tells_the_steps_that_are_done(backend: Backend) -> None:
    count = iter(range(99))

    def step(batch: tuple[Any, ...], numbers: Mapping[str, float]) -> tuple[Any, ...]:
        if next(count) == 3:
            raise KeyboardInterrupt
        return ()

    with pytest.raises(KeyboardInterrupt) as stopped:
        backend.compile(step)((backend.from_host(X),), batch_size=2)
    assert stopped.value.steps_done == 3  # type: ignore[attr-defined]


def test_a_step_may_return_nothing(backend: Backend) -> None:
    assert backend.compile(lambda batch, numbers: ())((backend.from_host(X),), batch_size=2) == ()


@pytest.mark.parametrize("late", [(), (1, 2), "wide"])
def test_results_that_change_from_step_to_step_are_refused(late: Any) -> None:
    b = get_backend("numpy")

    def step(batch: tuple[Any, ...], numbers: Mapping[str, float]) -> tuple[Any, ...]:
        if b.shape(batch[0])[0] == 6:
            return (batch[0],)
        return (b.concat([batch[0]] * 2, axis=1),) if late == "wide" else late

    with pytest.raises((ValueError, TypeError), match=r"expected as many results of each step|concat|shape"):
        b.compile(step)((b.from_host(X),), batch_size=6)


# -- stacks ------------------------------------------------------------------------------------------


def test_handles_stay_inside_their_stack() -> None:
    for spec, kind in (
        ("strict+numpy", Handle),
        ("strict+autodiff+numpy", Handle),
        ("autodiff+torch", Variable),
    ):
        b = get_backend(spec)
        seen: list[Any] = []

        def step(batch: Any, numbers: Any, b: Backend = b, seen: list[Any] = seen) -> Any:
            seen.extend(batch)
            return batch[0], b.sum(batch[0])

        results = b.compile(step)((b.from_host(X),), ORDER, batch_size=8)
        assert {type(value) for value in (*seen, *results)} == {kind}
        assert np.array_equal(b.to_host(b.multiply(results[0], 1.0)), X[ORDER])


def test_strict_refuses_a_dead_result() -> None:
    b = get_backend("strict+numpy")

    def step(batch: Any, numbers: Any) -> Any:
        y = b.add(batch[0], 1.0)
        b.multiply(y, 2.0, out=y)
        return (y,)

    with pytest.raises(StateError, match="whose storage was written again"):
        b.compile(step)((b.from_host(X),), batch_size=8)


def test_a_run_keeps_no_graphs() -> None:
    b: Any = get_backend("autodiff+numpy")
    w = b.from_host(np.ones(2))
    w.requires_grad = True
    graphs: list[Any] = []

    def step(batch: Any, numbers: Any) -> Any:
        y = b.multiply(batch[0], w)
        graphs.append(weakref.ref(y))
        assert y.requires_grad
        return (y,)

    (y,) = b.compile(step)((b.from_host(X),), batch_size=8)
    assert not y.requires_grad
    assert [graph() for graph in graphs] == [None] * 3


# -- planted faults ----------------------------------------------------------------------------------


class LosesTheTail(Loop):
    def __call__(self, data: Any, order: Any = None, *, batch_size: int, **options: Any) -> Any:
        rows = self.backend.shape(data[0])[0]
        order = np.arange(rows) if order is None else order
        whole = max(len(order) // batch_size, 1) * batch_size
        return super().__call__(data, order[:whole], batch_size=batch_size, **options)


class IgnoresTheOrder(Loop):
    def __call__(self, data: Any, order: Any = None, **options: Any) -> Any:
        return super().__call__(data, order if order is None else np.sort(order), **options)


class RepeatsTheFirstNumber(Loop):
    def __call__(
        self, data: Any, order: Any = None, *, numbers: Any = loops.NO_NUMBERS, **options: Any
    ) -> Any:
        same = {name: np.full_like(values, values[0]) for name, values in numbers.items()}
        return super().__call__(data, order, numbers=same, **options)


class ChecksNothing(Loop):
    def __call__(
        self, data: Any, order: Any = None, *, batch_size: int, numbers: Any = loops.NO_NUMBERS
    ) -> Any:
        b, plan = self.backend, loops.Plan(len(order) if order is not None else len(data[0]), batch_size)
        steps = enumerate(batches(b, data, order, plan))
        return loops.joined(b, [self.step(x, {n: float(v[k]) for n, v in numbers.items()}) for k, x in steps])


class RunsTwice(Loop):
    def __call__(self, data: Any, order: Any = None, **options: Any) -> Any:
        super().__call__(data, order, **options)
        return super().__call__(data, order, **options)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (LosesTheTail, "batches and results"),
        (IgnoresTheOrder, "batches and results"),
        (RepeatsTheFirstNumber, "numbers and cells"),
        (ChecksNothing, "refusals"),
        (ChecksNothing, "wrong results"),
        (ChecksNothing, "error in a step"),
        (RunsTwice, "numbers and cells"),
    ],
)
def test_faults_of_loops_are_found(fault: type[Loop], check: str) -> None:
    class Faulty(NumpyBackend):
        def compile(self, step: Any) -> Any:
            return fault(self, step)

    assert check in {result.check for result in conformance(Faulty(), only="compile").failures}
