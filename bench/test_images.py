"""Layers over images: convolution (loops, unfold, torch.nn), batch norm, pooling; time and peak memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lamina import layers
from lamina.backends import Backend

torch = pytest.importorskip("torch")

PASSES = ("forward", "backward", "both")


@dataclass(frozen=True)
class Convolution:
    """An input (N, C, H, W) and a kernel; depthwise, each channel has its own."""

    label: str
    shape: tuple[int, int, int, int]
    outputs: int
    kernel: int
    padding: int = 0
    stride: int = 1
    groups: int = 1

    def __str__(self) -> str:
        return f"{self.label} {self.shape} -> {self.outputs}, {self.kernel}x{self.kernel}"

    def make(self, kit: Any, **options: Any) -> Any:
        """Return Conv2d."""
        return kit.Conv2d(
            self.shape[1],
            self.outputs,
            self.kernel,
            self.stride,
            self.padding,
            groups=self.groups,
            **options,
        )

    def naive(self, backend: Backend) -> Any:
        """Return the loops."""
        return layers.NaiveConv2d(
            self.shape[1], self.outputs, self.kernel, padding=self.padding, backend=backend
        )


CUBES = Convolution("cubes", (64, 3, 4, 4), 5, 3, 1)
CONVOLUTIONS = (
    CUBES,
    Convolution("LeNet 1", (64, 1, 28, 28), 6, 5, 2),
    Convolution("LeNet 2", (64, 6, 14, 14), 16, 5),
    Convolution("CIFAR", (32, 32, 32, 32), 64, 3, 1),
    Convolution("ResNet 56", (16, 64, 56, 56), 64, 3, 1),
    Convolution("ResNet 28", (16, 128, 28, 28), 128, 3, 1),
    Convolution("stride 2", (16, 32, 64, 64), 64, 3, 1, stride=2),
    Convolution("5x5", (8, 24, 48, 48), 48, 5, 2),
    Convolution("1x1", (8, 64, 56, 56), 256, 1),
    Convolution("depthwise", (16, 64, 56, 56), 64, 3, 1, groups=64),
)
WINOGRAD = [case for case in CONVOLUTIONS if (case.kernel, case.stride, case.groups) == (3, 1, 1)]
NAIVE = (
    CUBES,
    Convolution("one image", (1, 16, 16, 16), 8, 3, 1),
    Convolution("LeNet 1, one image", (1, 1, 28, 28), 6, 5, 2),
)


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution(race_layer: Callable[..., None], case: Convolution, which: str) -> None:
    race_layer(
        f"conv: {case}, {which}",
        lambda b: case.make(layers, backend=b),
        lambda: case.make(torch.nn),
        case.shape,
        which,
        memory=True,
        # A weight's gradient sums up to 50,000 products.
        tolerance=1e-4,
    )


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("algorithm", ["winograd", "auto"])
@pytest.mark.parametrize("case", WINOGRAD, ids=str)
def test_winograd(race_layer: Callable[..., None], case: Convolution, algorithm: str, which: str) -> None:
    race_layer(
        f"conv: {case}, {algorithm}, {which}",
        lambda b: case.make(layers, algorithm=algorithm, backend=b),
        lambda: case.make(torch.nn),
        case.shape,
        which,
        memory=True,
        tolerance=1e-4,
    )


@pytest.mark.parametrize("kind", ["loops", "unfold"])
@pytest.mark.parametrize("case", NAIVE, ids=str)
def test_naive_convolution(race_layer: Callable[..., None], case: Convolution, kind: str) -> None:
    race_layer(
        f"conv by {kind}: {case}, both",
        case.naive if kind == "loops" else lambda b: case.make(layers, backend=b),
        lambda: case.make(torch.nn),
        case.shape,
        "both",
    )


# name: kind, arguments, shape
OTHERS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = {
    "BatchNorm2d": ("BatchNorm2d", (64,), {}, (32, 64, 32, 32)),
    "BatchNorm1d": ("BatchNorm1d", (100,), {}, (64, 100)),
    "MaxPool2d 2 of LeNet": ("MaxPool2d", (2,), {}, (64, 6, 28, 28)),
    "MaxPool2d 2": ("MaxPool2d", (2,), {}, (32, 64, 32, 32)),
    "MaxPool2d 3, stride 2": ("MaxPool2d", (3, 2, 1), {}, (16, 64, 56, 56)),
    "AvgPool2d 2": ("AvgPool2d", (2,), {}, (32, 64, 32, 32)),
    "AdaptiveAvgPool2d 1": ("AdaptiveAvgPool2d", (1,), {}, (16, 256, 7, 7)),
    "LayerNorm": ("LayerNorm", (512,), {}, (256, 512)),
}


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", OTHERS)
def test_over_images(race_layer: Callable[..., None], name: str, which: str) -> None:
    kind, arguments, options, shape = OTHERS[name]
    race_layer(
        f"images: {name} {shape}, {which}",
        lambda b: getattr(layers, kind)(*arguments, **options, backend=b),
        lambda: getattr(torch.nn, kind)(*arguments, **options),
        shape,
        which,
        memory=True,
        tolerance=1e-4,
    )
