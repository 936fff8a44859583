"""One call of an op on the host, as it was before it ran: what the reference and a repro are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...base import Backend
from ...host import is_floating
from ...ops import Op
from ...tolerance import Host, dtype_name


@dataclass
class Call:
    """The arguments of one op as they were before it ran, host arrays in place of tensors."""

    op: Op
    args: list[Any]
    kwargs: dict[str, Any]
    """Without `out`."""
    out: list[Any] = field(default_factory=list)
    """For each `out`: which of the tensors it is, or its [shape, dtype], or None where none was given."""
    handles: list[Any] = field(default_factory=list)
    """The tensors themselves, in the order in which `map_arguments` finds them."""
    inputs: list[Host] = field(default_factory=list)
    """What they held."""

    @staticmethod
    def of(op: Op, args: Sequence[Any], kwargs: Mapping[str, Any], b: Backend) -> Call:
        """Copy the tensors of a call on b out; `out` is not read, for its content is dead."""
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
        """The dtype of the floating tensors; None if there are none."""
        return next((dtype_name(x.dtype) for x in self.inputs if x.dtype.kind == "f"), None)

    def changed(self, b: Backend) -> int | None:
        """Return which tensor does not hold what it did, though the op may not change it; or None."""
        # What has the shape of an `out` may be it, or share its storage; an assignment is a change.
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
        """Return what the op gave on b, as host arrays; of an assignment, what the cell holds now."""
        if self.op.gives == "host":
            value = np.asarray(result)
            # An item is a Python number: it has no more digits than the tensor's dtype.
            return [value.astype(self.floating or "float64") if value.dtype.kind == "f" else value]
        handles = [args[0]] if self.op.gives == "nothing" else []
        self.op.map_result(handles.append, result)
        return [b.to_host(handle) for handle in handles]

    def dtype_of(self, expected: Host) -> str:
        """Return the dtype that a result must have, given the reference's, which is wider."""
        if expected.dtype.kind != "f" or "dtype" in self.op.signature.parameters:
            return dtype_name(expected.dtype)
        return self.floating or dtype_name(expected.dtype)

    def options(self, result: Host, drift: bool) -> Callable[[str, Any], Any]:
        """Return what an argument that is no tensor becomes for the reference: a function of (name, value).

        A dtype left to the default is the one that the primary took; in drift every float is float64. In
        the exact and ulp classes a float takes the tensor's dtype, as the protocol has it. In the others the
        bar is wider than a scalar's rounding, and options (Adam's betas) are computed with before they meet
        a tensor.
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
        """Say shapes, dtypes and options: "x (2, 3) float32, axis=0"."""

        def tell(value: Any) -> str:
            return f"{value.shape} {value.dtype.name}" if isinstance(value, np.ndarray) else repr(value)

        named = dict(zip(self.op.signature.parameters, self.args, strict=False)) | self.kwargs
        parts = []
        for name, value in named.items():
            many = isinstance(value, tuple) and any(isinstance(v, np.ndarray) for v in value)
            text = f"[{', '.join(map(tell, value))}]" if many else tell(value)
            parts.append(f"{name} {text}" if many or isinstance(value, np.ndarray) else f"{name}={text}")
        parts += [f"out is tensor {o}" if isinstance(o, int) else "out" for o in self.out if o is not None]
        return ", ".join(parts)


def brought(b: Backend, value: Host) -> Any:
    """Bring a host array to a backend, in float64 where it is floating."""
    return b.from_host(value, dtype="float64" if value.dtype.kind == "f" else dtype_name(value.dtype))


def without_out(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options alone: `out` is a hint, and the reference goes without."""
    return {name: value for name, value in kwargs.items() if name != "out"}
