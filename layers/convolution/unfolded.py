"""Convolution by `unfold` and `matmul`; the algorithm is in correlation.py."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Tensor
from .convolution import Convolution, channel_sum
from .correlation import Correlation


class _Unfolded(Convolution):
    """Convolution in blocks.

    `forward` keeps the input; `backward` makes the columns again. `Conv2d` says how much memory both need.
    """

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, O, *counts)."""
        b, shape = self.backend, self.backend.shape(x)
        window = self.window(shape)
        correlation = Correlation(
            b, b.dtype(x), window, shape[0], self.in_channels, self.out_channels, self.groups, self.border
        )
        self.keep(x, correlation)
        return correlation.forward(x, self.weight.data, None if self.bias is None else self.bias.data)

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dw = Σ g columnsᵀ, dL/db = Σ g, dL/dx = fold(wᵀ g), with g = dL/dy: (N, O, *counts).

        The sums run over samples and windows. `fold` adds each column back to the places of its window.
        """
        x, correlation = self.kept()
        self.check_gradient(grad_output, correlation.y_shape)
        self.weight.accumulate(correlation.weight_grad(grad_output, x))
        if self.bias is not None:
            self.bias.accumulate(channel_sum(self.backend, grad_output))
        return correlation.input_grad(grad_output, self.weight.data) if self.input_gradient else None


class Conv1d(_Unfolded):
    """Convolution over (N, C, L); it needs as much extra memory as Conv2d."""

    rank = 1


class Conv2d(_Unfolded):
    """Convolution over (N, C, H, W).

    Besides input, output, weight and their gradients, it needs at most about 32 times the backend's
    `cache_size` (32 MB by default; `autodiff` has no bound), for any batch and image, and in `backward` two
    arrays of the weight's size. It needs more only if one output row has columns of over 8 MB, or reads input
    rows of over 8 MB, as with a very large dilation. The columns of a row are C K W' numbers, for K places in
    the kernel and an output of width W'.
    """

    rank = 2


class Conv3d(_Unfolded):
    """Convolution over (N, C, D, H, W).

    It needs as much extra memory as Conv2d. An output row is here a slice of H' W' places.
    """

    rank = 3
