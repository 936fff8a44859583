"""Helpers of the rows: twins in torch.nn, and inputs at the edges of floating point."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ....backends.protocol import Shape
from ... import Module
from ..case import LayerCase

INF, NAN = math.inf, math.nan

# Zeros of both signs, tiny and huge values, numbers that overflow e^x, infinities and NaN.
EDGES = (
    0.0,
    -0.0,
    1e-300,
    -1e-300,
    1e-8,
    36.0,
    -36.0,
    88.8,
    -103.0,
    1e3,
    -1e3,
    1e300,
    -1e300,
    INF,
    -INF,
    NAN,
)
LOGIT_EDGES = (
    (0.0, 1000.0),
    (1000.0, 0.0),
    (2.0, 2.0),
    (-1e300, 1e300),
    (-INF, 0.0),
    (-INF, -1e3),
    (NAN, 1.0),
)


def torch_twin(name: str, *args: Any, **options: Any) -> Callable[[], Any]:
    """Return a maker of a torch.nn module; torch is imported when it is called."""

    def make() -> Any:
        from torch import nn

        return getattr(nn, name)(*args, **options)

    return make


def padded_torch_twin(name: str, sides: tuple[int, ...], *args: Any, **options: Any) -> Callable[[], Any]:
    """Return a maker of a torch.nn module that first pads zeros on sides (left, right, top, bottom)."""

    def make() -> Any:
        from torch import nn

        kind: Any = getattr(nn, name)

        class Padded(kind):  # type: ignore[misc]
            def forward(self, x: Any) -> Any:
                return super().forward(nn.functional.pad(x, sides))

        return Padded(*args, **options)

    return make


def torch_stack(*makers: Callable[[], Any]) -> Callable[[], Any]:
    """Return a maker of torch.nn.Sequential."""

    def make() -> Any:
        from torch import nn

        return nn.Sequential(*(maker() for maker in makers))

    return make


def activation(
    kind: Callable[..., Module],
    label: str = "",
    *args: Any,
    kinks: tuple[float, ...] = (),
    special: tuple[float, ...] = EDGES,
) -> LayerCase:
    """Return the row of an elementwise layer with the same arguments in torch."""
    name = getattr(kind, "__name__", "")
    return LayerCase(
        f"{name} {label}".rstrip(),
        lambda b: kind(*args, backend=b),
        (3, 5),
        torch_twin(name, *args),
        kinks,
        special,
    )


def along(kind: Callable[..., Module], dim: int, shape: Shape, special: tuple[Any, ...] = ()) -> LayerCase:
    """Return the row of a layer along the axis `dim`."""
    name = getattr(kind, "__name__", "")
    axes = "x".join(map(str, shape))
    return LayerCase(
        f"{name} dim={dim} of {axes}",
        lambda b: kind(dim, backend=b),
        shape,
        torch_twin(name, dim),
        special=special,
    )
