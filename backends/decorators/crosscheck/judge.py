"""The verdict on a call: its results against the reference's, and its inputs unchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ... import summation
from ...base import Backend
from ...differences import flushes
from ...host import Host, is_floating
from ...ops import OPS
from ...tolerance import FORWARD, Tolerance, dtype_name
from .call import Call, widened
from .comparison import Comparison, compare


class Judge:
    """Compares results by the tolerances of the op table; in drift, by those of a forward pass."""

    def __init__(self, primary: Backend, reference: Backend) -> None:
        self.primary, self.reference = primary, reference
        self._terms: dict[str, int] = {}

    def __call__(
        self, call: Call, actual: list[Host], expected: list[Host] | str, *, drift: bool, limit: float
    ) -> Comparison:
        """Return the worst comparison of a call's results; expected: the reference's, or its error."""
        op = call.op
        if isinstance(expected, str):
            return Comparison.wrong(expected)
        if len(actual) != len(expected):
            return Comparison.wrong(f"gave {len(actual)} results, expected {len(expected)}")
        if (changed := call.changed(self.primary)) is not None:
            return Comparison.wrong(f"the op changed its input tensor {changed}")
        tolerance = FORWARD if drift else op.tolerance
        options: list[dict[str, Any]] = []
        comparisons = []
        for i, (mine, right) in enumerate(zip(actual, expected, strict=True)):
            dtype, name = call.dtype_of(right), dtype_name(mine.dtype)
            if name != dtype and not (drift and mine.dtype.kind == right.dtype.kind == "f"):
                return Comparison.wrong(f"got {name}, expected {dtype}")
            if op.name == "empty" and mine.shape == right.shape:  # its content is undefined
                right = mine
            if mine.shape == right.shape and (mine == right).all():
                one = Comparison(discrete=mine.dtype.kind != "f")  # the most frequent case
            else:
                options = options or self._options(call, actual, tolerance)
                one = compare(mine, right, tolerance, limit=limit, **options[i])
            many = len(actual) > 1
            comparisons.append(replace(one, message=f"result {i}: {one.message}") if many else one)
        # Numbers first: decisions do not stop a drift.
        return max(
            comparisons,
            key=lambda one: (one.share > limit and not one.discrete, one.share),
            default=Comparison(),
        )

    def _options(self, call: Call, actual: list[Host], tolerance: Tolerance) -> list[dict[str, Any]]:
        """Return the options of `tolerance.shares` for each result.

        The reference's op on other numbers gives the terms and magnitudes of sums (summation.py).
        """
        op, dtype = call.op, dtype_name(actual[0].dtype)
        flush = flushes(self.primary, op.name) or flushes(self.reference, op.name)
        how = {"flush": flush, "cuda": "cuda" in self.primary.device}
        if tolerance.kind != "summed" or not is_floating(dtype):
            return [how] * len(actual)
        key = f"{op.name} {dtype} {op.map_arguments(np.shape, call.args, call.kwargs)}"
        terms = self._terms.get(key)
        if terms is None:
            terms = summation.terms(op, self._run, call.args, call.kwargs, dtype)
            if all(x.dtype.kind == "f" for x in call.inputs):  # the key does not hold the indices
                self._terms[key] = terms
        sizes = summation.magnitude(op, self._run, call.args, call.kwargs)
        return [
            how | {"terms": terms, "magnitude": size}
            for size in (sizes if op.gives == "tensors" else [sizes])
            if size is not None
        ]

    def _run(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an op of the reference on host arrays."""
        op, b = OPS[name], self.reference
        handles, options = op.map_arguments(lambda value: widened(b, value), args, kwargs)
        return op.map_result(b.to_host, getattr(b, name)(*handles, **options))
