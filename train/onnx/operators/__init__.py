"""What each ONNX operator is built of, a file per family; importing this fills the table."""

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
