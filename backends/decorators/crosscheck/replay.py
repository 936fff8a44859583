"""Runs the op of a repro file again, on any two backends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ...archive import LARGEST
from ...base import Backend
from ...errors import DataError, DivergenceError, LaminaError
from ...notebook import Shown
from ...select import get_backend, is_lamina_own
from ...shape_backend import ShapeBackend
from .backend import CrosscheckBackend
from .repro import Repro, load


@dataclass(frozen=True, repr=False)
class Replay(Shown):
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

    The file may name Lamina's own backends only: pass a backend of your own as `primary` or `reference`.
    tolerance: a factor on the op's tolerance. The file holds values: neither memory layouts, nor storage
    that tensors share, but for an `out` that is an input.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not written by crosscheck, or names a backend that is not passed
        and not Lamina's own.
    BackendError
        If a backend cannot run, or the two are the same.

    """
    repro = load(path)
    first = _backend(primary, repro, "primary", repro.about["dtype"], path)
    second = _backend(reference, repro, "reference", "float64", path)
    kind: Any = CrosscheckBackend  # its methods are generated, which mypy does not see
    backend = kind(first, second, tolerance=tolerance, folder=None)
    call = repro.call
    layer = f" (from layer {repro.about['layer']})" if repro.about["layer"] else ""
    try:
        _check_sizes(repro)
        _run(repro, backend)
        row = backend.report().rows[call.op.name]  # an op without a result has none
    except DivergenceError as error:
        return Replay(False, f"{error}{layer}", repro)
    except MemoryError:
        raise
    except Exception as error:  # the file chose the op's arguments
        why = str(error) if isinstance(error, LaminaError) else repr(error)
        raise DataError(f"Repro file '{os.fspath(path)}': {call.op.name} cannot run: {why}.") from error
    ulp = "" if row.ulp != row.ulp else f", {row.ulp:.3g} ULP"
    message = (
        f"{call.op.name}{layer}: {first.spec} agrees with {second.spec}: the worst error is "
        f"{row.share:.3g} of the tolerance{ulp}.\n  arguments: {call}\n  in the file: {repro.about['said']}"
    )
    return Replay(True, message, repro)


def _run(repro: Repro, backend: Any) -> None:
    call, handles = repro.call, []

    def handle(value: Any) -> Any:
        handles.append(backend.from_host(value, dtype=value.dtype.name))
        return handles[-1]

    args, kwargs = call.op.map_arguments(handle, call.args, call.kwargs)
    out = [_place(backend, handles, o) for o in call.out]
    if out:
        kwargs["out"] = tuple(out) if call.op.gives == "tensors" else out[0]
    getattr(backend, call.op.name)(*args, **kwargs)


def _check_sizes(repro: Repro) -> None:
    """Raise if the call needs more memory than its results, which are in the file, account for."""
    held = sum(value.nbytes for value in (*repro.call.inputs, *repro.primary))
    kind: Any = ShapeBackend
    counter = kind(dtype=repro.about["dtype"], most=max(LARGEST, 4 * held))
    for place in repro.call.out:
        if isinstance(place, list):
            counter.empty(tuple(place[0]), dtype=place[1])
    if repro.call.op.kind in ("metadata", "control") or repro.call.op.gives in ("host", "nothing"):
        return
    args, kwargs = repro.call.op.map_arguments(
        lambda value: counter.from_host(value, dtype=value.dtype.name), repro.call.args, repro.call.kwargs
    )
    getattr(counter, repro.call.op.name)(*args, **kwargs)


def _place(backend: Backend, handles: list[Any], out: Any) -> Any:
    """Return storage for an `out` of the call: one of its tensors, new storage, or None."""
    if out is None or isinstance(out, int):
        return None if out is None else handles[out]
    return backend.empty(tuple(out[0]), dtype=out[1])


def _backend(
    chosen: str | Backend | None, repro: Repro, side: str, dtype: str, path: str | os.PathLike[str]
) -> Backend:
    """Return the backend that the user chose, or the one that the file names if it is Lamina's own."""
    if isinstance(chosen, Backend):
        return chosen
    named = repro.about[side]
    if chosen is None and not is_lamina_own(named):
        flag = "--backend" if side == "primary" else "--reference"
        raise DataError(
            f"Repro file '{os.fspath(path)}': expected its {side} backend to be one of Lamina's own, got "
            f"{named!r}; a file must not decide what is imported. If you trust it, name it: {flag} {named}."
        )
    return get_backend(chosen or named, dtype=dtype)
