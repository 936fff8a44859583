"""Buffers: cells that are saved but not trained, such as running statistics and counters."""

from __future__ import annotations

from ..backends import Backend
from ..backends.protocol import Shape
from .cell import Cell, check_shape


class Buffer(Cell):
    """A cell without a gradient.

    Parameters
    ----------
    shape
        The cell's shape.
    value
        The initial value of every element.
    backend
        The backend that holds it.
    dtype
        "int64" for a counter, "bool" for a mask; the backend's default dtype if None.
    persistent
        Whether a `state_dict` holds it, as in torch. Copies and pickles always do.

    """

    def __init__(
        self,
        shape: Shape,
        value: float,
        backend: Backend,
        *,
        dtype: str | None = None,
        persistent: bool = True,
    ) -> None:
        self.persistent = persistent
        shape = check_shape("buffer", shape)
        self._place(shape, backend, dtype, backend.full(shape, value, dtype=dtype))
