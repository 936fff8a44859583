"""Cross-correlation over 1 to 3 spatial axes, and its two gradients, by `unfold`, `matmul` and `fold`.

`unfold` copies each window of the input into a column of C K numbers, for C channels and a kernel of K
places; then y = w columns. `fold` adds each column to the places of its window. The columns of a batch are
usually larger than the cache, so they are made in blocks (blocks.py). In the tensors of a block, the images
are the last axis, so that `unfold` copies long runs of numbers even if the images are small.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...backends import Backend, Tensor, Window
from ...backends.protocol import Shape
from .blocks import Assembly, Block, Plan, Range, Workspace
from .borders import Border


@dataclass(frozen=True)
class Correlation:
    """y = w ⋆ x, the cross-correlation of x (N, C, *size) with w (O, C / groups, *kernel_size).

    y is (N, O, *counts). Besides arguments and result, `forward`, `weight_grad` and `input_grad` each need
    memory for one block: at most about 32 times the backend's `cache_size`, if every row fits the budget of a
    block (see `Plan.of`). `weight_grad` also needs memory for one more tensor of the shape of w.
    """

    backend: Backend
    dtype: str
    window: Window
    samples: int
    channels: int
    outputs: int
    groups: int
    border: Border | None = None
    """The padding of x if its mode is not "zeros"; `window.size` then includes the padding."""

    @property
    def x_shape(self) -> Shape:
        """(N, C, *size), without the padding of the border."""
        size = self.window.size
        return (self.samples, self.channels, *(size if self.border is None else self.border.inner(size)))

    @property
    def y_shape(self) -> Shape:
        """(N, O, *counts)."""
        return (self.samples, self.outputs, *self.window.counts)

    @property
    def weight_shape(self) -> Shape:
        """(O, C / groups, *kernel_size)."""
        return (self.outputs, self.channels // self.groups, *self.window.kernel_size)

    # -- the output and the two gradients ------------------------------------------------------------

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return y = w ⋆ x + bias, where w is `weight`; each block computes w columns + bias."""
        b, plan, work = self.backend, self._plan(), Workspace(self.backend, self.dtype)
        matrix = b.reshape(weight, self._grouped(self.outputs, -1))
        if bias is not None:
            bias = b.reshape(bias, self._grouped(self.outputs, 1))
        y = Assembly(work, plan, self.y_shape, self._grouped(self.outputs, self.window.positions))
        for images in plan.chunks:
            for block in plan.blocks(images):
                strip = self._grouped(self.outputs, block.window.positions)
                place = y.place(images) if plan.whole else work.store("strip", strip)
                value = b.matmul(matrix, self._columns(x, block, work), out=place)
                value = value if bias is None else b.add(value, bias, out=value)
                if plan.whole:
                    y.put(images, value)
                else:
                    y.add(images[0], block.rows, value)
        return y.whole()

    def weight_grad(self, grad: Tensor, x: Tensor) -> Tensor:
        """Return dL/dw, the sum of g columnsᵀ over the blocks, where g = dL/dy is `grad`."""
        b, plan, work = self.backend, self._plan(), Workspace(self.backend, self.dtype)
        total: Tensor | None = None
        for images in plan.chunks:
            for block in plan.blocks(images):
                columns = self._columns(x, block, work)
                product = b.matmul(self._gradient(grad, block), self._transposed(columns))
                total = product if total is None else b.add(total, product, out=total)
        if total is None:
            return b.full(self.weight_shape, 0.0, dtype=self.dtype)
        return b.reshape(total, self.weight_shape)

    def input_grad(self, grad: Tensor, weight: Tensor) -> Tensor:
        """Return dL/dx; each block computes fold(wᵀ g), where w is `weight` and g = dL/dy is `grad`."""
        b, plan, work = self.backend, self._plan(), Workspace(self.backend, self.dtype)
        matrix = self._transposed(b.reshape(weight, self._grouped(self.outputs, -1)))
        x = Assembly(work, plan, self.x_shape, (1, *self.x_shape[1:], 1))
        for images in plan.chunks:
            for block in plan.blocks(images):
                strip = self._folded(matrix, self._gradient(grad, block), block, work)
                if plan.whole:
                    x.put(images, self._uncut(strip, block))
                else:
                    self._add_cut(x, strip, block)
        return x.whole()

    # -- blocks: columns, and back -----------------------------------------------------------------

    def _columns(self, x: Tensor, block: Block, work: Workspace) -> Tensor:
        """Return the block's columns: (C K, L), or (G, C K / G, L) for G groups.

        L is the number of windows in all images of the block together.
        """
        b, images, window = self.backend, block.images, block.window
        if self.border is not None:
            x = self.border.extend(b, self._part(x, images, (0, b.shape(x)[2])), block.inputs)
        else:
            x = self._part(x, images, block.inputs)
        laid = self._images_last(x, (1, self.channels, *window.size))
        if window.pointwise:
            return b.reshape(laid, self._grouped(self.channels, -1))
        if block.samples > 1 and not window.padded:
            # `laid` is a permuted view. It is copied once into contiguous memory, because `unfold` reads each
            # number many times. If the window has padding, `unfold` itself makes a padded copy first.
            laid = b.copy(laid, out=work.store("laid", b.shape(laid)))
        depth = self.channels * window.places
        columns = b.unfold(laid, window, out=work.store("columns", (1, depth, window.positions)))
        return b.reshape(columns, self._grouped(depth, -1))

    def _folded(self, matrix: Tensor, g: Tensor, block: Block, work: Workspace) -> Tensor:
        """Return fold(wᵀ g) over the block's input rows: (1, C, rows, *size[1:], images).

        matrix: wᵀ. g: the block's part of dL/dy.
        """
        b, window = self.backend, block.window
        depth, positions = self.channels * window.places, window.positions
        columns = b.matmul(matrix, g, out=work.store("columns", self._grouped(depth, positions)))
        if window.pointwise:
            return b.reshape(columns, (1, self.channels, *window.size))
        return b.fold(b.reshape(columns, (1, depth, positions)), window)

    def _uncut(self, strip: Tensor, block: Block) -> Tensor:
        """Return dL/dx (1, C, *size, n) of a block of n whole images, without the padding of the border.

        strip: dL/dx of the block's input rows.
        """
        b, rows = self.backend, self.window.size[0]
        low, high = block.inputs
        if (low, high) != (0, rows):  # with a stride, the last rows may be in no window
            strip = b.pad(
                strip, ((0, 0), (0, 0), (low, rows - high), *((0, 0) for _ in block.window.size[1:]))
            )
        return strip if self.border is None else self.border.extend_grad(b, strip)

    def _add_cut(self, x: Assembly, strip: Tensor, block: Block) -> None:
        """Add `strip`, dL/dx of a block's input rows, to the assembled dL/dx."""
        image, b = block.images[0], self.backend
        if self.border is None:
            x.add(image, block.inputs, strip)
            return
        strip = self.border.extend_grad(b, strip, first=3)
        shape = b.shape(strip)
        # The rows are still those of the padded image. Add each row to the row of the image that it repeats.
        for start, stop, source in self.border.runs(self.x_shape[2], block.inputs):
            starts, stops = (0, 0, start, *(0 for _ in shape[3:])), (*shape[:2], stop, *shape[3:])
            x.add(image, (source, source + stop - start), b.slice(strip, starts, stops))

    def _gradient(self, grad: Tensor, block: Block) -> Tensor:
        """Return the block's part of dL/dy as a matrix (O, L), or (G, O / G, L) for G groups."""
        return self._images_last(self._part(grad, block.images, block.rows), self._grouped(self.outputs, -1))

    def _part(self, x: Tensor, images: Range, rows: Range) -> Tensor:
        """Return the rows `rows` of the images `images` of x (N, C, *spatial)."""
        extents = self.backend.shape(x)
        if rows == (0, extents[2]) and images == (0, extents[0]):
            return x
        starts = (images[0], 0, rows[0], *(0 for _ in extents[3:]))
        return self.backend.slice(x, starts, (images[1], extents[1], rows[1], *extents[3:]))

    def _images_last(self, x: Tensor, shape: Shape) -> Tensor:
        """Return x (N, C, *spatial) permuted to (C, *spatial, N), then reshaped to `shape`."""
        b = self.backend
        return b.reshape(b.permute_dims(x, (*range(1, len(b.shape(x))), 0)), shape)

    def _plan(self) -> Plan:
        itemsize = 8 if self.dtype == "float64" else 4
        cache_size = self.backend.cache_size
        return Plan.of(self.window, self.samples, self.channels, self.outputs, itemsize, cache_size)

    def _grouped(self, channels: int, *rest: int) -> Shape:
        """Return (channels, *rest), or (G, channels / G, *rest) for G groups."""
        return (channels, *rest) if self.groups == 1 else (self.groups, channels // self.groups, *rest)

    def _transposed(self, matrix: Tensor) -> Tensor:
        return self.backend.permute_dims(matrix, (1, 0) if self.groups == 1 else (0, 2, 1))
