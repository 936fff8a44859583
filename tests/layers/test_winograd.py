"""Winograd's algorithm: exact in rationals, equal to unfolding in float64, its stated error in float32."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from rounding import exactly, rounding_bounds

from lamina.backends import Backend, OptionError, get_backend
from lamina.layers import Conv2d
from lamina.layers.convolution import winograd
from lamina.layers.convolution.correlation import Correlation
from lamina.layers.convolution.winograd import POINTS, Algorithm, Winograd, tile_for
from lamina.layers.proofs import Report, Subject
from lamina.layers.proofs.report import close, compare
from lamina.layers.proofs.subject import cotangent
from lamina.layers.random import seeded

Host = np.ndarray[Any, Any]


def draw(*shape: int, seed: int = 0) -> Host:
    return np.random.default_rng(seed).standard_normal(shape)


def layer(
    algorithm: str, channels: int, outputs: int, backend: Backend | None = None, **options: Any
) -> Conv2d:
    """Return a layer with weights that depend on the sizes alone."""
    with seeded(0):
        return Conv2d(channels, outputs, 3, algorithm=algorithm, backend=backend, **options)


def correlation_of(convolution: Conv2d, *shape: int) -> Correlation | Winograd:
    return convolution.correlation(convolution.window(shape), shape[0], "float32")


# -- the algorithm ----------------------------------------------------------------------------------


@pytest.mark.parametrize("m", POINTS)
def test_the_matrices_give_the_correlation_exactly(m: int) -> None:
    """Aᵀ [(G w) ⊙ (Bᵀ d)] = w ⋆ d in rational numbers, for each pair of unit vectors."""
    inputs, kernels, outputs = (np.array(matrix, dtype=object) for matrix in Algorithm.of(m))
    for i, j in np.ndindex(m + 2, 3):
        found = outputs @ (inputs[:, i] * kernels[:, j])
        assert list(found) == [Fraction(int(i == k + j)) for k in range(m)]


def test_the_tile_that_multiplies_less() -> None:
    for counts, m in (((2, 2), 2), ((4, 4), 4), ((6, 6), 2), ((7, 7), 4), ((6, 7), 4), ((1, 40), 2)):
        assert tile_for(counts) == m


# -- float64: equal to unfolding, however it is cut --------------------------------------------------

IMAGES = ((2, 3, 4, 4), (3, 2, 9, 7), (1, 1, 3, 3), (5, 4, 12, 8), (2, 2, 13, 17), (0, 2, 5, 5))
PADDINGS: tuple[dict[str, Any], ...] = (
    {},
    {"padding": 1},
    {"padding": "same", "bias": False},
    {"padding": ((0, 2), (1, 0))},
    {"padding": 4},
    {"padding": (0, 3)},
)


@pytest.mark.parametrize("options", PADDINGS, ids=str)
@pytest.mark.parametrize("cache", [1 << 62, 1 << 40, 20_000, 4096, 64])
@pytest.mark.parametrize("m", POINTS)
def test_it_equals_unfolding(
    m: int, cache: int, options: dict[str, Any], backend64: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shape in IMAGES:
        right = Subject(layer("unfold", shape[1], 3, backend64, **options)).run(draw(*shape))
        with monkeypatch.context() as patch:
            patch.setattr(winograd, "tile_for", lambda counts: m)
            patch.setattr(backend64, "cache_size", cache)
            patch.setattr(winograd, "RECORDED", 64)  # a recorded step joins the images of all blocks
            found = Subject(layer("winograd", shape[1], 3, backend64, **options)).run(draw(*shape))
        report = Report(f"{shape}", "unfold", compare(found, right, close))
        assert report.passed, str(report)


@pytest.mark.parametrize("name", ["input", "kernel", "output"])
def test_a_wrong_number_in_a_matrix_is_seen(
    name: str, backend64: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A negative control."""
    right = Subject(layer("unfold", 2, 3, backend64)).run(draw(2, 2, 8, 8))
    constants = winograd._constants

    def wrong(m: int, dtype: str) -> dict[str, Host]:
        matrices = {key: value.copy() for key, value in constants(m, dtype).items()}
        matrices[name][1, 1] += 1e-6
        return matrices

    monkeypatch.setattr(winograd, "_constants", wrong)
    found = Subject(layer("winograd", 2, 3, backend64)).run(draw(2, 2, 8, 8))
    assert not Report("a wrong matrix", "unfold", compare(found, right, close)).passed


# -- float32: the bars of docs/numerics.md ------------------------------------------------------------

SHAPES = ((4, 8, 16, 8), (2, 64, 28, 64), (2, 32, 32, 64), (1, 3, 32, 16), (2, 1, 9, 1), (1, 256, 14, 32))
"""Samples, channels, the side of an image, outputs."""


@pytest.mark.raw_only
@pytest.mark.parametrize("kind", ["normal", "positive", "far from 0"])
@pytest.mark.parametrize("m", POINTS)
def test_the_error_in_float32(m: int, kind: str, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """F(2 x 2) keeps the bar of a convolution, F(4 x 4) ten times it, at the tensor's largest.

    Root mean squares are within 3 times those of unfolding for F(2 x 2), within 10 times for F(4 x 4), from
    eight channels on.
    """
    monkeypatch.setattr(winograd, "tile_for", lambda counts: m)
    for samples, channels, side, outputs in SHAPES:
        by_unfold = layer("unfold", channels, outputs, backend, padding=1)
        by_winograd = layer("winograd", channels, outputs, backend, padding=1)
        x = draw(samples, channels, side, side)
        x = {"normal": x, "positive": np.abs(x), "far from 0": x + 100.0}[kind].astype(np.float32)
        g = cotangent(by_unfold.output_shape(x.shape)).astype(np.float32)
        right, bounds = exactly(by_unfold, x, g), rounding_bounds(by_unfold, x, g)
        errors = [
            {name: value.astype(np.float64) - right[name] for name, value in found.items()}
            for found in (Subject(one).run(x, grad_output=g) for one in (by_unfold, by_winograd))
        ]
        for name in ("output", "input", "weight"):
            unfold, ours = (error[name] for error in errors)
            assert np.abs(ours).max() <= {2: 1, 4: 10}[m] * bounds[name].max(), name
            if min(channels, outputs) >= 8:
                assert np.sqrt((ours**2).mean()) <= {2: 3, 4: 10}[m] * np.sqrt((unfold**2).mean()), name


# -- the option ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "outputs", "expected"),
    [
        ((32, 32, 32, 32), 64, True),
        ((16, 64, 56, 56), 64, True),
        ((16, 128, 28, 28), 128, True),
        ((16, 256, 14, 14), 256, True),
        ((1, 64, 56, 56), 64, True),
        ((64, 3, 32, 32), 64, False),
        ((64, 64, 32, 32), 16, False),
        ((32, 64, 8, 8), 64, False),
        ((1, 256, 14, 14), 256, False),
        ((16, 512, 14, 14), 512, False),
    ],
)
def test_auto_chooses_by_shapes(shape: tuple[int, ...], outputs: int, expected: bool) -> None:
    convolution = Conv2d(shape[1], outputs, 3, padding=1, algorithm="auto")
    assert isinstance(correlation_of(convolution, *shape), Winograd) is expected
    plain = Conv2d(shape[1], outputs, 3, padding=1)
    assert isinstance(correlation_of(plain, *shape), Correlation)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [(5, {}), (3, {"stride": 2}), (3, {"dilation": 2}), (3, {"groups": 2}), ((1, 3), {})],
)
def test_auto_unfolds_what_winograd_cannot_compute(kernel: Any, options: dict[str, Any]) -> None:
    convolution = Conv2d(64, 64, kernel, algorithm="auto", **options)
    assert isinstance(correlation_of(convolution, 16, 64, 32, 32), Correlation)


def test_auto_computes_what_its_choice_computes(backend: Backend) -> None:
    for shape, chosen in (((8, 32, 32, 32), "winograd"), ((2, 4, 8, 8), "unfold")):
        x = draw(*shape).astype(np.float32)
        found, right = (Subject(layer(a, shape[1], 32, backend)).run(x) for a in ("auto", chosen))
        assert all(found[name].tobytes() == right[name].tobytes() for name in right)


@pytest.mark.parametrize(
    ("options", "expected", "got"),
    [
        ({"kernel_size": 5}, "kernel_size=3", "kernel_size=5"),
        ({"kernel_size": (3, 1)}, "kernel_size=3", r"kernel_size=\(3, 1\)"),
        ({"stride": 2}, "stride=1", "stride=2"),
        ({"stride": (1, 2)}, "stride=1", r"stride=\(1, 2\)"),
        ({"dilation": 2}, "dilation=1", "dilation=2"),
        ({"groups": 4}, "groups=1", "groups=4"),
        ({"padding_mode": "reflect"}, "padding_mode='zeros'", "padding_mode='reflect'"),
    ],
)
def test_it_says_where_it_does_not_apply(options: dict[str, Any], expected: str, got: str) -> None:
    says = f"Conv2d: expected {expected} with algorithm='winograd', got {got}; use algorithm='unfold'"
    with pytest.raises(OptionError, match=says):
        Conv2d(4, 4, **{"kernel_size": 3, "algorithm": "winograd"} | options)


def test_the_option_is_shown_and_copied() -> None:
    convolution = layer("winograd", 2, 3, get_backend("numpy"), padding=1)
    assert repr(convolution) == "Conv2d(2 -> 3, 3x3, padding=1, algorithm='winograd')"
    for twin in (copy.deepcopy(convolution), pickle.loads(pickle.dumps(convolution))):
        assert twin.algorithm == "winograd"
        x = draw(1, 2, 8, 8).astype(np.float32)
        np.testing.assert_array_equal(twin(x), convolution(x))
