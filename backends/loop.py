"""`Loop`: what `compile` returns on a backend that compiles nothing, and the checks of every run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from typing_extensions import override

from .errors import DataError, DtypeError, OptionError, ShapeError
from .host import Host
from .options import integer
from .protocol import NO_NUMBERS, Run, Shape, Step, Tensor

if TYPE_CHECKING:
    from .base import Backend

GATHERED = 32 * 2**20
"""Most bytes of shuffled rows that a run holds beside the data, unless one batch has more."""
_BYTES = {"float32": 4, "float64": 8, "int64": 8, "bool": 1}


class Plan(NamedTuple):
    """The size of a run."""

    rows: int
    """M, the rows of all batches."""
    batch_size: int

    @property
    def steps(self) -> int:
        """The number of batches."""
        return -(-self.rows // self.batch_size)


class Compilation(NamedTuple):
    """What a run made of its step for batches of one size."""

    rows: int
    """The samples of a batch."""
    kernels: int
    """The loops over arrays in the compiled step; 0 if the step runs eagerly."""
    seconds: float
    """The time that it took, the time to trace the step included."""
    cached: bool = False
    """Whether the machine code was in the cache."""
    reason: str = ""
    """Why the step runs eagerly; empty if it is compiled."""


def compilations_of(run: Run) -> Sequence[Compilation]:
    """Return what a run has compiled so far: its attribute `compilations`, or none."""
    found: Sequence[Compilation] = getattr(run, "compilations", ())
    return found


class Loop(Run):
    """A step in a loop over batches: the definition of `compile`."""

    def __init__(self, backend: Backend, step: Step) -> None:
        self.backend, self.step = backend, step

    @override
    def __call__(
        self,
        data: Sequence[Tensor],
        order: Host | None = None,
        *,
        batch_size: int,
        numbers: Mapping[str, Host] = NO_NUMBERS,
    ) -> tuple[Tensor, ...]:
        b, step = self.backend, self.step
        plan = check_run(b, data, order, batch_size=batch_size, numbers=numbers)
        columns = zip(*[values.tolist() for values in numbers.values()], strict=True)
        scalars = [dict(zip(numbers, row, strict=True)) for row in columns] or [{}] * plan.steps
        results: list[tuple[Tensor, ...]] = []
        try:
            with b.session():
                last: tuple[Tensor, ...] = ()
                for k, batch in enumerate(batches(b, data, order, plan)):
                    made = step(batch, scalars[k])
                    if k == 0:
                        check_results(b, made, min(plan.rows, plan.batch_size))
                    results.append(made if plan.steps == 1 else _kept(b, made, last))
                    last = made
                return joined(b, results)
        except BaseException as error:
            error.steps_done = len(results)  # type: ignore[attr-defined]
            raise


def _kept(b: Backend, made: tuple[Tensor, ...], last: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return a step's results, which the next step does not change.

    What may be a cell is copied: each result of the first step, and then those that come again.
    """
    if not last:
        return tuple(map(b.copy, made))
    again = map(lambda x, y: x is y, made, last)
    return tuple([b.copy(x) if same else x for x, same in zip(made, again, strict=False)]) + made[len(last) :]


def key_of(step: Step) -> Callable[[], Any]:
    """Return the step's attribute `key`, or a function that returns None."""
    key: Callable[[], Any] = getattr(step, "key", lambda: None)
    return key


def batches(b: Backend, data: Sequence[Tensor], order: Host | None, plan: Plan) -> Iterator[Any]:
    """Yield the rows of each batch. Shuffled rows are gathered many batches at a time; a batch is a view."""
    size = plan.batch_size
    if order is None:
        yield from [tuple(data)] if plan.steps == 1 else zip(*[b.parts(x, size) for x in data], strict=True)
        return
    row = sum(math.prod(b.shape(x)[1:]) * _BYTES[b.dtype(x)] for x in data)
    chunk = max(GATHERED // max(row, 1) // size, 1) * size
    for start in range(0, plan.rows, chunk):
        index = b.from_host(order[start : start + chunk])
        yield from zip(*[b.parts(b.take(x, index, axis=0), size) for x in data], strict=True)


def check_run(
    b: Backend, data: Sequence[Tensor], order: Host | None, *, batch_size: int, numbers: Mapping[str, Host]
) -> Plan:
    """Return the size of a run; raise for arguments that do not fit, before its first step."""
    if type(batch_size) is not int or batch_size < 1:
        batch_size = integer("run", "batch_size", batch_size)
    shapes = [b.shape(x) for x in data]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise ShapeError(
            f"run: expected data of tensors (N, ...) with one N, got shapes {[tuple(s) for s in shapes]}"
        )
    rows = shapes[0][0]
    plan = Plan(rows if order is None else _checked(order, rows), batch_size)
    if plan.rows == 0:
        raise DataError("run: expected at least one row, got none")
    steps = plan.steps
    for name, values in numbers.items():
        if not _is_array(values, _FLOAT64):
            raise _array_error(f"numbers[{name!r}]", values, _FLOAT64)
        if len(values) != steps:
            raise ShapeError(
                f"run: expected numbers[{name!r}] to have a value for each of {steps} steps, "
                f"got {len(values)}"
            )
    return plan


def check_results(b: Backend, results: Any, rows: int) -> None:
    """Raise unless a step on a batch of `rows` returned a tuple of tensors () or (rows, ...)."""
    if type(results) is not tuple:
        raise DtypeError(f"run: expected the step to return a tuple of tensors, got {type(results).__name__}")
    for i, shape in enumerate(map(b.shape, results)):
        check_result(i, shape, rows)


def check_result(i: int, shape: Shape, rows: int) -> None:
    """Raise ShapeError unless the i-th result of a step on a batch of `rows` is () or (rows, ...)."""
    if shape and shape[0] != rows:
        raise ShapeError(
            f"run: expected result {i} of the step to be 0-d or to have the batch's {rows} rows, "
            f"got shape {tuple(shape)}"
        )


def joined(b: Backend, results: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Return the results of all steps: () stacked to (S,), (n, ...) joined to (M, ...)."""
    try:
        return tuple([_joined(b, values) for values in zip(*results, strict=True)])
    except ValueError as error:
        if isinstance(error, ShapeError) or len({len(row) for row in results}) == 1:
            raise
        raise ShapeError("run: expected as many results of each step, got different numbers") from error


def _joined(b: Backend, values: Sequence[Tensor]) -> Tensor:
    if not b.shape(values[0]):
        if getattr(b, "raw", None) is b and getattr(b, "device", "") == "cpu":
            # To read a number takes a fifth of the time of an op. Decorators and other devices use ops.
            dtype, first = b.dtype(values[0]), values[0]
            same = all(value is first for value in values)  # such as the number of samples
            numbers = [b.item(first)] * len(values) if same else [b.item(value) for value in values]
            stacked: Tensor = b.from_host(np.array(numbers, dtype), dtype=dtype)
            return stacked
        values = [b.reshape(value, (1,)) for value in values]
    return values[0] if len(values) == 1 else b.concat(values, axis=0)


def _checked(order: Host, rows: int) -> int:
    """Return the length of an order of the rows."""
    if not _is_array(order, _INT64):
        raise _array_error("order", order, _INT64)
    if len(order) and order.view(np.uint64).max() >= rows:  # as unsigned, negative numbers are large
        wrong = order[(order < 0) | (order >= rows)][0]
        raise DataError(f"run: expected order to hold row numbers from 0 to {rows - 1}, got {wrong}")
    return len(order)


_INT64, _FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)


def _is_array(values: Any, dtype: np.dtype[Any]) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == dtype and values.ndim == 1


def _array_error(name: str, values: Any, dtype: np.dtype[Any]) -> OptionError:
    got = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
    return OptionError(f"run: expected {name} to be a numpy array of {dtype} with one axis, got {got}")
