"""Large inputs: where a formula that is right on paper leaves the range of floating point.

Inputs are scaled to 1000 and 100. NaN is always a fault. An infinity is right if the value is beyond the
dtype's range: float64, where e^100 is finite, decides that for float32. So y = e^x passes, and ln(1 + e^x),
which is 100 at 100, does not. Gradients are judged only if the output is finite.

A loss of probabilities (predictions in [0, 1]) is tried at 0 and 1 instead, with equal and with opposite
targets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...backends import Backend, LaminaError, get_backend
from ...backends.host import Host
from .. import Loss, Module
from .report import Difference, FaultError, Report, compare
from .subject import Subject

SIZES = (1000.0, 100.0)
RTOL = 1e-9


def check_range(module: Module | Loss, other: Backend | None, *inputs: Host) -> Report | None:
    """Run at large inputs, in float64 and float32, and in float64 on another backend.

    Parameters
    ----------
    module
        A layer or a loss on a backend of float64. It does not change.
    other
        A second backend of float64, to agree within 1e-9 of each tensor's largest value, or None.
    inputs
        Host arrays: a layer's input, or a loss's prediction and target.

    Returns
    -------
    Report or None
        None if nothing could be tried: the input is of integers, or large inputs are refused.

    Raises
    ------
    FaultError
        If a value is NaN, or infinite without need.

    """
    subject = Subject(module)
    narrow = get_backend(subject.backend.raw.spec, dtype="float32")
    report = Report(str(subject), "large inputs")
    for description, large in _extremes(subject, inputs):
        try:
            wide = _run(subject, subject.backend, large)
            thin = _run(subject, narrow, large)
        except (LaminaError, ValueError):
            continue
        if not _judge(subject, wide, None, f"{description}, float64"):
            wide = {subject.output: wide[subject.output]}
        _judge(subject, thin, wide, f"{description}, float32")
        report.differences += [Difference(f"{name}, {description}", (), 0.0, 0.0, 0.0) for name in wide]
        if other is not None:
            theirs = _run(subject, other, large)
            same = {name: theirs[name] for name in wide if name in theirs}
            report.differences += compare(wide, same, _bar, same=True)
    return report if report.differences else None


def _extremes(subject: Subject, inputs: tuple[Host, ...]) -> Iterator[tuple[str, tuple[Host, ...]]]:
    """Yield large inputs, each after its description."""
    x, *rest = inputs
    if x.dtype.kind != "f" or x.size == 0 or not np.abs(x).max() > 0.0 or not np.isfinite(x).all():
        return
    if not subject.is_layer and x.min() >= 0.0 and x.max() <= 1.0:
        sure = (x > np.median(x)).astype(x.dtype)
        if rest[0].dtype.kind == "f" and rest[0].shape == x.shape:
            yield "predictions of 0 and 1, equal to the targets", (sure, sure, *rest[1:])
            yield "predictions of 0 and 1, opposite to the targets", (sure, 1.0 - sure, *rest[1:])
        return
    for size in SIZES:
        # Rounded to float32, so that both dtypes see the same numbers.
        large = (x * (size / np.abs(x).max())).astype(np.float32).astype(x.dtype)
        yield f"inputs of size {size:g}", (large, *rest)


def _run(subject: Subject, backend: Backend, inputs: tuple[Host, ...]) -> dict[str, Host]:
    with backend.session():
        return subject.copy(backend).run(*inputs)


def _judge(subject: Subject, ours: dict[str, Host], exact: dict[str, Host] | None, description: str) -> bool:
    """Raise FaultError for the first NaN or needless infinity; return whether the output is finite.

    The output comes first; gradients are not judged if it is infinite.
    """
    for name, values in ours.items():
        wrong = np.isnan(values)
        if exact is not None and name in exact:
            limit = float(np.finfo(values.dtype).max)
            beyond = (np.abs(exact[name]) > limit) & (np.sign(exact[name]) == np.sign(values))
            wrong |= np.isinf(values) & ~beyond
        if wrong.any():
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
            place = f" at [{', '.join(map(str, index))}]" if index else ""
            expected = "a finite value" if exact is None else f"{exact[name][index]:.6g} as in float64"
            got = str(values[index]).replace("nan", "NaN")
            title = name if name == subject.output else f"gradient of {name}"
            raise FaultError(f"{title}{place} for {description}: expected {expected}, got {got}")
        if name == subject.output and not np.isfinite(values).all():
            return False
    return True


def _bar(name: str, right: Host) -> float:
    finite = np.abs(right[np.isfinite(right)])
    return RTOL * max(1.0, float(finite.max(initial=0.0)))
