"""Max pooling: the largest value of each window."""

from __future__ import annotations

from ...backends import Tensor
from .pool import Pool


class MaxPool(Pool):
    """y = max over the window: the first of equal values, and never padding. NaN goes through."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, C, *counts)."""
        b = self.backend
        shape = b.shape(x)
        window = self.window(shape)
        y, indices = b.max_pool(
            x,
            window.kernel_size,
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
        )
        self.keep(indices, window, (*shape[:2], *window.counts))
        return y

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g where x is the maximum of a window, else 0; what windows share adds up."""
        indices, window, y_shape = self.kept()
        self.check_gradient(grad_output, y_shape)
        spans = (d * (k - 1) + 1 for d, k in zip(window.dilation, window.kernel_size, strict=True))
        apart = all(stride >= span for stride, span in zip(window.stride, spans, strict=True))
        return self.backend.max_pool_grad(grad_output, indices, window.size, distinct=apart)


class MaxPool1d(MaxPool):
    """Max pooling over (N, C, L)."""

    rank = 1


class MaxPool2d(MaxPool):
    """Max pooling over (N, C, H, W)."""

    rank = 2


class MaxPool3d(MaxPool):
    """Max pooling over (N, C, D, H, W)."""

    rank = 3
