"""Convolution. `MyConv2d`, below, shows the whole idea; the other files make the idea general and fast.

An image has C channels, the output has O channels, the kernel has K places (a 3 x 3 kernel has 9), and L
windows fit into the image. `unfold` copies each window into a column of a matrix, so a convolution is a
matrix product:

    y = w columns        w (O, C K), columns (C K, L), y (O, L)

The gradients take two more matrix products. `fold` adds each column to the places of the window from which
`unfold` would copy it:

    dL/dw = g columnsᵀ,  dL/dx = fold(wᵀ g),  g = dL/dy (O, L)

At stride 1, the columns of a batch take about K times the memory of its images, usually more than a cache
holds. `Conv2d` therefore makes the columns in blocks, one after another in the same storage. The files:

unfolded.py      Conv1d, Conv2d, Conv3d: forward and backward
convolution.py   what all convolutions share: options, parameters, shapes
correlation.py   the three products above, block by block, with groups
winograd.py      3 x 3 kernels with fewer multiplications: an algorithm of Conv2d that is off by default
blocks.py        how a batch is cut into blocks, and how the results of the blocks are joined
borders.py       padding with the image's own values
transposed.py    ConvTranspose1d, ConvTranspose2d, ConvTranspose3d: the dL/dx of a convolution as a layer
naive.py         NaiveConv2d: the definition of Conv2d as loops; the tests compare Conv2d with it
"""

from __future__ import annotations

from ...backends import Backend, Tensor, Window
from ..initializers import TorchDefault
from ..module import Module
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


class MyConv2d(Module):
    """A 2-D convolution with a square kernel, stride 1, no padding and no bias."""

    def __init__(self, channels: int, outputs: int, size: int, backend: str | Backend | None = None) -> None:
        super().__init__(backend)
        self.size, self.outputs = (size, size), outputs
        self.weight = self.parameter((outputs, channels, size, size), TorchDefault())

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) -> (N, O, H - size + 1, W - size + 1)."""
        b = self.backend
        n, _, *image = b.shape(x)
        window = Window.of(image, self.size)
        columns = b.unfold(x, window)
        self.keep(columns, window)
        y = b.matmul(b.reshape(self.weight.data, (self.outputs, -1)), columns)
        return b.reshape(y, (n, self.outputs, *window.counts))

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dw = Σₙ g columnsᵀ, dL/dx = fold(wᵀ g), with g = dL/dy; n runs over the images."""
        b, (columns, window) = self.backend, self.kept()
        g = b.reshape(grad_output, (*b.shape(grad_output)[:2], -1))
        grad_weight = b.sum(b.matmul(g, b.permute_dims(columns, (0, 2, 1))), axis=0)
        self.weight.accumulate(b.reshape(grad_weight, self.weight.shape))
        matrix = b.reshape(self.weight.data, (self.outputs, -1))
        return b.fold(b.matmul(b.permute_dims(matrix, (1, 0)), g), window)
