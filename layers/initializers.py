"""Initializers: the first values of parameters, each drawn from a stream of its own."""

from __future__ import annotations

import math
from typing import Literal

from typing_extensions import override

from ..backends import Backend, Tensor
from ..backends.options import choice, held, number
from ..backends.protocol import Shape


class Initializer:
    """Makes the first value of a parameter. Subclasses implement `__call__`."""

    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        """Return a tensor of `shape`; `fan` is the (out, in, *kernel) shape that fans are computed from."""
        raise TypeError(f"{type(self).__name__} must define __call__(backend, shape, fan, seed, stream)")

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__}({inside})"


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight (out, in, *kernel); a vector has both equal to its length."""
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


class Constant(Initializer):
    """The same value everywhere."""

    def __init__(self, value: float) -> None:
        self.value = number("Constant", "value", value, infinite=True)

    @override
    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        return backend.full(shape, self.value)


class Uniform(Initializer):
    """U[a, b)."""

    def __init__(self, a: float = 0.0, b: float = 1.0) -> None:
        self.a = number("Uniform", "a", a)
        self.b = number("Uniform", "b", b, least=self.a)
        held("Uniform", "b - a", self.b - self.a)

    @override
    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        return _uniform(backend, shape, self.a, self.b, seed, stream)


class Normal(Initializer):
    """N(mean, std²)."""

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        self.mean = number("Normal", "mean", mean)
        self.std = number("Normal", "std", std, least=0)

    @override
    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        return _normal(backend, shape, self.mean, self.std, seed, stream)


class XavierUniform(Initializer):
    """U[-a, a), a = gain √(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16)."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number(type(self).__name__, "gain", gain)

    @override
    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        bound = self.gain * math.sqrt(6.0 / sum(fans(fan)))
        return _uniform(backend, shape, -bound, bound, seed, stream)


class XavierNormal(Initializer):
    """N(0, s²), s = gain √(2 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 12)."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number(type(self).__name__, "gain", gain)

    @override
    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        return _normal(backend, shape, 0.0, self.gain * math.sqrt(2.0 / sum(fans(fan))), seed, stream)


Mode = Literal["fan_in", "fan_out"]


class _Kaiming(Initializer):
    def __init__(self, negative_slope: float = 0.0, mode: Mode = "fan_in") -> None:
        name = type(self).__name__
        self.negative_slope = number(name, "negative_slope", negative_slope)
        self.mode = choice(name, "mode", mode, ("fan_in", "fan_out"))

    def _std(self, fan: Shape) -> float:
        size = fans(fan)[0 if self.mode == "fan_in" else 1]
        return math.sqrt(2.0 / size) / math.hypot(1.0, self.negative_slope)


class KaimingUniform(_Kaiming):
    """U[-√3 s, √3 s), s = √(2 / ((1 + slope²) fan)), for (leaky) ReLU (He et al. 2015, eq. 14)."""

    @override
    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        bound = math.sqrt(3.0) * self._std(fan)
        return _uniform(backend, shape, -bound, bound, seed, stream)


class KaimingNormal(_Kaiming):
    """N(0, s²), s = √(2 / ((1 + slope²) fan)), for (leaky) ReLU (He et al. 2015, eq. 14)."""

    @override
    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        return _normal(backend, shape, 0.0, self._std(fan), seed, stream)


class TorchDefault(Initializer):
    """U[-1/√fan_in, 1/√fan_in), for weights and biases, as in torch.nn."""

    @override
    def __call__(self, backend: Backend, shape: Shape, fan: Shape, seed: int, stream: int | str) -> Tensor:
        bound = 1.0 / math.sqrt(fans(fan)[0]) if fans(fan)[0] else 0.0
        return _uniform(backend, shape, -bound, bound, seed, stream)


def or_torchs(initializer: Initializer | None) -> Initializer:
    """Return an initializer, or torch's default if it is None."""
    return TorchDefault() if initializer is None else initializer


def _uniform(b: Backend, shape: Shape, low: float, high: float, seed: int, stream: int | str) -> Tensor:
    width = held("initializer", "the width of its interval", high - low)
    return b.add(b.multiply(b.random(shape, seed=seed, stream=stream), width), low)


def _normal(b: Backend, shape: Shape, mean: float, std: float, seed: int, stream: int | str) -> Tensor:
    std = held("initializer", "its standard deviation", std)
    z = b.random(shape, seed=seed, stream=stream, distribution="normal")
    return b.add(b.multiply(z, std), mean)
