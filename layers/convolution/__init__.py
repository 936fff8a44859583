"""Convolution. `MyConv2d`, below, shows the whole idea; the other files make it general and fast.

`unfold` turns each window of an image into a column, so a convolution is a matrix product:

    y = w columns        w (O, C K), columns (C K, L), for K places in the kernel and L windows

Its gradients take two more products and `fold`, the adjoint of `unfold`:

    dL/dw = g columnsᵀ,  dL/dx = fold(wᵀ g),  g = dL/dy (O, L)

The columns of a batch take K times the memory of its images, more than a cache holds. `Conv2d` therefore
makes them block by block and discards each block after use. The files:

unfolded.py      Conv1d, Conv2d, Conv3d: forward and backward
convolution.py   what all convolutions share: options, parameters, shapes
correlation.py   the three products above, block by block, with groups
blocks.py        how a batch is cut into blocks, and how results are put together
borders.py       padding with the image's own values
transposed.py    ConvTranspose1d, 2d, 3d: the adjoint of a convolution as a layer
naive.py         NaiveConv2d: the definition as loops; the tests compare the others with it
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
    """y = w ⋆ x, without padding or bias."""

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
        """dL/dw = Σₙ g columnsᵀ, dL/dx = fold(wᵀ g)."""
        b, (columns, window) = self.backend, self.kept()
        g = b.reshape(grad_output, (*b.shape(grad_output)[:2], -1))
        grad_weight = b.sum(b.matmul(g, b.permute_dims(columns, (0, 2, 1))), axis=0)
        self.weight.accumulate(b.reshape(grad_weight, self.weight.shape))
        matrix = b.reshape(self.weight.data, (self.outputs, -1))
        return b.fold(b.matmul(b.permute_dims(matrix, (1, 0)), g), window)
