"""Checks of `compile`: batches and their order, numbers, cells, results, and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..base import Backend
from ..errors import LaminaError
from ..protocol import Run, Tensor
from .effects import equal, new_cell
from .refusals import refused

ROWS = 7
X = np.arange(14.0).reshape(ROWS, 2) - 4.5
Y = np.arange(ROWS) * 3
ORDER = np.array([6, 0, 3, 3, 1, 5, 2, 4])
"""One row twice; in batches of 3, the last has 2."""
SCALES = np.array([1.0, 0.5, -2.0])

Batch = tuple[Tensor, ...]


def data_of(backend: Backend) -> tuple[Tensor, Tensor]:
    """Return the rows of X and Y."""
    return backend.from_host(X), backend.from_host(Y)


def batches_and_results(backend: Backend, op: str) -> None:
    """Each batch has its rows; results () are stacked, (n, ...) joined, and keep their dtype."""

    def step(batch: Batch, numbers: Mapping[str, float]) -> Batch:
        x, y = batch
        return backend.sum(x), backend.multiply(x, 2.0), backend.add(y, 1), backend.greater(x, 0.0)

    run, data = backend.compile(step), data_of(backend)
    for order, size in ((None, 3), (ORDER, 3), (ORDER, 1), (ORDER, 8), (ORDER, 99), (None, 7)):
        rows = np.arange(ROWS) if order is None else order
        sums = [X[rows[k : k + size]].sum() for k in range(0, len(rows), size)]
        wanted = (np.array(sums), 2.0 * X[rows], Y[rows] + 1, X[rows] > 0)
        results = run(data, order, batch_size=size)
        assert len(results) == len(wanted), f"compile: expected {len(wanted)} results, got {len(results)}"
        for result, right in zip(results, wanted, strict=True):
            equal(backend, result, right)
        dtypes = [backend.dtype(result) for result in results]
        assert dtypes == [backend.default_dtype] * 2 + ["int64", "bool"], f"compile: got dtypes {dtypes}"


def numbers_and_cells(backend: Backend, op: str) -> None:
    """Each step reads its own numbers and what the steps before it assigned; a second run goes on."""
    total, last = new_cell(backend, (2,)), new_cell(backend, ())
    run, right = backend.compile(_adding(backend, total, last)), np.zeros(2)
    for _ in range(2):
        (scaled,) = run(data_of(backend), ORDER, batch_size=3, numbers={"scale": SCALES, "half": SCALES / 2})
        equal(backend, scaled, SCALES / 2)
        for k, scale in enumerate(SCALES):
            right = right * scale + X[ORDER[3 * k : 3 * k + 3]].sum(axis=0)
        equal(backend, total, right)
        equal(backend, last, np.array(-2.0))


def single_steps(backend: Backend, op: str) -> None:
    """Runs of one step have the effects and the results of one run of all steps."""
    whole, parts = ((new_cell(backend, (2,)), new_cell(backend, ())) for _ in range(2))
    (right,) = _run_of(backend, *whole)(
        data_of(backend), ORDER, batch_size=3, numbers={"scale": SCALES, "half": SCALES}
    )
    run, values = _run_of(backend, *parts), []
    for k in range(3):
        own = dict.fromkeys(("scale", "half"), SCALES[k : k + 1])
        (value,) = run(data_of(backend), ORDER[3 * k : 3 * k + 3], batch_size=3, numbers=own)
        values.append(backend.to_host(value))
    equal(backend, right, np.concatenate(values))
    for one, other in zip(whole, parts, strict=True):
        equal(backend, one, backend.to_host(other))


def refusals(backend: Backend, op: str) -> None:
    """Arguments that do not fit are an error before the first step: no cell changes."""
    total, last = new_cell(backend, (2,)), new_cell(backend, ())
    run = _run_of(backend, total, last)
    data, good = data_of(backend), {"scale": SCALES, "half": SCALES}
    x = data[0]

    def call(*args: Any, batch_size: Any = 3, numbers: Any = good) -> Callable[[], Any]:
        return lambda: run(*args, batch_size=batch_size, numbers=numbers)

    for what, bad in (
        ("no data", call((), ORDER)),
        ("a 0-d tensor", call((x, backend.full((), 1.0)), ORDER)),
        ("tensors of different lengths", call((x, backend.full((ROWS + 1,), 1.0)), ORDER)),
        ("no rows", call(data, ORDER[:0], numbers={})),
        ("a row number too large", call(data, np.where(ORDER == 4, ROWS, ORDER))),
        ("a row number below 0", call(data, np.where(ORDER == 4, -1, ORDER))),
        ("an order of int32", call(data, ORDER.astype(np.int32))),
        ("an order of floats", call(data, ORDER.astype(np.float64))),
        ("an order with two axes", call(data, ORDER.reshape(2, 4))),
        ("a list as order", call(data, ORDER.tolist())),
        ("a batch size of 0", call(data, ORDER, batch_size=0)),
        ("a batch size of 1.5", call(data, ORDER, batch_size=1.5)),
        ("too few numbers", call(data, ORDER, numbers={**good, "half": SCALES[:2]})),
        ("too many numbers", call(data, ORDER, numbers={**good, "half": np.ones(4)})),
        ("numbers of float32", call(data, ORDER, numbers={**good, "half": SCALES.astype(np.float32)})),
        ("a number for all steps", call(data, ORDER, numbers={**good, "half": 0.5})),
        ("data of another backend", call((x, object()), ORDER)),
    ):
        refused(f"compile: {what}", LaminaError, bad)
    equal(backend, total, np.zeros(2))
    equal(backend, last, np.zeros(()))
    run(data, ORDER, batch_size=3, numbers=good)  # after them all, it still runs


def wrong_results(backend: Backend, op: str) -> None:
    """Results other than a tuple of tensors () or (n, ...) are an error."""
    outcomes: tuple[tuple[str, Callable[[Tensor], Any]], ...] = (
        ("a tensor", lambda x: x),
        ("nothing", lambda x: None),
        ("a list", lambda x: [x]),
        ("a sum over the batch", lambda x: (backend.sum(x, axis=0),)),
        ("a number", lambda x: (0.5,)),
    )
    for what, outcome in outcomes:

        def step(batch: Batch, numbers: Mapping[str, float], outcome: Any = outcome) -> Any:
            return outcome(batch[0])

        run = backend.compile(step)
        refused(f"compile: {what} as results", LaminaError, run, data_of(backend), batch_size=3)


def error_in_a_step(backend: Backend, op: str) -> None:
    """An error in step k comes through, says k, and leaves the cells as step k - 1 did."""
    total, last = new_cell(backend, (2,)), new_cell(backend, ())
    add = _adding(backend, total, last)

    def step(batch: Batch, numbers: Mapping[str, float]) -> Batch:
        if backend.shape(batch[0])[0] == 2:  # the last batch
            raise KeyError("in the step")
        return add(batch, numbers)

    run = backend.compile(step)
    try:
        run(data_of(backend), ORDER, batch_size=3, numbers={"scale": SCALES, "half": SCALES})
    except KeyError as error:
        done = getattr(error, "steps_done", None)
        assert done == 2, f"compile: expected the error to have steps_done of 2, got {done}"
    else:
        raise AssertionError("compile: expected the step's error to pass, got none")
    right = X[ORDER[:3]].sum(axis=0) * SCALES[1] + X[ORDER[3:6]].sum(axis=0)
    equal(backend, total, right)
    equal(backend, last, np.array(SCALES[1]))


def _run_of(backend: Backend, total: Tensor, last: Tensor) -> Run:
    return backend.compile(_adding(backend, total, last))


def _adding(backend: Backend, total: Tensor, last: Tensor) -> Callable[[Any, Any], Batch]:
    """Return a step: total = scale total + Σ rows, last = scale; it returns `half`."""

    def step(batch: Batch, numbers: Mapping[str, float]) -> Batch:
        scaled = backend.multiply(total, numbers["scale"])
        backend.assign(total, backend.add(scaled, backend.sum(batch[0], axis=0), out=total))
        one = backend.full((), 1.0)
        backend.assign(last, backend.multiply(one, numbers["scale"]))
        return (backend.multiply(one, numbers["half"]),)

    return step


CHECKS = {
    "compile": (
        batches_and_results,
        numbers_and_cells,
        single_steps,
        refusals,
        wrong_results,
        error_in_a_step,
    )
}
"""By op."""
