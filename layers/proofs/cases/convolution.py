"""Rows for convolutions, plain and transposed."""

from __future__ import annotations

from typing import Any

from ....backends.protocol import Shape
from ... import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Module, NaiveConv2d
from ..case import LayerCase
from .twins import padded_torch_twin, torch_twin

_KINDS: dict[str, type[Module]] = {
    kind.__name__: kind
    for kind in (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, NaiveConv2d)
}


def _case(
    name: str,
    label: str,
    shape: Shape,
    *args: Any,
    sides: tuple[int, ...] | None = None,
    padding: Any = 0,
    own: dict[str, Any] | None = None,
    **options: Any,
) -> LayerCase:
    """Return the row of a convolution with the same arguments in torch.

    `sides` (left, right, top, bottom) replace a padding that torch.nn lacks. `own` are options that it lacks.
    """
    kind: Any = _KINDS[name]
    torch = name.removeprefix("Naive")
    twin = (
        torch_twin(torch, *args, padding=padding, **options)
        if sides is None
        else padded_torch_twin(torch, sides, *args, **options)
    )
    return LayerCase(
        f"{name} {label}",
        lambda b: kind(*args, padding=padding, **options, **own or {}, backend=b),
        shape,
        twin,
    )


def _both(label: str, shape: Shape, *args: Any, **options: Any) -> tuple[LayerCase, LayerCase]:
    """Return the rows of Conv2d and NaiveConv2d."""
    return _case("Conv2d", label, shape, *args, **options), _case(
        "NaiveConv2d", label, shape, *args, **options
    )


def _winograd(label: str, shape: Shape, *args: Any, **options: Any) -> LayerCase:
    return _case("Conv2d", f"by Winograd, {label}", shape, *args, own={"algorithm": "winograd"}, **options)


CONVOLUTION_CASES: tuple[LayerCase, ...] = (
    *_both("3x3", (2, 2, 4, 3), 2, 2, 3),
    *_both("without bias", (2, 2, 3, 4), 2, 3, 2, bias=False),
    *_both("padded", (1, 2, 3, 4), 2, 2, 3, padding=(1, 2)),
    *_both(
        "with padding on one side only", (1, 2, 3, 4), 2, 2, 3, padding=((0, 2), (1, 0)), sides=(1, 0, 0, 2)
    ),
    *_both("with four sides", (1, 1, 3, 3), 1, 2, 2, padding=(1, 0, 0, 2), sides=(1, 0, 0, 2)),
    *_both("same, of an even kernel", (2, 1, 4, 3), 1, 2, (2, 4), padding="same", sides=(1, 2, 0, 1)),
    *_both("same, dilated", (1, 2, 4, 4), 2, 1, (3, 2), padding="same", dilation=(1, 2), sides=(1, 1, 1, 1)),
    *_both("valid", (1, 2, 3, 4), 2, 2, 2, padding="valid"),
    *_both("strided", (2, 1, 5, 4), 1, 2, 3, stride=2, padding=1),
    *_both("strided past the end", (1, 2, 4, 6), 2, 2, 2, stride=(3, 4)),
    *_both("dilated", (1, 2, 5, 4), 2, 2, 2, dilation=(3, 2)),
    *_both("strided, dilated, padded", (1, 1, 6, 5), 1, 2, (3, 2), stride=(2, 1), padding=2, dilation=2),
    *_both("in groups", (2, 4, 3, 3), 4, 6, 2, groups=2),
    *_both("depthwise", (1, 3, 4, 4), 3, 6, 3, groups=3, padding=1),
    *_both("1x1", (2, 3, 3, 2), 3, 4, 1),
    *_both("1x1, strided", (2, 2, 4, 3), 2, 3, 1, stride=2),
    *_both("as large as the image", (2, 2, 3, 4), 2, 3, (3, 4)),
    *_both("reflecting", (1, 1, 4, 3), 1, 2, 3, padding=(2, 1), padding_mode="reflect"),
    *_both("replicating", (1, 2, 3, 3), 2, 1, 3, padding=2, padding_mode="replicate"),
    *_both("circular", (1, 1, 4, 3), 1, 2, 3, padding=(1, 3), padding_mode="circular"),
    # 64 terms in a row of the kernel: columns are moved by rows.
    _case("Conv2d", "of many channels", (1, 32, 3, 2), 32, 2, 2, padding=1),
    _case(
        "Conv2d",
        "of many channels, strided, dilated",
        (1, 32, 5, 2),
        32,
        1,
        2,
        stride=2,
        dilation=2,
        padding=1,
    ),
    _case("Conv2d", "of many channels, in groups", (1, 64, 2, 2), 64, 4, 2, padding=1, groups=2, bias=False),
    _winograd("tiles of 2", (2, 2, 4, 4), 2, 3, 3),
    _winograd("tiles of 4", (2, 2, 4, 4), 2, 1, 3, padding=1),
    _winograd("uneven", (1, 2, 6, 8), 2, 2, 3, padding=((0, 2), (1, 0)), sides=(1, 0, 0, 2), bias=False),
    _winograd("beyond the image", (1, 1, 2, 3), 1, 2, 3, padding=(4, 3)),
    _case("Conv1d", "3", (2, 2, 6), 2, 3, 3),
    _case(
        "Conv1d",
        "strided, dilated, padded, in groups",
        (2, 4, 5),
        4,
        2,
        2,
        2,
        padding=1,
        dilation=2,
        groups=2,
    ),
    _case(
        "Conv1d",
        "reflecting, without bias",
        (1, 2, 4),
        2,
        2,
        3,
        padding=2,
        padding_mode="reflect",
        bias=False,
    ),
    _case("Conv3d", "2x2x2", (1, 2, 2, 3, 2), 2, 2, 2),
    _case("Conv3d", "strided, padded", (2, 1, 3, 2, 3), 1, 2, 2, stride=(2, 1, 2), padding=1),
    _case("Conv3d", "dilated, in groups", (1, 2, 3, 3, 2), 2, 2, (2, 2, 1), dilation=2, groups=2),
    _case("ConvTranspose1d", "3", (2, 2, 4), 2, 3, 3),
    _case("ConvTranspose1d", "beyond its padding", (1, 2, 3), 2, 2, 2, stride=3, padding=1, output_padding=2),
    _case("ConvTranspose2d", "3x3", (2, 2, 3, 2), 2, 2, 3),
    _case("ConvTranspose2d", "strided, padded", (1, 2, 3, 2), 2, 3, 3, stride=2, padding=1, output_padding=1),
    _case(
        "ConvTranspose2d",
        "in groups, without bias",
        (1, 4, 2, 3),
        4,
        2,
        2,
        stride=(1, 2),
        groups=2,
        bias=False,
    ),
    _case("ConvTranspose2d", "dilated", (1, 2, 2, 3), 2, 1, (2, 3), dilation=2, output_padding=1),
    _case("ConvTranspose2d", "of one place, in a single sum", (1, 3, 2, 2), 3, 2, 1),
    _case("ConvTranspose3d", "strided", (1, 2, 2, 1, 2), 2, 2, 2, stride=(2, 1, 2)),
)
"""Every convolution, in every mode."""
