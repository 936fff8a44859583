"""Convolution straight from its definition: loops over samples, output channels, rows and columns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from typing_extensions import override

from ...backends import Tensor
from ...backends.protocol import Shape
from ...backends.windows import Window
from .convolution import Convolution, channel_sum


class NaiveConv2d(Convolution):
    """Convolution over (N, C, H, W), one window at a time.

    Section II-B of Jin, Shen & Zhu (docs/papers/jin.md) describes this algorithm. It is slow and obviously
    correct; the tests compare `Conv2d` with it.
    """

    rank = 2

    @override
    def forward(self, x: Tensor) -> Tensor:
        """y[n, o, i, j] = Σ (window * w[o]) + b[o]: (N, C, H, W) -> (N, O, H', W').

        The window (C / groups, *kernel_size) is the part of sample n's padded input that the kernel covers at
        (i, j), in the channels of o's group. The sum runs over all elements of the window.
        """
        b = self.backend
        y_shape = self.output_shape(b.shape(x))
        window = self.window(b.shape(x))
        if self.border is not None:
            x = self.border.extend(b, x)
        padded = b.pad(x, ((0, 0), (0, 0), *window.padding))
        self.keep(padded, window, y_shape)
        values = []
        for n, o, (starts, stops) in _places(y_shape, window):
            part = b.slice(padded, *self._bounds(n, o, starts, stops), steps=(1, 1, *self.dilation))
            values.append(b.sum(b.multiply(part, self._kernel(o)), keepdims=True))
        if not values:
            return b.full(y_shape, 0.0, dtype=b.dtype(x))
        y = b.reshape(b.concat(values, axis=0), y_shape)
        return y if self.bias is None else b.add(y, b.reshape(self.bias.data, (1, self.out_channels, 1, 1)))

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dw[o] = Σ g * window, dL/db[o] = Σ g, with g = dL/dy[n, o, i, j]; the sums run over n, i and j.

        dL/dx starts as zeros; for each n, o, i and j, g * w[o] is added to the places of the window.
        """
        b = self.backend
        padded, window, y_shape = self.kept()
        self.check_gradient(grad_output, y_shape)
        dtype = b.dtype(padded)
        grad_padded = b.full(b.shape(padded), 0.0, dtype=dtype)
        grad_weight = b.full(self.weight.shape, 0.0, dtype=dtype)
        gradients = b.reshape(grad_output, (-1, 1, 1, 1)) if y_shape[0] else grad_output
        rest = self.weight.shape[1:]
        for i, (n, o, (starts, stops)) in enumerate(_places(y_shape, window)):
            g = b.slice(gradients, (i, 0, 0, 0), (i + 1, 1, 1, 1))
            bounds, steps = self._bounds(n, o, starts, stops), (1, 1, *self.dilation)
            part = b.slice(padded, *bounds, steps=steps)
            grad_weight = b.slice_add(
                grad_weight, b.multiply(part, g), (o, 0, 0, 0), (o + 1, *rest), out=grad_weight
            )
            spread = b.multiply(self._kernel(o), g)
            grad_padded = b.slice_add(grad_padded, spread, *bounds, steps=steps, out=grad_padded)
        self.weight.accumulate(grad_weight)
        if self.bias is not None:
            self.bias.accumulate(channel_sum(b, grad_output))
        if not self.input_gradient:
            return None
        starts = (0, 0, *(before for before, _ in window.padding))
        stops = (y_shape[0], self.in_channels, *(s + n for s, n in zip(starts[2:], window.size, strict=True)))
        grad = b.slice(grad_padded, starts, stops)
        return grad if self.border is None else self.border.extend_grad(b, grad)

    def _kernel(self, o: int) -> Tensor:
        """Return w[o]: (1, C / groups, *kernel_size)."""
        shape = self.weight.shape
        return self.backend.slice(self.weight.data, (o, 0, 0, 0), (o + 1, *shape[1:]))

    def _bounds(self, n: int, o: int, starts: Shape, stops: Shape) -> tuple[Shape, Shape]:
        """Return the starts and stops, on all axes of x, of a window that channel o reads from sample n.

        starts, stops: the window's bounds on the spatial axes.
        """
        width = self.in_channels // self.groups
        first = o // (self.out_channels // self.groups) * width
        return (n, first, *starts), (n + 1, first + width, *stops)


def _places(y_shape: Shape, window: Window) -> Iterator[tuple[int, int, tuple[Shape, Shape]]]:
    """Yield (n, o, (starts, stops)) for each element of y, in row-major order.

    starts and stops are the bounds, on the spatial axes, of the window that the element reads.
    """
    for n, o, *place in product(*map(range, y_shape)):
        starts = tuple(p * s for p, s in zip(place, window.stride, strict=True))
        spans = (d * (k - 1) + 1 for d, k in zip(window.dilation, window.kernel_size, strict=True))
        yield n, o, (starts, tuple(start + span for start, span in zip(starts, spans, strict=True)))
