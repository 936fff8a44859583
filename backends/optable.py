"""The op table as a page: `python -m lamina.backends.optable > docs/ops.md`."""

from __future__ import annotations

from .base import PRIMITIVES, Backend
from .ops import OPS, Op
from .tolerance import Tolerance

_HEAD = """# The ops

Generated from the op table (`backends/ops.py`) by `python -m lamina.backends.optable > docs/ops.md`.

*Gradient*: "rule" has a vector-Jacobian product of its own; "lowered" is differentiated through its
definition in primitives; "-" has none. *Tolerance* is how far a backend may be from the float64 oracle
(see [numerics](numerics.md)). *out* ops take a place for their result.
"""


def page() -> str:
    """Return the Markdown page: the primitives by kind, then the derived ops."""
    parts = [_HEAD]
    kinds = dict.fromkeys(OPS[name].kind for name in PRIMITIVES)
    parts.append(f"## The {len(PRIMITIVES)} primitives\n")
    for kind in kinds:
        parts.append(f"### {kind}\n")
        parts.append(_table([OPS[name] for name in PRIMITIVES if OPS[name].kind == kind]))
    derived = [op for op in OPS.values() if op.kind == "derived"]
    parts.append(f"## The {len(derived)} derived ops\n")
    parts.append(_table(derived))
    return "\n".join(parts)


def _table(rows: list[Op]) -> str:
    lines = ["| op | what it gives | gradient | tolerance | out |", "|---|---|---|---|---|"]
    for op in rows:
        doc = getattr(Backend, op.name).__doc__ or ""
        first = doc.strip().splitlines()[0].replace("|", "\\|").replace("*", "\\*")
        out = "yes" if op.takes_out else ""
        parameters = ", ".join(op.signature.parameters)
        lines.append(
            f"| `{op.name}({parameters})` | {first} | {_gradient(op)} | {_bar(op.tolerance)} | {out} |"
        )
    return "\n".join(lines) + "\n"


def _gradient(op: Op) -> str:
    if op.vjp is not None:
        return "rule"
    return "lowered" if op.kind == "derived" else "-"


def _bar(tolerance: Tolerance) -> str:
    return {
        "exact": "bit-equal",
        "ulp": f"{tolerance.ulp:g} ULP",
        "summed": "k u f(\\|x\\|)",
        "forward": "rtol, atol",
    }[tolerance.kind]


if __name__ == "__main__":
    print(page(), end="")
