"""Bad inputs of every row of the table of layer cases: a new case gets all of them by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lamina.backends import Backend, DtypeError, LaminaError, ShapeError, StateError, get_backend
from lamina.backends.protocol import Shape, Tensor
from lamina.layers import Flatten, Identity, inference
from lamina.layers.proofs import LayerCase
from lamina.layers.proofs.cases import LAYER_CASES

from . import Bad, Place

NUMPY = get_backend("numpy")
ANY_DTYPE = (Identity, Flatten)
"""The layers that compute nothing take all dtypes."""


def other_shapes(shape: Shape) -> Iterator[Shape]:
    """Yield shapes near one: of other ranks, and with one extent larger, 1 or 0; the batch stays."""
    yield from ((), shape[:1], shape[1:], (1, *shape), (*shape, 2))
    for axis in range(1, len(shape)):
        for extent in (shape[axis] + 1, 1, 0):
            yield (*shape[:axis], extent, *shape[axis + 1 :])


def judged_shapes(case: LayerCase) -> tuple[dict[Shape, str], list[Shape]]:
    """Return the shapes near the case's: {shape: message} that its layer refuses, and those that it takes."""
    layer, refused, taken = case.build(NUMPY), {}, []
    for shape in dict.fromkeys(other_shapes(case.input_shape)):
        try:
            layer.output_shape(shape)
        except Exception as error:  # another error fails as the row of its shape
            refused[shape] = str(error)
        else:
            taken.append(shape)
    return refused, taken


def stranger(b: Backend, shape: Shape) -> Any:
    """Return a tensor of another backend: torch's or numpy's own, or that of a `strict` stack."""
    array = np.zeros(shape, np.float32)
    return _strict().from_host(array) if type(b.from_host(array)) is np.ndarray else array


@functools.cache
def _strict() -> Backend:
    return get_backend("strict+numpy")


NO_TENSORS: dict[str, tuple[Callable[[Place, Shape], Any], str]] = {
    "a tensor of another backend": (lambda place, shape: stranger(place.backend, shape), ""),
    "a list": (lambda place, shape: [[1.0, 2.0]], "list"),
    "None": (lambda place, shape: None, "None"),
    "text": (lambda place, shape: "text", "str"),
    "a number": (lambda place, shape: 3.0, "float"),
}


def _x(case: LayerCase, b: Backend) -> Tensor:
    return b.from_host(case.input())


def _names(case: LayerCase) -> tuple[str, ...]:
    """Return what a message may call the layer: its class, or that of a layer inside it."""
    return tuple({type(module).__name__: None for _, module in case.build(NUMPY).named_modules()})


def _forward(case: LayerCase, value: Callable[[Place], Any]) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        layer = place.watch(case.build(place.backend))
        return layer(value(place))

    return call


def _backward(case: LayerCase, gradient: Callable[[Place, Shape], Any]) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        b = place.backend
        layer = case.build(b)
        shape = tuple(b.shape(layer(_x(case, b))))
        return place.watch(layer).backward(gradient(place, shape))

    return call


def _before_forward(case: LayerCase) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        layer, b = place.watch(case.build(place.backend)), place.backend
        return layer.backward(b.full(layer.output_shape(case.input_shape), 1.0))

    return call


def _after_inference(case: LayerCase) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        layer, b = case.build(place.backend), place.backend
        layer(_x(case, b))
        with inference():
            y = layer(_x(case, b))
        return place.watch(layer).backward(b.full(b.shape(y), 1.0))

    return call


def _inputs(case: LayerCase) -> Iterator[tuple[str, Any, tuple[Any, ...], type[LaminaError]]]:
    """Yield (description, value, texts, error) of bad inputs to `forward`."""
    names = _names(case)
    for shape, message in judged_shapes(case)[0].items():
        zeros = functools.partial(_full, shape, "int64" if case.integers else None)
        yield f"input {shape}", zeros, (message,), ShapeError
    layer = case.build(NUMPY)
    if case.integers:
        dtypes = ["float32", "float64", "bool"]
    elif isinstance(layer, ANY_DTYPE) or case.name == "Sequential of nothing":
        dtypes = []
    else:
        dtypes = ["int64", "bool", *["float64"] * bool(list(layer.named_parameters()))]
    for dtype in dtypes:
        yield f"{dtype} input", functools.partial(_full, case.input_shape, dtype), (names, dtype), DtypeError
    for what, (value, name) in NO_TENSORS.items() if case.name != "Sequential of nothing" else ():
        made = lambda place, value=value: value(place, case.input_shape)  # noqa: E731
        yield what, made, (names, name), DtypeError


def _gradients(case: LayerCase) -> Iterator[tuple[str, Any, tuple[Any, ...], type[LaminaError]]]:
    """Yield (description, gradient, texts, error) of bad inputs to `backward`."""
    names = _names(case)
    for what, change in SHAPES.items():
        zeros = lambda place, shape, change=change: place.backend.full(change(shape), 1.0)  # noqa: E731
        yield f"gradient with {what}", zeros, (names,), ShapeError
    for dtype in ("float64", "int64"):
        ones = lambda place, shape, dtype=dtype: place.backend.full(shape, 1, dtype=dtype)  # noqa: E731
        yield f"{dtype} gradient", ones, (names, dtype), DtypeError
    for what, (value, name) in NO_TENSORS.items():
        yield f"{what} as the gradient", value, (names, name), DtypeError


SHAPES: dict[str, Callable[[Shape], Shape]] = {
    "a sample more": lambda shape: (shape[0] + 1, *shape[1:]),
    "one sample": lambda shape: (1, *shape[1:]) if shape[0] != 1 else (2, *shape[1:]),
    "a place more": lambda shape: (*shape[:-1], shape[-1] + 1),
    "an axis more": lambda shape: (*shape, 1),
    "an axis less": lambda shape: shape[1:],
}


def _full(shape: Shape, dtype: str | None, place: Place) -> Tensor:
    return place.backend.full(shape, 0, dtype=dtype or place.backend.default_dtype)


def _rows(case: LayerCase) -> Iterator[Bad]:
    subject = case.name.split()[0]
    for what, value, says, error in _inputs(case):
        yield Bad(subject, f"{case.name}: {what}", _forward(case, value), says, error)
    if case.name == "Sequential of nothing":
        return
    for what, gradient, says, error in _gradients(case):
        yield Bad(subject, f"{case.name}: {what}", _backward(case, gradient), says, error)
    for what, make in (("before forward", _before_forward), ("after inference", _after_inference)):
        yield Bad(
            subject, f"{case.name}: backward {what}", make(case), (_names(case), "backward"), StateError
        )


ROWS: tuple[Bad, ...] = tuple(row for case in LAYER_CASES for row in _rows(case))
