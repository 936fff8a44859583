"""The errors that Lamina raises on purpose: each says what was expected, what came, and what to do.

Every class is a `LaminaError` (which the command line prints without a traceback) and also the
built-in error that a Python user would expect there.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path


class LaminaError(Exception):
    """Base of all errors that are the user's to mend."""

    names_layer = False
    """Whether the message begins with the layer or loss that it is about."""
    culprit: object = None
    """The argument at fault, which may be an attribute of the layer that passed it."""


class BackendError(LaminaError, RuntimeError):
    """A backend that was named does not exist or cannot run."""


class EagerWarning(UserWarning):
    """A step runs op by op, since it cannot be compiled."""


def users_level() -> int:
    """Return the `stacklevel` with which the caller's warning names the line that called Lamina."""
    package, level = __name__.partition(".")[0], 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


class ShapeError(LaminaError, ValueError):
    """A tensor has the wrong rank or extent."""


class DtypeError(LaminaError, TypeError):
    """A tensor has the wrong dtype, or belongs to another backend."""


class UnknownOpError(LaminaError, AttributeError):
    """A backend has no op of that name."""


class OptionError(LaminaError, ValueError):
    """An option has a value that it cannot take."""


class StateError(LaminaError, RuntimeError):
    """A call came out of order (`backward` before `forward`, a parameter an optimizer has not seen)."""


class TraceError(StateError):
    """A step cannot be compiled: its Python code looks at a value, or takes another path at each run."""


class DataError(LaminaError, ValueError):
    """A data set or a file cannot be used as it is."""


class DivergenceError(LaminaError, ArithmeticError):
    """Two backends gave different results for the same op (or cells, for the same step)."""

    names_layer = True
    """By its path: the op may belong to a layer that others contain."""
    op = ""
    """The op that diverged."""
    layer = ""
    """The path of the layer that called it, "" outside every layer."""
    repro: Path | None = None
    """The file that holds the op's arguments and both results, where one was written."""


BRING = "; bring data in with from_host"
"""The advice for data that is no tensor yet."""


def foreign(op: str, value: object, wanted: str, got: str = "") -> DtypeError:
    """Return the error for an argument that is not what was wanted, a backend's tensor; got: what it is."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    name = "None" if value is None else name
    error = DtypeError(f"{op}: expected {wanted}, got {got or name}; {_advice(value)}")
    error.culprit = value
    return error


def _advice(value: object) -> str:
    """Return what to do with an argument that is no tensor."""
    own = getattr(type(value), "as_argument", None)  # parameters, buffers and layers say it themselves
    if isinstance(own, str):
        return own
    if value is None:
        return "a function without `return` gives None"
    if isinstance(value, (tuple, list)):
        return "unpack it, as in `(x,) = self.kept()`, or bring data in with from_host"
    if isinstance(value, (str, bytes)) or callable(value):
        return "pass a tensor"
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return "make it a Python number with float() or int(), or bring it in with from_host"
    return BRING.removeprefix("; ")


def unequal_dtypes(op: str, first: object, second: object) -> DtypeError:
    """Return the error for two tensors in one op whose dtypes differ."""
    return DtypeError(f"{op}: expected tensors of equal dtypes, got {first} and {second}; use astype")


def scalar_dtype_error(op: str, scalar: object, dtype: str) -> DtypeError:
    """Return the error for a scalar that would change the dtype of the tensor beside it."""
    return DtypeError(
        f"{op}: expected a scalar that fits a tensor of {dtype}, got the {type(scalar).__name__} {scalar!r}; "
        "convert the tensor with astype, or pass a Python scalar of the tensor's kind"
    )


def gradient_shape_error(op: str, grad: Iterable[int], other: Iterable[int]) -> ShapeError:
    """Return the error for a gradient that has another shape than its tensor."""
    return ShapeError(f"{op}: expected a gradient of shape {tuple(other)}, got {tuple(grad)}")


_LONGEST_WORD = 200
_COMPARED = 1000  # names, each of which takes a tenth of a millisecond


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'numpy'?" for the nearest known word, or an empty string."""
    if not isinstance(word, str) or len(word) > _LONGEST_WORD:  # difflib takes minutes for a page of text
        return ""
    near = difflib.get_close_matches(word, list(islice(known, _COMPARED)), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
