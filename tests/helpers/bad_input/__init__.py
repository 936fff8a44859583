"""The table of bad inputs: its rows' form, and the check that all of them share.

Each module beside this one has a tuple `ROWS` for its part of the package; `tests/test_bad_input.py` runs it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lamina.backends import Backend, BackendError, LaminaError, StateError
from lamina.layers import Module

T = TypeVar("T")

OTHER_FORMS = (
    StateError,  # a call out of order, or a list of names: no single value was expected
    BackendError,  # "Unknown backend 'numpi' (from --backend). Available: numpy. Did you mean 'numpy'?"
    OSError,  # "Cannot write 'a' in folder 'b': Permission denied"
)
"""The errors whose messages need not say "expected ..., got ..."."""
MOST_LINES, MOST_TEXT = 5, 2000


@dataclass(frozen=True)
class Bad:
    """A bad input, and the error that it must be.

    Parameters
    ----------
    subject
        The layer, class, function or flag that gets the input: `Linear`, `load_csv`, `--epochs`.
    input
        What it gets, in a few words. Subject and input together are unique in the table.
    call
        Gives the input to the subject. It passes what must not change to `place.watch` before.
    says
        Texts that the message must contain: the name, what was expected, what came; of a tuple, one of
        its texts.
    error
        The class of the error.
    once
        Whether the row runs once (on numpy), not on every backend: nothing in it depends on the backend.

    """

    subject: str
    input: str
    call: Callable[[Place], object] = field(repr=False)
    says: tuple[str | tuple[str, ...], ...]
    error: type[Exception] = LaminaError
    once: bool = False

    def __str__(self) -> str:
        return f"{self.subject}, {self.input}"


class Place:
    """Where a row runs: a backend, and an empty folder of its own."""

    def __init__(self, backend: Backend, folder: Callable[[], Path]) -> None:
        self.backend = backend
        self._folder = folder
        self._objects: list[tuple[Any, dict[str, object]]] = []
        self._files: dict[str, object] | None = None

    @functools.cached_property
    def path(self) -> Path:
        """The folder. The call may leave nothing in it, and change nothing in it that was watched."""
        self._files = {}
        return self._folder()

    def watch(self, item: T) -> T:
        """Return the item, whose state must stay as it is now.

        item: a module, or whatever has a `state_dict()`; or a file or folder below `path` that the row has
        written: all that lies below `path` now must stay.
        """
        if isinstance(item, Path):
            self._files = _files(self.path)
        else:
            self._objects.append((item, _state(item)))
        return item

    def changes(self) -> list[str]:
        """Return what changed, by name."""
        pairs = [(before, _state(item)) for item, before in self._objects]
        if self._files is not None:
            pairs.append((self._files, _files(self.path)))
        return [
            name
            for before, now in pairs
            for name in {**before, **now}
            if before.get(name, "absent") != now.get(name, "absent")
        ]


def complaint(bad: Bad, place: Place) -> str:
    """Run a row; return what is wrong with the outcome, or ""."""
    try:
        result = bad.call(place)
    except Exception as error:
        faults = _faults(bad, error)
        faults += [f"{name} changed" for name in place.changes()]
        shown = f"{type(error).__name__}: {error}"
        return f"{bad}: {'; '.join(faults)}, in: {shown}" if faults else ""
    return f"{bad}: no error, got {result!r}"


def _faults(bad: Bad, error: Exception) -> list[str]:
    if not isinstance(error, bad.error):
        return [f"expected a {bad.error.__name__}"]
    message = str(error)
    free = isinstance(error, OTHER_FORMS) or isinstance(error.__cause__, OSError)
    free = free or message.startswith("Unknown ")  # "Unknown dtype 'half' (from --dtype). Available: ..."
    wanted = bad.says if free else (*bad.says, "expected ", "got ")
    faults = [f"{text!r} is missing" for text in wanted if not any(t in message for t in _alternatives(text))]
    if message.count("\n") >= MOST_LINES or len(message) > MOST_TEXT:
        faults.append(f"more than {MOST_LINES} lines or {MOST_TEXT} characters")
    cause = error.__cause__ or error.__context__
    if "Traceback" in message or (_foreign(cause) and str(cause) in message):
        faults.append("another library's words")
    return faults


def _alternatives(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def _foreign(cause: BaseException | None) -> bool:
    """Return whether an error is another library's; the system's "Permission denied" is welcome."""
    return cause is not None and not isinstance(cause, (LaminaError, OSError)) and len(str(cause)) > 9


def _state(item: Any) -> dict[str, object]:
    state = _flat(item.state_dict())
    if isinstance(item, Module):
        for path, module in item.named_modules():  # counters, such as Dropout's masks
            state |= {
                f"{path}.{k}": _plain(v) for k, v in vars(module).items() if isinstance(v, (int, float))
            }
        for name, parameter in item.named_parameters():
            gradient = parameter.grad
            state[f"gradient of {name}"] = (
                None if gradient is None else _plain(parameter.backend.to_host(gradient))
            )
    return state


def _flat(value: object, path: str = "state") -> dict[str, object]:
    """Return {path: value} of everything in nested mappings and sequences."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, (list, tuple)):
        pairs = list(enumerate(value))
    else:
        return {path: _plain(value)}
    return {path: len(pairs)} | {k: v for key, item in pairs for k, v in _flat(item, f"{path}.{key}").items()}


def _plain(value: object) -> object:
    """Return a value that equals another one only if all of its bits do."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.shape, str(value.dtype), value.tobytes()
    return repr(value) if isinstance(value, float) else value


def _files(folder: Path) -> dict[str, object]:
    paths = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)  # Python's own
    return {str(path.relative_to(folder)): _content(path) for path in paths}


def _content(path: Path) -> object:
    try:
        return path.read_bytes() if path.is_file() else "no file"
    except PermissionError:
        return "closed"
