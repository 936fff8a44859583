"""Which backend: by argument, `with use_backend(...)`, `--backend`, `LAMINA_BACKEND`, or the default.

In that order. A backend is written "numpy", "torch", "torch:cuda:0" or "package.module:Class", with
decorators before it, outermost first: "strict+torch", "autodiff+crosscheck(numpy)+torch". It is resolved
at first use. What was named and cannot run is an error. The default is "jit+numpy" if llvmlite is installed
and no older than `OLDEST`, else "torch", else "numpy". The dtype likewise: by argument, that of the current
`use_backend`, `--dtype`, `LAMINA_DTYPE`, or float32.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from .base import Backend, missing_primitives
from .errors import BackendError, OptionError, did_you_mean
from .host import FLOAT_DTYPES, is_floating, limit_threads
from .options import digits, listed, shown
from .wrapper import Wrapper

RAW = {"numpy": ("numpy_backend", "NumpyBackend"), "torch": ("torch_backend", "TorchBackend")}
# In the order in which they may stand, outermost first.
DECORATORS = {
    "strict": ("decorators.strict", "StrictBackend"),
    "autodiff": ("decorators.autodiff", "AutodiffBackend"),
    "crosscheck": ("decorators.crosscheck", "CrosscheckBackend"),
    "profile": ("decorators.profile", "ProfileBackend"),
    "jit": ("decorators.jit.decorator", "JitBackend"),
}
# Those that take another backend in brackets: crosscheck(numpy).
REFERRING = ("crosscheck",)
# The package that a decorator needs, which the extra of the decorator's name installs.
PACKAGES = {"jit": "llvmlite"}
OLDEST = {"llvmlite": (0, 45)}
"""The first version of a package that will do."""
COMPILED = "jit+numpy"
LONGEST = 400
"""The most characters of a backend's name: brackets in brackets take a call each, and errors repeat it."""

_instances: dict[tuple[str, str, str], Backend] = {}
_by_text: dict[tuple[str, str], Backend] = {}
_chosen: ContextVar[Backend | None] = ContextVar("lamina_backend", default=None)
_command_line: dict[str, str] = {}


def environment(name: str) -> str | None:
    """Return an environment variable; an empty value means unset."""
    return os.environ.get(name, "").strip() or None


def get_backend(name: str | Backend | None = None, *, dtype: str | None = None) -> Backend:
    """Return the backend of that name, or the current one.

    Raw backends are one instance per implementation, device and dtype. A named stack is new at each call.

    Raises
    ------
    BackendError
        If the name is unknown or the backend cannot run here.
    OptionError
        If the dtype is neither "float32" nor "float64", or not that of the instance that was passed.

    """
    if isinstance(name, Backend):
        if dtype not in (None, name.default_dtype):
            raise OptionError(
                f"get_backend: expected dtype {name.default_dtype}, which {name!r} has, got {shown(dtype)}; "
                f"name {name.spec!r} to have it in another dtype"
            )
        return name
    if name is not None:
        if not isinstance(name, str):
            raise BackendError(f"get_backend: expected a backend or the name of one, got {shown(name)}")
        return _make(name, _dtype(dtype), "from the argument")
    chosen = _chosen.get()
    if chosen is not None and dtype in (None, chosen.default_dtype):
        return chosen
    if chosen is not None:
        return _make(chosen.spec, _dtype(dtype), "from use_backend")
    text, source = _named()
    key = (text, _dtype(dtype))
    # setdefault, here and in _raw: two threads that ask at once get one backend.
    return _by_text.get(key) or _by_text.setdefault(key, _make(*key, source))


def again(text: str, dtype: str) -> Backend:
    """Return the raw backend that a pickle names."""
    return get_backend(text, dtype=dtype)


@contextlib.contextmanager
def use_backend(name: str | Backend, *, dtype: str | None = None) -> Iterator[Backend]:
    """Make a backend the current one inside a `with`, and its dtype that of backends named there."""
    backend = get_backend(name, dtype=dtype)
    token = _chosen.set(backend)
    try:
        yield backend
    finally:
        _chosen.reset(token)


def set_command_line(backend: str | None = None, dtype: str | None = None) -> None:
    """Remember what `--backend` and `--dtype` said; None takes it back."""
    _command_line.clear()
    _command_line.update({k: v for k, v in (("backend", backend), ("dtype", dtype)) if v})


@dataclass(frozen=True)
class Description:
    """One line of `lamina backends`."""

    name: str
    available: bool
    details: dict[str, str | int]
    reason: str = ""


def describe_backends() -> list[Description]:
    """Return `jit+numpy` and every raw backend with version, device and threads, or why it cannot run."""
    names = [COMPILED, "numpy", "torch"]
    if installed("torch"):
        import torch

        names += [f"torch:cuda:{i}" for i in range(torch.cuda.device_count())] or ["torch:cuda"]
    found = []
    for name in names:
        try:
            found.append(Description(name, True, _make(name, "float32", "").details()))
        except BackendError as error:
            found.append(Description(name, False, {}, str(error)))
    return found


def with_decorator(text: str, name: str) -> str:
    """Return the text of a stack with a decorator of that name in its place, if it lacks one."""
    *parts, raw = _parts(text)
    order = list(DECORATORS)
    names = [_bracket(part)[0] for part in parts]
    if name not in names:
        parts.insert(sum(other in order[: order.index(name)] for other in names), name)
    return "+".join([*parts, raw])


def without_decorator(text: str, name: str) -> str:
    """Return the text of a stack without the decorator of that name."""
    *parts, raw = _parts(text)
    return "+".join([*(part for part in parts if _bracket(part)[0] != name), raw])


def is_lamina_own(text: str) -> bool:
    """Whether a stack has Lamina's own backends and decorators alone: making it imports no other code.

    A file may name such a stack; only the user may name another.
    """
    *parts, raw = _parts(text)
    if len(text) > LONGEST or raw.partition(":")[0] not in RAW:
        return False
    brackets = [_bracket(part) for part in parts]
    return all(
        name in DECORATORS and (reference is None or is_lamina_own(reference)) for name, reference in brackets
    )


def available() -> list[str]:
    """Return the names of the raw backends whose package is installed."""
    return [name for name in RAW if installed(name)]


def installed(package: str) -> bool:
    """Return whether a package is installed, without importing it."""
    return importlib.util.find_spec(package) is not None


def unusable(package: str) -> str:
    """Return what is wrong with a package, and what to install; "" if it can be used."""
    if not installed(package):
        extra = next(extra for extra, needed in PACKAGES.items() if needed == package)
        return f"{package}, which is not installed (pip install 'lamina[{extra}]')"
    found, oldest = installed_version(package), OLDEST[package]
    if not found or version_numbers(found) >= oldest:
        return ""
    first = ".".join(map(str, oldest))
    return f"{package} {first} or later, got {found} (pip install '{package}>={first}')"


def installed_version(package: str) -> str:
    """Return the version by the name of the folder of metadata, which is fast; "" if there is none."""
    spec = importlib.util.find_spec(package)
    place = Path(spec.origin or "").parents[1] if spec is not None else Path()
    return next((path.name[len(package) + 1 : -10] for path in place.glob(f"{package}-*.dist-info")), "")


def version_numbers(text: str) -> tuple[int, ...]:
    """Return (0, 45) for "0.45.1rc1"."""
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in text.split(".")[:2])


def _named() -> tuple[str, str]:
    if "backend" in _command_line:
        return _command_line["backend"], "from --backend"
    if (text := environment("LAMINA_BACKEND")) is not None:
        return text, "from LAMINA_BACKEND"
    return _default(), "the default"


def _default() -> str:
    if not unusable(PACKAGES["jit"]):
        return COMPILED
    return "torch" if "torch" in available() else "numpy"


def _dtype(dtype: str | None) -> str:
    chosen = _chosen.get()
    for value, source in (
        (dtype, "the argument"),
        (chosen.default_dtype if chosen is not None else None, "use_backend"),
        (_command_line.get("dtype"), "--dtype"),
        (environment("LAMINA_DTYPE"), "LAMINA_DTYPE"),
    ):
        if value is not None:
            if not is_floating(value):
                raise OptionError(
                    f"Unknown dtype {shown(value)} (from {source}). Available: float32, float64."
                    f"{did_you_mean(value, FLOAT_DTYPES)}"
                )
            return value
    return "float32"


def _make(text: str, dtype: str, source: str) -> Backend:
    """Build a stack from its text, innermost first."""
    if len(text) > LONGEST:
        raise BackendError(
            f"Backend {shown(text)} ({source}): expected at most {LONGEST} characters, got {len(text):,}."
        )
    *parts, raw = _parts(text)
    order = list(DECORATORS)
    references = dict(map(_bracket, parts))
    names = [name for name, _ in map(_bracket, parts)]
    for name in names:
        if name not in DECORATORS:
            raise BackendError(
                f"Unknown decorator {name!r} in backend {text!r} ({source}). Available decorators: "
                f"{', '.join(order)}.{did_you_mean(name, order)}"
            )
    if _bracket(raw)[0] in DECORATORS or (names and not raw):
        raise BackendError(
            f"Backend {text!r} ({source}) must end in one that computes: {', '.join(available())}, "
            f"for example '{text.rstrip(' +')}+{available()[-1]}'."
        )
    if names != sorted(set(names), key=order.index):
        raise BackendError(
            f"Backend {text!r} ({source}): decorators stand once each, in this order: {', '.join(order)}."
        )
    backend = _raw(raw, dtype, source)
    for name in reversed(names):
        reference = references[name]
        if (reference is not None) != (name in REFERRING):
            needs = "needs another backend in brackets, as crosscheck(numpy)"
            what = needs if reference is None else f"takes nothing in brackets, got {reference!r}"
            raise BackendError(f"Backend {text!r} ({source}): {name} {what}.")
        if name in PACKAGES and (problem := unusable(PACKAGES[name])):
            raise BackendError(
                f"Backend {text!r} cannot run: {name} needs {problem}. "
                f"{_named_by(source)}Available without {name}: {backend.spec!r}."
            )
        module, cls = DECORATORS[name]
        wrapper: type[Wrapper] = getattr(importlib.import_module(f".{module}", __package__), cls)
        given = () if reference is None else (_make(reference, "float64", source),)
        backend = _shared(wrapper, backend) if wrapper.shared else wrapper(backend, *given)
    return backend


def _shared(wrapper: type[Wrapper], inner: Backend) -> Backend:
    """Return the one instance of a decorator around a raw backend."""
    key = (f"{wrapper.name}+{inner.spec}", inner.device, inner.default_dtype)
    if key in _instances:
        return _instances[key]
    backend = wrapper(inner)
    backend._reduced = again, (key[0], key[2])
    return _instances.setdefault(key, backend)


def _parts(text: str) -> list[str]:
    """Cut a stack's text at each + that is not inside brackets."""
    cuts, depth = [-1], 0
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "+" and depth == 0:
            cuts.append(place)
    return [text[start + 1 : end].strip() for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def _bracket(part: str) -> tuple[str, str | None]:
    """Return ("crosscheck", "numpy") for "crosscheck(numpy)", ("strict", None) for "strict"."""
    found = re.fullmatch(r"(\w+)\s*\((.*)\)", part)
    return (found[1], found[2].strip()) if found else (part, None)


def _raw(text: str, dtype: str, source: str) -> Backend:
    name, _, device = text.partition(":")
    if name in RAW:
        module, cls = RAW[name]
        if name not in available():
            raise BackendError(
                f"Backend {text!r} cannot run: {name} is not installed (pip install 'lamina[{name}]'). "
                f"{_named_by(source)}Available: {', '.join(available())}."
            )
        if name == "numpy" and device not in ("", "cpu"):
            raise BackendError(f"Backend {text!r} cannot run: numpy has no device {device!r}, only cpu.")
        device = device or "cpu"
        kind: type[Backend] = getattr(importlib.import_module(f".{module}", __package__), cls)
    elif device.isidentifier() and all(part.isidentifier() for part in name.split(".")):
        kind, device = _users(name, device, text, source), "cpu"
    else:
        raise BackendError(
            f"Unknown backend {text!r} ({source}). Available: {', '.join(available())}."
            f"{did_you_mean(name, RAW)}"
        )
    # "cuda" is the first device, but an error should say what was written.
    key = (name if name in RAW else text, "cuda:0" if device == "cuda" else device, dtype)
    if key in _instances:
        return _instances[key]
    backend = kind(device, dtype)
    backend._text = key[0] if key[1] == "cpu" else f"{key[0]}:{key[1]}"
    backend._reduced = again, (backend._text, dtype)
    _pin_threads()  # before the instance is kept: a wrong LAMINA_THREADS must not pass the second time
    return _instances.setdefault(key, backend)


def _named_by(source: str) -> str:
    """Return the sentence about the source of a name, if there is one."""
    return f"It was named {source}. " if source else ""


def _users(module: str, cls: str, text: str, source: str) -> type[Backend]:
    """Import a user's own backend class, also from the current folder."""
    sys.path.insert(0, os.getcwd())
    try:
        kind = getattr(importlib.import_module(module), cls, None)
    except Exception as error:  # a module may raise anything
        why = error if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise BackendError(f"Backend {text!r} ({source}): cannot import {module!r}: {why}.") from error
    finally:
        sys.path.remove(os.getcwd())
    if not (isinstance(kind, type) and issubclass(kind, Backend)):
        raise BackendError(f"Backend {text!r} ({source}): {module}.{cls} is no subclass of lamina's Backend.")
    if missing := missing_primitives(kind):
        raise BackendError(
            f"Backend {text!r} ({source}): {module}.{cls} lacks the primitives {listed(missing)}."
        )
    return kind


def _pin_threads() -> None:
    """Apply LAMINA_THREADS to whatever libraries are loaded by now."""
    text = environment("LAMINA_THREADS")
    if text is None:
        return
    threads = digits(text)
    if threads is None or len(threads) != 1 or not 1 <= threads[0] < 2**31:
        raise OptionError(f"LAMINA_THREADS: expected an integer of at least 1, got {shown(text)}")
    limit_threads(threads[0])
