"""Inputs that do not fit a layer, with the whole message."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lamina.backends import (
    Backend,
    DataError,
    ShapeError,
    get_backend,
)
from lamina.backends.protocol import Shape
from lamina.layers import (
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Dropout2d,
    Embedding,
    Flatten,
    GroupNorm,
    LayerNorm,
    Linear,
    LogSoftmax,
    MaxPool2d,
    NaiveConv2d,
    Softmax,
)

from . import Bad, Place

Made = Callable[[Backend], Any]


def call_with(make: Made, shape: Shape, place: Place) -> object:
    layer = place.watch(make(place.backend))
    return layer(place.backend.full(shape, 0.0))


def misfit(make: Made, shape: Shape, message: str) -> Bad:
    """Return the row of an input whose error has a whole message."""
    layer = make(get_backend("numpy"))
    call = functools.partial(call_with, make, shape)
    return Bad(type(layer).__name__, f"{layer!r} of {shape}".replace("\n", ""), call, (message,), ShapeError)


SINGLE = "; a single sample needs a batch axis: "
LINEAR = [
    misfit(
        lambda b, bias=bias: Linear(25, 2, bias, backend=b),
        shape,
        f"Linear(25 -> 2{'' if bias else ', bias=False'}): expected input (N, ..., 25), got {shape}"
        + (f"{SINGLE}(1, 25)" if shape == (25,) else ""),
    )
    for shape in ((64, 20), (), (25,), (24,), (3, 24), (2, 3, 24), (25, 3))
    for bias in (True, False)
]


def _images(kind: Any) -> list[Bad]:
    """Return the inputs of a convolution from 2 to 3 channels: of other axes, other channels, one sample."""
    rank = kind.rank
    size, make = (4,) * rank, lambda b: kind(2, 3, 2, backend=b)
    expected = (
        f"{make(get_backend('numpy'))}: expected input (N, 2, {('L', 'H, W', 'D, H, W')[rank - 1]}), got "
    )
    shapes = [(1, 3, *size), (1, 2, 4, *size), (4, *size, 2), size, (3, *size), ()]
    rows = [
        misfit(make, shape, f"{expected}{shape}")
        for shape in shapes
        if shape[:1] != (2,) or len(shape) != rank + 1
    ]
    return [*rows, misfit(make, (2, *size), f"{expected}{(2, *size)}{SINGLE}{(1, 2, *size)}")]


SMALL: list[tuple[dict[str, Any], Shape, str]] = [
    (
        {},
        (2, 9),
        "3x3): expected input with size at least 3 on axis 2 for a kernel that spans 3, got (1, 2, 2, 9)",
    ),
    (
        {"padding": 1, "dilation": 3},
        (4, 9),
        "3x3, padding=1, dilation=3): expected input with size at least 5 on axis 2 for a kernel that "
        "spans 7 and "
        "padding (1, 1), got (1, 2, 4, 9)",
    ),
    (
        {"padding": 4, "padding_mode": "reflect"},
        (4, 9),
        "3x3, padding=4, padding_mode='reflect'): expected input with size at least 5 on axis 2 for "
        "reflect padding "
        "of 4, got (1, 2, 4, 9)",
    ),
    (
        {"padding": (0, 5), "padding_mode": "circular"},
        (4, 4),
        "3x3, padding=((0, 0), (5, 5)), padding_mode='circular'): expected input with size at least 5 "
        "on axis 3 for "
        "circular padding of 5, got (1, 2, 4, 4)",
    ),
    (
        {"padding": 2, "padding_mode": "replicate"},
        (0, 4),
        "3x3, padding=2, padding_mode='replicate'): expected input with size at least 1 on axis 2 for "
        "replicate "
        "padding of 2, got (1, 2, 0, 4)",
    ),
]
CUT = "; padding ((3, 3), (3, 3)) cuts off the whole output"
AT_LEAST = "ConvTranspose2d(2 -> 3, 3x3, padding=3): expected input with "
CONVOLUTIONS = [
    *(row for kind in (Conv1d, Conv2d, Conv3d, NaiveConv2d) for row in _images(kind)),
    *(row for kind in (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d) for row in _images(kind)),
    *(
        misfit(
            lambda b, kind=kind, options=options: kind(2, 3, 3, **options, backend=b),
            (1, 2, *size),
            f"{kind.__name__}(2 -> 3, {message}",
        )
        for kind in (Conv2d, NaiveConv2d)
        for options, size, message in SMALL
    ),
    misfit(
        lambda b: ConvTranspose2d(2, 3, 3, padding=3, backend=b),
        (1, 2, 2, 2),
        f"{AT_LEAST}spatial size at least (5, 5), got (1, 2, 2, 2){CUT}",
    ),
    misfit(
        lambda b: ConvTranspose2d(2, 3, 3, padding=3, backend=b),
        (1, 2, 0, 8),
        f"{AT_LEAST}size at least 1 on each spatial axis, got (1, 2, 0, 8)",
    ),
]

MORE = "expected more than one value per channel in training, got "
NORMS = [
    misfit(lambda b: BatchNorm1d(3, backend=b), (1, 3), f"BatchNorm1d(3): {MORE}(1, 3)"),
    misfit(lambda b: BatchNorm1d(3, backend=b), (1, 3, 1), f"BatchNorm1d(3): {MORE}(1, 3, 1)"),
    misfit(lambda b: BatchNorm1d(3, backend=b), (0, 3), f"BatchNorm1d(3): {MORE}(0, 3)"),
    misfit(lambda b: BatchNorm2d(3, backend=b), (1, 3, 1, 1), f"BatchNorm2d(3): {MORE}(1, 3, 1, 1)"),
    misfit(lambda b: BatchNorm3d(3, backend=b), (1, 3, 1, 1, 1), f"BatchNorm3d(3): {MORE}(1, 3, 1, 1, 1)"),
    misfit(
        lambda b: BatchNorm1d(3, backend=b),
        (4, 3, 2, 2),
        "BatchNorm1d(3): expected input (N, 3) or (N, 3, L), got (4, 3, 2, 2)",
    ),
    misfit(
        lambda b: BatchNorm1d(3, backend=b),
        (4, 2),
        "BatchNorm1d(3): expected input (N, 3) or (N, 3, L), got (4, 2)",
    ),
    misfit(
        lambda b: BatchNorm2d(3, backend=b),
        (4, 2, 5, 5),
        "BatchNorm2d(3): expected input (N, 3, H, W), got (4, 2, 5, 5)",
    ),
    misfit(
        lambda b: BatchNorm3d(3, backend=b),
        (4, 3, 5, 5),
        "BatchNorm3d(3): expected input (N, 3, D, H, W), got (4, 3, 5, 5)",
    ),
    misfit(
        lambda b: LayerNorm((2, 3), backend=b),
        (4, 3, 2),
        "LayerNorm(2, 3): expected input (N, ..., 2, 3), got (4, 3, 2)",
    ),
    misfit(lambda b: LayerNorm(3, backend=b), (3,), "LayerNorm(3): expected input (N, ..., 3), got (3,)"),
    misfit(
        lambda b: GroupNorm(2, 4, backend=b),
        (2, 6, 3),
        "GroupNorm(2, 4): expected input (N, 4, ...), got (2, 6, 3)",
    ),
]

POOLS = [
    misfit(
        lambda b: MaxPool2d(5, backend=b),
        (2, 3, 4, 9),
        "MaxPool2d(5x5): expected input with size at least 5 on axis 2 for a kernel that spans 5, got "
        "(2, 3, 4, 9)",
    ),
    misfit(
        lambda b: AvgPool2d(2, backend=b),
        (3, 4, 4),
        "AvgPool2d(2x2): expected input (N, C, H, W), got (3, 4, 4); a single sample needs a batch axis",
    ),
    misfit(
        lambda b: AvgPool1d(2, backend=b),
        (3, 4, 4, 4),
        "AvgPool1d(2): expected input (N, C, L), got (3, 4, 4, 4)",
    ),
    misfit(
        lambda b: AdaptiveAvgPool2d(1, backend=b),
        (3, 4, 0, 4),
        "AdaptiveAvgPool2d(1): expected input (N, C, H, W) with at least one place, got (3, 4, 0, 4)",
    ),
    misfit(
        lambda b: AdaptiveAvgPool2d(2**31 - 1, backend=b),
        (1, 1, 2, 2),
        "expected input whose output (1, 1, 2147483647, 2147483647) has at most 68,719,476,736 elements",
    ),
]

AXES = [
    *(
        misfit(
            lambda b, kind=kind: kind(2, backend=b),
            (2, 3),
            f"{kind.__name__}(dim=2): expected input with an axis 2, got (2, 3)",
        )
        for kind in (Softmax, LogSoftmax)
    ),
    misfit(
        lambda b: Flatten(1, 3, backend=b),
        (2, 3),
        "Flatten(start_dim=1, end_dim=3): expected input with axes 1 and 3, got (2, 3)",
    ),
    misfit(
        lambda b: Flatten(1, 0, backend=b),
        (2, 3),
        "Flatten(start_dim=1, end_dim=0): expected input with axis 1 before axis 0, got (2, 3)",
    ),
    misfit(
        lambda b: Dropout2d(backend=b).eval(),
        (3, 4),
        "Dropout2d(p=0.5): expected input (N, C, H, W), got (3, 4)",
    ),
]


def _embed(index: int) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        layer = place.watch(Embedding(5, 3, backend=place.backend))
        return layer(place.backend.from_host([[0, 4], [index, 1]]))

    return call


INDICES = [
    Bad(
        "Embedding",
        f"index {i}",
        _embed(i),
        ("Embedding(5, 3): ", f"expected indices from 0 to 4, got {i}"),
        DataError,
    )
    for i in (5, -1, -5, 2**40, -(2**63), 2**63 - 1)
]

ROWS: tuple[Bad, ...] = (*LINEAR, *CONVOLUTIONS, *NORMS, *POOLS, *AXES, *INDICES)
