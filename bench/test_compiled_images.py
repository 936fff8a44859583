"""Layers and networks over images, compiled by `jit+numpy`, beside torch.nn, on one core.

`pytest bench/test_compiled_images.py --benchmark-json=.benchmarks/images.json`, then
`python bench/speed.py .benchmarks/images.json`. A layer's turns go over the same batches with both. Ours is
checked against torch.nn first: results, the gradient of the input, and of each parameter. Networks run beside
torch.compile and JAX too, as in `test_compiled.py`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import Race, wanted
from conftest import settings
from contenders import JIT
from image_contenders import MAKERS, WORKS

from lamina import layers
from lamina.backends import Backend, get_backend

pytest.importorskip("llvmlite", reason="compiled steps need llvmlite")
torch = pytest.importorskip("torch")

ROUNDS, BYTES = 9, 9_000_000
"""Turns of each contender, and the bytes of the images in a call: its overhead counts little, and they fit
the last cache, so that programs beside this one do not decide."""

WARM = 6
"""Turns before: memory that is new to the process takes twice the time at first."""


def conv(shape: tuple[int, ...], outputs: int, kernel: int, **options: Any) -> tuple[Any, ...]:
    """Return a row of a convolution."""
    return "Conv2d", (shape[1], outputs, kernel), options, shape


# name: layer, arguments, options, shape of the input
LAYERS: dict[str, tuple[Any, ...]] = {
    "cubes 3x3": conv((64, 3, 4, 4), 5, 3),
    "LeNet 1 5x5": conv((64, 1, 28, 28), 6, 5, padding=2),
    "LeNet 2 5x5": conv((64, 6, 14, 14), 16, 5),
    "CIFAR 3x3": conv((32, 32, 32, 32), 64, 3, padding=1),
    "ResNet 56 3x3": conv((16, 64, 56, 56), 64, 3, padding=1),
    "ResNet 28 3x3": conv((16, 128, 28, 28), 128, 3, padding=1),
    "CIFAR 3x3, Winograd": conv((32, 32, 32, 32), 64, 3, padding=1, algorithm="winograd"),
    "ResNet 56 3x3, Winograd": conv((16, 64, 56, 56), 64, 3, padding=1, algorithm="winograd"),
    "ResNet 28 3x3, Winograd": conv((16, 128, 28, 28), 128, 3, padding=1, algorithm="winograd"),
    "stride 2 3x3": conv((16, 32, 64, 64), 64, 3, padding=1, stride=2),
    "5x5": conv((8, 24, 48, 48), 48, 5, padding=2),
    "1x1": conv((8, 64, 56, 56), 256, 1),
    "depthwise 3x3": conv((16, 64, 56, 56), 64, 3, padding=1, groups=64),
    "BatchNorm2d": ("BatchNorm2d", (32,), {}, (32, 32, 32, 32)),
    "GroupNorm": ("GroupNorm", (4, 32), {}, (32, 32, 32, 32)),
    "LayerNorm": ("LayerNorm", (512,), {}, (256, 512)),
    "Softmax": ("Softmax", (1,), {}, (256, 1024)),
    "LogSoftmax": ("LogSoftmax", (1,), {}, (256, 1024)),
    "cross-entropy": ("CrossEntropyLoss", (), {}, (256, 1024)),
    "MaxPool2d 2": ("MaxPool2d", (2,), {}, (32, 32, 32, 32)),
    "MaxPool2d 3, stride 2": ("MaxPool2d", (3, 2, 1), {}, (32, 32, 32, 32)),
    "AvgPool2d 2": ("AvgPool2d", (2,), {}, (32, 32, 32, 32)),
}


def keep_memory() -> None:
    """Let the C library keep freed memory: a result of 20 MB would be given back, and cleared for each call.

    Only glibc knows these options. Results of torch.nn are smaller, and mostly kept anyway.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 1 << 25)  # the largest that it takes
        library.mallopt(_M_TRIM_THRESHOLD, 1 << 30)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@pytest.fixture(scope="module", autouse=True)
def core() -> Iterator[None]:
    """Let torch use one thread, and this process one core."""
    before, affinity = torch.get_num_threads(), getattr(os, "sched_getaffinity", lambda _: None)(0)
    keep_memory()
    torch.set_num_threads(1)
    if affinity is not None:
        os.sched_setaffinity(0, {max(affinity)})
    yield
    torch.set_num_threads(before)
    if affinity is not None:
        os.sched_setaffinity(0, affinity)


@pytest.mark.parametrize("name", LAYERS)
def test_layer(benchmark: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("LAMINA_CACHE", "off")
    kind, arguments, options, shape = LAYERS[name]
    b, samples = get_backend(JIT, dtype="float32"), shape[0]
    ours = getattr(layers, kind)(*arguments, **options, backend=b)
    common = {name: value for name, value in options.items() if name != "algorithm"}
    theirs, loss = getattr(torch.nn, kind)(*arguments, **common), kind.endswith("Loss")
    steps = max(1, min(64, BYTES // (4 * int(np.prod(shape)))))
    source = np.random.default_rng(0)
    x = source.standard_normal((samples * steps, *shape[1:]), dtype="float32")
    images = [torch.from_numpy(part.copy()).requires_grad_(True) for part in np.split(x, steps)]
    if loss:
        ours.validate = False
        g = source.integers(0, shape[1], samples * steps)
    else:
        theirs.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in ours.state_dict().items()})
        g = source.standard_normal((samples * steps, *theirs(images[0]).shape[1:]), dtype="float32")
    beside = [torch.from_numpy(part.copy()) for part in np.split(g, steps)]
    """The gradients of the results, or a loss's labels."""

    def step(batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        if loss:
            return ours(*batch), ours.backward()
        ours.zero_grad()
        y = ours(batch[0])
        return y, ours.backward(batch[1])

    def their_steps() -> Any:
        for image, other in zip(images, beside, strict=True):
            theirs.zero_grad()
            image.grad = None
            y = theirs(image, other) if loss else theirs(image)
            y.backward(None if loss else other)
        return y

    run = b.compile(step)
    call = lambda: run((x, g), batch_size=samples)  # type: ignore[arg-type]  # noqa: E731
    y, dx = call()
    expected = [their_steps(), images[-1].grad, *(p.grad for p in theirs.parameters())]
    found = [b.to_host(y)[-1] if loss else b.to_host(y)[-samples:], b.to_host(dx)[-samples:]]  # type: ignore[index]
    found += [] if loss else [b.to_host(p.grad) for p in ours.parameters()]
    for one, other in zip(found, expected, strict=True):
        wanted = other.detach().numpy()
        np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    race(benchmark, f"compiled: {name} {shape}, both", (call, steps), (their_steps, steps), b)


@pytest.mark.filterwarnings("default")  # of torch.compile and JAX
@pytest.mark.parametrize("work", WORKS, ids=str)
def test_network(
    benchmark: Any, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, work: Any
) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    race = Race(work, wanted(tuple(MAKERS), pytestconfig.getoption("--contenders")), MAKERS)
    benchmark.group, benchmark._mode = f"compiled: {work}", "race"
    if benchmark.disabled:
        return
    facts = race.run()
    cold = {name: _in_its_own_process(work, name, tmp_path / "cold") for name in race.entrants}
    cold["cached"] = _in_its_own_process(work, JIT, tmp_path / "cold")
    benchmark.extra_info.update(facts, processes={name: found for name, found in cold.items() if found})
    stats = benchmark._make_stats(1)
    for value in race.times[JIT]:
        stats.update(value)


def _in_its_own_process(work: Any, name: str, cache: Path) -> dict[str, float]:
    """Return the time and the memory of a contender's first steps; nothing where Linux does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return {}
    cache.mkdir(exist_ok=True)
    script = Path(__file__).with_name("image_contenders.py")
    command = [sys.executable, str(script), work.named, name]
    environment = os.environ | {"LAMINA_CACHE": str(cache), "LAMINA_THREADS": "1"}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(cache / "inductor")
    environment["MALLOC_MMAP_THRESHOLD_"] = str(1 << 16)  # what is freed is given back, and seen again
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def race(
    benchmark: Any, group: str, ours: tuple[Callable[[], Any], int], theirs: Any, backend: Backend
) -> None:
    """Time (call, steps) of both in turns that are as long, by processor time."""
    times: tuple[list[float], list[float]] = [], []
    benchmark.group, benchmark._mode = group, "race"
    benchmark.extra_info.update(settings(), backend=JIT, reference="torch.nn")
    if benchmark.disabled:
        return
    repeats = max(1, round(_seconds(*ours) * ours[1] / max(_seconds(*theirs) * theirs[1], 1e-9)))
    for turn in range(-WARM, ROUNDS):
        mine = _seconds(*ours)
        other = _seconds(lambda: [theirs[0]() for _ in range(repeats)], repeats * theirs[1])
        if turn >= 0:
            times[0].append(mine)
            times[1].append(other)
    benchmark.extra_info.update(
        reference_median=statistics.median(times[1]), reference_min=min(times[1]), load=os.getloadavg()[0]
    )
    stats = benchmark._make_stats(1)
    for value in times[0]:
        stats.update(value)


def _seconds(call: Callable[[], Any], steps: int) -> float:
    start = time.process_time()
    call()
    return (time.process_time() - start) / steps
