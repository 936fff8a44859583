"""What the bar of a summed op depends on: how many roundings a sum may see, and how large its terms are.

Both are found by running the op itself on other inputs, so that no op needs a rule of its own: on ones it
counts, and on absolute values it gives the size of what is added up. `run` is called with (op, args,
kwargs), host arrays in place of tensors, computes in float64, and returns a host array or a tuple of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .ops import Op

Host = np.ndarray[Any, Any]
Run = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]

_RUN = 64
"""Terms that may be added one after the other in float32; past them the protocol wants pairwise sums."""


def magnitude(op: Op, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the op's result for the absolute inputs: what the rounding errors of a sum are relative to."""
    args, kwargs = op.map_arguments(lambda x: np.abs(x) if x.dtype.kind == "f" else x, args, kwargs)
    return run(op.name, tuple(args), kwargs)


def terms(op: Op, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any], dtype: str) -> int:
    """Return how many roundings the longest sum of a call in `dtype` may see."""
    if op.name in ("sum", "mean"):  # a mean of ones counts nothing, and only these are held to pairwise sums
        longest = _longest(run("sum", (np.ones(np.shape(args[0])),), dict(kwargs)))
        if dtype == "float32":
            return min(longest, _RUN + longest.bit_length()) + 1
        return longest + (op.name == "mean")
    args, kwargs = op.map_arguments(lambda x: np.ones(x.shape) if x.dtype.kind == "f" else x, args, kwargs)
    counts = run(op.name, tuple(args), kwargs)
    results = counts if type(counts) is tuple else (counts,)
    return max(_longest(result) for result in results if result is not None)


def _longest(counts: Host) -> int:
    return int(np.max(counts, initial=1))
