"""Every conformance case as a program of one op: its trace has the op table's type, and its value is right.

The passes run over it, too. Refusals: a step with a bad call is refused while it is traced, as the eager call
is. On torch a fifth of the cases runs: the programs are those of numpy.
"""

from __future__ import annotations

from judged import ACCURACY
from rows import each_op
from steps import PASSES
from through import Through

from lamina.backends import Backend
from lamina.backends.conformance import items
from lamina.backends.conformance.suite import attempt
from lamina.backends.ops import OPS

LEFT_OUT = ("storage of its own", "wrong out", *ACCURACY)
"""Checks that say nothing of a program, beside those of `out`, which it ignores."""
REPEATS = (", permuted", ", sliced", ", expanded", ", float32")
"""Labels of rows that are there again: in another layout, or in the other dtype."""


@each_op(OPS)
def test_every_op_is_traced(op: str, backend: Backend) -> None:
    through = Through(backend.raw, *PASSES, op=op)
    wanted = [
        item
        for item in items(op)
        if item.check not in LEFT_OUT
        and not item.check.startswith("out ")
        and item.check != "out"
        and not any(part in item.label for part in REPEATS)
    ]
    results = [attempt(item, through) for item in wanted[:: 1 if backend.raw.name == "numpy" else 5]]
    failures = [f"{r.check} [{r.label}]: {r.message}" for r in results if not r.passed]
    assert results
    assert not failures, "\n".join(failures[:10])
