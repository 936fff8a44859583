"""Cases of the derived ops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..windows import Window
from .case import INF, NAN, SPECIAL, Case, T, case, floats, integers, normal, positive, probabilities

_UNARY = ("square", "expm1", "erf", "relu", "sigmoid", "softplus")
_GRADIENTS = ("relu_grad", "sigmoid_grad", "tanh_grad")
_ALONG = ("softmax", "log_softmax", "logsumexp")


def cases() -> Iterator[Case]:
    """Yield the cases of the derived rows."""
    yield from _elementwise()
    yield from _reductions()
    yield from _statistics()
    yield from _normalizations()
    yield from _rest()
    yield from _pooling()
    yield from _steps()


def _elementwise() -> Iterator[Case]:
    for shape in ((7,), (2, 3), (3, 1, 2), (), (0, 2), (1003,)):
        x, g, label = normal(*shape), normal(*shape, seed=1), f"shape {shape}"
        for op in _UNARY:
            yield case(op, label, x)
        for op in _GRADIENTS:
            yield case(op, label, g, normal(*shape, seed=2))
        yield case("clip", label, x, -0.5, 1.0)
        yield case("leaky_relu", label, x, 0.25)
        yield case("leaky_relu_grad", label, g, x, 0.25)
        yield case("add_scaled", label, x, g, -0.5)
    for op in _UNARY:
        yield case(op, "special values", floats(*SPECIAL), special=True)
    yield case("expm1", "near 0", floats(-1e-8, 1e-8, -1e-30, 1e-3, -1e-3, 0.999, -0.999, 1.001, -1.001))
    large, other = normal(300, 301), normal(300, 301, seed=1)  # backends work on them in pieces
    for op in _UNARY:
        yield case(op, "large", large, smooth=False)
    for op in _GRADIENTS:
        yield case(op, "large", other, large, smooth=False)
    yield case("leaky_relu", "large", large, 0.25, smooth=False)
    yield case("leaky_relu_grad", "large", other, large, 0.25, smooth=False)
    grid = np.array(SPECIAL)
    across, down = np.meshgrid(grid, grid)
    for op in ("relu_grad", "leaky_relu_grad"):
        slope = () if op == "relu_grad" else (0.25,)
        yield case(op, "special values", T(across), T(down), *slope, special=True)
    yield case("clip", "special values", floats(*SPECIAL), -1.0, 1.0, special=True)
    yield case("clip", "int bounds", normal(5), 0, 1)
    yield case("clip", "int64", integers(9, low=-9), -3, 3)
    yield case("leaky_relu", "special values", floats(*SPECIAL), 0.5, special=True)
    yield case("leaky_relu", "slope 0", normal(5), 0.0)
    yield case("less", "ties", floats(1, 2, 3, 4), floats(1, 3, 2, 4))
    yield case("less", "broadcast", normal(2, 3), normal(3, seed=1))
    yield case("less", "scalar on the right", floats(0, 1, 2), 1.0)
    yield case("less", "scalar on the left", 1.0, floats(0, 1, 2))
    yield case("less", "int64", integers(6), integers(6, seed=1))
    yield case("less", "special values", T(grid[:, None]), T(grid[None, :]), special=True)
    yield case("add_scaled", "large", normal(70_001), normal(70_001, seed=1), 0.5)

    for op in ("binary_cross_entropy", "binary_cross_entropy_slope"):
        for shape in ((7,), (2, 3), (), (0, 2)):
            label = f"shape {shape}"
            yield case(op, label, probabilities(*shape), probabilities(*shape, seed=1))
        yield case(
            op, "certain", floats(0, 0, 1, 1, 0, 0.5, 1e-30), floats(0, 1, 0, 1, 0.5, 1, 1), smooth=False
        )
        yield case(op, "NaN", floats(NAN, 0.5, NAN), floats(0, NAN, NAN), special=True)


def _reductions() -> Iterator[Case]:
    for shape, axis in (((5,), 0), ((4, 3), 1), ((4, 3), -1), ((2, 3, 4), 1), ((3, 1), 1), ((0, 3), 1)):
        label = f"{shape} along {axis}"
        for op in _ALONG:
            yield case(op, label, normal(*shape), axis=axis)
        for op in ("softmax_grad", "log_softmax_grad"):
            yield case(op, label, normal(*shape, seed=1), normal(*shape), axis=axis)
        yield case("logsumexp", f"{label}, keepdims", normal(*shape), axis=axis, keepdims=True)
    far = T(np.array([[0.0, 1000.0], [-1000.0, -1001.0], [1e4, 1e4]]))
    ends = T(np.array([[-INF, 0.0, 1.0], [-INF, -INF, 2.0]]))
    for op in _ALONG:
        yield case(op, "far apart", far, axis=1, smooth=False)
        yield case(op, "masked", ends, axis=1, special=True)
        yield case(op, "nothing left", T(np.full((1, 3), -INF)), axis=1, special=True)
        yield case(op, "NaN", floats(0.0, NAN, 1.0), axis=0, special=True)
        yield case(op, "infinity", floats(0.0, INF, 1.0), axis=0, special=True)
        yield case(op, "many classes", normal(2, 1500), axis=1)
        yield case(op, "no classes", normal(5, 0), axis=1, smooth=False)
    for classes in (1000, 1024):  # backends work on large tensors in pieces
        x, grad = normal(70, classes), normal(70, classes, seed=1)
        for op in _ALONG:
            yield case(op, f"large, {classes} classes", x, axis=1, smooth=False)
        p = np.exp(x.array) / np.exp(x.array).sum(1, keepdims=True)
        yield case("softmax_grad", f"large, {classes} classes", grad, T(p), axis=1, smooth=False)
        yield case("log_softmax_grad", f"large, {classes} classes", grad, T(np.log(p)), axis=1, smooth=False)


def _statistics() -> Iterator[Case]:
    for shape, axis in (
        ((5,), None),
        ((4, 3), None),
        ((4, 3), 0),
        ((4, 3), -1),
        ((2, 3, 4), (0, 2)),
        ((2, 1, 3), 1),
        ((2, 3), ()),
        ((), None),
    ):
        for keepdims in (False, True):
            label = f"{shape} over {axis}{', keepdims' if keepdims else ''}"
            yield case("mean", label, normal(*shape), axis=axis, keepdims=keepdims)
            yield case("var", label, normal(*shape), axis=axis, keepdims=keepdims)
    for op in ("mean", "var"):
        yield case(op, "no options", normal(3, 4))
        yield case(op, "of nothing", normal(0, 3), axis=0, special=True)
        yield case(op, "of nothing at all", normal(0), special=True)
        yield case(op, "of infinity", floats(1.0, INF), special=True)
    yield case("var", "unbiased", normal(6, 2), axis=0, correction=1.0)
    yield case("var", "unbiased, int correction", normal(6, 2), axis=0, correction=1)
    yield case("var", "one value, unbiased", normal(1, 2), axis=0, correction=1.0, special=True)
    for shape, axis in (
        ((5,), None),
        ((4, 3), 0),
        ((2, 3, 4), (0, 2)),
        ((2, 1, 3), 1),
        ((2, 3), ()),
        ((), None),
    ):
        yield case("centre", f"{shape} over {axis}", normal(*shape), axis=axis)
    yield case("centre", "of nothing", normal(0, 3), axis=0, special=True)
    yield case("centre", "no rows", normal(0, 3), axis=1)
    yield case("centre", "of infinity", floats(1.0, INF), axis=0, special=True)
    yield case("centre", "long", normal(1003, 3), axis=0, smooth=False)
    whole = T(np.round(np.random.default_rng(5).normal(1e4, 3, (64, 2))))
    yield case("var", "a large mean", whole, axis=0)
    yield case("mean", "long, first axis", positive(3000, 2), axis=0)


def _normalizations() -> Iterator[Case]:
    rows: tuple[tuple[tuple[int, ...], Any, tuple[int, ...] | None], ...] = (
        ((6, 3), 0, (1, 3)),
        ((4, 5), -1, (5,)),
        ((3, 2, 4), (0, 2), (1, 2, 1)),
        ((2, 3, 2, 3), (2, 3), (2, 3)),
        ((2, 2, 3, 4), (2, 3), (1, 2, 3, 1)),
        ((2, 2, 3, 4), (-2, 3), (1, 2, 3, 4)),
        ((3, 4), (0, 1), (4,)),
        ((4, 3), 1, None),
        ((2, 1, 3), (0, 2), (1, 1, 1)),
    )
    for shape, axis, own in rows:
        yield from _normalization(f"{shape} over {axis}, weight {own}", shape, axis, own)
    rows = (  # backends cut large tensors into pieces
        ((40, 17, 10, 10), (0, 2, 3), (1, 17, 1, 1)),
        ((30, 5, 30, 31), (0, 2, 3), (1, 5, 1, 1)),
        ((9, 4, 3, 1100), (2, 3), (1, 4, 3, 1)),
        ((130, 700), 1, (700,)),
        ((4, 18001), 1, None),
        ((300, 2), 0, (1, 2)),
    )
    for shape, axis, own in rows:
        yield from _normalization(f"{shape} over {axis}", shape, axis, own, smooth=False)
    yield from _normalization("a large mean", (40, 3), 0, (1, 3), mean=1e4, smooth=False)
    yield from _normalization("a large mean, rows", (3, 40), 1, (40,), mean=-1e4, smooth=False)
    x = normal(3, 4)
    yield case("normalize", "no variance", T(np.zeros((3, 2))), axis=0, epsilon=1e-5)
    yield case("normalize", "one element", normal(3, 1), axis=1, epsilon=1e-5)
    yield case("normalize", "no epsilon", x, axis=1, epsilon=0)
    yield case("normalize", "no rows", normal(0, 3), normal(3), normal(3), axis=1, epsilon=1e-5)
    yield case("normalize", "of nothing", normal(0, 3), axis=0, epsilon=1e-5, special=True)
    yield case("normalize", "of infinity", floats(1.0, INF), axis=0, epsilon=1e-5, special=True)
    yield case(
        "normalize", "of NaN", T(np.array([[1.0, NAN], [1.0, 2.0]])), axis=1, epsilon=1e-5, special=True
    )
    centre, inverse = T(x.array.mean(1, keepdims=True)), T(1.0 / x.array.std(1, keepdims=True))
    options: Any = {"axis": 1, "input_gradient": False}
    grad, weight = normal(3, 4, seed=1), normal(4, seed=4)
    yield case("normalize_grad", "of the weight alone", grad, x, centre, inverse, weight, **options)
    yield case("normalize_grad", "of nothing", grad, x, centre, inverse, **options)
    ratio = T(np.array([[2.0], [0.0], [-0.5]]))
    yield case("exp_scaled", "rows", x, ratio, smooth=False)
    yield case("exp_scaled", "of one shape", x, normal(3, 4, seed=1))
    yield case("exp_scaled", "a vector", x, normal(4, seed=1))
    yield case("exp_scaled", "0-d", x, normal())
    ends = T(np.array([[NAN, INF, 1.0], [NAN, INF, 1000.0], [-INF, 0.0, NAN]]))
    yield case("exp_scaled", "special values", ends, ratio, special=True)
    yield case("exp_scaled", "large", normal(70, 1000), normal(70, 1, seed=1), smooth=False)
    some = T(np.arange(70.0)[:, None] % 3)
    yield case("exp_scaled", "large, with zeros", normal(70, 1000), some, smooth=False)


def _normalization(
    label: str, shape: tuple[int, ...], axis: Any, own: Any, *, mean: float = 0.5, smooth: bool = True
) -> Iterator[Case]:
    """Yield the cases of both ops, the second with the mean and the inverse deviation of x."""
    x = T(mean + normal(*shape).array)
    # The bar of a long sum of small terms fits.
    grad = T(normal(*shape, seed=1).array * (1.0 if smooth else 0.05))
    centre = T(x.array.mean(axis, keepdims=True))
    inverse = T(1.0 / np.sqrt(x.array.var(axis, keepdims=True) + 1e-5))
    affine = () if own is None else (normal(*own, seed=2), normal(*own, seed=3))
    yield case("normalize", label, x, *affine, axis=axis, epsilon=1e-5, smooth=smooth)
    found = case("normalize_grad", label, grad, x, centre, inverse, *affine[:1], axis=axis, smooth=smooth)
    yield replace(found, layouts=("permuted", "sliced"))  # of an expanded x, these are not the moments


def _rest() -> Iterator[Case]:
    for batch in ((5,), (2, 3), (0,), (1,)):
        x, weight = normal(*batch, 4), normal(3, 4, seed=1)
        yield case("linear", f"{batch} samples", x, weight)
        yield case("linear", f"{batch} samples, bias", x, weight, normal(3, seed=2))
        yield case("linear", f"{batch} samples, no bias", x, weight, None)
    yield case("linear", "no inputs", normal(2, 0), normal(3, 0), normal(3))
    yield case("linear", "many inputs", normal(7, 600), normal(5, 600, seed=1), normal(5))
    for batch in ((5,), (2, 3), (0,), (1,)):
        g, x = normal(*batch, 3, seed=1), normal(*batch, 4)
        yield case("linear_grad", f"{batch} samples", g, x)
    yield case("linear_grad", "many samples", normal(300, 3, seed=1), normal(300, 4))
    yield case("linear_grad", "one feature", normal(5, 1, seed=1), normal(5, 1))
    for shape in ((4,), (2, 3), (), (0,)):
        yield case("one_hot", f"shape {shape}", integers(*shape, high=5), 5)
    yield case("one_hot", "float64", integers(4, high=5), 5, dtype="float64")
    yield case("one_hot", "int64", integers(4, high=5), 5, dtype="int64")
    for probability in (0.0, 0.1, 0.5, 1.0):
        yield case("bernoulli", f"probability {probability}", (40, 3), probability, seed=3, stream="mask")
    yield case("bernoulli", "float64", (40,), 0.3, seed=3, stream=1, step=9, dtype="float64")
    yield case("bernoulli", "0-d", (), 0.5, seed=3, stream=1)
    yield case("bernoulli", "a counter", (40, 3), 0.3, seed=3, stream=1, step=T(np.array(9)))


def _pooling() -> Iterator[Case]:
    for shape, kernel, options in _pools():
        label = f"{shape} by {kernel}{''.join(f', {k} {v}' for k, v in options.items())}"
        window = Window.of(shape[2:], kernel, **options)
        yield case("max_pool", label, normal(*shape), window)
        yield case("max_pool", f"{label}, ties", _tied(*shape), window)
    image = np.array([[[[-INF, -INF, 1.0], [-INF, INF, NAN], [NAN, 0.0, -0.0]]]])
    padded: dict[str, Any] = {"padding": ((1, 1), (1, 0)), "stride": (2, 1)}
    for options in ({}, padded):
        window = Window.of((3, 3), (2, 2), **options)
        yield case("max_pool", f"special values, {options}", T(image), window, special=True)
    for shape, kernel, options in _hollow_pools():
        window = Window.of(shape[2:], kernel, **options)
        yield case("max_pool", f"{shape}, {options}", normal(*shape), window, special=True)
    grad = normal(2, 3, 4)
    hollow = T(np.array([[[-1, 3, -1, 3], [-1, -1, -1, -1], [0, -1, 4, 4]]] * 2))
    yield case("max_pool_grad", "hollow", grad, hollow, (5,), hollow=True)
    yield case("max_pool_grad", "distinct", grad, T(np.arange(24).reshape(2, 3, 4) % 8), (8,), distinct=True)
    yield case("max_pool_grad", "meeting", grad, integers(2, 3, 4, high=5), (2, 3))
    yield case("max_pool_grad", "3 axes", normal(1, 2, 2, 1, 2), integers(1, 2, 2, 1, 2, high=12), (2, 3, 2))
    yield case("max_pool_grad", "no samples", normal(0, 2, 3), integers(0, 2, 3, high=4), (4,))


def _tied(*shape: int) -> T:
    return T(np.random.default_rng(4).integers(0, 3, shape).astype(np.float64))


def _pools() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]]:
    yield (2, 3, 7), (2,), {}
    yield (2, 2, 6, 5), (2, 3), {"stride": (2, 3)}
    yield (1, 2, 5, 6), (3, 3), {"stride": (2, 2), "padding": ((1, 1), (1, 1))}
    yield (1, 2, 5, 6), (3, 2), {"stride": (2, 1), "padding": ((0, 1), (2, 0))}
    yield (2, 1, 7, 6), (2, 2), {"dilation": (3, 2)}
    yield (1, 2, 4, 3, 4), (2, 2, 2), {"stride": (2, 1, 2)}
    yield (0, 2, 4), (2,), {}
    yield (1, 1, 3), (3,), {"padding": ((1, 1),)}
    yield (1, 1, 20, 20), (17, 16), {}


def _hollow_pools() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]]:
    """Yield windows of which some have no place in the image: they lie around it, or beyond it."""
    yield (2, 1, 1), (2,), {"padding": ((1, 1),), "dilation": (2,)}
    yield (1, 2, 2, 3), (2, 2), {"padding": ((2, 3), (1, 1)), "dilation": (4, 2)}
    yield (1, 2, 1, 2, 1), (2, 2, 2), {"padding": ((1, 1),) * 3, "dilation": (2, 2, 2)}
    yield (1, 1, 2), (2,), {"padding": ((2, 2),)}


def _steps() -> Iterator[Case]:
    options: Any = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    for size in (6, 1, 0, 70_001):
        p, g = normal(size), normal(size, seed=1)
        yield case("sgd_step", f"{size} numbers", p, g, 0.05)
        for step in (1, 1000):
            corrections: Any = {"correction1": 1 - 0.9**step, "correction2": 1 - 0.999**step}
            moments = normal(size, seed=2), positive(size, seed=3)
            label = f"{size} numbers, step {step}"
            yield case("adam_step", label, p, g, *moments, **options, **corrections)
    yield case("sgd_step", "matrix", normal(3, 2), normal(3, 2, seed=1), 0.05)
