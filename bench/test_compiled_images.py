"""Layers and networks over images, compiled by `jit+numpy`, beside torch.nn's eager ones, on one core.

`pytest bench/test_compiled_images.py --benchmark-json=.benchmarks/images.json`, then
`python bench/table.py .benchmarks/images.json`. Ours is checked against torch.nn first: results, the gradient
of the input, and of each parameter; of networks, the losses of some steps.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import settings

from lamina import layers
from lamina.backends import Backend, get_backend
from lamina.layers import CrossEntropyLoss, Module, named_scopes
from lamina.train import LeNet, ResNet
from lamina.train.optimizers import SGD, Adam

pytest.importorskip("llvmlite", reason="compiled steps need llvmlite")
torch = pytest.importorskip("torch")

JIT = "jit+numpy"
ROUNDS, BYTES = 9, 20_000_000
"""Turns of each contender, and the bytes of the images in a call: a call's overhead does not count."""


def conv(shape: tuple[int, ...], outputs: int, kernel: int, **options: int) -> tuple[Any, ...]:
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
    "stride 2 3x3": conv((16, 32, 64, 64), 64, 3, padding=1, stride=2),
    "5x5": conv((8, 24, 48, 48), 48, 5, padding=2),
    "1x1": conv((8, 64, 56, 56), 256, 1),
    "depthwise 3x3": conv((16, 64, 56, 56), 64, 3, padding=1, groups=64),
    "BatchNorm2d": ("BatchNorm2d", (32,), {}, (32, 32, 32, 32)),
    "GroupNorm": ("GroupNorm", (4, 32), {}, (32, 32, 32, 32)),
    "LayerNorm": ("LayerNorm", (512,), {}, (256, 512)),
    "Softmax": ("Softmax", (1,), {}, (256, 1024)),
    "MaxPool2d 2": ("MaxPool2d", (2,), {}, (32, 32, 32, 32)),
    "MaxPool2d 3, stride 2": ("MaxPool2d", (3, 2, 1), {}, (32, 32, 32, 32)),
    "AvgPool2d 2": ("AvgPool2d", (2,), {}, (32, 32, 32, 32)),
}
NETWORKS: dict[str, tuple[Any, int, str]] = {
    "LeNet, batch 64, Adam": (LeNet((1, 28, 28), 10), 64, "Adam"),
    "ResNet-8, batch 32, SGD with momentum": (ResNet((3, 32, 32), 10), 32, "SGD"),
}


@pytest.fixture(scope="module", autouse=True)
def core() -> Iterator[None]:
    """Let torch use one thread, and this process one core."""
    before, affinity = torch.get_num_threads(), getattr(os, "sched_getaffinity", lambda _: None)(0)
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
    theirs = getattr(torch.nn, kind)(*arguments, **options)
    theirs.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in ours.state_dict().items()})
    steps = max(1, min(64, BYTES // (4 * int(np.prod(shape)))))
    source = np.random.default_rng(0)
    x = source.standard_normal((samples * steps, *shape[1:]), dtype="float32")
    image = torch.from_numpy(x[-samples:].copy()).requires_grad_(True)
    g = source.standard_normal((samples * steps, *theirs(image).shape[1:]), dtype="float32")
    cotangent = torch.from_numpy(g[-samples:].copy())

    def step(batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        ours.zero_grad()
        y = ours(batch[0])
        return y, ours.backward(batch[1])

    def their_step() -> Any:
        theirs.zero_grad()
        image.grad = None
        y = theirs(image)
        y.backward(cotangent)
        return y

    run = b.compile(step)
    call = lambda: run((x, g), batch_size=samples)  # type: ignore[arg-type]  # noqa: E731
    y, dx = call()
    expected = [their_step(), image.grad, *(p.grad for p in theirs.parameters())]
    found = [b.to_host(y)[-samples:], b.to_host(dx)[-samples:]]  # type: ignore[index]
    found += [b.to_host(p.grad) for p in ours.parameters()]
    for one, other in zip(found, expected, strict=True):
        wanted = other.detach().numpy()
        np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    race(benchmark, f"compiled: {name} {shape}, both", (call, steps), (their_step, 1), b)


def twin(model: Module) -> Any:
    """Return a network of ours in torch.nn."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, body: Any, shortcut: Any) -> None:
            super().__init__()
            self.body, self.shortcut = body, shortcut

        def forward(self, x: Any) -> Any:
            return self.body(x) + (x if self.shortcut is None else self.shortcut(x))

    def made(layer: Any) -> Any:
        kind = type(layer).__name__
        if kind == "Sequential":
            return nn.Sequential(*(made(one) for one in layer))
        if kind == "Residual":
            return Block(made(layer.body), None if layer.shortcut is None else made(layer.shortcut))
        if kind == "Conv2d":
            side = tuple(before for before, _ in layer.padding)
            sizes = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, side
            return nn.Conv2d(*sizes, bias=layer.bias is not None)
        options = {
            "BatchNorm2d": lambda: (layer.num_features,),
            "Linear": lambda: (layer.in_features, layer.out_features),
            "MaxPool2d": lambda: (layer.kernel_size,),
            "AdaptiveAvgPool2d": lambda: (layer.output_size,),
        }
        return getattr(nn, kind)(*options.get(kind, tuple)())

    found = made(model)
    pairs = zip(found.state_dict(), model.state_dict().values(), strict=True)
    found.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in pairs})
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_network(benchmark: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("LAMINA_CACHE", "off")
    network, samples, kind = NETWORKS[name]
    b, steps = get_backend(JIT, dtype="float32"), 20
    ours = network.build(b)
    theirs = twin(ours)
    if kind == "Adam":
        optimizer: Any = Adam(ours.parameters(), lr=1e-4)
        other = torch.optim.Adam(theirs.parameters(), lr=1e-4)
    else:
        optimizer = SGD(ours.parameters(), lr=1e-3, momentum=0.9)
        other = torch.optim.SGD(theirs.parameters(), lr=1e-3, momentum=0.9)
    loss, their_loss = CrossEntropyLoss(backend=b), torch.nn.CrossEntropyLoss()
    loss.validate = False
    source = np.random.default_rng(0)
    x = source.standard_normal((samples * steps, *network.input_shape), dtype="float32")
    y = source.integers(0, 10, samples * steps)
    parts = [slice(i * samples, (i + 1) * samples) for i in range(steps)]

    def step(batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        with named_scopes(ours):
            optimizer.zero_grad()
            value = loss(ours(batch[0]), batch[1])
            ours.backward(loss.backward())
            optimizer.update(numbers)
        return (value,)

    def their_step(part: slice = parts[0]) -> float:
        other.zero_grad()
        value = their_loss(theirs(torch.from_numpy(x[part])), torch.from_numpy(y[part]))
        value.backward()
        other.step()
        return float(value.item())

    run, rows = b.compile(step), [optimizer.scalars(k + 1) for k in range(steps)]
    numbers = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    call = lambda: run((x, y), batch_size=samples, numbers=numbers)  # type: ignore[arg-type]  # noqa: E731
    started = time.perf_counter()
    (losses,) = call()
    benchmark.extra_info["first call"] = time.perf_counter() - started
    np.testing.assert_allclose(b.to_host(losses), [their_step(part) for part in parts], rtol=1e-3)
    race(benchmark, f"compiled: {name}", (call, steps), (their_step, 1), b)


def race(
    benchmark: Any, group: str, ours: tuple[Callable[[], Any], int], theirs: Any, backend: Backend
) -> None:
    """Time (call, steps) of both in turns, by processor time."""
    times: tuple[list[float], list[float]] = [], []
    benchmark.group, benchmark._mode = group, "race"
    benchmark.extra_info.update(settings(), backend=JIT, reference="torch.nn")
    if benchmark.disabled:
        return
    least = _seconds(*ours) * ours[1]  # torch.nn's turns are as long
    repeats = max(1, round(least / max(_seconds(*theirs), 1e-9)))
    for _ in range(ROUNDS):
        times[0].append(_seconds(*ours))
        times[1].append(_seconds(lambda: [theirs[0]() for _ in range(repeats)], repeats))
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
