"""Lamina: write a layer once against a thin backend protocol; run it, prove it and time it on every backend.

>>> import lamina
>>> lamina.get_backend("numpy")
<backend numpy float32>
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from typing import Any

__version__ = "0.1.0"

# Where each public name lives. Nothing is imported before it is asked for.
_FACE = {
    "backends": (
        "get_backend",
        "use_backend",
        "describe_backends",
        "LaminaError",
        "Variable",
        "variable",
        "grad",
        "no_grad",
    ),
    "layers": ("Loss", "Module", "Parameter", "Sequential", "inference", "manual_seed"),
    "train.loop.trainer": ("Trainer",),
    "layers.proofs.check": ("check",),
}
_HOME = {name: module for module, names in _FACE.items() for name in names}
__all__ = ["__version__", "backends", "layers", "train", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"lamina.{_HOME[name]}"), name)
    if name in ("backends", "layers", "train"):
        return importlib.import_module(f"lamina.{name}")
    raise AttributeError(f"module 'lamina' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def main() -> None:
    """Run the `lamina` command; a signal while it imports its libraries ends it without a traceback."""
    # Imports make many objects and no garbage: to look for it takes a tenth of a second.
    gc.set_threshold(100_000, 50, 50)
    names = ("SIGINT", "SIGBREAK", "SIGTERM", "SIGHUP")
    before = {
        number: handler
        for number in [getattr(signal, name) for name in names if hasattr(signal, name)]
        if (handler := signal.getsignal(number)) is not None and handler is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, _end)
    cli = importlib.import_module("lamina.train.cli")
    cli.load(sys.argv[1:])
    for number, handler in before.items():
        signal.signal(number, handler)
    cli.main()


def _end(number: int, frame: Any) -> None:
    text = "Interrupted; nothing was written."
    # A library may turn KeyboardInterrupt into an error of its own, so the process ends here.
    if "--json" in sys.argv:
        os.write(1, b'{"error": "%s"}\n' % text.encode())
    else:
        os.write(2, f"Error: {text}\n".encode())
    os._exit(130 if number == getattr(signal, "SIGBREAK", None) else 128 + number)
