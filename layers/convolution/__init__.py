"""Convolution: as its definition says, by unfold, and transposed."""

from .naive import NaiveConv2d
from .transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .unfolded import Conv1d, Conv2d, Conv3d

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "NaiveConv2d",
]
