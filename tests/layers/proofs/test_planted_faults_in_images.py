"""A negative control: the proofs must catch every fault in convolution, pooling and batch norm.

Finite differences cannot see a fault that forward and backward share: only another implementation objects.
"""

from __future__ import annotations

from typing import Any

import pytest
from planted import objections, planted
from rows import row

from lamina.backends import Backend
from lamina.backends.windows import Window
from lamina.layers import AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, ConvTranspose2d, MaxPool2d, Module
from lamina.layers.convolution.blocks import Plan
from lamina.layers.proofs import LAYER_CASES
from lamina.layers.proofs.check import DIFFERENCES, GRAPH, TORCH

pytestmark = pytest.mark.raw_only

# -- convolution ----------------------------------------------------------------------------------


class KernelTransposed(Conv2d):
    """Rows and columns swapped, in both passes."""

    def forward(self, x: Any) -> Any:
        self.weight.set(self.backend.copy(self.backend.permute_dims(self.weight.data, (0, 1, 3, 2))))
        return super().forward(x)


class KernelTransposedBackward(Conv2d):
    def backward(self, grad_output: Any) -> Any:
        b, right = self.backend, self.backend.copy(self.weight.data)
        self.weight.set(b.copy(b.permute_dims(right, (0, 1, 3, 2))))
        grad = super().backward(grad_output)
        self.weight.set(right)
        return grad


class GroupsForgotten(Conv2d):
    """Forward uses the first group's kernels for every group; backward does not."""

    def forward(self, x: Any) -> Any:
        b, right = self.backend, self.backend.copy(self.weight.data)
        first = b.slice(right, (0, 0, 0, 0), (self.out_channels // self.groups, *self.weight.shape[1:]))
        self.weight.set(b.concat([first] * self.groups, axis=0))
        y = super().forward(x)
        self.weight.set(right)
        return y


class LastBlockDropped(Conv2d):
    def backward(self, grad_output: Any) -> Any:
        whole = Plan.blocks
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Plan, "blocks", lambda plan, images: list(whole(plan, images))[:-1])
            return super().backward(grad_output)


class SameOnTheWrongSide(Conv2d):
    """An even kernel pads more before than after, not the other way round."""

    def window(self, shape: Any) -> Window:
        right = self.padding
        self.padding = tuple((after, before) for before, after in right)
        try:
            return super().window(shape)
        finally:
            self.padding = right


class BiasMean(Conv2d):
    def backward(self, grad_output: Any) -> Any:
        grad = super().backward(grad_output)
        b, sums = self.backend, self.bias.grad
        self.bias.zero_grad()
        windows = b.shape(grad_output)[0] * b.shape(grad_output)[2] * b.shape(grad_output)[3]
        self.bias.accumulate(b.divide(sums, float(windows)))
        return grad


class StrideForgotten(ConvTranspose2d):
    """The gradient of the output is shifted by one pixel."""

    def backward(self, grad_output: Any) -> Any:
        b = self.backend
        size = b.shape(grad_output)[3]
        turned = b.from_host([*range(1, size), 0], dtype="int64")
        return super().backward(b.take(grad_output, turned, axis=3))


# -- pooling --------------------------------------------------------------------------------------


class PaddingCountedWrongly(AvgPool2d):
    def _divisor(self, window: Window, dtype: str) -> Any:
        self.count_include_pad = not self.count_include_pad
        try:
            return super()._divisor(window, dtype)
        finally:
            self.count_include_pad = not self.count_include_pad


class TieToTheLast(MaxPool2d):
    """The last of equal values gets the gradient."""

    def forward(self, x: Any) -> Any:
        b, y = self.backend, super().forward(x)
        window = self.window(b.shape(x))

        def turned(tensor: Any) -> Any:
            for axis in (2, 3):
                places = range(b.shape(tensor)[axis])[::-1]
                tensor = b.take(tensor, b.from_host(list(places), dtype="int64"), axis=axis)
            return tensor

        _, indices = b.max_pool(turned(x), window)
        last = window.size[0] * window.size[1] - 1
        self.keep(b.subtract(last, turned(indices)), window, b.shape(y), b.dtype(y))
        return y


class SharedMaximum(MaxPool2d):
    """Windows that share a maximum pass the mean of their gradients, not the sum."""

    def backward(self, grad_output: Any) -> Any:
        b = self.backend
        indices, window, shape, _ = self.kept()
        image = (*shape[:2], window.size[0] * window.size[1])
        flat = b.reshape(indices, (*shape[:2], -1))
        times = b.scatter_add(b.full(image, 0.0), flat, b.full(b.shape(flat), 1.0), axis=2)
        shares = b.reshape(b.take_along_axis(times, flat, axis=2), shape)
        return super().backward(b.divide(grad_output, shares))


# -- batch norm -----------------------------------------------------------------------------------


class BiasedRunningVariance(BatchNorm2d):
    def _track(self, mean: Any, variance: Any, m: int) -> None:
        self.biased_running_variance = True
        super()._track(mean, variance, m)


class StaleStatistics(BatchNorm2d):
    def _track(self, mean: Any, variance: Any, m: int) -> None:
        pass


class MomentumOfTheOld(BatchNorm1d):
    def _track(self, mean: Any, variance: Any, m: int) -> None:
        self.momentum_of, momentum_of = "old", self.momentum_of
        super()._track(mean, variance, m)
        self.momentum_of = momentum_of


class BatchStatisticsInEvaluation(BatchNorm2d):
    def forward(self, x: Any) -> Any:
        mean, self.running_mean = self.running_mean, None
        try:
            return super().forward(x)
        finally:
            self.running_mean = mean


class StatisticsTakenForConstants(BatchNorm2d):
    """The gradient does not go through mean and variance."""

    def backward(self, grad_output: Any) -> Any:
        x_hat, inverse, _ = self.kept()
        self.keep(x_hat, inverse, False)
        return super().backward(grad_output)


# -- caught ---------------------------------------------------------------------------------------

ALL = {DIFFERENCES, GRAPH, TORCH}
FAULTS: list[tuple[type[Module], str, set[str]]] = [
    (KernelTransposed, "Conv2d 3x3", {DIFFERENCES, TORCH}),
    (KernelTransposedBackward, "Conv2d 3x3", ALL),
    (GroupsForgotten, "Conv2d in groups", ALL),
    (LastBlockDropped, "Conv2d padded", ALL),
    (SameOnTheWrongSide, "Conv2d same, of an even kernel", {TORCH}),
    (BiasMean, "Conv2d strided", ALL),
    (StrideForgotten, "ConvTranspose2d strided, padded", ALL),
    (PaddingCountedWrongly, "AvgPool2d 3, stride 2, padded", {TORCH}),
    (PaddingCountedWrongly, "AvgPool2d uncounted padding", {TORCH}),
    (TieToTheLast, "MaxPool2d 2", {GRAPH, TORCH}),
    (SharedMaximum, "MaxPool2d 3, stride 2, padded", ALL),
    (BiasedRunningVariance, "BatchNorm2d of (N, C, H, W)", {TORCH}),
    (StaleStatistics, "BatchNorm2d of (N, C, H, W)", {TORCH}),
    (MomentumOfTheOld, "BatchNorm1d of (N, C)", {TORCH}),
    (BatchStatisticsInEvaluation, "BatchNorm2d of (N, C, H, W), in evaluation", {TORCH}),
    (StatisticsTakenForConstants, "BatchNorm2d of (N, C, H, W)", ALL),
]


@pytest.fixture
def strips(backend64: Backend, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """A backend with a cache so small that convolutions work in strips of rows."""
    monkeypatch.setattr(backend64, "cache_size", 64)
    return backend64


@pytest.mark.parametrize(("fault", "name", "expected"), FAULTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_planted_fault_is_caught(
    fault: type[Module], name: str, expected: set[str], strips: Backend
) -> None:
    pytest.importorskip("torch", reason="only another implementation sees some faults")
    assert objections(planted(row(LAYER_CASES, name), fault), strips) == expected


@pytest.mark.parametrize("name", sorted({name for _, name, _ in FAULTS}))
def test_a_sound_layer_meets_no_objection(name: str, strips: Backend) -> None:
    pytest.importorskip("torch", reason="torch is one of the oracles")
    assert objections(row(LAYER_CASES, name), strips) == set()
