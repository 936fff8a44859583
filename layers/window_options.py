"""Options of layers with windows: sizes for each of 1 to 3 spatial axes, and padding on each side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backends import OptionError
from ..backends.options import as_integer, entries, shown
from ..backends.protocol import Shape
from .module import Module

Sizes = int | Sequence[int]
Sides = tuple[tuple[int, int], ...]
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]


MOST = 2**31 - 1
"""The largest size."""


def axes(rank: int) -> str:
    """Return what messages call the spatial axes: "L", "H, W" or "D, H, W"."""
    return ("L", "H, W", "D, H, W")[rank - 1]


def sizes(layer: str, option: str, value: Sizes, rank: int, least: int = 1) -> tuple[int, ...]:
    """Return one integer for each spatial axis, from one integer for all or from a sequence of them."""
    each = entries(value, rank)
    numbers = tuple(n for n in map(as_integer, each) if n is not None and n >= least)
    if not len(numbers) == len(each) == rank:
        wanted = f"an integer of at least {least}" + (f", or {rank} of them" if rank > 1 else "")
        raise OptionError(f"{layer}: expected {option} to be {wanted}, got {shown(value)}")
    return limited(layer, option, value, numbers)


def limited(layer: str, option: str, value: object, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return an option's integers; OptionError if one is beyond the libraries' 32 bits."""
    if max(numbers, default=0) > MOST:
        raise OptionError(f"{layer}: expected {option} to be at most {MOST}, got {shown(value)}")
    return numbers


def numeric_sides(layer: str, value: Padding, window: tuple[tuple[int, ...], ...]) -> Sides:
    """Return `sides` of a padding that may not be "same" or "valid". window: the rest of their arguments."""
    if isinstance(value, str):
        raise OptionError(f"{layer}: expected padding in numbers, got {shown(value)}")
    return sides(layer, value, *window)


def sides(
    layer: str,
    value: Padding,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Sides:
    """Return (before, after) for each spatial axis.

    `value` is one of these: an integer; one for each axis; (before, after) for each axis; all sides in the
    order of torch.nn.ZeroPad2d (last axis first: left, right, top, bottom); "valid" (no padding); "same" (an
    output of the input's size, an even kernel's odd place after).
    """
    rank = len(kernel_size)
    if isinstance(value, str) and value == "valid":
        return ((0, 0),) * rank
    if isinstance(value, str) and value == "same":
        if max(stride) > 1:
            raise OptionError(f"{layer}: expected stride 1 with padding 'same', got stride {_short(stride)}")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    each = entries(value, rank)
    numbers = list(map(as_integer, each))
    pairs: list[tuple[Any, ...]] = []
    if None in numbers:
        pairs = [tuple(map(as_integer, entries(entry, 0))) for entry in each]
    elif len(numbers) == rank:
        pairs = [(n, n) for n in numbers]
    elif len(numbers) == 2 * rank:
        pairs = [(numbers[i], numbers[i + 1]) for i in range(0, 2 * rank, 2)][::-1]
    if len(pairs) != rank or not all(len(pair) == 2 and min(map(_or_negative, pair)) >= 0 for pair in pairs):
        order = ("", "left, right, top, bottom", "left, right, top, bottom, front, back")[rank - 1]
        wanted = (
            f"an integer, one or (before, after) for each of {rank} axes, the sides ({order})"
            if order
            else "an integer, (before, after)"
        )
        raise OptionError(
            f"{layer}: expected padding to be {wanted}, 'same' or 'valid', and not negative, "
            f"got {shown(value)}"
        )
    limited(layer, "padding", value, tuple(n for pair in pairs for n in pair))
    return tuple((before, after) for before, after in pairs)


def check_span(
    layer: Module, kernel_size: tuple[int, ...], dilation: tuple[int, ...], padding: Sides, shape: Shape
) -> None:
    """Raise ShapeError, in the layer's name, if the kernel is larger than a padded image (N, C, *size)."""
    for axis, (kernel, step, pair) in enumerate(zip(kernel_size, dilation, padding, strict=True), start=2):
        span = step * (kernel - 1) + 1
        if shape[axis] + sum(pair) < span:
            why = f"for a kernel that spans {span}" + (f" and padding {pair}" if any(pair) else "")
            raise layer.misfit(f"with size at least {span - sum(pair)} on axis {axis} {why}", shape)


def _or_negative(n: int | None) -> int:
    return -1 if n is None else n


def _short(values: tuple[int, ...]) -> int | tuple[int, ...]:
    return values[0] if len(set(values)) == 1 else values


def described(**options: tuple[object, object]) -> str:
    """Return ", stride=2, dilation=3" for the options (value, default) that differ from their default.

    A tuple of equal entries is shown as one entry.
    """
    shown = []
    for name, (value, default) in options.items():
        if value == default:
            continue
        if isinstance(value, tuple) and len(set(value)) == 1:
            value = value[0]
            value = value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
        if value != default:
            shown.append(f", {name}={value!r}")
    return "".join(shown)
