"""How a convolution is cut into blocks whose columns stay in fast memory, and put together again."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...backends import Backend, Tensor
from ...backends.protocol import Shape
from ...backends.windows import Window

Range = tuple[int, int]
STREAMED = 8
"""How many times the cache the columns of a block may be: what larger products win is more than it costs.

An image whose columns the cache does not hold is a block of its own, and need not be laid innermost.
"""


@dataclass(frozen=True)
class Block:
    """Some images, and some of their output rows: places along the first spatial axis."""

    images: Range
    rows: Range
    inputs: Range
    """The input rows that the windows of these rows touch."""
    window: Window
    """These windows over these input rows; the images are one more axis, the last."""

    @property
    def samples(self) -> int:
        """How many images."""
        return self.images[1] - self.images[0]


@dataclass(frozen=True)
class Plan:
    """The blocks of a convolution over images of one size: so many images each, or rows of one."""

    window: Window
    samples: int
    images: int
    rows: int

    @staticmethod
    @functools.lru_cache(maxsize=1024)
    def of(window: Window, samples: int, channels: int, outputs: int, itemsize: int, cache_size: int) -> Plan:
        """Return the plan for an input (samples, channels, *size), with columns that suit the cache.

        A block has at least one row of one image, however large that is. Where its images or outputs are
        larger than its columns, it is they that the cache must suit.
        """
        counts, budget = window.counts, STREAMED * cache_size
        image = itemsize * channels * window.places * window.positions
        places = max(channels * math.prod(window.size), outputs * window.positions)
        most = max(image, itemsize * places, 1)
        # Of one place a window, an image is its own columns: to lay several innermost would be a copy.
        alone = cache_size // 4 if _is_pointwise(window) else cache_size
        images = 1 if image > alone else max(1, min(samples, budget // most))
        rows = counts[0] if most <= budget else min(counts[0], max(1, budget * counts[0] // most))
        return Plan(window, samples, images, rows)

    @property
    def whole(self) -> bool:
        """Whether a block has all rows of its images."""
        return self.rows == self.window.counts[0]

    @property
    def pointwise(self) -> bool:
        """Whether every window is one place of the input, and the input its own columns."""
        return _is_pointwise(self.window)

    @property
    def batches(self) -> list[Range]:
        """The ranges of images that go together."""
        return [(n, min(n + self.images, self.samples)) for n in range(0, self.samples, self.images)]

    def blocks(self, images: Range) -> Iterator[Block]:
        """Yield the blocks of some images, from the first row to the last."""
        window = self.window
        size, stride, span = window.size[0], window.stride[0], window.span[0]
        for top in range(0, window.counts[0], self.rows):
            bottom = min(top + self.rows, window.counts[0])
            start = top * stride - window.padding[0][0]
            stop = (bottom - 1) * stride + span - window.padding[0][0]
            low = min(max(start, 0), size)
            high = max(min(stop, size), low)
            before = min(max(-start, 0), stop - start)
            after = stop - start - before - (high - low)
            inner = Window.of(
                (high - low, *window.size[1:], images[1] - images[0]),
                (*window.kernel_size, 1),
                (*window.stride, 1),
                ((before, after), *window.padding[1:], (0, 0)),
                (*window.dilation, 1),
            )
            yield Block(images, (top, bottom), (low, high), inner)


def _is_pointwise(window: Window) -> bool:
    return window.places == math.prod(window.stride) == 1 and not window.padded


class Workspace:
    """Storage that the blocks use one after the other."""

    def __init__(self, backend: Backend, dtype: str) -> None:
        self.backend = backend
        self.dtype = dtype
        self.stores: dict[str, tuple[Shape, Tensor]] = {}

    def store(self, name: str, shape: Shape) -> Tensor:
        """Return storage for `out`: that of the last block, where the shape is the same."""
        held = self.stores.get(name)
        if held is None or held[0] != shape:
            held = self.stores[name] = (shape, self.backend.empty(shape, dtype=self.dtype))
        return held[1]


class Assembly:
    """A tensor (N, *image) put together from batches, whose results have their images innermost.

    One batch is the tensor itself, its axes seen in another order. Of more, each is assigned to a cell.
    `made` is the shape in which the result of a single image is computed, if it can be straight into its
    cell.
    """

    def __init__(self, work: Workspace, batches: Sequence[Range], shape: Shape, made: Shape) -> None:
        self.backend = work.backend
        self.shape = shape
        self.cells: dict[str, Tensor] = {}
        self.tensor: Tensor | None = None
        if len(batches) != 1:
            shapes = {str(a): made if b - a == 1 else (b - a, *shape[1:]) for a, b in batches}
            self.tensor, self.cells = self.backend.cells(shapes, dtype=work.dtype)

    def place(self, images: Range) -> Tensor | None:
        """Return the cell of a single image, for `out`; None where there is none."""
        return self.cells.get(str(images[0])) if images[1] - images[0] == 1 else None

    def put(self, images: Range, value: Tensor) -> None:
        """Take the result of a batch: (*image, n), its first axes in any grouping."""
        b, samples = self.backend, images[1] - images[0]
        cell = self.cells.get(str(images[0]))
        if cell is not None and samples == 1:
            b.assign(cell, value)
            return
        rank = len(self.shape) - 1
        turned = b.permute_dims(b.reshape(value, (*self.shape[1:], samples)), (rank, *range(rank)))
        if cell is None:
            self.tensor = turned
        else:
            b.assign(cell, turned)

    def whole(self) -> Tensor:
        """Return (N, *image), once every batch was put."""
        assert self.tensor is not None
        one = len(self.backend.shape(self.tensor)) == len(self.shape)
        return self.tensor if one else self.backend.reshape(self.tensor, self.shape)
