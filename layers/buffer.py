"""Buffers: cells that last and are saved, but not trained: running statistics, counters."""

from __future__ import annotations

from typing import Any

from ..backends import Backend, Tensor
from ..backends.host import is_floating
from ..backends.protocol import Shape


class Buffer:
    """A named cell without a gradient.

    Parameters
    ----------
    shape
        The cell's shape.
    value
        What every element holds at first.
    backend
        Where it lives.
    dtype
        "int64" for a counter, "bool" for a mask; the backend's default dtype if None.

    """

    def __init__(self, shape: Shape, value: float, backend: Backend, *, dtype: str | None = None) -> None:
        fill = {"int64": int, "bool": bool}.get(dtype or "", float)(value)
        self._settle(shape, backend, dtype, backend.full(shape, fill, dtype=dtype))

    def __repr__(self) -> str:
        return f"Buffer{self.shape}"

    def set(self, value: Tensor) -> None:
        """Assign a value of the buffer's shape and dtype to the cell."""
        self.backend.assign(self.data, value)

    def to(self, backend: Backend) -> None:
        """Move to another backend; floats take its default dtype."""
        dtype = self.backend.dtype(self.data)
        kept = backend.default_dtype if is_floating(dtype) else dtype
        value = backend.from_host(self.backend.to_host(self.data), dtype=kept)
        self._settle(self.shape, backend, kept, value)

    def __deepcopy__(self, memo: dict[int, object]) -> Buffer:
        """Copy the value into a cell of the copy's own."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin._settle(self.shape, self.backend, self.backend.dtype(self.data), self.data)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the value on the host."""
        b = self.backend
        return {"shape": self.shape, "backend": b, "dtype": b.dtype(self.data), "value": b.to_host(self.data)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put the value into a cell of its own."""
        b, dtype = state["backend"], state["dtype"]
        self._settle(state["shape"], b, dtype, b.from_host(state["value"], dtype=dtype))

    def _settle(self, shape: Shape, backend: Backend, dtype: str | None, value: Tensor) -> None:
        self.shape, self.backend = shape, backend
        _, cells = backend.cells({"data": shape}, dtype=dtype)
        self.data = cells["data"]
        backend.assign(self.data, value)
