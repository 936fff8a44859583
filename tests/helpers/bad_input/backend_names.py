"""Bad names of backends."""

from __future__ import annotations

from lamina.backends import BackendError, get_backend

from . import Bad
from .values import ESCAPES, short

NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("Unknown backend ''",)),
    ("numpi", ("Unknown backend 'numpi' (from the argument)", "Did you mean 'numpy'?")),
    (ESCAPES, ("Unknown backend", r"\x1b")),
    ("0" * 2000, ("expected at most 400 characters", "2,000")),
    ("strict+" * 100_000 + "numpy", ("expected at most 400 characters", "700,005")),
    ("crosscheck(" * 100_000 + "numpy", ("expected at most 400 characters",)),
    ("(" * 300, ("Unknown backend '(((",)),
    ("strict", ("must end in one that computes",)),
    ("jit+strict+numpy", ("in this order",)),
    ("strict+strict+numpy", ("stand once each",)),
    ("crosscheck+numpy", ("needs another backend in brackets",)),
    ("crosscheck(numpy)+numpy", ("would compare numpy with itself",)),
    ("strict(numpy)+numpy", ("takes nothing in brackets",)),
    ("numpy:cuda", ("numpy has no device 'cuda'",)),
    ("json:JSONDecoder", ("json.JSONDecoder is no subclass of lamina's Backend",)),
    ("lamina.backends:Backend", ("lamina.backends.Backend lacks the primitives shape, dtype, ", "...")),
    (".a:B", ("Unknown backend '.a:B'",)),
    ("a..b:C", ("Unknown backend 'a..b:C'",)),
)
ROWS: tuple[Bad, ...] = tuple(
    Bad(
        "get_backend",
        short(name) if len(name) < 60 else f"{name[:12]}..., {len(name)} characters",
        lambda place, name=name: get_backend(name),
        says,
        BackendError,
        once=True,
    )
    for name, says in NAMES
)
