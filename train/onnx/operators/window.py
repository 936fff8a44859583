"""Padding of ONNX's convolutions and poolings: explicit, or by the rule in `auto_pad`."""

from __future__ import annotations

from collections.abc import Sequence

from ..node import Node

Sides = tuple[tuple[int, int], ...]


def spatial_size(node: Node) -> tuple[int, ...]:
    """Return the spatial size of the first input. Raises DataError if the file does not tell."""
    shape = node.shape(0)
    if shape is None or any(n is None for n in shape[2:]):
        raise node.error(
            "expected padding of a known size, or an image of one, got "
            f"auto_pad={node.get('auto_pad', 'NOTSET')} without it; export it with a fixed image size"
        )
    return tuple(n or 0 for n in shape[2:])


def axis_pads(node: Node, kernel: Sequence[int]) -> Sides:
    """Return (before, after) for each spatial axis."""
    rank, rule = len(kernel), node.get("auto_pad", "NOTSET")
    if rule == "VALID":
        return ((0, 0),) * rank
    if rule == "NOTSET":
        pads = tuple(node.get("pads", (0,) * (2 * rank)))
        if len(pads) != 2 * rank or min(pads) < 0:
            raise node.error(f"expected pads to be {2 * rank} numbers of at least 0, got {pads}")
        return tuple(zip(pads[:rank], pads[rank:], strict=True))
    sides = []
    strides, dilations = node.get("strides", (1,) * rank), node.get("dilations", (1,) * rank)
    for n, k, s, d in zip(spatial_size(node), kernel, strides, dilations, strict=True):
        # The output has ceil(n / s) windows.
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        half = total // 2
        sides.append((half, total - half) if rule == "SAME_UPPER" else (total - half, half))
    return tuple(sides)
