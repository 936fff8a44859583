"""Derived ops in numpy, where fewer passes and no repeated checks make them faster than their definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base import Backend, gradient_shape_error
from ..errors import DtypeError
from ..protocol import Axis
from ..shapes import count
from .elementwise import MASKED_COPY, NATIVE, ZEROS, Array, agree, check, check_out, select

_ndarray = np.ndarray

# Plain summation in float32 errs by up to n 2^-24; past this length it is accumulated in float64.
EXACT_SUM = 64


class NumpyDerived(Backend):
    """The overrides."""

    def add_scaled(self, x: Array, y: Array, scale: float, *, out: Array = None) -> Array:
        """Return x + scale y, large flat buffers in blocks that stay in cache."""
        if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
            agree("add_scaled", x, y)
        scale = float(scale)  # an np.float64 would promote
        if out is not None:
            out = check_out("add_scaled", out, x.shape, x.dtype)
        if out is None or x.nbytes <= self.cache_size >> 2 or not (_flat(x) and _flat(y) and _flat(out)):
            return np.add(x, np.multiply(y, scale), out)
        scratch = np.empty(_block(x, self.cache_size), x.dtype)
        for part in _blocks(x, self.cache_size):
            scaled = scratch[: len(x[part])]
            np.multiply(y[part], scale, scaled)
            np.add(x[part], scaled, out[part])
        return out

    def square(self, x: Array, *, out: Array = None) -> Array:
        """Return x²."""
        if out is not None or type(x) is not _ndarray:
            return self.multiply(x, x, out=out)
        return np.multiply(x, x)

    def relu(self, x: Array) -> Array:
        """Return max(x, 0)."""
        if type(x) is not _ndarray or x.dtype.kind != "f":
            return self.maximum(x, 0.0)
        return np.maximum(x, ZEROS[x.dtype.char])

    def relu_grad(self, grad: Array, y: Array) -> Array:
        """Return grad with zeros where y <= 0."""
        if type(y) is not _ndarray or type(grad) is not _ndarray or grad.dtype is not y.dtype:
            agree("relu_grad", grad, y)
        if grad.shape != y.shape:
            raise gradient_shape_error("relu_grad", grad.shape, y.shape)
        if grad.size > MASKED_COPY:
            return select(np.less_equal(y, 0), grad.dtype.type(0), grad)
        result = np.array(grad)
        zero = ZEROS.get(y.dtype.char, 0)
        np.copyto(result, zero, where=np.less_equal(y, zero))
        return result

    def leaky_relu(self, x: Array, negative_slope: float) -> Array:
        """Return max(x, slope x), which is the definition where 0 < slope <= 1."""
        if type(x) is not _ndarray or x.dtype.kind != "f" or not 0.0 < negative_slope <= 1.0:
            return super().leaky_relu(x, negative_slope)
        return np.maximum(x, np.multiply(x, float(negative_slope)))

    def sigmoid(self, x: Array) -> Array:
        """Return the definition with one exponential: e^min(x, 0) is e^-|x| or 1."""
        if type(x) is not _ndarray or x.dtype.kind != "f" or x.ndim == 0:
            return super().sigmoid(x)
        tail: Array = np.abs(x)
        np.exp(np.negative(tail, tail), tail)
        top = select(np.less(x, 0), tail, x.dtype.type(1))
        return np.divide(top, np.add(tail, 1, tail), top)

    def one_hot(self, indices: Array, num_classes: int, *, dtype: str | None = None) -> Array:
        """Return zeros with a 1 written at each index that is a class."""
        check("one_hot", indices)
        result = np.zeros((indices.size, num_classes), NATIVE[dtype or self.default_dtype])
        flat = indices.reshape(-1)
        rows = np.flatnonzero((flat >= 0) & (flat < num_classes))
        result[rows, flat[rows]] = 1
        return result.reshape(*indices.shape, num_classes)

    def softmax(self, x: Array, *, axis: int) -> Array:
        """Return e^x / Σ e^x, in one buffer."""
        if type(x) is not _ndarray or x.dtype.kind != "f":
            return super().softmax(x, axis=axis)
        value: Array = x
        result: Array = self.subtract(value, self.max(value, axis=axis, keepdims=True))
        np.exp(result, result)
        total: Array = self.sum(result, axis=axis, keepdims=True)
        return np.divide(result, total, result)

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return Σ x / n."""
        plain = axis is None and not keepdims and type(x) is _ndarray
        if plain and x.dtype.kind == "f" and 0 < x.size <= EXACT_SUM:
            return np.add.reduce(x, None) / x.size
        total: Array = self.sum(x, axis=axis, keepdims=keepdims)
        n = x.size if axis is None else count(x.shape, axis)
        if total.dtype.kind != "f":
            raise DtypeError(f"mean: expected a floating tensor, got {x.dtype}; convert it with astype")
        return np.divide(total, float(n)) if n else self.divide(total, 0.0)

    def linear(self, x: Array, weight: Array, bias: Array = None) -> Array:
        """Return x Wᵀ + b, the bias added in place."""
        if bias is None or type(x) is not _ndarray or x.ndim != 2:
            return Backend.linear(self, x, weight, bias)
        try:
            alike = x.dtype is weight.dtype and x.dtype is bias.dtype
        except AttributeError:  # no array
            alike = False
        if not alike:
            agree("linear", x, weight)
            agree("linear", x, bias)
        y = x.dot(weight.T)
        return np.add(y, bias, y)

    def linear_grad(self, grad: Any, x: Any, *, bias: bool = True, out: Any = None) -> Any:
        """Return (gᵀ x, Σ g) for matrices, straight into `out`."""
        weight_out, bias_out = out or (None, None)
        if (
            weight_out is None
            or type(x) is not _ndarray
            or type(grad) is not _ndarray
            or x.ndim != 2
            or x.dtype is not grad.dtype
            or weight_out.dtype is not x.dtype
            or weight_out.shape != (*grad.shape[1:], x.shape[1])
            or not len(x) == len(grad) <= EXACT_SUM
            or not weight_out.flags.c_contiguous
        ):
            return Backend.linear_grad(self, grad, x, bias=bias, out=out)
        weight: Array = grad.T.dot(x, weight_out)
        if not bias:
            return weight, None
        if bias_out is not None:
            check_out("linear_grad", bias_out, grad.shape[1:], grad.dtype)
        return weight, np.add.reduce(grad, 0, None, bias_out)

    def adam_step(
        self,
        parameter: Array,
        gradient: Array,
        first: Array,
        second: Array,
        *,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        correction1: float,
        correction2: float,
        out: Any = None,
    ) -> Any:
        """Run the definition in blocks that stay in cache."""
        tensors = (parameter, gradient, first, second)
        scalars = {
            "learning_rate": learning_rate,
            "beta1": beta1,
            "beta2": beta2,
            "epsilon": epsilon,
            "correction1": correction1,
            "correction2": correction2,
        }
        run: Any = Backend.adam_step
        small = out is None or parameter.nbytes <= self.cache_size >> 2
        if small or not all(map(_flat, (*tensors, *out))):
            return run(self, *tensors, out=out, **scalars)
        for part in _blocks(parameter, self.cache_size):
            run(self, *(t[part] for t in tensors), out=tuple(t[part] for t in out), **scalars)
        return out


def _flat(x: Array) -> bool:
    return x.ndim == 1 and x.flags.c_contiguous  # type: ignore[no-any-return]


def _block(x: Array, cache_size: int) -> int:
    elements: int = cache_size // (4 * x.itemsize)  # a block, and what is computed with it
    return max(elements, 1)


def _blocks(x: Array, cache_size: int) -> Iterator[slice]:
    """Yield a flat buffer's parts, each worked through while it is in the cache."""
    block = _block(x, cache_size)
    return (slice(start, start + block) for start in range(0, x.size, block))
