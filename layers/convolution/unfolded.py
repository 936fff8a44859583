"""Convolution by `unfold` and `matmul`; the algorithm is in correlation.py."""

from __future__ import annotations

from ...backends import Tensor
from .convolution import Convolution, channel_sum
from .correlation import Correlation


class _Unfolded(Convolution):
    """Memory: besides input, output and their gradients, the columns of one block of the batch and what is
    computed with them: some 8 to 32 times the backend's `cache_size` (1 MB), however large the batch. For
    `backward` the input is kept; the columns are made again.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, O, *counts)."""
        b, shape = self.backend, self.backend.shape(x)
        window = self.window(shape)
        correlation = Correlation(
            b, b.dtype(x), window, shape[0], self.in_channels, self.out_channels, self.groups, self.border
        )
        self.keep(x, correlation)
        return correlation.forward(x, self.weight.data, None if self.bias is None else self.bias.data)

    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dw = g ⋆ x, dL/db = Σ g, dL/dx = w ∗ g, with g = dL/dy: (N, O, *counts).

        ⋆ over samples and windows: g columnsᵀ; ∗ the adjoint of the forward map: fold(wᵀ g).
        """
        x, correlation = self.kept()
        self.check_gradient(grad_output, correlation.y_shape)
        self.weight.accumulate(correlation.weight_grad(grad_output, x))
        if self.bias is not None:
            self.bias.accumulate(channel_sum(self.backend, grad_output))
        return correlation.input_grad(grad_output, self.weight.data) if self.input_gradient else None


class Conv1d(_Unfolded):
    """Convolution over (N, C, L); its memory is as Conv2d's."""

    rank = 1


class Conv2d(_Unfolded):
    """Convolution over (N, C, H, W); beyond input and output it takes at most 32 MB, whatever the batch."""

    rank = 2


class Conv3d(_Unfolded):
    """Convolution over (N, C, D, H, W); its memory is as Conv2d's."""

    rank = 3
