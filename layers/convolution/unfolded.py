"""Convolution by `unfold` and `matmul`; the algorithm is in correlation.py."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Tensor
from .convolution import Convolution, channel_sum
from .correlation import Correlation


class _Unfolded(Convolution):
    """Convolution in blocks.

    `forward` keeps the input, not the columns; `backward` makes the columns again. The docstring of `Conv2d`
    says how much memory the two need.
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

    Besides input, output, weight and their gradients, `forward` and `backward` each need at most about 32
    times the backend's `cache_size`, for any number and size of images: 32 MiB for the default of 1 MiB.
    `backward` also needs memory for two tensors of the weight's size. There are two exceptions. A single
    output row may need more memory if its columns, or the input rows that it reads, take more than 8 times
    `cache_size`; its columns are C K W' numbers, for K places in the kernel and an output of width W'. On
    `autodiff`, and in a step that `jit` compiles, the memory has no such bound.
    """

    rank = 2


class Conv3d(_Unfolded):
    """Convolution over (N, C, D, H, W).

    It needs as much extra memory as Conv2d. Here an output row is a slice of H' W' places.
    """

    rank = 3
