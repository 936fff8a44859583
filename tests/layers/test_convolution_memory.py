"""What a convolution needs besides its arguments and results: at most 32 MB, however large the batch.

Measured on numpy, which tells tracemalloc of its arrays; on torch and in compiled steps by the memory of the
process.
"""

from __future__ import annotations

import ctypes
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, get_backend
from lamina.layers import Conv1d, Conv2d, Conv3d, ConvTranspose2d

MOST = 32 << 20


def extra(layer: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the most bytes in use at a time, less the result, in the forward and the backward pass."""
    x = np.ones(shape, np.float32)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        y = layer(x)
        forward = tracemalloc.get_traced_memory()[1] - before - y.nbytes
        g = np.ones(y.shape, np.float32)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        grad = layer.backward(g)
        backward = tracemalloc.get_traced_memory()[1] - before - grad.nbytes
    finally:
        tracemalloc.stop()
    return forward, backward


# A layer, an image, and two batches, each of more than one block.
LAYERS: list[Any] = [
    pytest.param(Conv2d, (64, 64, 3), {"padding": 1}, (64, 56, 56), (4, 10), id="64 to 64, 3x3"),
    pytest.param(Conv2d, (64, 64, 3), {"padding": 1, "groups": 64}, (64, 56, 56), (2, 6), id="depthwise"),
    pytest.param(
        Conv2d,
        (64, 64, 3),
        {"padding": 1, "padding_mode": "reflect"},
        (64, 28, 28),
        (6, 12),
        id="reflecting",
    ),
    pytest.param(
        Conv2d, (64, 64, 3), {"padding": 1, "algorithm": "winograd"}, (64, 56, 56), (6, 12), id="Winograd"
    ),
    pytest.param(
        Conv2d, (256, 256, 3), {"padding": 1, "algorithm": "auto"}, (256, 14, 14), (32, 64), id="most kernels"
    ),
    pytest.param(
        Conv2d,
        (8, 8, 3),
        {"padding": 1, "algorithm": "winograd"},
        (8, 512, 512),
        (1, 2),
        id="one large image, Winograd",
    ),
    pytest.param(Conv2d, (16, 16, 7), {"padding": 3, "stride": 2}, (16, 256, 256), (2, 4), id="strips"),
    pytest.param(Conv2d, (3, 16, 3), {}, (3, 768, 768), (1, 2), id="one large image"),
    pytest.param(
        Conv2d,
        (8, 8, 3),
        {"padding": 1, "padding_mode": "reflect"},
        (8, 512, 512),
        (1, 2),
        id="one large image, reflecting",
    ),
    pytest.param(Conv2d, (16, 256, 1), {}, (16, 8, 8), (512, 1024), id="many outputs"),
    pytest.param(
        Conv2d, (64, 128, 1), {"stride": 2}, (64, 8, 8), (1024, 2048), id="most of the input unused"
    ),
    pytest.param(Conv2d, (1, 6, 5), {"padding": 2}, (1, 28, 28), (512, 1024), id="small images"),
    pytest.param(Conv1d, (16, 16, 9), {"padding": 4}, (16, 4096), (8, 16), id="one axis"),
    pytest.param(Conv3d, (8, 8, 3), {"padding": 1}, (8, 16, 28, 28), (3, 6), id="three axes"),
    pytest.param(
        ConvTranspose2d,
        (16, 16, 4),
        {"stride": 2, "padding": 1, "output_padding": 1},
        (16, 64, 64),
        (8, 16),
        id="transposed",
    ),
]


@pytest.mark.parametrize(("kind", "arguments", "options", "image", "batches"), LAYERS)
def test_extra_memory_is_bounded_and_does_not_grow_with_the_batch(
    kind: Any, arguments: Any, options: dict[str, Any], image: tuple[int, ...], batches: tuple[int, int]
) -> None:
    layer = kind(*arguments, **options, backend=get_backend("numpy"))
    small, large = (extra(layer, (samples, *image)) for samples in batches)
    assert max(*small, *large) <= MOST
    for fewer, more in zip(small, large, strict=True):  # the last block may be a larger or a smaller one
        assert more <= 1.1 * fewer + (1 << 20)


def test_the_measure_sees_an_array_that_is_made_and_dropped() -> None:
    class Wasteful(Conv2d):
        def forward(self, x: Any) -> Any:
            assert np.repeat(x, 40, axis=0).any()
            return super().forward(x)

    shape = (8, 4, 64, 64)
    forward, _ = extra(Wasteful(4, 4, 3, backend=get_backend("numpy")), shape)
    assert forward > 30 * np.ones(shape, np.float32).nbytes


# -- by the memory of the process ------------------------------------------------------------------

FORGET = Path("/proc/self/clear_refs")
linux = pytest.mark.skipif(not FORGET.exists(), reason="Linux alone tells a process its peak memory")
MMAP_THRESHOLD = -3
"""Its number in malloc.h."""
SLACK = 4 << 20
"""Bytes: of libraries, and of memory that is used again."""


def resident(call: Callable[[], Any]) -> int:
    """Return the most memory of the process during a call above what it was before.

    The less of three calls: other threads and libraries only add to it.
    """
    return min(_resident(call) for _ in range(3))


def _resident(call: Callable[[], Any]) -> int:
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)  # what was freed would be used again unseen
    libc.mallopt(MMAP_THRESHOLD, 1 << 17)  # an array is of the system and goes back to it, and leaves no hole
    try:
        FORGET.write_text("5")  # the peak begins here
        before = status("VmRSS")
        call()
        return status("VmHWM") - before
    finally:
        libc.mallopt(MMAP_THRESHOLD, 1 << 25)  # where it stands after a few large arrays


def status(which: str) -> int:
    return 1024 * int(Path("/proc/self/status").read_text().partition(f"{which}:")[2].split()[0])


BIG: list[Any] = [
    pytest.param(Conv2d, (16, 32, 3), {"padding": 1}, (16, 32, 32), 512, id="3x3"),
    pytest.param(Conv2d, (1, 6, 5), {"padding": 2}, (1, 28, 28), 4096, id="LeNet"),
    pytest.param(Conv2d, (32, 32, 3), {"padding": 1, "groups": 32}, (32, 32, 32), 256, id="depthwise"),
    pytest.param(Conv2d, (32, 64, 1), {}, (32, 16, 16), 1024, id="1x1"),
    pytest.param(ConvTranspose2d, (16, 8, 4), {"stride": 2}, (16, 16, 16), 512, id="transposed"),
]
"""A layer, an image, and a batch whose columns would take hundreds of megabytes."""


@linux
@pytest.mark.parametrize(("kind", "arguments", "options", "image", "batch"), BIG)
def test_torch_needs_no_more(
    kind: Any, arguments: Any, options: dict[str, Any], image: tuple[int, ...], batch: int
) -> None:
    torch = pytest.importorskip("torch")
    b: Backend = get_backend("torch", dtype="float32")
    layer = kind(*arguments, **options, backend=b)
    x = torch.ones((2, *image))
    layer.backward(torch.ones_like(layer(x)))  # libraries are loaded
    x = torch.ones((batch, *image))
    y: Any = layer(x)
    g = torch.ones_like(y)
    del y
    size = 4 * g.numel()
    assert resident(lambda: layer(x)) <= size + MOST + SLACK
    assert resident(lambda: layer.backward(g)) <= 4 * x.numel() + MOST + SLACK


@linux
@pytest.mark.parametrize(("kind", "arguments", "options", "image", "batch"), BIG)
def test_compiled_steps_need_no_more(
    kind: Any, arguments: Any, options: dict[str, Any], image: tuple[int, ...], batch: int
) -> None:
    pytest.importorskip("llvmlite")
    b = get_backend("jit+numpy", dtype="float32")
    layer = kind(*arguments, **options, backend=b)
    x = np.ones((batch, *image), np.float32)
    g = np.ones(layer.output_shape(x.shape), np.float32)

    def step(batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        layer.zero_grad()
        y = layer(batch[0])
        return y, layer.backward(batch[1])

    run = b.compile(step)
    run((x, g), batch_size=batch)  # compiled
    assert resident(lambda: run((x, g), batch_size=batch)) <= g.nbytes + x.nbytes + MOST + SLACK
