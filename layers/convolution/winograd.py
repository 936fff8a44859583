"""Cross-correlation with a 3 x 3 kernel at stride 1 by Winograd's minimal filtering: fewer multiplications.

An output tile of m x m places needs m² 9 multiplications by the definition. The algorithm F(m x m, 3 x 3)
of Lavin & Gray (2016, "Fast Algorithms for Convolutional Neural Networks", eq. 8) needs (m + 2)²:

    Y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A

d (m + 2, m + 2) is the input tile, w (3, 3) the kernel, and A, B, G are small constant matrices. A sum over
input channels can be taken inside the brackets: for each of the (m + 2)² places, it is a matrix product over
all channels and tiles.

With columns for the places of a tile, Bᵀ d B is one matrix product, (B ⊗ B)ᵀ d, and so are the other two
transformations. The tiles are windows of (m + 2)² places, m apart: `unfold` makes them.

The larger m is, the fewer multiplications there are, and the larger the rounding errors: the entries of
Bᵀ d B grow, and cancel in Y. docs/numerics.md has the bars.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from ...backends import Backend, Tensor, Window
from ...backends.host import Host, host_array
from ...backends.protocol import Shape
from .blocks import Range, Workspace

Matrix = tuple[tuple[Fraction, ...], ...]
POINTS = {
    2: (Fraction(0), Fraction(1), Fraction(-1)),
    4: (Fraction(0), Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2)),
}
"""The interpolation points by m; infinity is one more.

For m = 4 the usual points are 0, ±1 and ±2. Their errors are twice as large as with these, at most five
times: powers of numbers near 1 differ less.
"""
STREAMED = 4
"""The budget of a block, as a multiple of the cache size."""
RECORDED = 1 << 21
"""The cache size that suits the blocks of a recorded step, whose kernels are small and many."""
LEAST_CHANNELS, LEAST_TILES, MOST_KERNELS = 32, 16, 1 << 16
"""From where on `faster` takes the algorithm: channels on either side, tiles of an image, kernels."""


class Algorithm(NamedTuple):
    """The matrices of F(m x m, 3 x 3) for one axis."""

    input: Matrix
    """Bᵀ (m + 2, m + 2)."""
    kernel: Matrix
    """G (m + 2, 3)."""
    output: Matrix
    """Aᵀ (m, m + 2)."""

    @staticmethod
    def of(m: int) -> Algorithm:
        """Return the Toom-Cook algorithm for POINTS[m] and infinity.

        A product of polynomials is their values' product at enough points, interpolated; at infinity, a
        polynomial's value is its first coefficient. The transpose of that computes a correlation.
        """
        points = POINTS[m]
        inputs, kernels = [], []
        for i, p in enumerate(points):
            others = points[:i] + points[i + 1 :]
            scale = math.prod(p - q for q in others)
            inputs.append((*_with_roots(others), Fraction(0)))
            kernels.append(tuple(p**k / scale for k in range(3)))
        inputs.append(_with_roots(points))
        kernels.append((Fraction(0), Fraction(0), Fraction(1)))
        outputs = [(*(p**k for p in points), Fraction(k == m - 1)) for k in range(m)]
        return Algorithm(tuple(inputs), tuple(kernels), tuple(outputs))


def _with_roots(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Return the coefficients of Π (x - r), the constant one first."""
    coefficients = [Fraction(1)]
    for root in roots:
        above, below = [Fraction(0), *coefficients], [*coefficients, Fraction(0)]
        coefficients = [a - root * b for a, b in zip(above, below, strict=True)]
    return tuple(coefficients)


def tile_for(counts: Shape) -> int:
    """Return m for an output of `counts` places: the one that multiplies less, or 2 if both are equal.

    Tiles beyond the output's edge are waste, so 4 may multiply more for a small output.
    """
    return min(POINTS, key=lambda m: (_tiles(counts[0], m) * _tiles(counts[1], m) * (m + 2) ** 2, m))


def _tiles(count: int, m: int) -> int:
    return -(-count // m)


def faster(window: Window, samples: int, channels: int, outputs: int) -> bool:
    """Return whether Winograd's algorithm applies to these windows, and was measured to be faster.

    Few channels, few tiles or large kernels leave the transformations with too much of the time.
    """
    if window.kernel_size != (3, 3) or {*window.stride, *window.dilation} != {1}:
        return False
    m = tile_for(window.counts)
    tiles = _tiles(window.counts[0], m) * _tiles(window.counts[1], m)
    enough = tiles >= LEAST_TILES and samples * tiles >= max(channels, outputs)
    return enough and min(channels, outputs) >= LEAST_CHANNELS and channels * outputs <= MOST_KERNELS


class Block(NamedTuple):
    """The tiles in the rows `rows` of the images `images`."""

    images: Range
    rows: Range
    """The rows of tiles."""


@dataclass(frozen=True)
class Winograd:
    """y = w ⋆ x as `Correlation` computes it: kernel 3 x 3, stride 1, no dilation, one group, zero padding.

    Besides arguments and result, `forward`, `weight_grad` and `input_grad` each need memory for a block, at
    most about 16 times the backend's `cache_size` if one row of tiles fits it, and for a few tensors of the
    weight's size and one of (m + 2)² / 9 times that.
    """

    backend: Backend
    dtype: str
    window: Window
    samples: int
    channels: int
    outputs: int

    @property
    def tile(self) -> int:
        """m."""
        return tile_for(self.window.counts)

    @property
    def y_shape(self) -> Shape:
        """(N, O, *counts)."""
        return (self.samples, self.outputs, *self.window.counts)

    # -- the output and the two gradients ------------------------------------------------------------

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return y = w ⋆ x + bias, where w is `weight`."""
        return self._correlate(x, self._kernels(weight), bias)

    def weight_grad(self, grad: Tensor, x: Tensor) -> Tensor:
        """Return dL/dw = Gᵀ [Σ (A g Aᵀ) ⊙ (Bᵀ d B)] G, with g = dL/dy; the sum runs over tiles.

        This is the adjoint of w -> y.
        """
        b, work, places = self.backend, Workspace(self.backend, self.dtype), (self.tile + 2) ** 2
        back, kernel = (b.permute_dims(self._constant(name), (1, 0)) for name in ("output", "kernel"))
        count, total = self.outputs * self.channels, None
        for block in self._blocks():
            v = self._transformed(x, block, work)
            g = self._gradient_tiles(grad, block)
            z = b.matmul(back, g, out=work.store("z", (places, *b.shape(g)[1:])))
            z = b.reshape(z, (places, self.outputs, -1))
            place = work.store("product", (places, self.outputs, self.channels))
            product = b.matmul(z, b.permute_dims(v, (1, 2, 0)), out=place)
            # Back to 3 x 3 in each block: a sum of products would take another (m + 2)² / 9 weights.
            part = b.matmul(kernel, b.reshape(product, (places, count)))
            total = part if total is None else b.add(total, part, out=total)
        if total is None:
            return b.full((self.outputs, self.channels, 3, 3), 0.0, dtype=self.dtype)
        total = b.permute_dims(b.reshape(total, (3, 3, self.outputs, self.channels)), (2, 3, 0, 1))
        return b.reshape(total, (self.outputs, self.channels, 3, 3))

    def input_grad(self, grad: Tensor, weight: Tensor) -> Tensor:
        """Return dL/dx: the correlation of g = dL/dy with the rotated kernels, from outputs to channels."""
        b, size = self.backend, self.window.size
        if 0 in size:
            return b.full((self.samples, self.channels, *size), 0.0, dtype=self.dtype)
        # With padding p before x, y begins 2 - p places before the first that reads x whole.
        padding = tuple((2 - before, 2 - after) for before, after in self.window.padding)
        starts = tuple(max(0, -before) for before, _ in padding)
        stops = tuple(n - max(0, -after) for n, (_, after) in zip(self.window.counts, padding, strict=True))
        if (starts, stops) != ((0, 0), self.window.counts):
            grad = b.slice(grad, (0, 0, *starts), (self.samples, self.outputs, *stops))
        window = Window.of(
            tuple(stop - start for start, stop in zip(starts, stops, strict=True)),
            (3, 3),
            (1, 1),
            tuple((max(0, before), max(0, after)) for before, after in padding),
        )
        assert window.counts == size
        turned = Winograd(b, self.dtype, window, self.samples, self.outputs, self.channels)
        kernels = b.permute_dims(turned._kernels(weight, rotated=True), (0, 2, 1))
        return turned._correlate(grad, kernels, None)

    # -- steps ---------------------------------------------------------------------------------------

    def _correlate(self, x: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
        """Return the output for transformed kernels ((m + 2)², O, C)."""
        b, work, m = self.backend, Workspace(self.backend, self.dtype), self.tile
        places, back = (m + 2) ** 2, self._constant("output")
        if bias is not None:
            bias = b.reshape(bias, (self.outputs, 1))
        y = _Mosaic(self, work)
        for block in self._blocks():
            v = b.permute_dims(self._transformed(x, block, work), (1, 0, 2))
            tiles = b.shape(v)[2]
            products = b.matmul(kernels, v, out=work.store("products", (places, self.outputs, tiles)))
            products = b.reshape(products, (places, self.outputs * tiles))
            value = b.matmul(back, products, out=work.store("tiles", (m * m, self.outputs * tiles)))
            if bias is not None:  # as a row of the product, so that a kernel of both can add it
                row = b.reshape(b.broadcast_to(bias, (self.outputs, tiles)), (1, self.outputs * tiles))
                value = b.add(value, row, out=value)
            y.put(block, b.reshape(value, (m * m, self.outputs, tiles)))
        return y.whole()

    def _kernels(self, weight: Tensor, *, rotated: bool = False) -> Tensor:
        """Return G w Gᵀ for each output and channel of `weight` (A, B, 3, 3): ((m + 2)², A, B)."""
        b, (outputs, channels, *_) = self.backend, self.backend.shape(weight)
        rows = b.reshape(b.permute_dims(weight, (2, 3, 0, 1)), (9, outputs * channels))
        constant = self._constant("rotated" if rotated else "kernel")
        return b.reshape(b.matmul(constant, rows), ((self.tile + 2) ** 2, outputs, channels))

    def _transformed(self, x: Tensor, block: Block, work: Workspace) -> Tensor:
        """Return Bᵀ d B for the block's tiles: (C, (m + 2)², tiles), image by image."""
        b, m = self.backend, self.tile
        (first, last), (top, bottom) = block.images, block.rows
        count, width = last - first, _tiles(self.window.counts[1], m)
        size, ((above, _), (left, _)) = self.window.size, self.window.padding
        # The tiles read the rows from start to stop of the image, which may begin before it or end after it.
        start, stop = top * m - above, bottom * m + 2 - above
        low = min(max(start, 0), size[0])
        high = max(min(stop, size[0]), low)
        before = min(max(-start, 0), stop - start)
        x = self._part(x, block.images, (low, high))
        window = Window.of(
            (count, high - low, size[1]),
            (1, m + 2, m + 2),
            (1, m, m),
            ((0, 0), (before, stop - start - before - (high - low)), (left, width * m + 2 - left - size[1])),
        )
        images = b.reshape(b.permute_dims(x, (1, 0, 2, 3)), (self.channels, 1, *window.size))
        shape = (self.channels, window.places, window.positions)
        d = b.unfold(images, window, out=work.store("d", shape))
        return b.matmul(self._constant("input"), d, out=work.store("v", shape))

    def _gradient_tiles(self, grad: Tensor, block: Block) -> Tensor:
        """Return the block's tiles of dL/dy: (m², O tiles), image by image."""
        b, m = self.backend, self.tile
        (first, last), (top, bottom) = block.images, block.rows
        rows, columns = self.window.counts
        high, width = min(bottom * m, rows), _tiles(columns, m)
        g = self._part(grad, block.images, (top * m, high))
        if (high, columns) != (bottom * m, width * m):  # the last tiles end after the image
            g = b.pad(g, ((0, 0), (0, 0), (0, bottom * m - high), (0, width * m - columns)))
        g = b.reshape(g, (last - first, self.outputs, bottom - top, m, width, m))
        return b.reshape(b.permute_dims(g, (3, 5, 1, 0, 2, 4)), (m * m, -1))

    def _part(self, x: Tensor, images: Range, rows: Range) -> Tensor:
        """Return the rows `rows` of the images `images` of x (N, C, H, W)."""
        samples, channels, height, width = self.backend.shape(x)
        if images == (0, samples) and rows == (0, height):
            return x
        return self.backend.slice(x, (images[0], 0, rows[0], 0), (images[1], channels, rows[1], width))

    def _blocks(self) -> Iterator[Block]:
        """Yield blocks of whole images, or of rows of tiles of one image, that fit the budget."""
        m, itemsize = self.tile, 8 if self.dtype == "float64" else 4
        height, width = (_tiles(n, m) for n in self.window.counts)
        row = itemsize * (m + 2) ** 2 * max(self.channels, self.outputs) * width
        budget = STREAMED * (RECORDED if self._recorded else self.backend.cache_size)
        images, rows = max(1, budget // (row * height)), min(height, max(1, budget // row))
        if self._recorded:
            rows = height
        for first in range(0, self.samples, images):
            for top in range(0, height, rows):
                yield Block((first, min(first + images, self.samples)), (top, min(top + rows, height)))

    @property
    def _recorded(self) -> bool:
        """Whether the backend records a step, and so has no bound for a block."""
        return self.backend.cache_size > 1 << 40

    def _constant(self, name: str) -> Tensor:
        return self.backend.from_host(_constants(self.tile, self.dtype)[name], dtype=self.dtype)


@functools.cache
def _constants(m: int, dtype: str) -> dict[str, Host]:
    """Return the matrices that transform the places of a tile: (B ⊗ B)ᵀ, G ⊗ G, (A ⊗ A)ᵀ.

    "rotated" is "kernel" for kernels that are turned by 180 degrees: their places in reverse order.
    """
    double = {
        name: tuple(tuple(p * q for p in above for q in beside) for above in matrix for beside in matrix)
        for name, matrix in Algorithm.of(m)._asdict().items()
    }
    double["rotated"] = tuple(row[::-1] for row in double["kernel"])
    return {
        name: host_array([[*map(float, row)] for row in rows], dtype, dtype) for name, rows in double.items()
    }


class _Mosaic:
    """y (N, O, *counts), joined from the tiles of blocks.

    Whole images are assigned to cells; in a recorded step, which makes no cells, they are joined at the end.
    The rows of an image that is cut are added to zeros.
    """

    def __init__(self, winograd: Winograd, work: Workspace) -> None:
        self.winograd, self.backend = winograd, winograd.backend
        self.shape = winograd.y_shape
        blocks = list(winograd._blocks())
        self.cut = len({block.rows for block in blocks}) > 1
        self.single = len(blocks) == 1
        self.tensor: Tensor | None = None
        self.cells: dict[str, Tensor] = {}
        self.parts: list[Tensor] = []
        if self.cut or not blocks:
            self.tensor = self.backend.full(self.shape, 0.0, dtype=work.dtype)
        elif not self.single and not winograd._recorded:
            shapes = {str(a): self._made(b - a) for (a, b), _ in blocks}
            self.tensor, self.cells = self.backend.cells(shapes, dtype=work.dtype)

    def _made(self, count: int) -> Shape:
        """Return the shape of the cell of `count` images, with the tiles' places apart if no tile is cut."""
        m, (rows, columns) = self.winograd.tile, self.shape[2:]
        if rows % m or columns % m:
            return (count, *self.shape[1:])
        return (count, self.shape[1], rows // m, m, columns // m, m)

    def put(self, block: Block, value: Tensor) -> None:
        """Store the output tiles (m², O, tiles) of a block."""
        b, m, (rows, columns) = self.backend, self.winograd.tile, self.shape[2:]
        (first, last), (top, bottom) = block.images, block.rows
        count, outputs, width = last - first, self.shape[1], _tiles(columns, m)
        value = b.reshape(value, (m, m, outputs, count, bottom - top, width))
        value = b.permute_dims(value, (3, 2, 4, 0, 5, 1))
        if self.cells and len(made := b.shape(self.cells[str(first)])) == 6:
            assert made == b.shape(value)
            b.assign(self.cells[str(first)], value)
            return
        value = b.reshape(value, (count, outputs, (bottom - top) * m, width * m))
        high = min(bottom * m, rows)
        if (high, columns) != (bottom * m, width * m):  # the last tiles end after the image
            value = b.copy(b.slice(value, (0, 0, 0, 0), (count, outputs, high - top * m, columns)))
        if self.cut:
            assert self.tensor is not None
            starts, stops = (first, 0, top * m, 0), (last, outputs, high, columns)
            self.tensor = b.slice_add(self.tensor, value, starts, stops, out=self.tensor)
        elif not self.cells:
            self.parts.append(value if self.single else b.copy(value))
        else:
            b.assign(self.cells[str(first)], value)

    def whole(self) -> Tensor:
        """Return y after the last `put`."""
        if self.parts:
            self.tensor = self.parts[0] if self.single else self.backend.concat(self.parts, axis=0)
        assert self.tensor is not None
        return self.backend.reshape(self.tensor, self.shape)
