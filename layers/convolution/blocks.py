"""A convolution is cut into blocks of a few times the cache size; `Assembly` joins their results."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from ...backends import Backend, Tensor, Window
from ...backends.protocol import Shape

Range = tuple[int, int]
STREAMED = 8
"""A block's columns may be this many times the cache size; larger matmuls make up for the cache misses.

An image whose columns are larger than the cache shares no block with other images.
"""


@dataclass(frozen=True)
class Block:
    """Some output rows (places along the first spatial axis) of some images."""

    images: Range
    rows: Range
    inputs: Range
    """The input rows that the windows of `rows` touch."""
    window: Window
    """The geometry of those windows over `inputs`, with the images as an extra last axis."""

    @property
    def samples(self) -> int:
        """The number of images."""
        return self.images[1] - self.images[0]


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut: each block has up to `images` images, or up to `rows` rows of one image."""

    window: Window
    samples: int
    images: int
    rows: int

    @staticmethod
    @functools.lru_cache(maxsize=1024)
    def of(window: Window, samples: int, channels: int, outputs: int, itemsize: int, cache_size: int) -> Plan:
        """Return the plan for an input (samples, channels, *size); a block's columns fit the memory budget.

        The largest of columns, images and outputs must fit the budget. A block has at least one row of one
        image, even if that row exceeds the budget.
        """
        counts, budget = window.counts, STREAMED * cache_size
        columns = itemsize * channels * window.places * window.positions
        places = max(channels * window.image_places, outputs * window.positions)
        most = max(columns, itemsize * places, 1)
        # A pointwise window's columns are the image itself: one image needs no copy, several in a block do.
        alone = cache_size // 4 if window.pointwise else cache_size
        images = 1 if columns > alone else max(1, min(samples, budget // most))
        rows = counts[0] if most <= budget else min(counts[0], max(1, budget * counts[0] // most))
        return Plan(window, samples, images, rows)

    @property
    def whole(self) -> bool:
        """Whether a block has all rows of its images."""
        return self.rows == self.window.counts[0]

    @property
    def chunks(self) -> list[Range]:
        """The ranges of images that are computed together."""
        return [(n, min(n + self.images, self.samples)) for n in range(0, self.samples, self.images)]

    def blocks(self, images: Range) -> Iterator[Block]:
        """Yield the blocks of a range of images, from the first rows to the last."""
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
    """Storage that the blocks use one after another."""

    def __init__(self, backend: Backend, dtype: str) -> None:
        self.backend = backend
        self.dtype = dtype
        self.stores: dict[str, tuple[Shape, Tensor]] = {}

    def store(self, name: str, shape: Shape) -> Tensor:
        """Return storage for `out`; the previous block's storage is reused if the shapes are equal."""
        if name not in self.stores or self.stores[name][0] != shape:
            self.stores[name] = (shape, self.backend.empty(shape, dtype=self.dtype))
        return self.stores[name][1]


class Assembly:
    """A tensor (N, C, *spatial), assembled from one value per chunk, or per block if images are cut.

    The value of a single chunk, with its images as the last axis, becomes the tensor: only its axes are
    permuted. The values of several chunks are assigned to cells. A chunk of one image has a cell of the shape
    `made`, so that an op can write its result into the cell. Blocks of a cut image are added to zeros.
    """

    def __init__(self, work: Workspace, plan: Plan, shape: Shape, made: Shape) -> None:
        self.backend = work.backend
        self.shape = shape
        self.cells: dict[str, Tensor] = {}
        self.tensor: Tensor | None = None
        self.single = plan.whole and len(plan.chunks) == 1
        if not plan.whole:
            self.tensor = self.backend.full(shape, 0.0, dtype=work.dtype)
        elif not self.single:
            shapes = {str(a): made if b - a == 1 else (b - a, *shape[1:]) for a, b in plan.chunks}
            self.tensor, self.cells = self.backend.cells(shapes, dtype=work.dtype)

    def place(self, images: Range) -> Tensor | None:
        """Return the cell for a chunk of one image, to use as `out`; otherwise None."""
        return self.cells.get(str(images[0])) if images[1] - images[0] == 1 else None

    def put(self, images: Range, value: Tensor) -> None:
        """Store the value of a chunk, (C, *spatial, n); its leading axes may be merged or split."""
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

    def add(self, image: int, rows: Range, strip: Tensor) -> None:
        """Add to these rows of a cut image the values (C, rows, *spatial[1:]); axes may be merged or split."""
        assert self.tensor is not None
        b, channels, rest = self.backend, self.shape[1], self.shape[3:]
        values = b.reshape(strip, (1, channels, rows[1] - rows[0], *rest))
        starts, stops = (image, 0, rows[0], *(0 for _ in rest)), (image + 1, channels, rows[1], *rest)
        self.tensor = b.slice_add(self.tensor, values, starts, stops, out=self.tensor)

    def whole(self) -> Tensor:
        """Return the tensor (N, C, *spatial); call it after the last `put` or `add`."""
        assert self.tensor is not None
        return self.tensor if self.single else self.backend.reshape(self.tensor, self.shape)
