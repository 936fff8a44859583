"""Training steps of networks over images, by each contender of `contenders.py`, from the same weights.

`python bench/image_contenders.py NETWORK CONTENDER` takes the first steps in a process of its own, and prints
their time and their peak memory as JSON.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from contenders import JIT, MOMENTUM, NUMPY, Contender, Jax, Ours, State, Torch, Work
from typing_extensions import override

from lamina.backends import Backend
from lamina.layers import Module
from lamina.layers.random import seeded
from lamina.train import LeNet, ResNet

COMPILED, EAGER, JAX = "torch.compile", "torch.nn", "JAX jit"
EPSILON, SGD_MOMENTUM = 1e-5, 0.9
_CHECK_RATE = 1e-5
"""A larger one kills channels of LeNet: their moments would fade into denormal numbers."""
_STEPS, _RATE = 3, 1e-7
"""The steps that a process of its own takes after the first, and their learning rate."""


@dataclass(frozen=True)
class ImageWork(Work):
    """A network over images (N, C, H, W), with cross-entropy; SGD has momentum.

    Parameters
    ----------
    model
        Its description.

    """

    model: Any = None

    @override
    def __str__(self) -> str:
        momentum = " with momentum" if self.optimizer == "SGD" else ""
        return f"{self.named}, batch {self.batch}, {self.optimizer}{momentum}, {self.dtype}"

    @property
    @override
    def operations(self) -> int:
        raise NotImplementedError

    @property
    @override
    def options(self) -> dict[str, float]:
        return {"momentum": SGD_MOMENTUM} if self.optimizer == "SGD" else {}

    @property
    @override
    def samples(self) -> int:
        return 8 * self.batch

    @cached_property
    def data(self) -> tuple[Any, Any]:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.samples, *self.model.input_shape)).astype(self.dtype)
        return x, rng.integers(0, self.model.outputs, self.samples)

    @property
    @override
    def check_rate(self) -> float:
        return _CHECK_RATE

    @override
    def network(self, backend: Backend) -> Module:
        with seeded(0):
            found: Module = self.model.build(backend)
        return found


def work(named: str, model: Any, batch: int, optimizer: str) -> ImageWork:
    """Return a row of the comparison."""
    return ImageWork((), batch, "cross-entropy", optimizer, "float32", named=named, model=model)


WORKS = (
    work("LeNet 28 x 28", LeNet((1, 28, 28), 10), 64, "Adam"),
    work("ResNet-8 32 x 32", ResNet((3, 32, 32), 10), 32, "SGD"),
)


def twin(model: Module) -> Any:
    """Return a network of ours in torch.nn, with the same weights."""
    torch = importlib.import_module("torch")
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


class ImageTorch(Torch):
    """torch.nn's eager code, or torch.compile's."""

    @override
    def _network(self, work: Work) -> Any:
        return twin(work.network(importlib.import_module("lamina.backends").get_backend(NUMPY)))

    @override
    def _load(self, work: Work) -> None:
        state = self.model.state_dict()
        values = zip(state, work.weights.values(), strict=True)
        self.model.load_state_dict({name: self.torch.from_numpy(np.array(value)) for name, value in values})


class ImageJax(Jax):
    """The same step in JAX, a jit of one step; images are (N, H, W, C), as XLA has them on a CPU.

    The state is (weights, averages of BatchNorm, Adam's moments or SGD's), each a dict by path.
    """

    def __init__(self, work: ImageWork, *, scan: bool) -> None:
        from lamina.backends import get_backend

        self.ours = work.network(get_backend(NUMPY))
        super().__init__(work, scan=scan)

    @override
    def _initial(self) -> State:
        tree, np_, work = self.jax.tree, self.np, self.work
        x, y = self.data
        self.data = x.transpose(0, 2, 3, 1), y
        weights = {n: v.transpose(2, 3, 1, 0) if v.ndim == 4 else v for n, v in work.weights.items()}
        found = {name: np_.array(value) for name, value in weights.items()}
        averages = {name: value for name, value in found.items() if "running" in name}
        weights = {name: v for name, v in found.items() if "running" not in name and "num_" not in name}
        zeros = tree.map(np_.zeros_like, weights)
        if work.optimizer == "SGD":
            return weights, averages, (zeros,)
        return weights, averages, (zeros, tree.map(np_.zeros_like, weights), np_.zeros((), work.dtype))

    @override
    def _forward(self, layers: Any, averages: Any, x: Any) -> tuple[Any, Any]:
        moved: dict[str, Any] = {}
        return self._through(self.ours, "", layers, averages, moved, x), moved

    def _through(self, layer: Any, path: str, w: Any, averages: Any, moved: dict[str, Any], x: Any) -> Any:
        lax, np_, kind = self.jax.lax, self.np, type(layer).__name__
        inside = lambda part, name, x: self._through(part, f"{path}{name}.", w, averages, moved, x)  # noqa: E731
        if kind == "Sequential":
            for i, one in enumerate(layer):
                x = inside(one, str(i), x)
            return x
        if kind == "Residual":
            other = x if layer.shortcut is None else inside(layer.shortcut, "shortcut", x)
            return inside(layer.body, "body", x) + other
        if kind == "Conv2d":
            names = ("NHWC", "HWIO", "NHWC")
            kernel = w[f"{path}weight"]
            y = lax.conv_general_dilated(x, kernel, layer.stride, layer.padding, dimension_numbers=names)
            return y if layer.bias is None else y + w[f"{path}bias"]
        if kind == "BatchNorm2d":
            mean, var, n = x.mean((0, 1, 2)), x.var((0, 1, 2)), x.size // x.shape[-1]
            for name, value in (("mean", mean), ("var", var * (n / (n - 1)))):
                old = averages[f"{path}running_{name}"]
                moved[f"{path}running_{name}"] = old + MOMENTUM * (value - old)
            return (x - mean) * (w[f"{path}weight"] * lax.rsqrt(var + EPSILON)) + w[f"{path}bias"]
        if kind == "MaxPool2d":
            window = (1, *layer.kernel_size, 1)
            return lax.reduce_window(x, -np_.inf, lax.max, window, window, "VALID")
        if kind == "AdaptiveAvgPool2d":
            return x.mean((1, 2), keepdims=True)
        if kind == "Linear":
            return x @ w[f"{path}weight"].T + w[f"{path}bias"]
        if kind == "Flatten":
            return x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        return {"ReLU": self.jax.nn.relu}[kind](x)

    @override
    def _sgd(self, layers: Any, slopes: Any, moments: Any, rate: Any) -> tuple[Any, Any]:
        over, (velocity,) = self.jax.tree.map, moments
        velocity = over(lambda v, g: SGD_MOMENTUM * v + g, velocity, slopes)
        return over(lambda p, v: p - rate * v, layers, velocity), (velocity,)

    @override
    def parameters(self) -> list[Any]:
        found = self.state[0]  # JAX sorts the names
        arrays = [np.asarray(found[name]) for name in self.work.weights if name in found]
        return [x.transpose(3, 2, 0, 1) if x.ndim == 4 else x for x in arrays]


MAKERS: Mapping[str, Callable[[Any], Contender]] = {
    JIT: lambda work: Ours(work, "jit+numpy"),
    NUMPY: lambda work: Ours(work, "numpy"),
    "torch": lambda work: Ours(work, "torch"),
    EAGER: ImageTorch,
    COMPILED: lambda work: ImageTorch(work, compiled=True),
    JAX: lambda work: ImageJax(work, scan=False),
}
"""The contenders by name."""


# -- a process of its own ------------------------------------------------------------------------------


def first_steps(work: ImageWork, name: str) -> dict[str, float]:
    """Return the seconds of the first step, its peak memory in bytes, and the peak of later steps.

    The first peak is above what was there before, the libraries, the data and the weights; it holds what a
    compiler takes. The later peak is above what was there after some steps: it is what a step takes.
    """
    contender = MAKERS[name](work)
    order = work.order(_STEPS)
    first, more = contender.ready(order[: work.batch], _RATE), contender.ready(order, _RATE)
    if name == JIT:
        importlib.import_module("lamina.backends.decorators.jit.machine").host()  # a library, as torch is
    before = _resident()
    start = time.perf_counter()
    first()
    found = {"first": time.perf_counter() - start, "first_peak": float(_peak() - before)}
    more()
    ctypes.CDLL(None).malloc_trim(0)  # else a step would use freed memory again, unseen
    before = _resident()
    more()
    return {**found, "peak": float(_peak() - before)}


def _resident() -> int:
    """Return the bytes that are resident, and let the peak begin here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(which: str) -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition(f"{which}:")[2].split()[0])


def main(named: str, name: str) -> None:
    """Print the time and the memory of a contender."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if name in (EAGER, COMPILED, "torch"):
        importlib.import_module("torch").set_num_threads(1)
    (chosen,) = (one for one in WORKS if one.named == named)
    print(json.dumps(first_steps(chosen, name)))


if __name__ == "__main__":
    main(*sys.argv[1:])
