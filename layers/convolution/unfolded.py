"""Convolution by `unfold` and `matmul` (correlation.py), or by Winograd's algorithm (winograd.py)."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Backend, DtypeError, OptionError, Tensor, Window
from ...backends.host import is_floating
from ...backends.options import choice, shown
from ..initializers import Initializer
from ..window_options import Padding, Sizes, described, sizes
from .convolution import Convolution, channel_sum
from .correlation import Correlation
from .winograd import Winograd, faster

ALGORITHMS = ("unfold", "winograd", "auto")
"""The algorithms of Conv2d."""


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
        correlation = self.correlation(window, shape[0], b.dtype(x))
        self.keep(x, correlation)
        return correlation.forward(x, self.weight.data, None if self.bias is None else self.bias.data)

    def correlation(self, window: Window, samples: int, dtype: str) -> Correlation | Winograd:
        """Return what computes the layer's output and gradients for these windows."""
        channels = (self.in_channels, self.out_channels, self.groups)
        return Correlation(self.backend, dtype, window, samples, *channels, self.border)

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
    `autodiff` the memory has no such bound. A step that `jit` compiles makes no columns if C K is at most
    8,192 and the algorithm is "unfold": it needs a copy of the weights and a few rows of some images.

    Parameters
    ----------
    algorithm
        "unfold" multiplies each window by the kernels. "winograd" needs fewer multiplications (winograd.py),
        only for 3 x 3 kernels with stride 1, no dilation, one group and padding by zeros. Its errors are
        larger, as docs/numerics.md says. "auto" chooses by shapes: Winograd where it was measured to be
        faster, op by op; in compiled steps it is faster there, too. The other parameters are those of
        `Convolution`.

    Raises
    ------
    OptionError
        If algorithm is unknown, or is "winograd" and does not apply; and as for `Convolution`.

    """

    rank = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        algorithm: str = "unfold",
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        backend: str | Backend | None = None,
    ) -> None:
        name = type(self).__name__
        algorithm = choice(name, "algorithm", algorithm, ALGORITHMS)
        if algorithm == "winograd":
            _check_winograd(
                name, groups, padding_mode, kernel_size=kernel_size, stride=stride, dilation=dilation
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            weight_init=weight_init,
            bias_init=bias_init,
            backend=backend,
        )
        self.algorithm = algorithm

    @override
    def correlation(self, window: Window, samples: int, dtype: str) -> Correlation | Winograd:
        channels = (self.in_channels, self.out_channels)
        if self.algorithm == "winograd" or (
            self.algorithm == "auto"
            and self.groups == 1
            and self.border is None
            and faster(window, samples, *channels)
        ):
            if not is_floating(dtype):
                raise DtypeError(f"expected a floating input, got {dtype}; convert it with astype")
            return Winograd(self.backend, dtype, window, samples, *channels)
        return super().correlation(window, samples, dtype)

    @override
    def extra_repr(self) -> str:
        return super().extra_repr() + described(algorithm=(self.algorithm, "unfold"))


class Conv3d(_Unfolded):
    """Convolution over (N, C, D, H, W).

    It needs as much extra memory as Conv2d. Here an output row is a slice of H' W' places.
    """

    rank = 3


def _check_winograd(name: str, groups: int, padding_mode: str, **window: Sizes) -> None:
    """Raise OptionError unless Winograd's algorithm computes this convolution."""
    for option, value in window.items():
        wanted = 3 if option == "kernel_size" else 1
        if sizes(name, option, value, 2) != (wanted, wanted):
            raise _not_winograd(name, option, wanted, value)
    if groups != 1:
        raise _not_winograd(name, "groups", 1, groups)
    if padding_mode != "zeros":
        raise _not_winograd(name, "padding_mode", "zeros", padding_mode)


def _not_winograd(name: str, option: str, wanted: object, value: object) -> OptionError:
    return OptionError(
        f"{name}: expected {option}={wanted!r} with algorithm='winograd', got {option}={shown(value)}; "
        "use algorithm='unfold', which computes every convolution"
    )
