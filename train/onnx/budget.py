"""The memory that the model of a file may take: each step runs on shapes alone before it runs on numbers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from ...backends import Backend, DataError, LaminaError, StateError
from ...backends.archive import LARGEST
from ...backends.meta import Meta
from ...backends.shape_backend import ShapeBackend, SizeError
from ...layers import Module, inference
from ...layers.call import checked_targets

FACTOR = 1024
"""The most bytes that the tensors of a run may take for each byte of its inputs, beyond `LARGEST`."""
FOLDED = 10**10
"""The most FLOPs of the nodes that depend on constants alone, when a file is read."""
FREE = 2**24
"""Bytes that the constants computed when a file is read may take, however small it is."""


class Budget:
    """Counts the tensors of a run that are needed later.

    Parameters
    ----------
    backend
        Where the model computes.
    stored
        The bytes of the values in the file.
    inputs
        The bytes of the inputs.
    folds
        Whether the run makes constants when the file is read.

    """

    def __init__(self, backend: Backend, stored: int, inputs: int = 0, *, folds: bool = False) -> None:
        self.backend = backend
        self.most_flops = FOLDED if folds else None
        self.least = FREE if folds else LARGEST
        self.most = max(self.least, 4 * stored, FACTOR * inputs)
        self.flops = 0
        self._held: dict[str, int] = {}
        self._total = 0

    def check(self, module: Module, inputs: Sequence[Any], outputs: Sequence[str]) -> None:
        """Raise DataError if a step's tensors do not fit in beside those that are held; hold its results.

        Inputs are a `Meta` for each tensor, or a host array, or None.
        """
        counter = ShapeBackend(dtype=self.backend.default_dtype)  # type: ignore[abstract]  # made by funnelled
        twin = _on_shapes(module, counter)
        counter.costs.clear()
        counter.most = self.most - self._total
        try:
            with inference(), checked_targets():
                results: Any = twin.forward(*inputs)
        except SizeError as error:
            raise DataError(
                f"{error}; all tensors together may take {self.most:,}, the largest of {self.least:,}, "
                f"4 times the file's values and {FACTOR:,} times the inputs"
            ) from error
        except LaminaError as error:
            if not isinstance(error, StateError):
                raise
            return  # it needs numbers
        except Exception:  # the step itself will say what is wrong
            return
        self.flops += sum(cost.flops for cost in counter.costs.values())
        if self.most_flops is not None and self.flops > self.most_flops:
            raise DataError(
                f"expected at most {self.most_flops:,} FLOPs on constants alone, got {self.flops:,}"
            )
        for name, meta in zip(outputs, results if type(results) is tuple else (results,), strict=False):
            self.drop(name)
            self._held[name] = meta.nbytes
            self._total += meta.nbytes

    def drop(self, name: str) -> None:
        """Forget a tensor that nothing needs any more."""
        self._total -= self._held.pop(name, 0)


def meta_of(b: Backend, x: Any) -> Meta:
    """Return a tensor's shape and dtype."""
    return Meta(tuple(b.shape(x)), b.dtype(x))


def _on_shapes(module: Module, counter: ShapeBackend) -> Module:
    """Return a copy on the shapes backend; no weights are copied."""
    memo: dict[int, Any] = {id(module.backend): counter}
    for cell in (*module.parameters(), *(buffer for _, buffer in module.named_buffers())):
        memo[id(cell)] = cell.on_shapes(counter)
    return copy.deepcopy(module, memo)
