"""One call of an op, copied to the host before it runs: for the reference and for the repro file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...base import Backend
from ...host import Host, is_floating
from ...ops import Op
from ...tolerance import dtype_name


@dataclass
class Call:
    """The arguments of one op before it ran, with host arrays in place of tensors."""

    op: Op
    args: list[Any]
    kwargs: dict[str, Any]
    """Without `out`."""
    out: list[Any] = field(default_factory=list)
    """For each `out`: the index of the tensor that it is, or its [shape, dtype], or None."""
    handles: list[Any] = field(default_factory=list)
    """The tensors, in the order of `map_arguments`."""
    inputs: list[Host] = field(default_factory=list)
    """Their values."""

    @staticmethod
    def of(op: Op, args: Sequence[Any], kwargs: Mapping[str, Any], b: Backend) -> Call:
        """Copy the tensors of a call on b to the host, but for `out`, whose content is dead."""
        call = Call(op, [], {})

        def read(handle: Any) -> Host:
            call.handles.append(handle)
            call.inputs.append(b.to_host(handle))
            return call.inputs[-1]

        call.args, call.kwargs = op.map_arguments(read, args, without_out(kwargs))
        out = kwargs.get("out")
        for place in () if out is None else out if isinstance(out, tuple) else (out,):
            if place is None:
                call.out.append(None)
                continue
            same = next((i for i, handle in enumerate(call.handles) if handle is place), None)
            call.out.append([list(b.shape(place)), b.dtype(place)] if same is None else same)
        return call

    @property
    def floating(self) -> str | None:
        """The dtype of the floating tensors; None without any."""
        return next((dtype_name(x.dtype) for x in self.inputs if x.dtype.kind == "f"), None)

    def changed(self, b: Backend) -> int | None:
        """Return the index of an input that the op changed, though it must not; or None."""
        # An input of the shape of an `out` may be it, or share its storage.
        outs = [
            self.inputs[o].shape if isinstance(o, int) else tuple(o[0]) for o in self.out if o is not None
        ]
        for i, (handle, before) in enumerate(zip(self.handles, self.inputs, strict=True)):
            if before.shape in outs or self.op.gives == "nothing":
                continue
            if b.to_host(handle).tobytes() != before.tobytes():
                return i
        return None

    def values(self, b: Backend, result: Any, args: Sequence[Any]) -> list[Host]:
        """Return the op's results on b as host arrays; for an assignment, the cell's value."""
        if self.op.gives == "host":
            value = np.asarray(result)
            # `item` gives a Python float, but only the digits of the tensor's dtype count.
            return [value.astype(self.floating or "float64") if value.dtype.kind == "f" else value]
        handles = [args[0]] if self.op.gives == "nothing" else []
        self.op.map_result(handles.append, result)
        return [b.to_host(handle) for handle in handles]

    def dtype_of(self, expected: Host) -> str:
        """Return the dtype that a result must have; the reference's is wider."""
        if expected.dtype.kind != "f" or "dtype" in self.op.signature.parameters:
            return dtype_name(expected.dtype)
        return self.floating or dtype_name(expected.dtype)

    def options(self, result: Host, drift: bool) -> Callable[[str, Any], Any]:
        """Return a function of (name, value) that adapts a scalar argument to the reference.

        A default dtype becomes the primary's; in drift every float is float64. In the exact and ulp classes
        a float is rounded to the tensor's dtype, as in the protocol. In the others the tolerance is wider
        than that rounding, and options (Adam's betas) enter other computations before they meet a tensor.
        """
        dtype = self.floating or dtype_name(result.dtype)
        rounds = self.op.tolerance.kind in ("exact", "ulp") and is_floating(dtype)

        def option(name: str, value: Any) -> Any:
            if rounds and type(value) is float:
                return float(np.dtype(dtype).type(value))
            if name == "dtype" and value is None:
                value = dtype_name(result.dtype)
            return "float64" if drift and type(value) is str and value == "float32" else value

        return option

    def __str__(self) -> str:
        """Return shapes, dtypes and options: "x (2, 3) float32, axis=0"."""

        def text_of(value: Any) -> str:
            return f"{value.shape} {value.dtype.name}" if isinstance(value, np.ndarray) else repr(value)

        named = dict(zip(self.op.signature.parameters, self.args, strict=False)) | self.kwargs
        parts = []
        for name, value in named.items():
            many = isinstance(value, tuple) and any(isinstance(v, np.ndarray) for v in value)
            text = f"[{', '.join(map(text_of, value))}]" if many else text_of(value)
            parts.append(f"{name} {text}" if many or isinstance(value, np.ndarray) else f"{name}={text}")
        parts += [f"out is tensor {o}" if isinstance(o, int) else "out" for o in self.out if o is not None]
        return ", ".join(parts)


def widened(b: Backend, value: Host) -> Any:
    """Return a host array as a tensor of b, in float64 if it is floating."""
    return b.from_host(value, dtype="float64" if value.dtype.kind == "f" else dtype_name(value.dtype))


def without_out(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments without `out`."""
    return {name: value for name, value in kwargs.items() if name != "out"}
