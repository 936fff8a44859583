"""Large inputs: where a formula that is right on paper leaves the range of floating point.

The inputs are scaled to 1000 and 100. NaN is never right there. An infinity is, where the value is beyond
the dtype's range: in float32 that is asked of float64, whose e^100 is finite. So y = e^x passes, and
ln(1 + e^x), whose value at 100 is 100, does not. Gradients are judged where the output is finite.

A loss of probabilities (predictions in [0, 1]) is asked at 0 and 1 instead, with targets that say the same,
and with targets that say the opposite.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...backends import Backend, LaminaError, get_backend
from .. import Loss, Module
from .passes import run_layer, run_loss
from .report import Difference, FaultError, Report, compare

Host = np.ndarray[Any, Any]

SIZES = (1000.0, 100.0)
RTOL = 1e-9


def check_range(subject: Module | Loss, other: Backend | None, *inputs: Host) -> Report | None:
    """Run a layer or a loss at large inputs, in float64 and float32, and in float64 on another backend.

    Parameters
    ----------
    subject
        On a backend of float64. It is not changed.
    other
        A second backend of float64, to agree within 1e-9 of each tensor's largest value, or None.
    inputs
        Host arrays: of a layer its input, of a loss a prediction and a target.

    Returns
    -------
    Report or None
        None where there is nothing to ask: the input is of integers, or large ones are refused.

    Raises
    ------
    FaultError
        If something is NaN, or infinite without need.

    """
    raw = subject.backend.raw.spec
    narrow = get_backend(raw, dtype="float32")
    report = Report(str(subject).partition("\n")[0], "large inputs")
    for what, given in _extremes(subject, inputs):
        try:
            wide = _run(subject, subject.backend, given)
            thin = _run(subject, narrow, given)
        except (LaminaError, ValueError):
            continue
        if not _judge(wide, None, f"{what}, float64"):
            wide = dict(list(wide.items())[:1])
        _judge(thin, wide, f"{what}, float32")
        report.differences += [Difference(f"{name}, {what}", (), 0.0, 0.0, 0.0) for name in wide]
        if other is not None:
            theirs = _run(subject, other, given)
            same = {name: theirs[name] for name in wide if name in theirs}
            report.differences += compare(wide, same, _bar, same=True)
    return report if report.differences else None


def _extremes(subject: Module | Loss, inputs: tuple[Host, ...]) -> Iterator[tuple[str, tuple[Host, ...]]]:
    """Yield large inputs, with words for them."""
    x = inputs[0]
    if x.dtype.kind != "f" or x.size == 0 or not np.abs(x).max() > 0.0 or not np.isfinite(x).all():
        return
    if isinstance(subject, Loss) and x.min() >= 0.0 and x.max() <= 1.0:
        sure = (x > np.median(x)).astype(x.dtype)
        if inputs[1].dtype.kind == "f" and inputs[1].shape == x.shape:
            yield "predictions of 0 and 1, and the targets the same", (sure, sure)
            yield "predictions of 0 and 1, and the targets the opposite", (sure, 1.0 - sure)
        return
    for size in SIZES:
        # What float32 can hold, so that both see the same.
        large = (x * (size / np.abs(x).max())).astype(np.float32).astype(x.dtype)
        yield f"inputs of size {size:g}", (large, *inputs[1:])


def _run(subject: Module | Loss, backend: Backend, given: tuple[Host, ...]) -> dict[str, Host]:
    mine = copy.deepcopy(subject).to(backend)
    with backend.session():
        return run_layer(mine, given[0]) if isinstance(mine, Module) else run_loss(mine, given[0], given[1])


def _judge(found: dict[str, Host], right: dict[str, Host] | None, what: str) -> bool:
    """Raise FaultError for the first value that is not finite and should be; return whether the output is.

    The output comes first; where it is beyond the range, the gradients are not looked at.
    """
    for name, values in found.items():
        wrong = np.isnan(values)
        if right is not None and name in right:
            limit = float(np.finfo(values.dtype).max)
            beyond = (np.abs(right[name]) > limit) & (np.sign(right[name]) == np.sign(values))
            wrong |= np.isinf(values) & ~beyond
        if wrong.any():
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
            place = f" at [{', '.join(map(str, index))}]" if index else ""
            instead = "" if right is None else f", where float64 gives {right[name][index]:.6g}"
            value = str(values[index]).replace("nan", "NaN")
            raise FaultError(f"not finite for {what}: {_words(name)} {value}{place}{instead}")
        if name in ("output", "loss") and not np.isfinite(values).all():
            return False
    return True


def _words(name: str) -> str:
    return name if name in ("output", "loss") else f"gradient of {name}"


def _bar(name: str, right: Host) -> float:
    finite = np.abs(right[np.isfinite(right)])
    return RTOL * max(1.0, float(finite.max(initial=0.0)))
