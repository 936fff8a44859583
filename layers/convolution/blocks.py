"""How a convolution is cut into blocks (`Plan`), and how the results of the blocks are joined (`Assembly`).

A block is a range of whole images, or a range of rows of one image. A row is all places that share an index
along the first spatial axis. In the tensors of a block, the images are the last axis.

A chunk is a range of images: the images of one block, or one image that is cut into blocks.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from ...backends import Backend, Tensor, Window
from ...backends.protocol import Shape

Range = tuple[int, int]
"""(first, last + 1)."""
STREAMED = 8
"""The budget of a block, as a multiple of the cache size.

It is above 1 because larger matmuls save more time than the extra cache misses cost.
"""


@dataclass(frozen=True)
class Block:
    """The output rows `rows` of the images `images`."""

    images: Range
    rows: Range
    inputs: Range
    """The input rows that the windows of these output rows read."""
    window: Window
    """The windows of these output rows over these input rows; the images are an additional last axis."""

    @property
    def samples(self) -> int:
        """The number of images."""
        return self.images[1] - self.images[0]


@dataclass(frozen=True)
class Plan:
    """How a convolution over `samples` images is cut into blocks.

    Each block has up to `images` whole images, or up to `rows` output rows of one image.
    """

    window: Window
    samples: int
    images: int
    rows: int

    @staticmethod
    @functools.lru_cache(maxsize=1024)
    def of(window: Window, samples: int, channels: int, outputs: int, itemsize: int, cache_size: int) -> Plan:
        """Return the plan for an input (samples, channels, *size) and an output with `outputs` channels.

        The columns, the input and the output of a block each fit the budget, STREAMED * cache_size bytes,
        with two exceptions. A block of a single output row may exceed the budget. If an image is cut, the
        input of a block may exceed it too: the last windows of a block also read input rows of the next
        block, and the estimate leaves these rows out.
        """
        counts, budget = window.counts, STREAMED * cache_size
        columns = itemsize * channels * window.places * window.positions
        places = max(channels * window.image_places, outputs * window.positions)
        most = max(columns, itemsize * places, 1)
        # Several images share a block only if the columns of one image take at most `small` bytes. The limit
        # is lower for pointwise windows: the columns of one image are then the image itself, without a copy,
        # and only a block of several images needs a copy.
        small = cache_size // 4 if window.pointwise else cache_size
        images = 1 if columns > small else max(1, min(samples, budget // most))
        rows = counts[0] if most <= budget else min(counts[0], max(1, budget * counts[0] // most))
        return Plan(window, samples, images, rows)

    @property
    def whole(self) -> bool:
        """Whether blocks have whole images."""
        return self.rows == self.window.counts[0]

    @property
    def chunks(self) -> list[Range]:
        """The ranges of images that share a block; ranges of one image each if images are cut."""
        return [(n, min(n + self.images, self.samples)) for n in range(0, self.samples, self.images)]

    def blocks(self, images: Range) -> Iterator[Block]:
        """Yield the blocks of the chunk `images`, in the order of their rows."""
        window = self.window
        size, stride, span = window.size[0], window.stride[0], window.span[0]
        for top in range(0, window.counts[0], self.rows):
            bottom = min(top + self.rows, window.counts[0])
            start = top * stride - window.padding[0][0]
            stop = (bottom - 1) * stride + span - window.padding[0][0]
            # The windows read the rows from start to stop of the padded image. Of these, the rows from low
            # to high are in the image; `before` and `after` rows are padding.
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
    """Storage that the blocks of one convolution use one after another."""

    def __init__(self, backend: Backend, dtype: str) -> None:
        self.backend = backend
        self.dtype = dtype
        self.stores: dict[str, tuple[Shape, Tensor]] = {}

    def store(self, name: str, shape: Shape) -> Tensor:
        """Return storage to pass as `out`.

        If the previous call with this name had the same shape, return the storage that it returned. Otherwise
        return new storage.
        """
        if name not in self.stores or self.stores[name][0] != shape:
            self.stores[name] = (shape, self.backend.empty(shape, dtype=self.dtype))
        return self.stores[name][1]


class Assembly:
    """A tensor (N, C, *spatial), assembled from the results of blocks.

    If images are cut, `add` adds the result of each block to its rows of a tensor of zeros. Otherwise each
    chunk is one block, and `put` takes its result. If there is only one chunk, its result, with the axes
    permuted, is the tensor. If there are several chunks, `put` assigns each result to the chunk's cell.
    The cell of a one-image chunk has the shape `made`. This is the shape in which an op makes the result of a
    block, so the op can write into the cell through `out`.
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
        """Return the cell of a chunk, to pass as `out`; None if it has no cell or several images."""
        return self.cells.get(str(images[0])) if images[1] - images[0] == 1 else None

    def put(self, images: Range, value: Tensor) -> None:
        """Store the result of a chunk of n images: the elements of (C, *spatial, n) in row-major order.

        `value` may have any shape, but for a one-image chunk among several chunks it must have the shape
        `made`.
        """
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
        """Add `strip` to the rows `rows` of a cut image.

        `strip` holds the elements of (C, n, *spatial[1:]) for n rows in row-major order, in any shape.
        """
        assert self.tensor is not None
        b, channels, rest = self.backend, self.shape[1], self.shape[3:]
        values = b.reshape(strip, (1, channels, rows[1] - rows[0], *rest))
        starts, stops = (image, 0, rows[0], *(0 for _ in rest)), (image + 1, channels, rows[1], *rest)
        self.tensor = b.slice_add(self.tensor, values, starts, stops, out=self.tensor)

    def whole(self) -> Tensor:
        """Return the tensor (N, C, *spatial) after the last `put` or `add`."""
        assert self.tensor is not None
        return self.tensor if self.single else self.backend.reshape(self.tensor, self.shape)
