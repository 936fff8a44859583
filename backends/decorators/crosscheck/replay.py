"""Run the op of a repro file again, on any two backends."""

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
    """How a repro went; `str` of it says so in full."""

    passed: bool
    """Whether the two backends agree now."""
    message: str
    repro: Repro
    """What the file holds: the call, both results of the time, and where they came from."""

    def __str__(self) -> str:
        return self.message


def replay(
    path: str | os.PathLike[str],
    primary: str | Backend | None = None,
    reference: str | Backend | None = None,
    *,
    tolerance: float = 1.0,
) -> Replay:
    """Run the op that a repro file holds on two backends, those of the time by default, and compare.

    tolerance is a factor on the op's bar. Tensors come from the host: how they lay in memory, and storage
    that was shared by others than an `out` and its input, are not in the file.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not one that crosscheck wrote.
    BackendError
        If a backend cannot run, or the two are the same.

    """
    found = load(path)
    first = _backend(primary or found.about["primary"], found.about["dtype"])
    second = _backend(reference or found.about["reference"], "float64")
    kind: Any = CrosscheckBackend  # its methods are generated, which mypy does not see
    backend = kind(first, second, tolerance=tolerance, folder=None)
    call = found.call
    handles = []

    def handle(value: Any) -> Any:
        handles.append(backend.from_host(value, dtype=value.dtype.name))
        return handles[-1]

    args, kwargs = call.op.map_arguments(handle, call.args, call.kwargs)
    out = [_place(backend, handles, o) for o in call.out]
    if out:
        kwargs["out"] = tuple(out) if call.op.gives == "tensors" else out[0]
    layer = f" (from layer {found.about['layer']})" if found.about["layer"] else ""
    try:
        getattr(backend, call.op.name)(*args, **kwargs)
    except DivergenceError as error:
        return Replay(False, f"{error}{layer}", found)
    row = backend.report().rows[call.op.name]
    ulp = "" if row.ulp != row.ulp else f", {row.ulp:.3g} ULP"
    said = (
        f"{call.op.name}{layer}: {first.spec} agrees with {second.spec}: the worst error is "
        f"{row.share:.3g} of its bar{ulp}.\n  arguments: {call}\n  of the time: {found.about['said']}"
    )
    return Replay(True, said, found)


def _place(backend: Backend, handles: list[Any], out: Any) -> Any:
    """Return storage for an `out` of the call: one of its tensors, new storage, or None."""
    if out is None or isinstance(out, int):
        return None if out is None else handles[out]
    return backend.empty(tuple(out[0]), dtype=out[1])


def _backend(backend: str | Backend, dtype: str) -> Backend:
    return backend if isinstance(backend, Backend) else get_backend(backend, dtype=dtype)
