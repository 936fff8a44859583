"""Runs the op of a repro file again, on any two backends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ...base import Backend
from ...errors import DivergenceError
from ...select import get_backend
from .backend import CrosscheckBackend
from .repro import Repro, load


@dataclass(frozen=True)
class Replay:
    """The outcome of a repro; `str` gives the message."""

    passed: bool
    """Whether the two backends agree now."""
    message: str
    repro: Repro
    """The file's content."""

    def __str__(self) -> str:
        return self.message


def replay(
    path: str | os.PathLike[str],
    primary: str | Backend | None = None,
    reference: str | Backend | None = None,
    *,
    tolerance: float = 1.0,
) -> Replay:
    """Run the op of a repro file on two backends (by default, those that diverged) and compare.

    tolerance: a factor on the op's tolerance. The file holds values: neither memory layouts, nor storage
    that tensors share, but for an `out` that is an input.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not written by crosscheck.
    BackendError
        If a backend cannot run, or the two are the same.

    """
    repro = load(path)
    first = _backend(primary or repro.about["primary"], repro.about["dtype"])
    second = _backend(reference or repro.about["reference"], "float64")
    kind: Any = CrosscheckBackend  # its methods are generated, which mypy does not see
    backend = kind(first, second, tolerance=tolerance, folder=None)
    call = repro.call
    handles = []

    def handle(value: Any) -> Any:
        handles.append(backend.from_host(value, dtype=value.dtype.name))
        return handles[-1]

    args, kwargs = call.op.map_arguments(handle, call.args, call.kwargs)
    out = [_place(backend, handles, o) for o in call.out]
    if out:
        kwargs["out"] = tuple(out) if call.op.gives == "tensors" else out[0]
    layer = f" (from layer {repro.about['layer']})" if repro.about["layer"] else ""
    try:
        getattr(backend, call.op.name)(*args, **kwargs)
    except DivergenceError as error:
        return Replay(False, f"{error}{layer}", repro)
    row = backend.report().rows[call.op.name]
    ulp = "" if row.ulp != row.ulp else f", {row.ulp:.3g} ULP"
    message = (
        f"{call.op.name}{layer}: {first.spec} agrees with {second.spec}: the worst error is "
        f"{row.share:.3g} of the tolerance{ulp}.\n  arguments: {call}\n  in the file: {repro.about['said']}"
    )
    return Replay(True, message, repro)


def _place(backend: Backend, handles: list[Any], out: Any) -> Any:
    """Return storage for an `out` of the call: one of its tensors, new storage, or None."""
    if out is None or isinstance(out, int):
        return None if out is None else handles[out]
    return backend.empty(tuple(out[0]), dtype=out[1])


def _backend(backend: str | Backend, dtype: str) -> Backend:
    return backend if isinstance(backend, Backend) else get_backend(backend, dtype=dtype)
