"""What all convolutions share: options, parameters, shapes and their errors."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import choice, flag, integer
from ...backends.protocol import Shape
from ...backends.windows import Window
from ..initializers import Initializer, or_torchs
from ..module import Module
from ..window_options import Padding, Sizes, axes, check_span, described, sides, sizes
from .borders import MODES, Border, least


class Convolution(Module):
    """y[n, o] = Σ_c w[o, c] ⋆ x[n, c] + b[o]; ⋆ is the cross-correlation over the spatial axes.

    Parameters
    ----------
    in_channels, out_channels
        C and O, the numbers of channels of x and y.
    kernel_size, stride, dilation
        An integer for all spatial axes, or a sequence of one integer for each spatial axis.
    padding
        The number of places to add on each side: an integer for all sides; a sequence of one integer for each
        spatial axis; a sequence of one pair (before, after) for each spatial axis; or a sequence of one
        integer for each side, in the order of torch.nn.ZeroPad2d: (left, right, top, bottom), the last axis
        first. "valid" adds no padding. "same" adds just enough padding that output and input have the same
        size.
    groups
        The number of groups. Input and output channels are divided evenly among the groups. An output channel
        reads only the input channels of its own group. groups = C gives a depthwise convolution.
    bias
        Whether to add b.
    padding_mode
        The values of the padding. "zeros" pads with 0, "replicate" with the value at the edge of the image,
        "reflect" with the image mirrored at its edge (the edge is not repeated), and "circular" with the
        values from the opposite side.
    weight_init, bias_init
        The initializers of w (O, C / groups, *kernel_size) and b (O,); None means torch's default.
    backend
        The backend that the layer runs on; None means the current backend.

    Raises
    ------
    OptionError
        If in_channels, out_channels or groups is not an integer of at least 1; if groups does not divide both
        in_channels and out_channels; if kernel_size, stride or dilation has an entry below 1 or another form;
        if padding is negative, has another form, or is "same" with a stride above 1; if padding_mode is
        unknown; if weight_init or bias_init is not an initializer.
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
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        backend: str | Backend | None = None,
    ) -> None:
        name = type(self).__name__
        in_channels, out_channels, groups = checked_channels(name, in_channels, out_channels, groups)
        padding_mode, bias = choice(name, "padding_mode", padding_mode, MODES), flag(name, "bias", bias)
        super().__init__(backend)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.rank)
        self.stride = sizes(name, "stride", stride, self.rank)
        self.dilation = sizes(name, "dilation", dilation, self.rank)
        self.padding = sides(name, padding, self.kernel_size, self.stride, self.dilation)
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        weight_init, bias_init = or_torchs(weight_init), or_torchs(bias_init)
        self.weight = self.parameter(shape, weight_init)
        self.bias = self.parameter((out_channels,), bias_init, fan=shape) if bias else None

    def window(self, shape: Shape) -> Window:
        """Return the windows over an input (N, C, *spatial).

        If padding_mode is not "zeros", the windows are those over the padded input. Raises ShapeError if the
        input does not fit.
        """
        check_images(self, self.in_channels, self.rank, shape)
        for axis, pair in enumerate(self.padding, start=2):
            needed = 0 if self.padding_mode == "zeros" else least(max(pair), self.padding_mode)
            if shape[axis] < needed:
                why = f"for {self.padding_mode} padding of {max(pair)}"
                raise self.misfit(f"with size at least {needed} on axis {axis} {why}", shape)
        check_span(self, self.kernel_size, self.dilation, self.padding, shape)
        window = Window.of(shape[2:], self.kernel_size, self.stride, self.padding, self.dilation)
        return window if self.padding_mode == "zeros" else window.over_padded

    @override
    def output_shape(self, shape: Shape) -> Shape:
        counts = self.window(shape).counts
        return (shape[0], self.out_channels, *counts)

    @property
    def border(self) -> Border | None:
        """The padding with the image's own values; None if padding_mode is "zeros"."""
        return None if self.padding_mode == "zeros" else Border(self.padding, self.padding_mode)

    @override
    def extra_repr(self) -> str:
        kernel = "x".join(map(str, self.kernel_size))
        return f"{self.in_channels} -> {self.out_channels}, {kernel}" + described(
            stride=(self.stride, 1),
            padding=(self.padding, 0),
            dilation=(self.dilation, 1),
            groups=(self.groups, 1),
            bias=(self.bias is not None, True),
            padding_mode=(self.padding_mode, "zeros"),
        )


def checked_channels(name: str, in_channels: int, out_channels: int, groups: int) -> tuple[int, int, int]:
    """Return the three numbers as ints.

    Raises OptionError unless all three are at least 1 and groups divides in_channels and out_channels.
    """
    in_channels = integer(name, "in_channels", in_channels)
    out_channels = integer(name, "out_channels", out_channels)
    groups = integer(name, "groups", groups)
    if in_channels % groups or out_channels % groups:
        raise OptionError(
            f"{name}: expected groups that divide in_channels={in_channels} and out_channels={out_channels}, "
            f"got {groups}"
        )
    return in_channels, out_channels, groups


def check_images(layer: Module, channels: int, rank: int, shape: Shape) -> None:
    """Raise ShapeError unless `shape` is (N, channels, *spatial) with `rank` spatial axes."""
    if len(shape) != rank + 2 or shape[1] != channels:
        single = len(shape) == rank + 1 and shape[0] == channels
        advice = f"; a single sample needs a batch axis: (1, {', '.join(map(str, shape))})"
        raise layer.misfit(f"(N, {channels}, {axes(rank)})", shape, advice if single else "")


def channel_sum(b: Backend, grad: Tensor) -> Tensor:
    """Return the sum of grad over samples and places: (N, O, *spatial) -> (O,)."""
    return b.sum(grad, axis=(0, *range(2, len(b.shape(grad)))))
