"""Transposed convolutions of drawn options are torch's, over one, two and three axes; and adjoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.backends import Backend
from lamina.layers import Conv2d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from lamina.layers.proofs import Subject, compare_with_torch

KINDS: tuple[Any, ...] = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


@st.composite
def transposed(draw: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Draw options and an input's shape with something left once the padding is cut off."""
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 2))
    kernel, stride, dilation, padding = each(1, 3), each(1, 3), each(1, 3), each(0, 2)
    beyond = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )  # more than the padding as well
    size = []
    for k, s, d, p, o in zip(kernel, stride, dilation, padding, beyond, strict=True):
        places = 1 + draw(st.integers(0, 3))
        while (places - 1) * s + d * (k - 1) + 1 + o - 2 * p < 1:
            places += 1
        size.append(places)
    options = {
        "in_channels": channels,
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "output_padding": beyond,
        "groups": groups,
        "bias": draw(st.booleans()),
        "dilation": dilation,
    }
    return options, (draw(st.integers(0, 3)), channels, *size)


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # a backend keeps no state
)
@given(case=transposed(), seed=st.integers(0, 9))
def test_drawn_options_are_torchs(case: Any, seed: int, backend64: Backend) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.nn")
    options, shape = case
    kind = KINDS[len(shape) - 3]
    x = np.random.default_rng(seed).standard_normal(shape)
    twin = getattr(torch.nn, kind.__name__)(**options)
    layer = kind(**options, backend=backend64)
    assert layer.output_shape(shape) == tuple(twin.double()(torch.tensor(x)).shape)
    report = compare_with_torch(layer, twin, x)
    assert report.passed, str(report)


def test_it_is_the_adjoint_of_the_convolution_with_its_weight(backend64: Backend) -> None:
    """<w ⋆ x, y> = <x, wᵀ y>: one weight, seen from both ends."""
    forth = Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False, backend=backend64)
    back = ConvTranspose2d(6, 4, 3, stride=2, padding=1, groups=2, bias=False, backend=backend64)
    back.load_state_dict(forth.state_dict())
    source = np.random.default_rng(0)
    x, y = source.standard_normal((2, 4, 7, 5)), source.standard_normal((2, 6, 4, 3))
    along = (Subject(forth).run(x)["output"] * y).sum()
    np.testing.assert_allclose((x * Subject(back).run(y)["output"]).sum(), along, rtol=1e-9)
