"""The first run of a proof: whether a layer or a loss runs at all, on tensors that are opaque.

A mistake that stops a pass would stop every oracle in the same way; here it is one message, which names the
pass, the attribute at fault, and what to do.
"""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from typing import Any

from ...backends import LaminaError, Tensor, get_backend
from ...backends.host import Host
from .. import Loss, Module
from ..faults import explained_attribute, layer_name, with_attribute
from .report import FaultError
from .subject import Subject, bring

_LENGTH = 400
_OWN = tuple(Path(__file__).parents[2] / name for name in ("backends", "layers", "train"))
_KEYWORDS = {"dim": "axis", "keepdim": "keepdims", "input": "x", "other": "y"}


def check_first_run(module: Module | Loss, *inputs: Host) -> list[str]:
    """Run a copy forward and backward under `strict`; return the parameters that got no gradient.

    Raises
    ------
    FaultError
        If a pass raises an error, or returns something else than a tensor of the right shape.

    """
    subject = Subject(module).copy(get_backend(f"strict+{module.backend.raw.spec}", dtype="float64"))
    b = subject.backend
    _check_arguments(subject)
    with b.session():  # infinities may be meant
        tensors = [bring(b, x) for x in inputs]
        y = _attempt(subject, "forward", subject.module, *tensors)
        _check_output(subject, y)
        g = bring(b, subject.cotangent(b.shape(y)))
        grad = _attempt(subject, "backward", subject.backward, g)
        if inputs[0].dtype.kind == "f":
            _check_gradient(subject, grad, tuple(inputs[0].shape))
    parameters = subject.module.named_parameters() if isinstance(subject.module, Module) else ()
    return [name for name, parameter in parameters if parameter.grad is None]


def _attempt(subject: Subject, act: str, run: Any, *tensors: Tensor) -> Any:
    try:
        return run(*tensors)
    except Exception as error:
        raise FaultError(f"{act}: {explained(error, subject.module)}") from error


def explained(error: Exception, module: Module | Loss | None = None) -> str:
    """Return an error on one line: what it says, and where in the user's file it arose."""
    frame = _users_frame(error)
    error = error if module is None else explained_attribute(error, module)
    text = " ".join(str(error).split()) or "no message"
    text = text if len(text) <= _LENGTH else f"{text[:_LENGTH]} ..."
    if isinstance(error, LaminaError):
        if error.names_layer:
            text = text.removeprefix(f"{layer_name(module)}: ")  # the report has it as its title
        elif module is not None:
            text = with_attribute(error, module)
    else:
        text = f"{type(error).__name__}: {text}{_keyword(text)}"
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno}: {frame.line})" if frame else text


def _keyword(text: str) -> str:
    """Return advice for a keyword argument of torch's."""
    return next(
        (f"; here it is {own}" for other, own in _KEYWORDS.items() if text.endswith(f"'{other}'")), ""
    )


def _users_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Return the last frame of an error, or of its cause, that is neither Lamina's nor a library's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        library = "site-packages" in path.parts or any(folder in path.parents for folder in _OWN)
        if path.is_file() and not library:
            return frame
    return None if error.__cause__ is None else _users_frame(error.__cause__)


def _check_arguments(subject: Subject) -> None:
    """Raise FaultError unless forward and backward take the arguments that they are called with."""
    module, layer = subject.module, subject.is_layer
    for act, names in (
        ("forward", ("x",) if layer else ("prediction", "target")),
        ("backward", ("grad_output",) if layer else ()),
    ):
        signature = inspect.signature(getattr(module, act))
        try:
            signature.bind(*names)
        except TypeError as error:
            wanted = ", ".join(("self", *names))
            raise FaultError(f"{act}: expected {act}({wanted}), got {act}{_with_self(signature)}") from error


def _with_self(signature: inspect.Signature) -> str:
    return f"({', '.join(['self', *map(str, signature.parameters.values())])})"


def _check_output(subject: Subject, y: Any) -> None:
    shape = _shape(subject, y)
    if shape is None:
        raise FaultError(f"forward: expected a tensor, got {described(y)}; {_remedy(y, 'the output')}")
    reduced = isinstance(subject.module, Loss) and subject.module.reduction != "none"
    if reduced and shape != ():
        raise FaultError(f"forward: expected one number, a 0-d tensor, got shape {shape}; use self.reduce")


def _check_gradient(subject: Subject, grad: Any, expected: tuple[int, ...]) -> None:
    what = f"the gradient of the {subject.inputs[0]}"
    shape = _shape(subject, grad)
    if shape is None:
        raise FaultError(f"backward: expected {what}, a tensor, got {described(grad)}; {_remedy(grad, what)}")
    if shape != expected:
        raise FaultError(f"backward: expected {what} to have its shape {expected}, got {shape}")


def _shape(subject: Subject, value: Any) -> tuple[int, ...] | None:
    """Return the shape of a tensor; None for anything else."""
    try:
        return tuple(subject.backend.shape(value))
    except Exception:
        return None


def described(value: Any) -> str:
    """Return what a pass returned in place of a tensor."""
    if value is None:
        return "None"
    many = isinstance(value, (tuple, list))
    return f"a {type(value).__name__} of {len(value)}" if many else f"a {type(value).__name__}"


def _remedy(value: Any, what: str) -> str:
    if value is None:
        return f"return {what}"
    if isinstance(value, (tuple, list)):
        return f"return {what} alone; parameters take theirs through accumulate()"
    return "compute it with ops of self.backend"
