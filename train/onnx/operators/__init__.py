"""How each ONNX operator is built, one file per family; importing this package fills the table."""

from . import (
    activations,
    convolution,
    elementwise,
    indexing,
    losses,
    normalization,
    pooling,
    reduction,
    shaping,
)

__all__ = [
    "activations",
    "convolution",
    "elementwise",
    "indexing",
    "losses",
    "normalization",
    "pooling",
    "reduction",
    "shaping",
]
