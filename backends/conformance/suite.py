"""The suite: the checks of each op, and a report."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from ..base import Backend
from ..host import is_floating
from ..notebook import Shown
from ..ops import OPS
from . import accuracy, bad_arguments, checks, effects, loops, refusals
from .case import Case
from .cases import all_cases


@dataclass(frozen=True)
class Item:
    """One check of one op; `run` raises an AssertionError if it fails."""

    op: str
    check: str
    label: str
    run: Callable[[Backend], None] = field(repr=False)


@dataclass(frozen=True)
class Result:
    """The outcome of an item."""

    op: str
    check: str
    label: str
    passed: bool
    message: str = ""


@dataclass(repr=False)
class Report(Shown):
    """The results on one backend; `passed` is the verdict, and `str` a summary."""

    backend: str
    results: list[Result] = field(default_factory=list)

    @property
    def failures(self) -> list[Result]:
        """Return the failed results."""
        return [result for result in self.results if not result.passed]

    @property
    def passed(self) -> bool:
        """Whether something ran and nothing failed."""
        return bool(self.results) and not self.failures

    def __str__(self) -> str:
        ops = {result.op for result in self.results}
        failures = self.failures
        lines = [
            f"Conformance of {self.backend}: {len(self.results) - len(failures)} of {len(self.results)} "
            f"checks passed, over {len(ops)} ops."
        ]
        for op in OPS:
            failed = [result for result in failures if result.op == op]
            if failed:
                lines.append(f"\n{op}: {len(failed)} failed")
                lines += [f"  {r.check} [{r.label}]: {r.message}" for r in failed[:5]]
                lines += [f"  ... and {len(failed) - 5} more"] if len(failed) > 5 else []
        return "\n".join(lines)


def run(
    backend: Backend,
    *,
    only: Collection[str] | str | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Report:
    """Run the suite on a backend and return the report.

    Parameters
    ----------
    backend
        Any backend, raw or decorated. Both float dtypes are tried.
    only
        Names of ops or of checks ("values", "out", ...) to run; all if None.
    on_result
        Called after each check, to show progress.

    """
    wanted = {only} if isinstance(only, str) else None if only is None else set(only)
    report = Report(repr(backend))
    for op in OPS:
        for item in items(op):
            if wanted is None or item.op in wanted or item.check in wanted:
                result = attempt(item, backend)
                report.results.append(result)
                if on_result is not None:
                    on_result(result)
    return report


def attempt(item: Item, backend: Backend) -> Result:
    """Run one item; any exception is a failure."""
    try:
        item.run(backend)
    except AssertionError as error:
        return Result(item.op, item.check, item.label, False, str(error))
    except Exception as error:
        return Result(item.op, item.check, item.label, False, f"{type(error).__name__}: {error}")
    return Result(item.op, item.check, item.label, True)


_OUT = {
    "out": checks.out,
    "out is a view": checks.out_view,
    "out is a value": checks.out_value,
    "out is a cell": checks.out_cell,
}


@functools.cache
def items(op: str) -> tuple[Item, ...]:
    """Return every check of an op."""
    row, cases = OPS[op], all_cases().get(op, ())
    checked: list[Item] = []
    for case in cases:
        for laid in case.relaid():
            checked += _items("values", checks.values, laid)
        if row.gives in ("tensor", "tensors") and not row.view and case.tensors():
            checked += _items("storage of its own", checks.own_storage, case)
        if row.takes_out and _floating_result(case):
            for check, function in _OUT.items():
                checked += _items(check, function, case)
            if checks.aliases(case):
                checked += _items("out is an input", checks.alias, case)
    checked += _single(op, cases)
    parts = (effects, loops, refusals, bad_arguments, accuracy)
    tables: tuple[Any, ...] = tuple(part.CHECKS for part in parts)
    for function in itertools.chain.from_iterable(table.get(op, ()) for table in tables):
        run = functools.partial(function, op=op)
        checked.append(Item(op, function.__name__.replace("_", " "), "", run))
    return tuple(checked)


def _single(op: str, cases: tuple[Case, ...]) -> list[Item]:
    """Return the checks that need one case of an op."""
    row = OPS[op]
    ordinary = next((c for c in cases if c.tensors() and not c.special), None)
    if ordinary is None:
        return []
    fullest = max((c for c in cases if not c.special), key=lambda c: len(c.tensors()))
    checked = [Item(op, "strangers", fullest.label, functools.partial(refusals.strangers, case=fullest))]
    if row.takes_out and row.gives == "tensor":
        checked.append(_item("wrong out", checks.wrong_out, ordinary, "float32"))
    paired = [c for c in cases if refusals.one_float_dtype(c) and not c.special]
    if paired:
        most = max(paired, key=lambda c: sum(t.floating for t in c.tensors()))
        run = functools.partial(refusals.mixed_dtypes, case=most)
        checked.append(Item(op, "unequal dtypes", most.label, run))
    if row.tensors[0] == "grad":
        for wide in [c for c in cases if c.args[0].array.ndim > 1 and 0 not in c.args[0].array.shape]:
            run = functools.partial(refusals.other_gradient_shapes, case=wide)
            checked.append(Item(op, "gradient of another shape", wide.label, run))
    scalars = any(type(v) is float for v in (*ordinary.args, *ordinary.kwargs.values()))
    if scalars and row.kind == "derived" and row.positions:  # else the dtype is the default
        run = functools.partial(refusals.option_scalar, case=ordinary)
        checked.append(Item(op, "numpy scalars as options", ordinary.label, run))
    return checked


def _items(check: str, function: Callable[..., None], case: Case) -> list[Item]:
    """Return a check of a case in each of its dtypes."""
    return [_item(check, function, case, dtype) for dtype in case.dtypes()]


def _item(check: str, function: Callable[..., None], case: Case, dtype: str) -> Item:
    label = f"{case.label}, {dtype}" if len(case.dtypes()) > 1 else case.label
    return Item(case.op, check, label, functools.partial(function, case=case, dtype=dtype))


def _floating_result(case: Case) -> bool:
    if OPS[case.op].gives == "tensors":
        return True
    return is_floating(checks.result_meta(case, "float32", "float32").dtype)
