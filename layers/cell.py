"""`Cell`: storage that lasts, the base of parameters and buffers."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from ..backends import Backend, OptionError, Tensor
from ..backends.host import is_floating
from ..backends.options import as_integer, shown
from ..backends.protocol import Shape
from .call import REHEARSAL

Self = TypeVar("Self", bound="Cell")


class Cell:
    """A tensor that is assigned to, saved, copied and moved.

    `data` is the handle for the backend's ops.
    """

    shape: Shape
    backend: Backend
    data: Tensor
    persistent = True
    """Whether a `state_dict` holds it."""
    as_argument = "pass its .data"

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.shape}"

    def set(self, value: Tensor) -> None:
        """Assign a value of the cell's shape and dtype; not in a rehearsal."""
        if not REHEARSAL.get():
            self.backend.assign(self.data, value)

    def to(self, backend: Backend) -> None:
        """Move to another backend; floats take its default dtype."""
        dtype = self.backend.dtype(self.data)
        dtype = backend.default_dtype if is_floating(dtype) else dtype
        value = backend.from_host(self.backend.to_host(self.data), dtype=dtype)
        self._place(self.shape, backend, dtype, value)

    def on_shapes(self: Self, counter: Backend) -> Self:
        """Return a cell of the same shape and dtype on a shapes backend; its value is not copied."""
        twin = self._blank()
        dtype = self.backend.dtype(self.data)
        twin._place(self.shape, counter, dtype, counter.full(self.shape, 0, dtype=dtype))
        return twin

    def __deepcopy__(self: Self, memo: dict[int, object]) -> Self:
        """Copy the value into storage of the copy's own."""
        twin = self._blank()
        memo[id(self)] = twin
        twin._place(self.shape, self.backend, self.backend.dtype(self.data), self.data)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the value on the host, as `data` may be a view of a shared buffer."""
        b = self.backend
        return {
            "shape": self.shape,
            "backend": b,
            "dtype": b.dtype(self.data),
            "value": b.to_host(self.data),
            "persistent": self.persistent,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        b, dtype = state["backend"], state["dtype"]
        self.persistent = state["persistent"]
        self._place(state["shape"], b, dtype, b.from_host(state["value"], dtype=dtype))

    def _blank(self: Self) -> Self:
        """Return a cell of this kind without storage."""
        twin = object.__new__(type(self))
        twin.persistent = self.persistent
        return twin

    def _place(self, shape: Shape, backend: Backend, dtype: str | None, value: Tensor) -> None:
        """Put a value into new storage."""
        self.shape, self.backend = shape, backend
        self._allocate(dtype)
        backend.assign(self.data, value)

    def _allocate(self, dtype: str | None) -> None:
        """Make `data`."""
        _, cells = self.backend.cells({"data": self.shape}, dtype=dtype)
        self.data = cells["data"]


def check_shape(owner: str, shape: Any) -> Shape:
    """Return a shape as a tuple of ints; raise OptionError for anything else."""
    extents = tuple(map(as_integer, shape)) if isinstance(shape, (tuple, list)) else (None,)
    if any(n is None or n < 0 for n in extents):
        raise OptionError(
            f"{owner}: expected shape to be a tuple of integers, such as (3,), got {shown(shape)}"
        )
    found = tuple(n for n in extents if n is not None)
    if math.prod(found) > MOST:
        raise OptionError(f"{owner}: expected a shape of at most {MOST:,} elements, got {shown(found)}")
    return found


MOST = 2**36
"""The most elements of a cell: 256 GiB in float32."""
