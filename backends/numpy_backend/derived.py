"""Derived ops in numpy, in fewer passes than their definitions and without repeated checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from typing_extensions import override

from ..base import Backend
from ..errors import DtypeError, gradient_shape_error
from ..methods import of_op
from ..options import integer, real
from ..protocol import Axis
from ..quiet import quiet
from ..shapes import axes_in, check_equal, check_linear, count
from .handles import HANDLES, NATIVE, Array, agree, alike, check, check_index_dtype, check_out, constant
from .methods import BITS, MASKED_COPY, select, spreads
from .pieces import EXACT_SUM, ONES, PIECE, contiguous, long_sum, piecewise, row_sums, rowwise

_ndarray = np.ndarray
_add_reduce: Any = np.add.reduce
_max_reduce: Any = np.maximum.reduce

ZEROS: dict[str, Any] = {"f": np.zeros((), np.float32), "d": np.zeros((), np.float64)}
"""0-d arrays: a ufunc takes as long to convert a Python number as to run a small op."""


class NumpyDerived(Backend):
    """The overrides."""

    @override
    def add_scaled(self, x: Array, y: Array, scale: float, *, out: Array = None) -> Array:
        """Work through large flat buffers in blocks that stay in cache."""
        if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
            alike("add_scaled", x, y)
        if x.shape != y.shape:
            check_equal("add_scaled", x.shape, y.shape)
        if x.dtype.kind != "f":
            agree("add_scaled", x, 1.0)
        if type(scale) is not float:
            scale = real("add_scaled", "scale", scale)  # an np.float64 would promote
        if out is not None and out is not x:
            out = check_out("add_scaled", out, x.shape, x.dtype)
        if out is None or x.nbytes <= self.cache_size >> 2 or not (_flat(x) and _flat(y) and _flat(out)):
            return np.add(x, np.multiply(y, constant(scale, x.dtype)), out)
        scratch = np.empty(_block(x, self.cache_size), x.dtype)
        for part in _blocks(x, self.cache_size):
            scaled = scratch[: len(x[part])]
            np.multiply(y[part], scale, scaled)
            np.add(x[part], scaled, out[part])
        return out

    @override
    def sgd_step(
        self, parameter: Array, gradient: Array, learning_rate: float, *, out: Array = None
    ) -> Array:
        return NumpyDerived.add_scaled(self, parameter, gradient, -learning_rate, out=out)

    @override
    def square(self, x: Array, *, out: Array = None) -> Array:
        if out is not None or type(x) is not _ndarray:
            return self.multiply(x, x, out=out)
        return np.multiply(x, x)

    @override
    def relu(self, x: Array) -> Array:
        if type(x) is not _ndarray or x.dtype.kind != "f":
            return super().relu(x)
        return np.maximum(x, ZEROS[x.dtype.char])

    @override
    def relu_grad(self, grad: Array, y: Array) -> Array:
        if type(y) is not _ndarray or type(grad) is not _ndarray or grad.dtype is not y.dtype:
            alike("relu_grad", grad, y)
            return super().relu_grad(grad, y)
        if grad.shape != y.shape:
            raise gradient_shape_error("relu_grad", grad.shape, y.shape)
        zero = ZEROS.get(y.dtype.char)
        if zero is None:
            raise DtypeError(f"relu_grad: expected floating tensors, got {y.dtype}; convert them with astype")
        if grad.size > MASKED_COPY:
            if grad.size > PIECE and contiguous(grad, y):
                return piecewise(_zeroed, grad, y)
            result = np.empty_like(grad)
            _zeroed(grad, y, result)
            return result
        result = grad.copy()
        np.putmask(result, np.less_equal(y, zero), zero)
        return result

    @override
    def leaky_relu(self, x: Array, negative_slope: float) -> Array:
        """Return max(x, slope x), which equals the definition if 0 < slope <= 1."""
        negative_slope = real("leaky_relu", "negative_slope", negative_slope)
        if type(x) is not _ndarray or x.dtype.kind != "f" or not 0.0 < negative_slope <= 1.0:
            return super().leaky_relu(x, negative_slope)
        if x.size > PIECE and x.flags.c_contiguous:
            return piecewise(lambda x, out: np.maximum(x, np.multiply(x, negative_slope, out), out=out), x)
        return np.maximum(x, np.multiply(x, negative_slope))

    @override
    def leaky_relu_grad(self, grad: Array, x: Array, negative_slope: float) -> Array:
        if type(x) is _ndarray and x.size > PIECE and x.dtype.kind == "f" and contiguous(grad, x):
            slope = constant(real("leaky_relu_grad", "negative_slope", negative_slope), x.dtype)
            return piecewise(lambda grad, x, out: _sloped(grad, x, out, slope), grad, x)
        return super().leaky_relu_grad(grad, x, negative_slope)

    @override
    def sigmoid(self, x: Array) -> Array:
        """Compute one exponential: e^min(x, 0) is e^-|x| or 1."""
        if type(x) is not _ndarray or x.dtype.kind != "f" or x.ndim == 0:
            return super().sigmoid(x)
        if x.size > PIECE and x.flags.c_contiguous:
            return piecewise(_sigmoid, x)
        tail: Array = np.abs(x)
        np.exp(np.negative(tail, tail), tail)
        top = select(np.less(x, 0), tail, x.dtype.type(1))
        return np.divide(top, np.add(tail, 1, tail), top)

    @override
    def sigmoid_grad(self, grad: Array, y: Array) -> Array:
        if type(y) is _ndarray and y.size > PIECE and y.dtype.kind == "f" and contiguous(grad, y):
            return piecewise(_sigmoid_grad, grad, y)
        return super().sigmoid_grad(grad, y)

    @override
    def tanh_grad(self, grad: Array, y: Array) -> Array:
        if type(y) is _ndarray and y.size > PIECE and y.dtype.kind == "f" and contiguous(grad, y):
            return piecewise(_tanh_grad, grad, y)
        return super().tanh_grad(grad, y)

    @override
    def expm1(self, x: Array) -> Array:
        """Compute in float64: numpy's float32 errs by 2.3 ULP."""
        if type(x) not in HANDLES or x.dtype.kind != "f":
            return super().expm1(x)
        with quiet():
            return np.expm1(x, dtype=np.float64).astype(x.dtype, copy=False)

    @override
    def erf(self, x: Array) -> Array:
        """Run the definition in blocks that stay in cache."""
        if type(x) is not _ndarray or x.nbytes <= self.cache_size >> 2 or not x.flags.c_contiguous:
            return super().erf(x)
        flat: Array = x.reshape(-1)
        result = np.empty_like(flat)
        for part in _blocks(flat, self.cache_size):
            result[part] = super().erf(flat[part])
        return result.reshape(x.shape)

    @override
    def one_hot(self, indices: Array, num_classes: int, *, dtype: str | None = None) -> Array:
        """Write a 1 at each index that is a class."""
        check_index_dtype("one_hot", indices)
        if type(num_classes) is not int or num_classes < 0:
            num_classes = integer("one_hot", "num_classes", num_classes, least=0)
        result = np.zeros((indices.size, num_classes), NATIVE[dtype or self.default_dtype])
        flat = indices.reshape(-1)
        rows = np.flatnonzero((flat >= 0) & (flat < num_classes))
        result[rows, flat[rows]] = 1
        return result.reshape(*indices.shape, num_classes)

    @override
    def softmax(self, x: Array, *, axis: int) -> Array:
        """Work in one buffer; large rows go in pieces."""
        if type(x) is not _ndarray or x.dtype.kind != "f":
            return super().softmax(x, axis=axis)
        if _long_rows(axis, x):
            return rowwise(_softmax, x.shape[-1], x)
        value: Array = x
        result: Array = self.subtract(value, self._top("softmax", value, axis))
        np.exp(result, result)
        share: Array = self.divide(1.0, self.sum(result, axis=axis, keepdims=True))
        return np.multiply(result, share, result)

    @override
    def softmax_grad(self, grad: Array, y: Array, *, axis: int) -> Array:
        if _long_rows(axis, grad, y):
            return rowwise(_softmax_grad, y.shape[-1], grad, y)
        return super().softmax_grad(grad, y, axis=axis)

    @override
    def log_softmax(self, x: Array, *, axis: int) -> Array:
        return (
            rowwise(_log_softmax, x.shape[-1], x)
            if _long_rows(axis, x)
            else super().log_softmax(x, axis=axis)
        )

    @override
    def log_softmax_grad(self, grad: Array, y: Array, *, axis: int) -> Array:
        if _long_rows(axis, grad, y):
            return rowwise(_log_softmax_grad, y.shape[-1], grad, y)
        return super().log_softmax_grad(grad, y, axis=axis)

    @override
    def exp_scaled(self, x: Array, scale: Array) -> Array:
        """Select only if there is a 0, and work in pieces on rows of one scale each."""
        alike = type(x) is type(scale) is _ndarray and x.dtype is scale.dtype and x.dtype.kind == "f"
        if not (alike and spreads(scale.shape, x.shape)):
            return super().exp_scaled(x, scale)
        with quiet():
            if _long_rows(-1, x) and scale.shape == (*x.shape[:-1], 1):
                return rowwise(_exp_scaled, x.shape[-1], x, scale)
            result = np.exp(x)
            np.multiply(result, scale, result)
            if not scale.all():
                np.copyto(result, 0, where=np.equal(scale, 0))
            return result

    @override
    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        plain = axis is None and not keepdims and type(x) is _ndarray
        if plain and x.dtype.kind == "f" and 0 < x.size <= EXACT_SUM:
            # A product with ones: BLAS sums few elements in half of np.add.reduce's time.
            return ONES[x.dtype.char][x.size].dot(x.ravel()) / x.size
        if axis is not None:
            check("mean", x)
            axis = axes_in("mean", axis, x.ndim)
        total: Array = self.sum(x, axis=axis, keepdims=keepdims)
        n = x.size if axis is None else count(x.shape, axis)
        if total.dtype.kind != "f":
            raise DtypeError(f"mean: expected a floating tensor, got {x.dtype}; convert it with astype")
        return np.divide(total, float(n)) if n else self.divide(total, 0.0)

    @override
    def centre(self, x: Array, *, axis: Axis = None) -> Any:
        """Subtract the mean, then the mean of what is left, which has no digits to lose."""
        if type(x) is not _ndarray or x.dtype.char != "f" or not x.ndim or not x.size:
            return super().centre(x, axis=axis)
        axis = axes_in("centre", axis, x.ndim)
        n = count(x.shape, axis)
        mean = (long_sum(x, axis, True) / n).astype(np.float32)
        centred = np.subtract(x, mean)
        rest = long_sum(centred, axis, True) / n
        return np.subtract(centred, rest.astype(np.float32), centred), mean

    @override
    def linear(self, x: Array, weight: Array, bias: Array = None) -> Array:
        """Add the bias of a matrix in place."""
        if bias is None or type(x) is not _ndarray or x.ndim != 2:
            return super().linear(x, weight, bias)
        if (
            type(weight) is not _ndarray
            or type(bias) is not _ndarray
            or x.dtype is not weight.dtype
            or x.dtype is not bias.dtype
        ):
            alike("linear", x, weight, bias)
        try:
            y = x.dot(weight.T)
        except ValueError:
            check_linear(x.shape, weight.shape, bias.shape)
            raise
        if bias.ndim != 1 or len(bias) != len(weight):
            check_linear(x.shape, weight.shape, bias.shape)
        return np.add(y, bias, y)

    @override
    def linear_grad(self, grad: Array, x: Array, *, bias: bool = True, out: Any = None) -> Any:
        """Write the gradients of matrices straight into their places."""
        if bias and out is not None and type(grad) is type(x) is _ndarray and grad.ndim == x.ndim == 2:
            weight, total = out
            (samples, outputs), (rows, inputs) = grad.shape, x.shape
            if (
                type(weight) is type(total) is _ndarray
                and samples == rows
                and weight.shape == (outputs, inputs)
                and total.shape == (outputs,)
                and weight.dtype is total.dtype is grad.dtype is x.dtype
                and grad.dtype.kind == "f"
                and weight.flags.c_contiguous
                and total.flags.c_contiguous
            ):
                grad.T.dot(x, weight)
                if samples > EXACT_SUM:
                    whole_sum: Any = self.sum
                    return weight, whole_sum(grad, axis=0, out=total)
                # A product with ones: BLAS sums few rows in half of np.add.reduce's time.
                return weight, ONES[grad.dtype.char][samples].dot(grad, total)
        return super().linear_grad(grad, x, bias=bias, out=out)

    @of_op
    def adam_step(self, *tensors: Any, out: Any = None, **numbers: Any) -> Any:
        """Run the definition in blocks that stay in cache."""
        small = out is None or tensors[0].nbytes <= self.cache_size >> 2
        if small or not all(map(_flat, (*tensors, *out))):
            return super().adam_step(*tensors, out=out, **numbers)
        for part in _blocks(tensors[0], self.cache_size):
            super().adam_step(*(t[part] for t in tensors), out=tuple(t[part] for t in out), **numbers)
        return out


# -- of pieces ---------------------------------------------------------------------------------------


def _zeroed(grad: Array, y: Array, out: Array) -> None:
    """Keep the bits of grad where y > 0 or y is NaN: grad & (-1 there, 0 elsewhere)."""
    bits = BITS[grad.itemsize]
    mask = np.less_equal(y, 0).view(np.int8)
    np.bitwise_and(grad.view(bits), np.subtract(mask, 1, mask).astype(bits), out.view(bits))


def _sloped(grad: Array, x: Array, out: Array, slope: Array) -> None:
    """Multiply grad by 1 where x > 0, else by the slope: both factors differ by `other` in their bits."""
    bits = BITS[grad.itemsize]
    low = np.asarray(slope, grad.dtype).view(bits)
    other = np.ones((), grad.dtype).view(bits) ^ low
    mask = np.greater(x, 0).view(np.int8)
    factor = np.negative(mask, mask).astype(bits)
    np.bitwise_xor(np.bitwise_and(factor, other, factor), low, factor)
    np.multiply(grad, factor.view(grad.dtype), out)


def _sigmoid(x: Array, out: Array) -> None:
    """Compute t / (1 + e^-|x|), where t = e^-|x| if x < 0, else 1.

    Positive floats are ordered as the integers of their bits, so t is the larger of e^-|x| and 0 or 1.
    """
    bits = BITS[x.itemsize]
    sign = 8 * x.itemsize - 1
    tail = np.bitwise_or(x.view(bits), bits(-(1 << sign))).view(x.dtype)
    np.exp(tail, tail)
    top = out.view(bits)
    np.invert(np.right_shift(x.view(bits), sign, top), top)
    np.bitwise_and(top, np.ones((), x.dtype).view(bits), top)
    np.maximum(top, tail.view(bits), out=top)
    np.divide(out, np.add(tail, 1, tail), out)


def _sigmoid_grad(grad: Array, y: Array, out: Array) -> None:
    np.multiply(np.multiply(np.subtract(1, y, out), y, out), grad, out)


def _tanh_grad(grad: Array, y: Array, out: Array) -> None:
    np.multiply(np.subtract(1, np.multiply(y, y, out), out), grad, out)


def _long_rows(axis: int, *arrays: Array) -> bool:
    """Return whether these are large floating arrays, and `axis` is their last axis, of some length."""
    x = arrays[0]
    if type(x) is not _ndarray or x.size <= PIECE or x.dtype.kind != "f" or type(axis) is not int:
        return False
    return axis in (-1, x.ndim - 1) and x.shape[-1] >= 16 and contiguous(*arrays)


def _softmax(x: Array, out: Array) -> None:
    np.subtract(x, _max_reduce(x, 1, None, None, True), out)
    np.exp(out, out)
    total = row_sums(out)
    np.multiply(out, np.divide(1, total, total), out)


def _softmax_grad(grad: Array, y: Array, out: Array) -> None:
    inner = row_sums(np.multiply(grad, y, out))
    np.multiply(np.subtract(grad, inner, out), y, out)


def _log_softmax(x: Array, out: Array) -> None:
    np.subtract(x, _max_reduce(x, 1, None, None, True), out)
    total = row_sums(np.exp(out))
    np.subtract(out, np.log(total, total), out)


def _log_softmax_grad(grad: Array, y: Array, out: Array) -> None:
    np.multiply(np.exp(y, out), row_sums(grad), out)
    np.subtract(grad, out, out)


def _exp_scaled(x: Array, scale: Array, out: Array) -> None:
    np.multiply(np.exp(x, out), scale, out)
    if not scale.all():
        np.copyto(out, 0, where=np.equal(scale, 0))


def _flat(x: Array) -> bool:
    return x.ndim == 1 and x.flags.c_contiguous  # type: ignore[no-any-return]


def _block(x: Array, cache_size: int) -> int:
    elements: int = cache_size // (4 * x.itemsize)  # a block and three temporaries
    return max(elements, 1)


def _blocks(x: Array, cache_size: int) -> Iterator[slice]:
    """Yield the parts of a flat buffer that fit the cache."""
    block = _block(x, cache_size)
    return (slice(start, start + block) for start in range(0, x.size, block))
