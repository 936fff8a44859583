"""A backend without numbers: handles are shapes and dtypes, and what would have been computed is counted.

It runs any layer unchanged, and so tells output shapes, FLOPs and bytes of every layer there is,
from the shape and cost rules of the op table. Derived ops count as their definition in primitives.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .base import Backend
from .errors import DataError, StateError
from .host import check_dtype, host_array
from .loop import Loop
from .meta import Meta, check_meta
from .ops import Op
from .shapes import cell_shapes
from .wrapper import funnelled


class SizeError(DataError):
    """A tensor would be larger than `ShapeBackend.most`."""


@dataclass
class Cost:
    """What ran: floating-point operations, bytes read and written, and calls of primitives."""

    flops: int = 0
    bytes: int = 0
    calls: int = 0


@funnelled
class ShapeBackend(Backend):
    """Counts into `costs`, by layer path ("" outside every scope).

    With `most`, a tensor of more bytes is a SizeError: the real one would not fit.
    """

    name = "shapes"
    scoped = True

    def __init__(self, device: str = "cpu", dtype: str = "float32", *, most: int | None = None) -> None:
        super().__init__(device, dtype)
        self.most = most
        self.costs: dict[str, Cost] = defaultdict(Cost)
        self._path: list[str] = []

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Apply the row's shape rule, and count."""
        special = getattr(self, f"_{op.name}", None)
        if special is not None:
            return special(*args, **kwargs)
        if op.kind == "derived":
            return getattr(Backend, op.name)(self, *args, **kwargs)
        if op.shape is None:
            raise StateError(f"{op.name}: the shapes backend has no numbers to give")
        options = {k: v for k, v in kwargs.items() if k != "out"}
        if op.kind == "create" and options.get("dtype", "") is None:
            options["dtype"] = self.default_dtype
        result = op.shape(*args, **options)
        self._check(op.name, result)
        cost = self.costs[".".join(self._path)]
        cost.calls += 1
        cost.flops += op.flops(result, *args, **options)
        cost.bytes += bytes_moved(op, result, args, options)
        return result

    def _check(self, op: str, result: Meta) -> None:
        if self.most is not None and result.nbytes > self.most:
            raise SizeError(
                f"{op}: expected at most {self.most:,} bytes, got a tensor {result.shape} {result.dtype} of "
                f"{result.nbytes:,}"
            )

    def _shape(self, x: Meta) -> tuple[int, ...]:
        check_meta("shape", x)
        return x.shape

    def _dtype(self, x: Meta) -> str:
        check_meta("dtype", x)
        return x.dtype

    def _from_host(self, array: Any, *, dtype: str | None = None) -> Meta:
        value = host_array(array, dtype, self.default_dtype)
        return Meta(value.shape, value.dtype.name)

    def _cells(self, shapes: Mapping[str, tuple[int, ...]], *, dtype: str | None = None) -> Any:
        dtype = dtype or self.default_dtype
        check_dtype("cells", dtype)
        views = {name: Meta(shape, dtype) for name, shape in cell_shapes(shapes).items()}
        flat = Meta((sum(view.size for view in views.values()),), dtype)
        self._check("cells", flat)
        return flat, views

    def _assign(self, cell: Meta, value: Meta) -> None:
        return None

    def _synchronize(self) -> None:
        return None

    def _session(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    def _compile(self, step: Any) -> Loop:
        return Loop(self, step)

    @contextlib.contextmanager
    def _scope(self, name: str) -> Iterator[None]:
        self._path.append(name)
        try:
            yield
        finally:
            self._path.pop()


def bytes_moved(op: Op, result: Meta, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Return the bytes that an op reads and writes at least: every tensor once; views move none."""
    if op.view:
        return 0
    read: list[int] = []
    op.map_arguments(lambda tensor: read.append(tensor.nbytes), args, kwargs)
    return sum(read) + result.nbytes
