"""Max pooling: the largest value of each window."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Tensor
from .pool import Pool


class MaxPool(Pool):
    """y = max over the window: the first of equal values, and never padding. NaN goes through."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, C, *counts)."""
        b = self.backend
        shape, dtype = b.shape(x), self.check_floating(x)
        window = self.window(shape)
        y, indices = b.max_pool(x, window)
        self.keep(indices, window, (*shape[:2], *window.counts), dtype)
        return y

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = Σ g over the windows whose maximum is x, else 0; a window of padding alone gives none."""
        indices, window, y_shape, dtype = self.kept()
        self.check_gradient(grad_output, y_shape, dtype)
        distinct = not window.overlapping
        return self.backend.max_pool_grad(
            grad_output, indices, window.size, distinct=distinct, hollow=window.hollow
        )


class MaxPool1d(MaxPool):
    """Max pooling over (N, C, L)."""

    rank = 1


class MaxPool2d(MaxPool):
    """Max pooling over (N, C, H, W)."""

    rank = 2


class MaxPool3d(MaxPool):
    """Max pooling over (N, C, D, H, W)."""

    rank = 3
