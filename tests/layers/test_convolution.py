"""Convolutions of drawn options: unfolded, naive and torch's agree, in float64 and in float32.

In float32 the bar is that of the page of numbers: k u (|A| |B|), k the number of terms added up, against
the same inputs in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rounding import exactly, rounding_bounds

from lamina.backends import Backend
from lamina.layers import Conv1d, Conv2d, Conv3d, NaiveConv2d
from lamina.layers.convolution.borders import least
from lamina.layers.proofs import Report, Subject, compare_with_torch
from lamina.layers.proofs.report import close, compare
from lamina.layers.proofs.subject import cotangent
from lamina.layers.window_options import sides

Host = np.ndarray[Any, Any]
OVER_DRAWN = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # a backend keeps no state
)


@dataclass(frozen=True)
class Drawn:
    """A convolution's options, an input's shape that they fit, and a seed for the values."""

    options: dict[str, Any]
    shape: tuple[int, ...]
    seed: int

    def values(self, dtype: str) -> Host:
        return np.random.default_rng(self.seed).standard_normal(self.shape).astype(dtype)


def paddings(rank: int) -> st.SearchStrategy[Any]:
    """Each form that padding can be given in."""
    amount = st.integers(0, 2)
    pairs = st.tuples(*[st.tuples(amount, amount)] * rank)
    every_side = st.tuples(*[amount] * (2 * rank))
    return st.one_of(
        st.sampled_from(["same", "valid"]), amount, st.tuples(*[amount] * rank), pairs, every_side
    )


@st.composite
def convolutions(draw: Any, rank: int = 2) -> Drawn:
    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 2))  # 1: depthwise, where there are groups
    kernel, dilation, stride = each(1, 3), each(1, 2), each(1, 3)
    padding = draw(paddings(rank))
    if padding == "same":
        stride = (1,) * rank
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    size = []
    for k, d, (before, after) in zip(
        kernel, dilation, sides("", padding, kernel, stride, dilation), strict=True
    ):
        fits = d * (k - 1) + 1 - before - after
        size.append(max(fits, least(max(before, after), mode), 1) + draw(st.integers(0, 3)))
    options = {
        "in_channels": channels,
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
        "padding_mode": mode,
    }
    return Drawn(options, (draw(st.integers(0, 3)), channels, *size), draw(st.integers(0, 9)))


def torch_convolution(rank: int, options: dict[str, Any]) -> Any:
    """Return torch's; padding on sides of its own, which torch.nn has not, is put on by torch's pad."""
    import torch

    kind: Any = getattr(torch.nn, f"Conv{rank}d")
    padding = options["padding"]
    if isinstance(padding, (int, str)) or (len(padding) == rank and isinstance(padding[0], int)):
        return kind(**options)
    flat = padding if isinstance(padding[0], int) else [n for pair in reversed(padding) for n in pair]
    mode = {"zeros": "constant"}.get(options["padding_mode"], options["padding_mode"])

    class Padded(kind):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return super().forward(torch.nn.functional.pad(x, list(flat), mode))

    return Padded(**options | {"padding": 0, "padding_mode": "zeros"})


def agrees(report: Report) -> None:
    __tracebackhide__ = True
    assert report.passed, str(report)


# -- float64: torch, and the definition -----------------------------------------------------------


@pytest.mark.raw_only
@OVER_DRAWN
@given(drawn=convolutions())
def test_conv2d_is_the_naive_one(drawn: Drawn, backend64: Backend) -> None:
    x = drawn.values("float64")
    layer, naive = Conv2d(**drawn.options, backend=backend64), NaiveConv2d(**drawn.options, backend=backend64)
    naive.load_state_dict(layer.state_dict())
    agrees(Report(str(layer), str(naive), compare(Subject(layer).run(x), Subject(naive).run(x), close)))


@pytest.mark.raw_only
@OVER_DRAWN
@given(drawn=convolutions())
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
def test_conv2d_and_the_naive_one_are_torchs(drawn: Drawn, backend64: Backend) -> None:
    pytest.importorskip("torch", reason="the oracle is torch.nn")
    for kind in (Conv2d, NaiveConv2d):
        layer = kind(**drawn.options, backend=backend64)
        agrees(compare_with_torch(layer, torch_convolution(2, drawn.options), drawn.values("float64")))


@settings(OVER_DRAWN, max_examples=50)
@given(drawn=st.one_of(convolutions(1), convolutions(3)))
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
def test_one_and_three_axes_are_torchs(drawn: Drawn, backend64: Backend) -> None:
    pytest.importorskip("torch", reason="the oracle is torch.nn")
    rank = len(drawn.shape) - 2
    layer = (Conv1d if rank == 1 else Conv3d)(**drawn.options, backend=backend64)
    agrees(compare_with_torch(layer, torch_convolution(rank, drawn.options), drawn.values("float64")))


@pytest.mark.raw_only
def test_a_plain_case_is_scipys(backend64: Backend) -> None:
    """correlate2d, as convolve2d turns the kernel over."""
    signal = pytest.importorskip("scipy.signal", reason="the oracle is scipy's")
    layer = Conv2d(3, 2, (3, 4), backend=backend64)
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 8))
    state = layer.state_dict()
    expected = [
        [
            sum(signal.correlate2d(image[c], kernel[c], mode="valid") for c in range(3)) + shift
            for kernel, shift in zip(state["weight"], state["bias"], strict=True)
        ]
        for image in x
    ]
    y = Subject(layer).run(x)["output"]
    np.testing.assert_allclose(y, np.array(expected), rtol=1e-9, atol=1e-12, strict=True)


# -- float32, against float64 ---------------------------------------------------------------------


@pytest.mark.raw_only
@OVER_DRAWN
@given(drawn=convolutions())
def test_float32_within_the_bound_of_its_sums(drawn: Drawn, backend: Backend) -> None:
    layer, naive = Conv2d(**drawn.options, backend=backend), NaiveConv2d(**drawn.options, backend=backend)
    naive.load_state_dict(layer.state_dict())
    x = drawn.values("float32")
    g = cotangent(layer.output_shape(drawn.shape)).astype("float32")
    right, bounds = exactly(layer, x, g), rounding_bounds(layer, x, g)

    def wide(found: dict[str, Host]) -> dict[str, Host]:
        assert {value.dtype.name for value in found.values()} == {"float32"}
        return {name: value.astype("float64") for name, value in found.items()}

    unfolded, looped = wide(Subject(layer).run(x, grad_output=g)), wide(Subject(naive).run(x, grad_output=g))
    agrees(Report(str(layer), "float64", compare(unfolded, right, lambda name, _: bounds[name])))
    agrees(Report(str(naive), "float64", compare(looped, right, lambda name, _: bounds[name])))
    twice = compare(unfolded, looped, lambda name, _: 2.0 * bounds[name])
    agrees(Report(str(layer), str(naive), twice))
