"""`crosscheck(reference)`: every op runs on two backends, and the first result that differs stops the run.

In *lockstep* the reference gets the primary's inputs, in float64: each op is judged alone, by the tolerance
in its row of the op table. Handles are the primary's own. In *drift* each backend continues with its own
values, and a handle carries both: rounding that accumulates shows, and so does wrongly shared storage.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import asdict, replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from typing_extensions import override

from ...base import Backend
from ...errors import BackendError, DtypeError, foreign
from ...host import Host
from ...loop import Loop, check_run, compilations_of
from ...ops import Op
from ...protocol import NO_NUMBERS, Run, Step, Tensor
from ...tolerance import FORWARD
from ...wrapper import Wrapper, stack
from .call import Call, widened, without_out
from .comparison import Table, compare
from .judge import Judge
from .ledger import Ledger
from .settings import Mode, Settings

_alone: ContextVar[bool] = ContextVar("lamina_primary_alone", default=False)
"""Whether only the primary runs: inside a compiled step."""


class Pair:
    """A tensor in drift mode: the primary's handle and the reference's."""

    __slots__ = ("__weakref__", "owner", "primary", "reference")

    def __init__(self, owner: CrosscheckBackend, primary: Any, reference: Any) -> None:
        self.owner, self.primary, self.reference = owner, primary, reference


def _setting(name: str) -> Any:
    def get(self: CrosscheckBackend) -> Any:
        return getattr(self._ledger.settings, name)

    def set_to(self: CrosscheckBackend, value: Any) -> None:
        self._ledger.settings = replace(self._ledger.settings, **{name: value})

    return property(get, set_to, doc=f"`Settings.{name}`.")


class CrosscheckBackend(Wrapper):
    """Runs each op on `inner`, then on `reference`, and compares.

    Parameters
    ----------
    inner
        The primary, whose results are returned.
    reference
        A backend of another implementation or device; it computes in float64.
    mode, tolerance, keep_going, folder
        See `Settings`. They are attributes, too.

    Raises
    ------
    BackendError
        If the two are the same implementation on the same device, or one of them is itself a crosscheck.
    OptionError
        If the value of an option is wrong.

    """

    name = "crosscheck"
    mode, tolerance = _setting("mode"), _setting("tolerance")
    keep_going, folder = _setting("keep_going"), _setting("folder")

    def __init__(
        self,
        inner: Backend,
        reference: Backend,
        *,
        mode: Mode = "lockstep",
        tolerance: float = 1.0,
        keep_going: bool = False,
        folder: str | os.PathLike[str] | None = ".",
    ) -> None:
        if crosscheck_of(reference) is not None or crosscheck_of(inner) is not None:
            raise BackendError(f"crosscheck({reference.spec})+{inner.spec}: one crosscheck is enough.")
        first, second = inner.raw, reference.raw
        # A program is not what its raw backend runs op by op.
        compiled = any(isinstance(part, Wrapper) and part.shared for part in stack(inner))
        if type(first) is type(second) and first.device == second.device and not compiled:
            raise BackendError(
                f"crosscheck({reference.spec})+{inner.spec} would compare {first.spec} with itself: name "
                "another implementation or device in brackets."
            )
        super().__init__(inner)
        self.reference = reference
        settings = Settings(mode, tolerance, keep_going, folder)
        self._ledger, self._judge = Ledger(settings, inner, reference), Judge(inner, reference)
        self._cells: WeakValueDictionary[tuple[int, str], Any] = WeakValueDictionary()
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        """Held while a step runs both ways, and by whoever assigns a cell: another thread waits for both."""

    def __reduce__(self) -> tuple[Any, ...]:
        kind: Any = type(self)  # its methods are generated, which mypy does not see
        return functools.partial(kind, **asdict(self._ledger.settings)), (self.inner, self.reference)

    @property
    def spec(self) -> str:
        """The stack: "crosscheck(numpy)+torch"."""
        return f"{self.name}({self.reference.spec})+{self.inner.spec}"

    def report(self) -> Table:
        """Return the comparisons so far, by op."""
        return Table(f"{self.spec} {self.default_dtype}, {self.mode}", dict(self._ledger.tallies))

    def reset(self) -> None:
        """Forget all comparisons."""
        self._ledger.tallies.clear()

    # -- scope, session, compile -------------------------------------------------------------------

    @override
    def scope(self, name: str) -> AbstractContextManager[None]:
        return _both(self._ledger.layer(name), self.inner.scope(name))

    @override
    def session(self) -> AbstractContextManager[None]:
        return _both(self.inner.session(), self.reference.session())

    @override
    def compile(self, step: Step) -> Run:
        """Return a run of single steps: each runs op by op, then compiled, and its effects are compared.

        In drift mode, and if the inner backend compiles nothing, it is the loop: its ops are compared one by
        one.
        """
        compiled, written = self.inner.compile(step), Loop(self, step)
        if type(compiled) is Loop or self.mode == "drift":
            return written

        def both(
            data: Sequence[Tensor],
            order: Host | None = None,
            *,
            batch_size: int,
            numbers: Mapping[str, Host] = NO_NUMBERS,
        ) -> tuple[Tensor, ...]:
            b, results = self.inner, []
            plan = check_run(b, data, order, batch_size=batch_size, numbers=numbers)
            rows = np.arange(plan.rows) if order is None else order
            try:
                for k in range(plan.steps):
                    part = rows[k * batch_size : (k + 1) * batch_size]
                    own = {name: values[k : k + 1] for name, values in numbers.items()}
                    runs = (
                        functools.partial(run, data, part, batch_size=len(part), numbers=own)
                        for run in (written, compiled)
                    )
                    with self._lock:
                        results.append(self._compared(*runs))
            except BaseException as error:
                error.steps_done = len(results)  # type: ignore[attr-defined]
                raise
            return tuple(b.concat(values, axis=0) for values in zip(*results, strict=True))

        both.compilations = compilations_of(compiled)  # type: ignore[attr-defined]
        return both

    def _compared(
        self, written: Callable[[], tuple[Tensor, ...]], compiled: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """Run a step both ways from the same cells; return the compiled results."""
        cells, b = dict(self._cells), self.inner
        before = {key: b.to_host(cell) for key, cell in cells.items()}
        right = [*map(b.to_host, written()), *map(b.to_host, cells.values())]
        for key, cell in cells.items():
            b.assign(cell, b.from_host(before[key], dtype=before[key].dtype.name))
        token = _alone.set(True)
        try:
            results = compiled()
        finally:
            _alone.reset(token)
        names = [*(f"result {i}" for i in range(len(results))), *(f"cell {name!r}" for _, name in cells)]
        for name, handle, value in zip(names, (*results, *cells.values()), right, strict=True):
            comparison = compare(b.to_host(handle), value, FORWARD, limit=self.tolerance)
            if self._ledger.diverges("compile", comparison) and not self.keep_going:
                raise self._ledger.error("compile", f"{name} after the compiled step: {comparison.message}")
        return results

    # -- ops -------------------------------------------------------------------------------------

    @override
    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if op.name in ("assign", "cells") and not _alone.get():  # a trace has a thread of its own
            with self._lock:
                return self._both(op, args, kwargs)
        return self._both(op, args, kwargs)

    def _both(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an op on both backends, and compare."""
        drift, run = self.mode == "drift", getattr(self.inner, op.name)
        mine, options = args, kwargs
        if drift:
            mine, options = op.map_arguments(lambda value: self._opened(op, value).primary, args, kwargs)
        if _alone.get() or op.kind in ("metadata", "control"):
            return run(*mine, **options)
        try:
            call = Call.of(op, mine, options, self.inner)
        except DtypeError:
            run(*mine, **options)  # raises the error that names the op
            raise
        result = run(*mine, **options)
        actual = call.values(self.inner, result, mine)
        with np.errstate(all="ignore"):
            theirs, expected = self._expected(call, actual, args, kwargs)
            comparison = self._judge(call, actual, expected, drift=drift, limit=self.tolerance)
            if drift:
                # New tensors start equal; so do results that the reference failed to compute.
                pairs = iter(theirs or [widened(self.reference, value) for value in actual])
                result = op.map_result(lambda handle: Pair(self, handle, next(pairs)), result)
        # In drift, decisions near a tie differ sooner or later; the numbers that follow are compared.
        if self._ledger.diverges(op.name, comparison) and not (drift and comparison.discrete):
            self._ledger.diverged(call, actual, expected, comparison)
        if op.gives == "cells":
            named = {**result[1], "of them all": result[0]}
            self._cells.update({(next(self._numbers), name): cell for name, cell in named.items()})
        return result

    def _opened(self, op: Op, value: Any) -> Pair:
        if type(value) is Pair and value.owner is self:
            return value
        raise foreign(op.name, value, f"a tensor of {self!r} in drift mode")

    def _expected(
        self, call: Call, actual: list[Host], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], list[Host] | str]:
        """Run the reference; return its tensors (in drift), and their values or the error it raised."""
        if not actual:  # nothing was asked for
            return [], []
        op, b = call.op, self.reference
        drift = self.mode == "drift" and (bool(op.positions) or op.gives == "cells")
        if drift:
            handles, named = op.map_arguments(lambda pair: pair.reference, args, without_out(kwargs))
        else:
            handles, named = op.map_arguments(lambda value: widened(b, value), call.args, call.kwargs)
        option = call.options(actual[0], drift)
        handles = [option("", value) for value in handles]
        try:
            result = getattr(b, op.name)(*handles, **{name: option(name, v) for name, v in named.items()})
            expected = call.values(b, result, handles)
        except Exception as error:  # the primary did not raise it
            return [], f"{b.spec} raised {type(error).__name__}: {error}"
        theirs: list[Any] = []
        if drift:
            op.map_result(theirs.append, result)
        return theirs, expected


def crosscheck_of(backend: Backend | None) -> CrosscheckBackend | None:
    """Return the crosscheck of a stack, for its options and its report; None if it has none."""
    return next((part for part in stack(backend) if isinstance(part, CrosscheckBackend)), None)


@contextlib.contextmanager
def _both(first: AbstractContextManager[None], second: AbstractContextManager[None]) -> Iterator[None]:
    with first, second:
        yield
