"""The convolutional network of Jin, Shen and Zhu, for volumes of 3 x 4 x 4 numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...backends import Backend, get_backend
from ...backends.options import flag
from ...layers import BatchNorm1d, BatchNorm2d, Conv2d, Flatten, Linear, Module, NaiveConv2d, ReLU, Sequential
from .description import ImageModel
from .names import ending, initial


@dataclass(frozen=True)
class Jin(ImageModel):
    """Two 3x3 convolutions of 5 and 1 channels and two linear layers of 10 and `outputs` (Jin et al., IV).

    The paper's weights are (5, 3, 3, 3), (1, 5, 3, 3), (16, 10) and (10, 1). It does not state the padding;
    16 = 1 x 4 x 4 needs padding 1. ReLU follows every layer except the last.

    Parameters
    ----------
    input_shape, outputs, output, initializer
        As in `ImageModel`; images of any size.
    batch_norm
        Whether batch norm precedes each ReLU; optional in the paper.
    naive
        Whether convolutions are the paper's loops (`NaiveConv2d`), much slower than `Conv2d` and equal up to
        rounding.

    """

    batch_norm: bool = True
    naive: bool = False
    kind: str = field(default="jin", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("batch_norm", "naive"):
            object.__setattr__(self, option, flag("jin", option, getattr(self, option)))

    def build(self, backend: str | Backend | None = None) -> Sequential:
        """Return the network (N, C, H, W) -> (N, outputs), with new weights."""
        b = get_backend(backend)
        channels, height, width = self.input_shape
        init = initial(self.initializer)
        convolution = NaiveConv2d if self.naive else Conv2d
        layers: list[Module] = []
        for inputs, filters in ((channels, 5), (5, 1)):
            layers.append(convolution(inputs, filters, 3, padding=1, **init, backend=b))
            layers += self._activation(BatchNorm2d, filters, b)
        layers += [Flatten(backend=b), Linear(height * width, 10, **init, backend=b)]
        layers += self._activation(BatchNorm1d, 10, b)
        return Sequential(*layers, Linear(10, self.outputs, **init, backend=b), *ending(self.output, b))

    def _activation(
        self, norm: type[BatchNorm1d] | type[BatchNorm2d], size: int, b: Backend
    ) -> Iterator[Module]:
        if self.batch_norm:
            yield norm(size, backend=b)
        yield ReLU(b)
