"""`Builder`: a backend whose handles are a program's values; each op becomes an instruction.

The tracer records with it what a step calls. The passes write new code with it: `b.add(x, y)` appends an
instruction, and the op table gives the result's shape and dtype.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...base import DERIVED, Backend
from ...errors import TraceError, foreign
from ...host import host_array
from ...meta import Meta
from ...ops import OPS, Op
from ...protocol import Shape
from ...shape_backend import ShapeBackend
from ...wrapper import funnelled
from .instructions import Call, Constant, Instruction, Load, Operand, Region, Store, Value, View, map_operands


def result_metas(op: str, args: Sequence[Any], options: Mapping[str, Any]) -> tuple[Meta | None, ...]:
    """Return the shapes and dtypes of an op's results, by the op table.

    The arguments are the op's own, with operands in place of tensors. Raises as the op would.
    """
    metas = [map_operands(_meta, list_to_tuple(value)) for value in args]
    known = {name: map_operands(_meta, value) for name, value in options.items()}
    row = OPS[op]
    if row.shape is not None:
        result = row.shape(*metas, **known)
    elif all(type(value) in _FLAT for value in (*metas, *known.values())):
        result = _known_metas(op, tuple(known), *metas, *known.values())
    else:
        result = _derived_metas(op, metas, known)
    return (result,) if isinstance(result, Meta) else tuple(result)


_FLAT = frozenset({Meta, int, float, bool, str, type(None)})


@functools.lru_cache(4096, typed=True)
def _known_metas(op: str, names: tuple[str, ...], *values: Any) -> Any:
    """Return `_derived_metas`, which networks of many equal layers ask for often."""
    args = len(values) - len(names)
    return _derived_metas(op, values[:args], dict(zip(names, values[args:], strict=True)))


def _derived_metas(op: str, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    shapes: Any = ShapeBackend()  # type: ignore[abstract]  # made by funnelled
    return getattr(shapes, op)(*args, **options)


def _meta(operand: Operand) -> Meta:
    return operand.meta


def list_to_tuple(value: Any) -> Any:
    """Return a list of operands as a tuple; anything else stays as it is."""
    return tuple(value) if type(value) is list and any(type(x) in (Value, View) for x in value) else value


@funnelled
class Builder(Backend):
    """Appends to `body`.

    Parameters
    ----------
    whole
        The derived ops that stay whole; others are replaced by their definitions.
    dtype
        The dtype of what is created without one.

    """

    name = "program"

    def __init__(self, whole: Collection[str] = DERIVED, dtype: str = "float32") -> None:
        super().__init__("cpu", dtype)
        self.whole = whole
        self.body: list[Instruction] = []
        self.path = ""
        """The path of the layer that the next instructions belong to."""

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Append one op; return its result, or a tuple."""
        special = getattr(self, f"_{op.name}", None)
        if special is not None:
            return special(*args, **kwargs)
        options = {name: value for name, value in kwargs.items() if name != "out"}
        if "dtype" in options and options["dtype"] is None:
            options["dtype"] = self.default_dtype
        if op.kind == "derived" and op.name not in self.whole:
            return getattr(Backend, op.name)(self, *args, **options)
        return self.call(op, args, options)

    def call(self, op: Op, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Append one op as it is."""
        if op.shape is None and op.kind != "derived":
            raise TraceError(f"{op.name}: expected an op that computes a tensor, inside a compiled step")
        metas = result_metas(op.name, args, options)
        outputs = tuple(None if meta is None else Value(meta) for meta in metas)
        self.body.append(
            Call(op.name, tuple(map(_frozen, args)), _frozen_options(options), outputs, path=self.path)
        )
        return outputs[0] if op.gives == "tensor" else outputs

    def load(self, region: Region) -> Value:
        """Append a read of a region."""
        value = Value(region.meta)
        self.body.append(Load(region, value, path=self.path))
        return value

    def store(self, region: Region, value: Operand) -> None:
        """Append a write of a region."""
        self.body.append(Store(region, value, path=self.path))

    def constant(self, array: Any) -> Value:
        """Append an array of one of the four dtypes."""
        value = Value(Meta(array.shape, array.dtype.name))
        self.body.append(Constant(array, value, path=self.path))
        return value

    def _shape(self, x: Any) -> Shape:
        return self._known("shape", x).shape

    def _dtype(self, x: Any) -> str:
        return self._known("dtype", x).dtype

    def _known(self, op: str, x: Any) -> Meta:
        if type(x) not in (Value, View):
            raise foreign(op, x, "a value of the program")
        meta: Meta = x.meta
        return meta

    def _from_host(self, array: Any, *, dtype: str | None = None) -> Value:
        return self.constant(host_array(array, dtype, self.default_dtype))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if type(value) in (list, tuple) else value


def _frozen_options(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _frozen(value) for name, value in options.items()}
