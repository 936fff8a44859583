"""The op table's rules of shapes and dtypes: results as on a real backend, and the same refusals."""

from __future__ import annotations

from typing import Any

import pytest

from lamina.backends import DataError
from lamina.backends.conformance.bad_arguments import BAD_CALLS
from lamina.backends.conformance.case import Case
from lamina.backends.conformance.refusals import refused
from lamina.backends.meta import Meta
from lamina.backends.shape_backend import ShapeBackend

pytestmark = pytest.mark.without_torch


def on_shapes(case: Case) -> Any:
    """Make a call with shapes and dtypes in place of tensors."""
    backend: Any = ShapeBackend()  # type: ignore[abstract]  # made by funnelled
    args, kwargs = case.map(lambda t: Meta(t.array.shape, "float32" if t.floating else t.array.dtype.name))
    return getattr(backend, case.op)(*args, **kwargs)


@pytest.mark.parametrize("op", [op for op in BAD_CALLS if op != "item"])
def test_bad_arguments_are_refused_without_numbers(op: str) -> None:
    for call in BAD_CALLS[op]:
        if call.error is not DataError:  # only values show that an index is out of range
            refused(call.case.label, call.error, on_shapes, call.case)
