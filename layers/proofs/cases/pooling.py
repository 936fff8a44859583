"""Rows for pooling."""

from __future__ import annotations

from typing import Any

from ....backends.protocol import Shape
from ... import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    Module,
)
from ..case import LayerCase
from .twins import INF, NAN, torch_twin

_TIES = (((
    (1.0, 1.0, 0.0, 2.0),
    (1.0, 1.0, 2.0, 2.0),
    (-INF, -INF, INF, 3.0),
    (-INF, -INF, INF, -0.0),
),),)  # fmt: skip


_INFINITY = (((-INF, 1.0, 2.0, 3.0, 4.0, 5.0, INF), (1.0, NAN, 2.0, 3.0, 4.0, 5.0, -0.0)),)
_ENDS = (((INF, 1.0, -INF, 2.0), (NAN, 1.0, 2.0, INF)),)
_LOWEST = (((-INF, -INF, -INF), (-INF, -INF, 2.0), (NAN, -INF, INF)),)


def _pool(
    kind: type[Module],
    label: str,
    shape: Shape,
    *args: Any,
    twin: bool = True,
    special: tuple[Any, ...] = (),
    **options: Any,
) -> LayerCase:
    """Return the row of a pooling with the same arguments in torch."""
    made: Any = kind
    return LayerCase(
        f"{kind.__name__} {label}",
        lambda b: made(*args, **options, backend=b),
        shape,
        torch_twin(kind.__name__, *args, **options) if twin else None,
        special=special,
    )


POOLING_CASES: tuple[LayerCase, ...] = (
    _pool(MaxPool1d, "2", (2, 3, 6), 2),
    _pool(MaxPool1d, "overlapping, padded", (2, 2, 7), 3, 1, 1),
    _pool(MaxPool2d, "2", (2, 2, 4, 4), 2, special=_TIES),
    _pool(MaxPool2d, "with a rest", (1, 2, 5, 5), 2),
    _pool(MaxPool2d, "3, stride 2, padded", (1, 2, 5, 4), 3, stride=2, padding=1),
    _pool(MaxPool2d, "dilated, overlapping", (1, 1, 6, 7), (2, 3), stride=1, dilation=(2, 1)),
    _pool(MaxPool2d, "of ceil mode", (1, 2, 5, 4), 3, stride=2, ceil_mode=True),
    _pool(MaxPool2d, "of ceil mode, padded", (1, 1, 6, 6), 3, stride=2, padding=1, ceil_mode=True),
    _pool(MaxPool1d, "of ceil mode, larger than the image", (1, 1, 2), 3, 2, ceil_mode=True),
    _pool(MaxPool1d, "of ceil mode on -inf", (1, 3, 3), 2, 2, ceil_mode=True, special=(_LOWEST)),
    _pool(MaxPool2d, "padded on one side", (1, 2, 4, 5), (3, 2), 2, ((0, 1), (1, 0)), twin=False),
    _pool(MaxPool3d, "2", (1, 2, 2, 4, 3), 2),
    _pool(MaxPool3d, "overlapping", (1, 1, 3, 3, 4), 2, stride=1, padding=1),
    _pool(AvgPool1d, "2", (2, 3, 6), 2),
    _pool(AvgPool1d, "padded, of ceil mode", (2, 2, 6), 3, stride=2, padding=1, ceil_mode=True),
    _pool(AvgPool2d, "2", (2, 2, 4, 4), 2, special=_TIES),
    _pool(AvgPool2d, "3, stride 2, padded", (1, 2, 5, 4), 3, stride=2, padding=1),
    _pool(AvgPool2d, "uncounted padding", (1, 2, 5, 4), 3, stride=2, padding=1, count_include_pad=False),
    _pool(AvgPool2d, "of ceil mode", (1, 1, 6, 5), (3, 2), stride=2, padding=1, ceil_mode=True),
    _pool(AvgPool2d, "ceil, uncounted", (1, 1, 6, 5), 2, 3, 1, ceil_mode=True, count_include_pad=False),
    _pool(AvgPool2d, "with a divisor", (1, 2, 4, 4), 2, divisor_override=3),
    _pool(AvgPool2d, "dilated, uneven", (1, 1, 5, 5), 2, 1, ((1, 0), (0, 1)), dilation=2, twin=False),
    _pool(AvgPool1d, "of ceil mode, larger than the image", (1, 2, 2), 3, 2, ceil_mode=True, special=(_ENDS)),
    _pool(
        AvgPool2d,
        "wide padding, uncounted",
        (1, 2, 1, 3),
        (3, 2),
        1,
        ((2, 2), (1, 1)),
        count_include_pad=False,
        wide_padding=True,
        twin=False,
    ),
    _pool(AvgPool3d, "2, padded", (1, 2, 2, 3, 4), 2, padding=1),
    _pool(AdaptiveAvgPool1d, "to 3 of 7", (2, 2, 7), 3, special=_INFINITY),
    _pool(AdaptiveAvgPool1d, "to 2 of 6", (2, 2, 6), 2, special=(((INF, 1.0, 2.0, -INF, 4.0, 5.0),),)),
    _pool(AdaptiveAvgPool2d, "to 1", (2, 3, 3, 2), 1),
    _pool(AdaptiveAvgPool2d, "to more than there are", (1, 1, 3, 4), (5, None)),
    _pool(AdaptiveAvgPool3d, "to 2x1x2", (1, 2, 3, 2, 4), (2, 1, 2)),
)
"""Every pooling, in every mode."""
