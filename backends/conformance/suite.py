"""The suite as a whole: what is checked for each op, and a report a person can read.

from lamina.backends.conformance import run
print(run(MyBackend()))
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ..base import Backend
from ..host import is_floating
from ..ops import OPS
from . import accuracy, checks, effects, refusals
from .case import Case
from .cases import all_cases


@dataclass(frozen=True)
class Item:
    """One check of one op on one case; `run` raises an AssertionError, or returns."""

    op: str
    check: str
    label: str
    run: Callable[[Backend], None] = field(repr=False)


@dataclass(frozen=True)
class Result:
    """How an item went."""

    op: str
    check: str
    label: str
    passed: bool
    message: str = ""


@dataclass
class Report:
    """All results on one backend; `str` of it is a summary, and `passed` the verdict."""

    backend: str
    results: list[Result] = field(default_factory=list)

    @property
    def failures(self) -> list[Result]:
        """Return what did not pass."""
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
        Any backend, raw or decorated. Both float dtypes are tried, whatever its default is.
    only
        Names of ops, or of checks ("values", "out", ...), to run; all of them if None.
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


@functools.cache
def items(op: str) -> tuple[Item, ...]:
    """Return everything that is checked for an op."""
    cases = all_cases().get(op, ())
    found: list[Item] = []
    for case in cases:
        for laid in case.relaid():
            found += [_item("values", checks.values, laid, dtype) for dtype in laid.dtypes()]
        if OPS[op].gives in ("tensor", "tensors") and not OPS[op].view and case.tensors():
            found += [_item("storage of its own", checks.own_storage, case, dtype) for dtype in case.dtypes()]
        if OPS[op].takes_out and _floating_result(case):
            for dtype in case.dtypes():
                found.append(_item("out", checks.out, case, dtype))
                found.append(_item("out is a view", checks.out_view, case, dtype))
                found.append(_item("out is a value", checks.out_value, case, dtype))
                found.append(_item("out is a cell", checks.out_cell, case, dtype))
                if checks.aliases(case):
                    found.append(_item("out is an input", checks.alias, case, dtype))
    found += _once(op, cases)
    for effect in effects.CHECKS.get(op, ()):
        found.append(_about(op, effect))
    for refusal in refusals.scalars_by_op().get(op, ()):
        found.append(_about(op, refusal))
    if op in accuracy.ULP_OPS:
        found.append(_about(op, accuracy.ulps))
    if op in ("sum", "mean"):
        found.append(_about(op, accuracy.long_sum))
    if op == "linear_grad":
        found.append(_about(op, accuracy.long_linear_grad))
    if op == "var":
        found.append(_about(op, accuracy.long_var))
    return tuple(found)


def _once(op: str, cases: tuple[Case, ...]) -> list[Item]:
    """What one ordinary case per op is enough for."""
    row = OPS[op]
    ordinary = next((c for c in cases if c.tensors() and not c.special), None)
    if ordinary is None:
        return []
    fullest = max((c for c in cases if not c.special), key=lambda c: len(c.tensors()))
    found = [Item(op, "strangers", fullest.label, functools.partial(refusals.strangers, case=fullest))]
    if row.takes_out and row.gives == "tensor":
        found.append(_item("wrong out", checks.wrong_out, ordinary, "float32"))
    paired = [c for c in cases if refusals.one_float_dtype(c) and not c.special]
    if paired:
        most = max(paired, key=lambda c: sum(t.floating for t in c.tensors()))
        run = functools.partial(refusals.mixed_dtypes, case=most)
        found.append(Item(op, "unequal dtypes", most.label, run))
    if row.tensors[0] == "grad":
        for wide in [c for c in cases if c.args[0].array.ndim > 1 and 0 not in c.args[0].array.shape]:
            run = functools.partial(refusals.other_gradient_shapes, case=wide)
            found.append(Item(op, "gradient of another shape", wide.label, run))
    if any(type(v) is float for v in (*ordinary.args, *ordinary.kwargs.values())) and row.kind == "derived":
        run = functools.partial(refusals.option_scalar, case=ordinary)
        found.append(Item(op, "numpy scalars as options", ordinary.label, run))
    return found


def _item(check: str, function: Callable[..., None], case: Case, dtype: str) -> Item:
    label = f"{case.label}, {dtype}" if len(case.dtypes()) > 1 else case.label
    return Item(case.op, check, label, functools.partial(function, case=case, dtype=dtype))


def _about(op: str, function: Callable[..., None]) -> Item:
    return Item(op, function.__name__.replace("_", " "), "", functools.partial(function, op=op))


def _floating_result(case: Case) -> bool:
    if OPS[case.op].gives == "tensors":
        return True
    return is_floating(checks.result_meta(case, "float32", "float32").dtype)
