"""A conformance case: one call of one op, with host arrays in place of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ..base import Backend
from ..host import Host
from ..protocol import Tensor

Layout = Literal["plain", "permuted", "sliced", "expanded"]
STRIDED: tuple[Layout, ...] = ("permuted", "sliced", "expanded")


@dataclass(frozen=True, eq=False)
class T:
    """A host array that becomes a tensor, and the tensor's layout in memory.

    Floats take the float dtype of the run; integers and booleans keep theirs. "permuted" and "sliced" tensors
    are views of others; an "expanded" tensor repeats its first row.
    """

    array: Host
    layout: Layout = "plain"

    @property
    def floating(self) -> bool:
        """Whether the array takes the float dtype of the run."""
        return bool(self.array.dtype.kind == "f")

    def value(self, dtype: str) -> Host:
        """Return the tensor's value, in `dtype` if it is floating."""
        value = self.array
        if self.layout == "expanded":
            value = np.broadcast_to(value[:1], value.shape)
        with np.errstate(all="ignore"):
            return np.array(value, dtype if self.floating else value.dtype, order="C")

    def handle(self, backend: Backend, dtype: str) -> Tensor:
        """Return a new tensor of `backend` with the value."""
        value = self.value(dtype)
        name, shape, rank = value.dtype.name, value.shape, value.ndim
        if self.layout == "permuted":
            axes = tuple(reversed(range(rank)))
            return backend.permute_dims(backend.from_host(value.transpose(axes), dtype=name), axes)
        if self.layout == "sliced":
            around = np.ones(tuple(2 * n + 1 for n in shape), value.dtype)
            around[tuple(slice(1, None, 2) for _ in shape)] = value
            whole = backend.from_host(around, dtype=name)
            return backend.slice(whole, (1,) * rank, tuple(2 * n + 1 for n in shape), steps=(2,) * rank)
        if self.layout == "expanded":
            return backend.broadcast_to(backend.from_host(value[:1], dtype=name), shape)
        return backend.from_host(value, dtype=name)


@dataclass(frozen=True, eq=False)
class Case:
    """One call of an op; a `T` in `args` or `kwargs` stands for a tensor."""

    op: str
    label: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True
    """Whether finite differences apply: no kink, pole, NaN or infinity near any input."""
    special: bool = False
    """Whether infinities or NaN occur; the case then runs inside `session()`."""
    layouts: tuple[Layout, ...] = STRIDED
    """The layouts to try its tensors in; an expanded one has other values."""

    def map(self, function: Callable[[T], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return (args, kwargs) with `function` applied to every `T`."""

        def each(value: Any) -> Any:
            if isinstance(value, T):
                return function(value)
            if isinstance(value, (list, tuple)) and any(isinstance(v, T) for v in value):
                return tuple(each(v) for v in value)
            return value

        return tuple(map(each, self.args)), {name: each(value) for name, value in self.kwargs.items()}

    def tensors(self) -> list[T]:
        """Return every `T` of the call, in order."""
        tensors: list[T] = []
        self.map(tensors.append)
        return tensors

    def call(self, backend: Backend, dtype: str, **extra: Any) -> Any:
        """Return the result of the op on new tensors of `backend`."""
        args, kwargs = self.map(lambda tensor: tensor.handle(backend, dtype))
        return getattr(backend, self.op)(*args, **kwargs, **extra)

    def dtypes(self) -> tuple[str, ...]:
        """Return the float dtypes to run it in."""
        return ("float32", "float64") if any(t.floating for t in self.tensors()) else ("float32",)

    def relaid(self) -> Iterator[Case]:
        """Yield this case, and the same case with other layouts of its tensors in memory."""
        yield self
        tensors = self.tensors()
        if self.special or not tensors or all(t.array.ndim == 0 or t.layout != "plain" for t in tensors):
            return
        for layout in self.layouts:
            fits = [t.array.ndim > 0 and (layout != "expanded" or len(t.array) > 0) for t in tensors]
            if any(fits):
                args, kwargs = self.map(lambda t, layout=layout: _laid(t, layout))  # type: ignore[misc]
                yield replace(self, label=f"{self.label}, {layout}", args=args, kwargs=kwargs, smooth=False)


def _laid(tensor: T, layout: Layout) -> T:
    if tensor.array.ndim == 0 or (layout == "expanded" and len(tensor.array) == 0):
        return tensor
    return T(tensor.array, layout)


def case(op: str, label: str, *args: Any, smooth: bool = True, special: bool = False, **kwargs: Any) -> Case:
    """Return a case of `op`, in every layout."""
    return Case(op, label, args, kwargs, smooth and not special, special)


def normal(*shape: int, seed: int = 0) -> T:
    """Return standard normal numbers, equal at every call."""
    return T(np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape)))


def positive(*shape: int, seed: int = 0) -> T:
    """Return numbers in [0.5, 2)."""
    return T(np.asarray(np.random.default_rng([seed, *shape]).uniform(0.5, 2.0, shape)))


def probabilities(*shape: int, seed: int = 0) -> T:
    """Return numbers in [0.05, 0.95)."""
    return T(np.asarray(np.random.default_rng([seed, *shape]).uniform(0.05, 0.95, shape)))


def integers(*shape: int, high: int = 10, low: int = 0, seed: int = 0) -> T:
    """Return int64 numbers in [low, high)."""
    return T(np.asarray(np.random.default_rng([seed, *shape]).integers(low, high, shape), np.int64))


def flags(*shape: int, seed: int = 0) -> T:
    """Return booleans."""
    return T(np.asarray(np.random.default_rng([seed, *shape]).integers(0, 2, shape), bool))


def floats(*numbers: float) -> T:
    """Return a vector of floats."""
    return T(np.array(numbers, np.float64))


INF, NAN = float("inf"), float("nan")
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -3.0, INF, -INF, NAN, 1e30, -1e30, 1e-30, 1e-40, 100.0, -100.0)
"""Zeros, infinities, NaN, huge and tiny numbers; 1e-40 is subnormal in float32."""
