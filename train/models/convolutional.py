"""Convolutional networks for images (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from ...backends import Backend, get_backend
from ...backends.options import integer, number
from ...layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from .description import LARGEST, ImageModel
from .names import ending, initial

_WIDEST = 4  # most channels, as a multiple of `width`


@dataclass(frozen=True)
class CNN(ImageModel):
    """Stages of two 3x3 convolutions with batch norm and ReLU, then a max pool, as in VGG.

    Each stage halves the image and doubles the channels (up to 4 times `width`), until the height or width is
    3 or less; a linear layer follows (Simonyan & Zisserman 2015; Ioffe & Szegedy 2015).

    Parameters
    ----------
    input_shape, outputs, output, initializer
        As in `ImageModel`; images of at least 4 x 4.
    width
        The channels of the first stage.
    dropout
        The dropout probability before the linear layer.

    """

    width: int = 32
    dropout: float = 0.3
    kind: str = field(default="cnn", init=False)

    smallest: ClassVar[int] = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "width", integer("cnn", "width", self.width, most=LARGEST))
        object.__setattr__(self, "dropout", number("cnn", "dropout", self.dropout, least=0, most=1))

    def build(self, backend: str | Backend | None = None) -> Sequential:
        """Return the network (N, C, H, W) -> (N, outputs), with new weights."""
        b = get_backend(backend)
        (channels, height, width), filters = self.input_shape, self.width
        layers: list[Module] = []
        while min(height, width) >= self.smallest:
            layers += [*self._block(channels, filters, b), *self._block(filters, filters, b)]
            layers.append(MaxPool2d(2, backend=b))
            channels, height, width = filters, height // 2, width // 2
            filters = min(2 * filters, _WIDEST * self.width)
        layers += [Flatten(backend=b), Dropout(self.dropout, backend=b)]
        last = Linear(channels * height * width, self.outputs, **initial(self.initializer), backend=b)
        return Sequential(*layers, last, *ending(self.output, b))

    def _block(self, channels: int, filters: int, b: Backend) -> Iterator[Module]:
        # Batch norm removes any bias and adds its own.
        yield Conv2d(channels, filters, 3, padding=1, bias=False, **initial(self.initializer), backend=b)
        yield BatchNorm2d(filters, backend=b)
        yield ReLU(b)


@dataclass(frozen=True)
class LeNet(ImageModel):
    """LeNet-5 (LeCun et al. 1998, section II-B), with ReLU and max pooling as is usual today.

    Convolutions of 6 and 16 channels, 5x5, the first with padding 2, each followed by ReLU and a 2x2 max
    pool; then linear layers of 120, 84 and `outputs`. For images such as MNIST's (1, 28, 28).

    Parameters
    ----------
    input_shape, outputs, output, initializer
        As in `ImageModel`; images of at least 12 x 12.

    """

    kind: str = field(default="lenet", init=False)

    smallest: ClassVar[int] = 12

    def build(self, backend: str | Backend | None = None) -> Sequential:
        """Return the network (N, C, H, W) -> (N, outputs), with new weights."""
        b = get_backend(backend)
        channels, height, width = self.input_shape
        init = initial(self.initializer)
        size = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
        return Sequential(
            Conv2d(channels, 6, 5, padding=2, **init, backend=b),
            ReLU(b),
            MaxPool2d(2, backend=b),
            Conv2d(6, 16, 5, **init, backend=b),
            ReLU(b),
            MaxPool2d(2, backend=b),
            Flatten(backend=b),
            Linear(size, 120, **init, backend=b),
            ReLU(b),
            Linear(120, 84, **init, backend=b),
            ReLU(b),
            Linear(84, self.outputs, **init, backend=b),
            *ending(self.output, b),
        )
