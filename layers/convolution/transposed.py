"""Transposed convolution: a layer whose forward pass is the input gradient of a convolution."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import choice, flag
from ...backends.protocol import Shape
from ...backends.windows import Window
from ..initializers import Initializer, or_torchs
from ..module import Module
from ..window_options import Padding, Sizes, described, numeric_sides, sizes
from .convolution import channel_sum, check_images, checked_channels
from .correlation import Correlation


class ConvTranspose(Module):
    """Each place of x adds a multiple of the kernel to y.

    Neighbouring places of x add their multiples at positions `stride` places apart in y. The forward pass
    computes the input gradient of a convolution with these options, plus b.

    Parameters
    ----------
    in_channels, out_channels
        C and O, the numbers of channels of x and y.
    kernel_size, stride, dilation
        An integer for all spatial axes, or a sequence of one integer for each spatial axis.
    padding
        The number of places to cut off each side of y. It takes the forms that a convolution's padding takes,
        except "same" and "valid".
    output_padding
        The number of places to add to y at the end of each spatial axis: an integer for all axes, or a
        sequence of one integer for each axis. It must be below max(stride, dilation) on each axis. A
        convolution with a stride maps several input sizes to the same output size; output_padding selects
        which of these input sizes y has.
    groups, bias
        As for a convolution.
    padding_mode
        Only "zeros", as in torch.
    weight_init, bias_init
        The initializers of w (C, O / groups, *kernel_size) and b (O,); None means torch's default.
    backend
        The backend that the layer runs on; None means the current backend.

    Raises
    ------
    OptionError
        If in_channels, out_channels or groups is not an integer of at least 1; if groups does not divide both
        in_channels and out_channels; if kernel_size, stride or dilation has an entry below 1 or another form;
        if padding is negative or has another form; if output_padding is out of range; if padding_mode is not
        "zeros"; if weight_init or bias_init is not an initializer.
    BackendError
        If the backend is unknown or cannot run.

    """

    rank: ClassVar[int]
    """The number of spatial axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        backend: str | Backend | None = None,
    ) -> None:
        name = type(self).__name__
        in_channels, out_channels, groups = checked_channels(name, in_channels, out_channels, groups)
        choice(name, "padding_mode", padding_mode, ("zeros",))
        bias = flag(name, "bias", bias)
        super().__init__(backend)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.rank)
        self.stride = sizes(name, "stride", stride, self.rank)
        self.dilation = sizes(name, "dilation", dilation, self.rank)
        self.padding = numeric_sides(name, padding, (self.kernel_size, self.stride, self.dilation))
        self.output_padding = sizes(name, "output_padding", output_padding, self.rank, least=0)
        if any(
            o >= max(s, d) for o, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True)
        ):
            raise OptionError(
                f"{name}: expected output_padding below the larger of stride {self.stride} and dilation "
                f"{self.dilation}, got {self.output_padding}"
            )
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        weight_init, bias_init = or_torchs(weight_init), or_torchs(bias_init)
        self.weight = self.parameter(shape, weight_init)
        self.bias = self.parameter((out_channels,), bias_init, fan=shape) if bias else None

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, O, *output size).

        On each axis, with padding (before, after), the output size is
        (size - 1) * stride + dilation * (kernel_size - 1) + 1 - before - after + output_padding.
        """
        b, shape = self.backend, self.backend.shape(x)
        window, beyond = self._geometry(shape)
        correlation = Correlation(
            b, b.dtype(x), window, shape[0], self.out_channels, self.in_channels, self.groups
        )
        self.keep(x, correlation, beyond)
        y = correlation.input_grad(x, self.weight.data)
        if any(beyond):
            y = b.pad(y, ((0, 0), (0, 0), *((0, n) for n in beyond)))
        if self.bias is None:
            return y
        return b.add(y, b.reshape(self.bias.data, (1, self.out_channels, *(1,) * self.rank)), out=y)

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dx = w columns, dL/dw = Σ x columnsᵀ, dL/db = Σ g, with g = dL/dy: (N, O, *output size).

        The columns are those of g in a convolution with these options. The sums run over samples and places.
        """
        b = self.backend
        x, correlation, beyond = self.kept()
        self.check_gradient(grad_output, self.output_shape(b.shape(x)))
        if self.bias is not None:
            self.bias.accumulate(channel_sum(b, grad_output))
        if any(beyond):  # the last `beyond` places of each axis of y hold only b
            grad_output = b.slice(grad_output, (0,) * (self.rank + 2), correlation.x_shape)
        self.weight.accumulate(correlation.weight_grad(x, grad_output))
        return correlation.forward(grad_output, self.weight.data) if self.input_gradient else None

    @override
    def output_shape(self, shape: Shape) -> Shape:
        window, beyond = self._geometry(shape)
        return (shape[0], self.out_channels, *(n + o for n, o in zip(window.size, beyond, strict=True)))

    def _geometry(self, shape: Shape) -> tuple[Window, tuple[int, ...]]:
        """Return the windows of the convolution that maps y to x, and `beyond`.

        For each axis, `beyond` is the number of places at the end of y that are not in the input of this
        convolution.
        """
        check_images(self, self.in_channels, self.rank, shape)
        if min(shape[2:]) < 1:
            raise self.misfit("with size at least 1 on each spatial axis", shape)
        size, padding, beyond, least = [], [], [], []
        for axis, count in enumerate(shape[2:]):
            before, after = self.padding[axis]
            full = (count - 1) * self.stride[axis] + self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            # output_padding first reduces the cut at the end of y. The rest of it, `more`, is then added.
            after, more = max(after - self.output_padding[axis], 0), max(self.output_padding[axis] - after, 0)
            # A convolution may leave up to stride - 1 places at the end of its input unread, so its input can
            # include this many additional places.
            if more < self.stride[axis]:
                full, more = full + more, 0
            size.append(full - before - after)
            padding.append((before, after))
            beyond.append(more)
            # Removing one place from x shortens y by `stride` places. y keeps at least one place if x loses
            # up to k places. A negative k means that y has no place now, and that x needs -k more places.
            k = (size[-1] - 1) // self.stride[axis]
            least.append(max(1, count - k))
        if min(size) < 1:
            advice = f"; padding {self.padding} cuts off the whole output"
            raise self.misfit(f"with spatial size at least {tuple(least)}", shape, advice)
        window = Window.of(tuple(size), self.kernel_size, self.stride, padding, self.dilation)
        return window, tuple(beyond)

    @override
    def extra_repr(self) -> str:
        kernel = "x".join(map(str, self.kernel_size))
        return f"{self.in_channels} -> {self.out_channels}, {kernel}" + described(
            stride=(self.stride, 1),
            padding=(self.padding, 0),
            output_padding=(self.output_padding, 0),
            groups=(self.groups, 1),
            bias=(self.bias is not None, True),
            dilation=(self.dilation, 1),
        )


class ConvTranspose1d(ConvTranspose):
    """Transposed convolution over (N, C, L)."""

    rank = 1


class ConvTranspose2d(ConvTranspose):
    """Transposed convolution over (N, C, H, W)."""

    rank = 2


class ConvTranspose3d(ConvTranspose):
    """Transposed convolution over (N, C, D, H, W)."""

    rank = 3
