"""Bad input to convolutions: each error names the layer, what it expected and what it got."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, DtypeError, LaminaError, OptionError, ShapeError
from lamina.layers import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Module,
    NaiveConv2d,
)

PLAIN: list[Any] = [Conv1d, Conv2d, Conv3d, NaiveConv2d]
TRANSPOSED: list[Any] = [ConvTranspose1d, ConvTranspose2d, ConvTranspose3d]


def says(text: str) -> str:
    """A pattern for a whole message."""
    return "^" + re.escape(text) + "$"


# -- making one -----------------------------------------------------------------------------------

SIZES = " to be an integer of at least 1, or 2 of them, got "
MODES = "expected padding_mode to be one of zeros, reflect, replicate, circular, got "
BEYOND = "expected output_padding below the larger of stride {1} and dilation (1, 1), got {0}"
SIDES = (
    "expected padding to be an integer, one or (before, after) for each of 2 axes, the sides (left, right, "
    "top, bottom), 'same' or 'valid', and not negative, got "
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "expected stride" + SIZES + "0"),
        ({"stride": (1, 0)}, "expected stride" + SIZES + "(1, 0)"),
        ({"stride": 1.5}, "expected stride" + SIZES + "1.5"),
        ({"dilation": 0}, "expected dilation" + SIZES + "0"),
        ({"kernel_size": 0}, "expected kernel_size" + SIZES + "0"),
        ({"kernel_size": 3.0}, "expected kernel_size" + SIZES + "3.0"),
        ({"kernel_size": True}, "expected kernel_size" + SIZES + "True"),
        ({"kernel_size": (3, True)}, "expected kernel_size" + SIZES + "(3, True)"),
        ({"kernel_size": (3, 3, 3)}, "expected kernel_size" + SIZES + "(3, 3, 3)"),
        ({"kernel_size": "33"}, "expected kernel_size" + SIZES + "'33'"),
        ({"in_channels": 0}, "expected in_channels to be an integer of at least 1, got 0"),
        ({"in_channels": 4.0}, "expected in_channels to be an integer of at least 1, got 4.0"),
        ({"in_channels": True}, "expected in_channels to be an integer of at least 1, got True"),
        ({"out_channels": -2}, "expected out_channels to be an integer of at least 1, got -2"),
        ({"groups": 0}, "expected groups to be an integer of at least 1, got 0"),
        ({"groups": 3}, "expected groups that divide in_channels=4 and out_channels=6, got 3"),
        ({"groups": 4}, "expected groups that divide in_channels=4 and out_channels=6, got 4"),
        ({"padding": "same", "stride": 2}, "expected stride 1 with padding 'same', got stride 2"),
        ({"padding": "same", "stride": (1, 2)}, "expected stride 1 with padding 'same', got stride (1, 2)"),
        ({"padding": "full"}, SIDES + "'full'"),
        ({"padding": -1}, SIDES + "-1"),
        ({"padding": ((0, -1), (0, 0))}, SIDES + "((0, -1), (0, 0))"),
        ({"padding": 0.5}, SIDES + "0.5"),
        ({"padding": True}, SIDES + "True"),
        ({"padding": (1, 2, 3)}, SIDES + "(1, 2, 3)"),
        ({"padding": None}, SIDES + "None"),
        ({"padding_mode": "mirror"}, MODES + "'mirror'"),
        ({"padding_mode": None}, MODES + "None"),
    ],
)
@pytest.mark.parametrize("kind", [Conv2d, NaiveConv2d])
def test_options(kind: Any, options: dict[str, Any], message: str) -> None:
    given = {"in_channels": 4, "out_channels": 6, "kernel_size": 3} | options
    with pytest.raises(OptionError, match=says(f"{kind.__name__}: {message}")):
        kind(**given, backend="numpy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_padding": 2, "stride": 2}, BEYOND.format((2, 2), (2, 2))),
        ({"output_padding": (0, 1)}, BEYOND.format((0, 1), (1, 1))),
        ({"output_padding": -1}, "expected output_padding" + SIZES.replace("least 1", "least 0") + "-1"),
        ({"output_padding": 0.5}, "expected output_padding" + SIZES.replace("least 1", "least 0") + "0.5"),
        ({"padding": "same"}, "expected padding in numbers, got 'same'"),
        ({"padding_mode": "reflect"}, "expected padding_mode 'zeros', got 'reflect'"),
        ({"stride": 0}, "expected stride" + SIZES + "0"),
        ({"groups": 4}, "expected groups that divide in_channels=4 and out_channels=6, got 4"),
    ],
)
def test_options_of_the_transposed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=says(f"ConvTranspose2d: {message}")):
        ConvTranspose2d(4, 6, 3, **options, backend="numpy")


def test_options_of_one_axis() -> None:
    with pytest.raises(
        OptionError, match=says("Conv1d: expected stride to be an integer of at least 1, got 0")
    ):
        Conv1d(1, 1, 3, stride=0, backend="numpy")
    message = "an integer, (before, after), 'same' or 'valid', and not negative, got -1"
    with pytest.raises(OptionError, match=says("Conv1d: expected padding to be " + message)):
        Conv1d(1, 1, 3, padding=-1, backend="numpy")


# -- calling one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*PLAIN, *TRANSPOSED])
def test_axes_and_channels(kind: Any, backend: Backend) -> None:
    layer = kind(2, 3, 2, backend=backend)
    size = (4,) * layer.rank
    expected = f"{layer}: expected input (N, 2, {('L', 'H, W', 'D, H, W')[layer.rank - 1]})"
    for shape in ((1, 3, *size), (1, 2, 4, *size), (*size,), (4, *size, 2)):
        if len(shape) == layer.rank + 1 and shape[0] == 2:
            continue
        with pytest.raises(ShapeError, match=says(f"{expected}, got {shape}")):
            layer(backend.full(shape, 0.0))
    single = (2, *size)
    advice = f"; a single sample needs a batch axis: {(1, *single)}"
    with pytest.raises(ShapeError, match=says(f"{expected}, got {single}{advice}")):
        layer(backend.full(single, 0.0))


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        (
            {},
            (2, 9),
            "(2 -> 3, 3x3): expected input with size at least 3 on axis 2 for a kernel that spans 3, "
            "got (1, 2, 2, 9)",
        ),
        (
            {"padding": 1, "dilation": 3},
            (4, 9),
            "(2 -> 3, 3x3, padding=1, dilation=3): expected input with size at least 5 on axis 2 "
            "for a kernel that spans 7 and padding (1, 1), got (1, 2, 4, 9)",
        ),
        (
            {"padding": 4, "padding_mode": "reflect"},
            (4, 9),
            "(2 -> 3, 3x3, padding=4, padding_mode='reflect'): expected input with size at least 5 on axis 2 "
            "for reflect padding of 4, got (1, 2, 4, 9)",
        ),
        (
            {"padding": (0, 5), "padding_mode": "circular"},
            (4, 4),
            "(2 -> 3, 3x3, padding=((0, 0), (5, 5)), padding_mode='circular'): expected input with size "
            "at least 5 on axis 3 for circular padding of 5, got (1, 2, 4, 4)",
        ),
        (
            {"padding": 2, "padding_mode": "replicate"},
            (0, 4),
            "(2 -> 3, 3x3, padding=2, padding_mode='replicate'): expected input with size at least 1 "
            "on axis 2 for replicate padding of 2, got (1, 2, 0, 4)",
        ),
    ],
)
def test_images_that_are_too_small(
    options: dict[str, Any], size: tuple[int, int], message: str, backend: Backend
) -> None:
    shape = (1, 2, *size)
    for kind in (Conv2d, NaiveConv2d):
        layer = kind(2, 3, 3, **options, backend=backend)
        expected = kind.__name__ + message
        with pytest.raises(ShapeError, match=says(expected)):
            layer(backend.full(shape, 0.0))
        with pytest.raises(ShapeError, match=says(expected)):
            layer.output_shape(shape)


def test_nothing_left_of_a_transposed_one(backend: Backend) -> None:
    layer = ConvTranspose2d(2, 3, 3, padding=3, backend=backend)
    cut = "; padding ((3, 3), (3, 3)) cuts off the whole output"
    message = f"{layer}: expected input with spatial size at least (5, 5), got (1, 2, 2, 2){cut}"
    with pytest.raises(ShapeError, match=says(message)):
        layer(backend.full((1, 2, 2, 2), 0.0))
    message = f"{layer}: expected input with size at least 1 on each spatial axis, got (1, 2, 0, 8)"
    with pytest.raises(ShapeError, match=says(message)):
        layer(backend.full((1, 2, 0, 8), 0.0))


@pytest.mark.raw_only  # crosscheck refuses some int64 inputs earlier, in other words
@pytest.mark.parametrize("kind", [*PLAIN, *TRANSPOSED])
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_other_dtypes(kind: Any, dtype: str, backend: Backend) -> None:
    layer = kind(2, 3, 2, backend=backend)
    with pytest.raises(DtypeError, match=f"^{kind.__name__}.*equal dtypes, got .*{dtype}"):
        layer(backend.astype(backend.full((1, 2, *(4,) * layer.rank), 0.0), dtype))


@pytest.mark.parametrize("kind", [*PLAIN, *TRANSPOSED])
def test_a_failed_call_changes_nothing(kind: Any, backend: Backend) -> None:
    b = backend
    layer: Module = kind(2, 3, 2, backend=b)
    x = b.full((2, 2, *(4,) * kind.rank), 1.0)
    y = layer(x)
    before = layer.state_dict()
    gradient = b.full(b.shape(y), 1.0)
    for bad in (
        lambda: layer(b.full((2, 3, *(4,) * kind.rank), 1.0)),
        lambda: layer.backward(b.full((*b.shape(y)[:-1], 9), 1.0)),
        lambda: layer.backward(b.full((1, *b.shape(y)[1:]), 1.0)),
        lambda: layer.backward(b.astype(gradient, "float64")),
    ):
        with pytest.raises(LaminaError, match=f"^{kind.__name__}|float64"):
            bad()
        assert all(p.grad is None for p in layer.parameters())
        assert all(value.tobytes() == before[name].tobytes() for name, value in layer.state_dict().items())
    assert b.shape(layer.backward(gradient)) == b.shape(x)


@pytest.mark.parametrize("kind", [*PLAIN, *TRANSPOSED])
def test_empty_batches(kind: Any, backend64: Backend) -> None:
    b = backend64
    layer = kind(2, 3, 2, padding=1, backend=b)
    shape = (0, 2, *(4,) * layer.rank)
    y = layer(b.full(shape, 0.0))
    assert tuple(b.shape(y)) == tuple(layer.output_shape(shape))
    assert tuple(b.shape(layer.backward(y))) == shape
    for parameter in layer.parameters():
        assert not np.asarray(b.to_host(parameter.grad)).any()
