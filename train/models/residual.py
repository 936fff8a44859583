"""Residual networks for images (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...backends import Backend, get_backend
from ...backends.options import integer
from ...layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    Module,
    ReLU,
    Residual,
    Sequential,
)
from .description import LARGEST, ImageModel
from .names import ending, initial


@dataclass(frozen=True)
class ResNet(ImageModel):
    """ResNet-8: a 3x3 convolution, then three residual blocks of two (He et al. 2016, section 4.2, n = 1).

    The blocks have `width`, 2 `width` and 4 `width` channels; the second and the third halve the image, and
    have a 1x1 convolution as their shortcut. Each convolution is followed by batch norm. A linear layer takes
    the mean of each channel.

    Parameters
    ----------
    input_shape, outputs, output, initializer
        As in `ImageModel`; images of any size.
    width
        The channels of the first block.

    """

    width: int = 16
    kind: str = field(default="resnet", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "width", integer("resnet", "width", self.width, most=LARGEST))

    def build(self, backend: str | Backend | None = None) -> Sequential:
        """Return the network (N, C, H, W) -> (N, outputs), with new weights."""
        b, width = get_backend(backend), self.width
        return Sequential(
            *self._convolution(self.input_shape[0], width, 3, 1, b),
            ReLU(b),
            *self._block(width, width, 1, b),
            *self._block(width, 2 * width, 2, b),
            *self._block(2 * width, 4 * width, 2, b),
            AdaptiveAvgPool2d(1, backend=b),
            Flatten(backend=b),
            Linear(4 * width, self.outputs, **initial(self.initializer), backend=b),
            *ending(self.output, b),
        )

    def _block(self, channels: int, outputs: int, stride: int, b: Backend) -> Iterator[Module]:
        same = stride == 1 and channels == outputs
        shortcut = None if same else Sequential(*self._convolution(channels, outputs, 1, stride, b))
        yield Residual(
            *self._convolution(channels, outputs, 3, stride, b),
            ReLU(b),
            *self._convolution(outputs, outputs, 3, 1, b),
            shortcut=shortcut,
        )
        yield ReLU(b)

    def _convolution(
        self, channels: int, outputs: int, kernel: int, stride: int, b: Backend
    ) -> Iterator[Module]:
        init = initial(self.initializer)
        # Batch norm removes any bias and adds its own.
        yield Conv2d(channels, outputs, kernel, stride, kernel // 2, bias=False, **init, backend=b)
        yield BatchNorm2d(outputs, backend=b)
