"""`crosscheck(reference)`: every op runs on two backends, and the first result that differs stops the run.

In *lockstep* the reference gets the primary's inputs, in float64: each op is held to its own bar (that of
its row in the op table), whatever came before it. Handles are the primary's own. In *drift* both run on
with their own values, and a handle carries both: what adds up from op to op is seen, and so is storage
that is shared where it should not be.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, get_args
from weakref import WeakValueDictionary

import numpy as np

from ...base import Backend
from ...errors import BackendError, DtypeError, OptionError, foreign
from ...ops import Op
from ...protocol import Step
from ...tolerance import FORWARD, Host
from ...wrapper import Wrapper, stack
from .call import Call, brought, without_out
from .comparison import Table, compare
from .judge import Judge
from .ledger import Ledger

Mode = Literal["lockstep", "drift"]


class Pair:
    """A tensor in drift mode: the primary's handle and the reference's."""

    __slots__ = ("__weakref__", "owner", "primary", "reference")

    def __init__(self, owner: CrosscheckBackend, primary: Any, reference: Any) -> None:
        self.owner, self.primary, self.reference = owner, primary, reference


class CrosscheckBackend(Wrapper):
    """Runs each op on `inner`, then on `reference`, and compares.

    Parameters
    ----------
    inner
        The primary, whose results are returned.
    reference
        A backend of another implementation or device; it computes in float64.
    mode
        "lockstep" or "drift"; to be set before the first tensor is made.
    tolerance
        A factor on every bar; what must be equal must be, whatever it is.
    keep_going
        Count divergences, for `report`, and go on with the primary's result.
    folder
        Where repro files are written; None writes none.

    Raises
    ------
    BackendError
        If the two are the same implementation on the same device, or one of them is itself a crosscheck.
    OptionError
        If an option has no such value.

    """

    name = "crosscheck"

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
        if type(first) is type(second) and first.device == second.device:
            raise BackendError(
                f"crosscheck({reference.spec})+{inner.spec} would compare {first.spec} with itself: name "
                "another implementation or device in brackets."
            )
        super().__init__(inner)
        self.reference = reference
        self.mode, self.tolerance, self.keep_going, self.folder = mode, tolerance, keep_going, folder
        self._ledger, self._judge = Ledger(self), Judge(inner, reference)
        self._alone = False  # inside a compiled step: only the primary runs
        self._cells: WeakValueDictionary[tuple[int, str], Any] = WeakValueDictionary()
        self._numbers = itertools.count()

    def __reduce__(self) -> tuple[Any, ...]:
        kind: Any = type(self)  # its methods are generated, which mypy does not see
        options = {name: getattr(self, name) for name in ("mode", "tolerance", "keep_going", "folder")}
        return functools.partial(kind, **options), (self.inner, self.reference)

    @property
    def spec(self) -> str:
        """The stack: "crosscheck(numpy)+torch"."""
        return f"{self.name}({self.reference.spec})+{self.inner.spec}"

    @property
    def mode(self) -> Mode:
        """ "lockstep" or "drift"."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode not in get_args(Mode):
            raise OptionError(f"mode must be 'lockstep' or 'drift', got {mode!r}")
        self._mode: Mode = mode

    @property
    def tolerance(self) -> float:
        """The factor on every bar."""
        return self._tolerance

    @tolerance.setter
    def tolerance(self, tolerance: float) -> None:
        if not tolerance > 0:
            raise OptionError(f"tolerance must be a number above 0, got {tolerance!r}")
        self._tolerance = float(tolerance)

    def report(self) -> Table:
        """Return what was found so far, by op."""
        return Table(f"{self.spec} {self.default_dtype}, {self.mode}", dict(self._ledger.tallies))

    def reset(self) -> None:
        """Forget what was found."""
        self._ledger.tallies.clear()

    # -- what is no op ---------------------------------------------------------------------------

    def scope(self, name: str) -> AbstractContextManager[None]:
        """Name the layer that runs inside, for errors."""
        return _both(self._ledger.layer(name), self.inner.scope(name))

    def session(self) -> AbstractContextManager[None]:
        """Enter the session of both."""
        return _both(self.inner.session(), self.reference.session())

    def compile(self, step: Step) -> Step:
        """Return a step that runs as written, op by op, then compiled, and compares the cells.

        Where the inner backend compiles nothing, and in drift mode, it is the step itself: all its ops are
        compared as they are anywhere else.
        """
        compiled = self.inner.compile(step)
        if compiled is step or self.mode == "drift":
            return step

        def both(*args: Any, **kwargs: Any) -> Any:
            cells, b = dict(self._cells), self.inner
            before = {key: b.to_host(cell) for key, cell in cells.items()}
            step(*args, **kwargs)
            right = {key: b.to_host(cell) for key, cell in cells.items()}
            for key, cell in cells.items():
                b.assign(cell, b.from_host(before[key], dtype=before[key].dtype.name))
            self._alone = True
            try:
                result = compiled(*args, **kwargs)
            finally:
                self._alone = False
            for key, cell in cells.items():
                found = compare(b.to_host(cell), right[key], FORWARD, limit=self.tolerance)
                if self._ledger.over("compile", found) and not self.keep_going:
                    said = f"cell {key[1]!r} after the compiled step: {found.said}"
                    raise self._ledger.error("compile", said)
            return result

        return both  # type: ignore[return-value]

    # -- ops -------------------------------------------------------------------------------------

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run the op on both, compare, and return the primary's result (in drift mode, both)."""
        drift, run = self.mode == "drift", getattr(self.inner, op.name)
        mine, options = args, kwargs
        if drift:
            mine, options = op.map_arguments(lambda value: self._opened(op, value).primary, args, kwargs)
        if self._alone or op.kind in ("metadata", "control"):
            return run(*mine, **options)
        try:
            call = Call.of(op, mine, options, self.inner)
        except DtypeError:
            run(*mine, **options)  # which says so in the name of the op
            raise
        result = run(*mine, **options)
        actual = call.values(self.inner, result, mine)
        with np.errstate(all="ignore"):
            theirs, expected = self._expected(call, actual, args, kwargs)
            found = self._judge(call, actual, expected, drift=drift, limit=self.tolerance)
            if drift:
                # What was created begins equal, and so does what the reference could not give.
                pairs = iter(theirs or [brought(self.reference, value) for value in actual])
                result = op.map_result(lambda handle: Pair(self, handle, next(pairs)), result)
        # In drift a number near a tie decides otherwise sooner or later; what comes of it is compared.
        if self._ledger.over(op.name, found) and not (drift and found.discrete):
            self._ledger.diverged(call, actual, expected, found)
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
        """Run the reference: return its tensors and their values, or in place of these what it raised."""
        op, b = call.op, self.reference
        drift = self.mode == "drift" and (bool(op.tensors) or op.gives == "cells")
        if drift:
            given, named = op.map_arguments(lambda pair: pair.reference, args, without_out(kwargs))
        else:
            given, named = op.map_arguments(lambda value: brought(b, value), call.args, call.kwargs)
        option = call.options(actual[0], drift)
        given = [option("", value) for value in given]
        try:
            result = getattr(b, op.name)(*given, **{name: option(name, v) for name, v in named.items()})
            expected = call.values(b, result, given)
        except Exception as error:  # whatever it is, the primary did not raise it
            return [], f"{b.spec} raised {type(error).__name__}: {error}"
        theirs: list[Any] = []
        if drift:
            op.map_result(theirs.append, result)
        return theirs, expected


def crosscheck_of(backend: Backend | None) -> CrosscheckBackend | None:
    """Return the crosscheck of a stack, to set its options and to read its report; None if it has none."""
    return next((part for part in stack(backend) if isinstance(part, CrosscheckBackend)), None)


@contextlib.contextmanager
def _both(first: AbstractContextManager[None], second: AbstractContextManager[None]) -> Iterator[None]:
    with first, second:
        yield
