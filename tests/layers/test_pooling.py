"""What the table of cases cannot say of pooling: drawn options against torch, NaN, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lamina.backends import Backend, ShapeError, get_backend
from lamina.layers import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)

KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (MaxPool1d, MaxPool2d, MaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d)
}


@st.composite
def pools(draw: Any) -> tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]:
    """Draw a pooling, its options, and an input shape that it fits."""
    name = draw(st.sampled_from(sorted(KINDS)))
    rank = int(name[-2])
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    options: dict[str, Any] = {
        "stride": tuple(draw(st.integers(1, 4)) for _ in range(rank)),
        "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel),
        "ceil_mode": draw(st.booleans()),
    }
    dilation = (1,) * rank
    if name.startswith("Max"):
        dilation = options["dilation"] = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    else:
        options["count_include_pad"] = draw(st.booleans())
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    least = [
        max(span - 2 * pad - (step - 1 if options["ceil_mode"] else 0), 1)
        for span, pad, step in zip(spans, options["padding"], options["stride"], strict=True)
    ]
    if name == "AvgPool3d":  # torch's ignores the padding when it compares the kernel with the image
        least = spans
    size = tuple(draw(st.integers(n, n + 5)) for n in least)
    return name, (kernel,), options, (draw(st.integers(0, 2)), draw(st.integers(1, 2)), *size)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(pools(), st.sampled_from(["numpy", "torch"]), st.booleans())
def test_drawn_options_against_torch(case: Any, name: str, tied: bool) -> None:
    torch = pytest.importorskip("torch")
    kind, arguments, options, shape = case
    b = get_backend(name, dtype="float64")
    source = np.random.default_rng(0)
    x = source.integers(0, 3, shape).astype(float) if tied else source.standard_normal(shape)
    layer, twin = (
        KINDS[kind](*arguments, **options, backend=b),
        getattr(torch.nn, kind)(*arguments, **options),
    )
    assume(not layer.window(shape).hollow)  # torch's gradients leave the image there
    theirs = torch.tensor(x, requires_grad=True)
    expected = twin(theirs)
    assert layer.output_shape(shape) == tuple(expected.shape)
    g = source.standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(
        b.to_host(layer(b.from_host(x))), expected.detach().numpy(), rtol=1e-12, atol=1e-15
    )
    gradient = b.to_host(layer.backward(b.from_host(g)))
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_nan_is_the_maximum_of_its_windows(backend: Backend) -> None:
    x = np.zeros((1, 1, 2, 4), np.float32)
    x[0, 0, 1, 0] = np.nan
    layer = MaxPool2d(2, backend=backend)
    y = np.asarray(backend.to_host(layer(backend.from_host(x))))
    assert np.isnan(y[0, 0, 0, 0])
    assert y[0, 0, 0, 1] == 0.0
    gradient = np.asarray(backend.to_host(layer.backward(backend.full((1, 1, 1, 2), 1.0))))
    assert gradient[0, 0].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]


def test_padding_is_never_the_maximum(backend: Backend) -> None:
    x = backend.full((1, 1, 2, 2), -np.inf)
    layer = MaxPool2d(2, 2, 1, backend=backend)
    assert np.all(backend.to_host(layer(x)) == -np.inf)
    gradient = backend.to_host(layer.backward(backend.full((1, 1, 2, 2), 1.0)))
    assert np.all(gradient == 1.0)


@pytest.mark.parametrize(
    ("rank", "options", "size"),
    [
        (1, {"padding": 1, "dilation": 2}, (1,)),
        (2, {"padding": ((2, 2), (1, 1)), "dilation": (4, 2)}, (2, 3)),
        (3, {"padding": 1, "dilation": 2}, (1, 2, 1)),
        (1, {"padding": 2, "dilation": 3, "ceil_mode": True}, (2,)),
        (1, {"padding": 1, "dilation": 1, "wide_padding": True}, (1,)),
    ],
)
def test_windows_without_a_place_in_the_image(backend64: Backend, rank: int, options: Any, size: Any) -> None:
    """Their maximum is -inf, that of the empty set, and their gradient goes nowhere."""
    b = backend64
    x = np.random.default_rng(0).standard_normal((2, 2, *size))
    layer = KINDS[f"MaxPool{rank}d"](2, 1, **options, backend=b)
    y = b.to_host(layer(b.from_host(x)))
    g = np.random.default_rng(1).standard_normal(y.shape)
    expected = np.zeros_like(x)
    for place in np.ndindex(y.shape):
        if np.isfinite(y[place]):
            expected += g[place] * (x == y[place])
    np.testing.assert_allclose(b.to_host(layer.backward(b.from_host(g))), expected, atol=1e-12)


def test_the_mean_of_padding_that_does_not_count_is_0(backend: Backend) -> None:
    options: Any = {"padding": 1, "dilation": 2, "count_include_pad": False}
    layer = AvgPool1d(2, 1, **options, backend=backend)
    x = backend.full((1, 1, 1), np.inf)
    assert backend.to_host(layer(x)).tolist() == [[[0.0]]]
    assert backend.to_host(layer.backward(backend.full((1, 1, 1), 1.0))).tolist() == [[[0.0]]]


def test_ceil_mode_with_a_kernel_larger_than_the_image(backend: Backend) -> None:
    x = backend.from_host([[[3.0, 5.0]]])
    for kind, expected in ((MaxPool1d, 5.0), (AvgPool1d, 4.0)):
        assert backend.to_host(kind(3, 2, ceil_mode=True, backend=backend)(x)).tolist() == [[[expected]]]
        with pytest.raises(
            ShapeError, match="expected input with size at least 3 on axis 2 for a kernel that spans 4"
        ):
            kind(4, 2, ceil_mode=True, backend=backend)(x)
        with pytest.raises(ShapeError, match="expected input with size at least 1 on axis 2"):
            kind(2, 2, 1, backend=backend)(backend.full((1, 1, 0), 1.0))


@pytest.mark.parametrize("kind", [MaxPool2d, AvgPool2d])
def test_images_laid_innermost(kind: Any, backend64: Backend) -> None:
    """As a convolution leaves them: logically (N, C, H, W), in memory (C, H, W, N)."""
    b = backend64
    x = np.random.default_rng(0).standard_normal((3, 2, 5, 4))
    turned = b.permute_dims(b.from_host(x.transpose(1, 2, 3, 0)), (3, 0, 1, 2))
    layer, plain = kind(2, backend=b), kind(2, backend=b)
    y = plain(b.from_host(x))
    assert np.array_equal(b.to_host(layer(turned)), b.to_host(y))
    g = b.from_host(np.random.default_rng(1).standard_normal(b.shape(y)))
    assert np.array_equal(b.to_host(layer.backward(g)), b.to_host(plain.backward(g)))
