"""A convolution is cut into blocks whose columns stay in cache; `Assembly` joins their results."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...backends import Backend, Tensor, Window
from ...backends.protocol import Shape

Range = tuple[int, int]
STREAMED = 8
"""Columns may exceed the cache this many times; larger matmuls repay the misses.

An image whose columns exceed the cache once is a block of its own.
"""


@dataclass(frozen=True)
class Block:
    """Some output rows (places along the first spatial axis) of some images."""

    images: Range
    rows: Range
    inputs: Range
    """The input rows that the windows of these rows touch."""
    window: Window
    """These windows over these input rows; the images are one more axis, the last."""

    @property
    def samples(self) -> int:
        """The number of images."""
        return self.images[1] - self.images[0]


@dataclass(frozen=True)
class Plan:
    """The blocks of a convolution: so many images each, or so many rows of one image."""

    window: Window
    samples: int
    images: int
    rows: int

    @staticmethod
    @functools.lru_cache(maxsize=1024)
    def of(window: Window, samples: int, channels: int, outputs: int, itemsize: int, cache_size: int) -> Plan:
        """Return the plan for an input (samples, channels, *size), with columns that suit the cache.

        A block has at least one row of one image, however large that is. If images or outputs are larger
        than the columns, they must suit the cache instead.
        """
        counts, budget = window.counts, STREAMED * cache_size
        columns = itemsize * channels * window.places * window.positions
        places = max(channels * window.image_places, outputs * window.positions)
        most = max(columns, itemsize * places, 1)
        # The columns of a pointwise window are the image itself; several images together would need a copy.
        alone = cache_size // 4 if window.pointwise else cache_size
        images = 1 if columns > alone else max(1, min(samples, budget // most))
        rows = counts[0] if most <= budget else min(counts[0], max(1, budget * counts[0] // most))
        return Plan(window, samples, images, rows)

    @property
    def whole(self) -> bool:
        """Whether a block has all rows of its images."""
        return self.rows == self.window.counts[0]

    @property
    def batches(self) -> list[Range]:
        """The ranges of images that go together."""
        return [(n, min(n + self.images, self.samples)) for n in range(0, self.samples, self.images)]

    def blocks(self, images: Range) -> Iterator[Block]:
        """Yield the blocks of a range of images, from the first row to the last."""
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


class Workspace:
    """Storage that the blocks use in turn."""

    def __init__(self, backend: Backend, dtype: str) -> None:
        self.backend = backend
        self.dtype = dtype
        self.stores: dict[str, tuple[Shape, Tensor]] = {}

    def store(self, name: str, shape: Shape) -> Tensor:
        """Return storage for `out`: the last block's, if it has this shape."""
        if name not in self.stores or self.stores[name][0] != shape:
            self.stores[name] = (shape, self.backend.empty(shape, dtype=self.dtype))
        return self.stores[name][1]


class Assembly:
    """A tensor (N, *image) assembled from batches, whose results have the images as last axis.

    A single batch is the tensor itself, with its axes permuted. Each of several is assigned to a cell.
    `made` is the shape in which the result of a single image can be computed straight into its cell.
    """

    def __init__(self, work: Workspace, batches: Sequence[Range], shape: Shape, made: Shape) -> None:
        self.backend = work.backend
        self.shape = shape
        self.cells: dict[str, Tensor] = {}
        self.tensor: Tensor | None = None
        self.single = len(batches) == 1
        if not self.single:
            shapes = {str(a): made if b - a == 1 else (b - a, *shape[1:]) for a, b in batches}
            self.tensor, self.cells = self.backend.cells(shapes, dtype=work.dtype)

    def place(self, images: Range) -> Tensor | None:
        """Return the cell of a single image, for `out`; None if there is none."""
        return self.cells.get(str(images[0])) if images[1] - images[0] == 1 else None

    def put(self, images: Range, value: Tensor) -> None:
        """Add the result of a batch: (*image, n), its first axes in any grouping."""
        b, samples = self.backend, images[1] - images[0]
        if samples == 1 and not self.single:
            b.assign(self.cells[str(images[0])], value)
            return
        rank = len(self.shape) - 1
        images_first = b.permute_dims(b.reshape(value, (*self.shape[1:], samples)), (rank, *range(rank)))
        if self.single:
            self.tensor = images_first
        else:
            b.assign(self.cells[str(images[0])], images_first)

    def whole(self) -> Tensor:
        """Return (N, *image), once every batch is in."""
        assert self.tensor is not None
        return self.tensor if self.single else self.backend.reshape(self.tensor, self.shape)
