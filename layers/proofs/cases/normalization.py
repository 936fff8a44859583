"""Rows for batch, layer and group normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....backends import Backend
from ....backends.protocol import Shape
from ... import BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm, Module, Sequential
from ..case import LayerCase
from .twins import torch_twin


def _stirred(layer: Module) -> Module:
    """Give parameters and running statistics values that are neither 0 nor 1."""
    b = layer.backend
    for i, (_, parameter) in enumerate(layer.named_parameters()):
        parameter.set(b.random(parameter.shape, seed=7, stream=f"parameter {i}", distribution="normal"))
    for i, (_, buffer) in enumerate(layer.named_buffers()):
        if buffer.shape:
            values = b.random(buffer.shape, seed=7, stream=f"buffer {i}")
            buffer.set(b.add(values, 0.5))
    return layer


def _norm(kind: type[Module], label: str, shape: Shape, *args: Any, **options: Any) -> LayerCase:
    made: Callable[..., Module] = kind
    twin = torch_twin(kind.__name__, *args, **options)
    return LayerCase(
        f"{kind.__name__} {label}",
        lambda b: _stirred(made(*args, **options, backend=b)),
        shape,
        twin,
        batch_statistics=kind.__name__.startswith("Batch"),
    )


def _evaluated(kind: type[Module], label: str, shape: Shape, *args: Any, **options: Any) -> LayerCase:
    """Return the row of a layer in evaluation."""
    made: Callable[..., Module] = kind
    twin = torch_twin(kind.__name__, *args, **options)
    return LayerCase(
        f"{kind.__name__} {label}, in evaluation",
        lambda b: _stirred(made(*args, **options, backend=b)).eval(),
        shape,
        lambda: twin().eval(),
    )


def _papers(b: Backend) -> Module:
    """Return the convention of Jin et al., which torch lacks."""
    return _stirred(BatchNorm1d(3, momentum=0.9, momentum_of="old", biased_running_variance=True, backend=b))


NORMALIZATION_CASES: tuple[LayerCase, ...] = (
    _norm(BatchNorm1d, "of (N, C)", (5, 3), 3),
    _norm(BatchNorm1d, "of (N, C, L)", (2, 3, 4), 3, eps=1e-3, momentum=0.5),
    _norm(BatchNorm1d, "without affine", (4, 2), 2, affine=False),
    _norm(BatchNorm1d, "without bias", (4, 2), 2, bias=False),
    _norm(BatchNorm1d, "cumulative", (4, 3), 3, momentum=None),
    _norm(BatchNorm1d, "without running statistics", (4, 3), 3, track_running_stats=False),
    _norm(BatchNorm2d, "of (N, C, H, W)", (2, 2, 3, 2), 2),
    _norm(BatchNorm2d, "of one sample", (1, 2, 3, 4), 2, momentum=1.0),
    _norm(BatchNorm3d, "of (N, C, D, H, W)", (2, 2, 2, 2, 2), 2),
    _evaluated(BatchNorm1d, "of (N, C)", (4, 3), 3),
    _evaluated(BatchNorm1d, "without affine", (2, 3, 4), 3, affine=False),
    _evaluated(BatchNorm1d, "without running statistics", (4, 3), 3, track_running_stats=False),
    _evaluated(BatchNorm2d, "without bias", (2, 2, 3, 2), 2, bias=False),
    _evaluated(BatchNorm2d, "of (N, C, H, W)", (2, 2, 3, 2), 2),
    LayerCase("BatchNorm1d with momentum of the old", _papers, (4, 3), batch_statistics=True),
    LayerCase(
        "Sequential with BatchNorm1d",
        lambda b: Sequential(BatchNorm1d(3, backend=b), BatchNorm1d(3, momentum=None, backend=b)),
        (4, 3),
        lambda: _torch_pair(),
        batch_statistics=True,
    ),
    _norm(LayerNorm, "of one axis", (3, 4), 4),
    _norm(LayerNorm, "of two axes", (2, 2, 3, 2), (3, 2), eps=1e-3),
    _norm(LayerNorm, "without affine", (3, 4), 4, elementwise_affine=False),
    _norm(LayerNorm, "without bias", (2, 3, 4), [4], bias=False),
    _norm(GroupNorm, "of (N, C)", (3, 6), 2, 6),
    _norm(GroupNorm, "of (N, C, H, W)", (2, 4, 2, 3), 2, 4),
    _norm(GroupNorm, "in one group", (2, 3, 2), 1, 3, eps=1e-3),
    _norm(GroupNorm, "in groups of one channel", (2, 2, 3, 2), 2, 2),
    _norm(GroupNorm, "without bias", (2, 4, 3), 2, 4, bias=False),
    _norm(GroupNorm, "without affine", (2, 4, 3), 2, 4, affine=False),
)
"""Every normalisation, in every mode."""


def _torch_pair() -> Any:
    from torch import nn

    return nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, momentum=None))
