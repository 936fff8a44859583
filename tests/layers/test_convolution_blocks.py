"""The blocks that a convolution is cut into: whole, of the right extent, and without effect on results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rounding import exactly, rounding_bounds

from lamina.backends import Backend
from lamina.backends.windows import Window
from lamina.layers import Conv1d, Conv2d, Conv3d, ConvTranspose2d
from lamina.layers.convolution.blocks import STREAMED, Plan
from lamina.layers.proofs import Report, Subject
from lamina.layers.proofs.report import close, compare
from lamina.layers.proofs.subject import cotangent

Host = np.ndarray[Any, Any]
UNBOUNDED = 1 << 40


def draw(*shape: int, dtype: str = "float64") -> Host:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def agrees(report: Report) -> None:
    __tracebackhide__ = True
    assert report.passed, str(report)


# -- what a plan is -------------------------------------------------------------------------------


@st.composite
def plans(draw: Any) -> tuple[Plan, int, int]:
    """Draw a plan; with it, the bytes of a block's columns for one row of one image, and the cache."""
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, dilation = each(1, 3), each(1, 3), each(1, 2)
    padding = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(rank)]
    size = []
    for k, d, (before, after) in zip(kernel, dilation, padding, strict=True):
        size.append(max(d * (k - 1) + 1 - before - after, 1) + draw(st.integers(0, 7)))
    window = Window.of(tuple(size), kernel, stride, padding, dilation)
    channels = draw(st.sampled_from([1, 2, 24, 64]))
    cache = draw(st.sampled_from([1, 64, 1 << 10, 1 << 14, 1 << 20]))
    plan = Plan.of(window, draw(st.integers(0, 20)), channels, draw(st.sampled_from([6, 384])), 4, cache)
    row = 4 * channels * window.places * int(np.prod(window.counts[1:]))
    return plan, row, cache


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=plans())
def test_every_row_of_every_image_is_in_one_block(drawn: Any) -> None:
    plan, row, cache = drawn
    window = plan.window
    seen: list[tuple[int, int]] = []
    for images in plan.chunks:
        for block in plan.blocks(images):
            assert block.images == images
            assert block.samples == images[1] - images[0] > 0
            assert block.rows[1] > block.rows[0]
            seen += [(image, y) for image in range(*images) for y in range(*block.rows)]
            # Its columns fit, unless it is as small as it can be.
            columns = row * (block.rows[1] - block.rows[0]) * block.samples
            assert columns <= STREAMED * cache or (block.samples, *block.rows) == (
                1,
                block.rows[0],
                block.rows[0] + 1,
            )
    assert sorted(seen) == [(image, y) for image in range(plan.samples) for y in range(window.counts[0])]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=plans())
def test_a_block_has_the_input_rows_that_its_windows_touch(drawn: Any) -> None:
    plan, _, _ = drawn
    window = plan.window
    size, before = window.size[0], window.padding[0][0]
    for images in plan.chunks:
        for block in plan.blocks(images):
            touched = [
                y * window.stride[0] + place * window.dilation[0] - before
                for y in range(*block.rows)
                for place in range(window.kernel_size[0])
            ]
            span = range(min(touched), max(touched) + 1)
            inside = [row for row in span if 0 <= row < size]
            assert list(range(*block.inputs)) == inside
            assert block.window.padding[0] == (sum(row < 0 for row in span), sum(row >= size for row in span))
            assert block.window.padding[1:] == (*window.padding[1:], (0, 0))


# -- blocks change nothing ------------------------------------------------------------------------

PADDED: dict[str, Any] = {"kernel_size": 3, "padding": 1}
UNEVEN: dict[str, Any] = {
    "kernel_size": (3, 2),
    "stride": (2, 1),
    "dilation": (2, 1),
    "padding": ((3, 1), (0, 2)),
}

# A layer, its channels in and out and groups, other options, and an image.
LAYERS: list[Any] = [
    (Conv2d, (2, 3, 1), PADDED, (7, 5)),
    (Conv2d, (4, 6, 2), UNEVEN, (9, 5)),
    (Conv2d, (3, 4, 1), {"kernel_size": 1}, (4, 5)),
    (Conv2d, (2, 3, 1), PADDED | {"padding_mode": "reflect"}, (7, 5)),
    (Conv2d, (4, 6, 2), UNEVEN | {"padding_mode": "reflect"}, (9, 5)),
    (Conv2d, (2, 3, 1), UNEVEN | {"padding_mode": "circular"}, (9, 5)),
    (Conv2d, (2, 3, 1), UNEVEN | {"padding_mode": "replicate"}, (9, 5)),
    (Conv1d, (2, 3, 1), {"kernel_size": 4, "padding": 2, "stride": 3}, (31,)),
    (Conv3d, (2, 2, 1), {"kernel_size": 2, "padding": 1}, (4, 3, 4)),
    (ConvTranspose2d, (3, 2, 1), PADDED | {"stride": 2}, (5, 4)),
    (Conv2d, (24, 3, 1), PADDED, (7, 5)),
    (Conv2d, (64, 4, 2), UNEVEN, (9, 5)),
    (Conv3d, (16, 2, 1), {"kernel_size": 2, "padding": 1}, (4, 3, 4)),
    (ConvTranspose2d, (3, 24, 1), PADDED | {"stride": 2}, (5, 4)),
]
# What a block is, the batch, and the cache that leads to it as a share of an image's columns.
BLOCKS = [("images", 40, 4.0), ("image", 3, 0.9), ("strip", 3, 1 / 24)]

over_blocks = pytest.mark.parametrize(("block", "samples", "share"), BLOCKS)


def over_layers(rows: list[Any]) -> Any:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row[0].__name__)


def build(row: Any, samples: int, b: Backend, dtype: str = "float64") -> tuple[Any, Host]:
    """Return the layer of a row, and a batch."""
    kind, channels, options, size = row
    layer = kind(*channels[:2], groups=channels[2], backend=b, **options)
    return layer, draw(samples, channels[0], *size, dtype=dtype)


def columns_of_an_image(plan: Plan, channels: int, itemsize: int) -> int:
    """How many bytes they take."""
    return itemsize * channels * plan.window.places * plan.window.positions


def kind_of(plan: Plan) -> str:
    """What its blocks are; of several images only with a rest."""
    if not plan.whole:
        return "strip"
    return "image" if plan.images == 1 else "images" if plan.samples % plan.images else "?"


def watched(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Return a list that fills with the plans made from here on."""
    made: list[Plan] = []
    of = Plan.of

    def noted(*args: Any) -> Plan:
        made.append(of(*args))
        return made[-1]

    monkeypatch.setattr(Plan, "of", staticmethod(noted))
    return made


@over_layers(LAYERS)
@over_blocks
def test_blocks_do_not_change_the_results(
    row: Any, block: str, samples: int, share: float, backend64: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = build(row, samples, backend64)
    made = watched(monkeypatch)
    monkeypatch.setattr(backend64, "cache_size", UNBOUNDED)
    whole = Subject(layer).run(x)
    assert {(plan.images, plan.whole) for plan in made} == {(samples, True)}
    wide = layer.out_channels if row[0] is ConvTranspose2d else layer.in_channels
    cache = int(share * columns_of_an_image(made[0], wide, 8))
    made.clear()
    monkeypatch.setattr(backend64, "cache_size", cache)
    agrees(Report(str(layer), "one block", compare(Subject(layer).run(x), whole, close)))
    assert {kind_of(plan) for plan in made} == {block}


@pytest.mark.raw_only
@over_layers([row for row in LAYERS if row[0] is not ConvTranspose2d])
@over_blocks
def test_blocks_in_float32_are_within_the_bound(
    row: Any, block: str, samples: int, share: float, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = build(row, samples, backend, "float32")
    g = cotangent(layer.output_shape(x.shape)).astype("float32")
    right, bounds = exactly(layer, x, g), rounding_bounds(layer, x, g)
    made = watched(monkeypatch)
    layer(backend.from_host(x))
    cache = int(share * columns_of_an_image(made[0], layer.in_channels, 4))
    made.clear()
    monkeypatch.setattr(backend, "cache_size", cache)
    found = {name: value.astype("float64") for name, value in Subject(layer).run(x, grad_output=g).items()}
    agrees(Report(str(layer), "float64", compare(found, right, lambda name, _: bounds[name])))
    assert {kind_of(plan) for plan in made} == {block}


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # a backend keeps no state
)
@given(drawn=plans(), outputs=st.integers(1, 2), cache=st.sampled_from([1, 64, 1 << 10, 1 << 14]))
def test_drawn_blocks_do_not_change_the_results(
    drawn: Any, outputs: int, cache: int, backend64: Backend
) -> None:
    window, samples = drawn[0].window, min(drawn[0].samples, 5)
    kind: Any = (Conv1d, Conv2d, Conv3d)[len(window.size) - 1]
    layer = kind(
        22, outputs, window.kernel_size, window.stride, window.padding, window.dilation, backend=backend64
    )
    x = draw(samples, 22, *window.size)
    whole = Subject(layer).run(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend64, "cache_size", cache)
        agrees(Report(str(layer), "one block", compare(Subject(layer).run(x), whole, close)))


# -- where the images lie -------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [128, UNBOUNDED])
@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_memory_order_changes_nothing(
    kind: Any, cache: int, backend64: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = backend64
    monkeypatch.setattr(b, "cache_size", cache)
    layer = kind(2, 3, 3, stride=2, padding=1, backend=b)
    x = draw(3, 2, 7, 5)
    g = cotangent(layer.output_shape(x.shape))
    expected = Subject(layer).run(x, grad_output=g)

    def innermost(array: Host) -> Any:
        """(N, C, H, W), in memory (C, H, W, N): as a convolution leaves its output."""
        return b.permute_dims(b.from_host(array.transpose(1, 2, 3, 0)), (3, 0, 1, 2))

    def channels_last(array: Host) -> Any:
        return b.permute_dims(b.from_host(array.transpose(0, 2, 3, 1)), (0, 3, 1, 2))

    def every_second(array: Host) -> Any:
        wide = b.from_host(np.repeat(array, 2, axis=3))
        extents = b.shape(wide)
        return b.slice(wide, (0, 0, 0, 1), extents, steps=(1, 1, 1, 2))

    for laid in (innermost, channels_last, every_second):
        layer.zero_grad()
        y = layer(laid(x))
        grad = layer.backward(laid(g))
        found = {
            "output": b.to_host(y),
            "input": b.to_host(grad),
            "weight": b.to_host(layer.weight.grad),
            "bias": b.to_host(layer.bias.grad),
        }
        agrees(Report(f"{layer}, {laid.__name__}", "contiguous", compare(found, expected, close)))
