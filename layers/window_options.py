"""What a window over 1, 2 or 3 spatial axes is told: sizes for each axis, and padding on each side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backends import OptionError
from ..backends.options import as_integer
from ..backends.protocol import Shape
from .module import Module

Sizes = int | Sequence[int]
Sides = tuple[tuple[int, int], ...]
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]


def axes(rank: int) -> str:
    """Return what messages call the spatial axes: "L", "H, W" or "D, H, W"."""
    return ("L", "H, W", "D, H, W")[rank - 1]


def sizes(layer: str, option: str, value: Sizes, rank: int, least: int = 1) -> tuple[int, ...]:
    """Return one integer for each spatial axis, from one integer for all or from a sequence of them."""
    given = value if isinstance(value, Sequence) else (value,) * rank
    found = tuple(n for entry in given if (n := as_integer(entry)) is not None and n >= least)
    if not len(found) == len(given) == rank:
        wanted = f"of at least {least}" if rank == 1 else f"or {rank} of them, each at least {least}"
        raise OptionError(f"{layer}: {option} must be an integer {wanted}, got {value!r}")
    return found


def sides(
    layer: str,
    value: Padding,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Sides:
    """Return (before, after) for each spatial axis.

    `value` is an integer, one for each axis, (before, after) for each axis, all sides in the order of
    torch.nn.ZeroPad2d (last axis first: left, right, top, bottom), "valid" (none) or "same" (an output of
    the input's size; the odd one of an even kernel goes after).
    """
    rank = len(kernel_size)
    if value == "valid":
        return ((0, 0),) * rank
    if value == "same":
        if max(stride) > 1:
            raise OptionError(f"{layer}: padding 'same' needs stride 1, got stride {_short(stride)}")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    given = value if isinstance(value, Sequence) else (value,) * rank
    entries = [as_integer(entry) for entry in given]
    pairs: list[tuple[Any, ...]] = []
    if None in entries:
        pairs = [tuple(map(as_integer, entry)) if isinstance(entry, Sequence) else () for entry in given]
    elif len(entries) == rank:
        pairs = [(entry, entry) for entry in entries]
    elif len(entries) == 2 * rank:
        pairs = [(entries[i], entries[i + 1]) for i in range(0, 2 * rank, 2)][::-1]
    whole = len(pairs) == rank and all(len(pair) == 2 for pair in pairs)
    if not whole or not all(n is not None and n >= 0 for pair in pairs for n in pair):
        order = ("", "left, right, top, bottom", "left, right, top, bottom, front, back")[rank - 1]
        wanted = (
            f"an integer, one for each of {rank} axes, (before, after) for each, the sides ({order})"
            if order
            else "an integer, (before, after)"
        )
        raise OptionError(
            f"{layer}: padding must be {wanted}, 'same' or 'valid', none of them negative; got {value!r}"
        )
    return tuple((before, after) for before, after in pairs)


def check_span(
    layer: Module, kernel_size: tuple[int, ...], dilation: tuple[int, ...], padding: Sides, shape: Shape
) -> None:
    """Raise ShapeError, in the layer's name, if the kernel is larger than a padded image (N, C, *size)."""
    for axis, (kernel, step, pair) in enumerate(zip(kernel_size, dilation, padding, strict=True), start=2):
        span = step * (kernel - 1) + 1
        if shape[axis] + sum(pair) < span:
            why = f"for a kernel that spans {span}" + (f" and padding {pair}" if any(pair) else "")
            raise layer.misfit(f"of at least {span - sum(pair)} on axis {axis}, {why}", shape)


def _short(values: tuple[int, ...]) -> int | tuple[int, ...]:
    return values[0] if len(set(values)) == 1 else values


def described(**options: tuple[object, object]) -> str:
    """Return ", stride=2, dilation=3" for the options (value, default) that are not at their default.

    A tuple of equal entries is shown as one.
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
