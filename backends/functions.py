"""Elementwise ops, activations and their gradients, defined in primitives."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .erf import ERF
from .errors import DtypeError, ShapeError, gradient_shape_error, unequal_dtypes
from .host import is_floating
from .options import real
from .protocol import Operand, Primitives, Scalar, Tensor
from .shapes import axis_of, broadcast, check_equal, reduced


class Functions(Primitives):
    """The part of `Backend` that defines functions of tensors."""

    # -- elementwise ---------------------------------------------------------------------------

    def square(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return x²."""
        return self.multiply(x, x, out=out)

    def less(self, x: Operand, y: Operand) -> Tensor:
        """Return x < y (False where either is NaN)."""
        return self.greater(y, x)

    def clip(self, x: Tensor, low: Scalar, high: Scalar) -> Tensor:
        """Return min(max(x, low), high); NaN stays NaN."""
        return self.minimum(self.maximum(x, low), high)

    def add_scaled(self, x: Tensor, y: Tensor, scale: float, *, out: Tensor | None = None) -> Tensor:
        """Return x + scale * y; x and y have equal shapes, and `out` may be x."""
        check_equal("add_scaled", self.shape(x), self.shape(y))
        return self.add(x, self.multiply(y, real("add_scaled", "scale", scale)), out=out)

    def expm1(self, x: Tensor) -> Tensor:
        """Return e^x - 1, accurate even near 0: floating x (*) -> (*)."""
        dtype = check_floating(self, "expm1", x)
        if dtype != "float64":  # an error of 2 ULP is allowed, but `exp` in float32 has up to 4 ULP
            return self.astype(self.expm1(self.astype(x, "float64")), dtype)
        near = self.clip(x, -1.0, 1.0)
        # For |x| <= 1, e^x - 1 would lose digits; the result is the series x + x² Σ xⁿ / (n + 2)!.
        series = self.multiply(self.square(near), self._polynomial(_EXPM1, near))
        inner = self.where(self.equal(near, 0.0), near, self.add(near, series))  # -0 stays -0
        outer = self.subtract(self.exp(x), 1.0)
        return self.where(self.less_equal(self.abs(x), 1.0), inner, outer)

    def erf(self, x: Tensor) -> Tensor:
        """Return the error function, (2/√π) ∫ e^(-t²) dt from t = 0 to x: floating x (*) -> (*)."""
        # erf.py gives the formula and its symbols.
        p, q, centre, end = ERF[check_floating(self, "erf", x)]
        near = self.clip(x, -1.0, 1.0)
        inner = self.add(near, self.multiply(near, self._polynomial(p, self.square(near))))
        z = self.clip(self.abs(x), 1.0, end)
        v = self.divide(self.subtract(z, centre), self.add(z, centre))
        tail = self.multiply(self.exp(self.negative(self.square(z))), self._polynomial(q, v))
        outer = self.multiply(self.sign(x), self.subtract(1.0, tail))
        return self.where(self.less_equal(self.abs(x), 1.0), inner, outer)

    def _polynomial(self, coefficients: Sequence[float], x: Tensor) -> Tensor:
        """Return Σ cᵢ xⁱ by Horner's rule; cᵢ is the i-th of at least two coefficients."""
        *rest, last = coefficients
        value = self.multiply(x, last)
        for c in rest[:0:-1]:
            value = self.multiply(self.add(value, c, out=value), x, out=value)
        return self.add(value, rest[0], out=value)

    # -- activations y = f(x), and their gradients, which return dL/dx for grad = dL/dy ---------------

    def relu(self, x: Tensor) -> Tensor:
        """Return max(x, 0); NaN stays NaN."""
        check_floating(self, "relu", x)
        return self.maximum(x, 0.0)

    def relu_grad(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return 0 where y <= 0 (so relu'(0) = 0), else grad; y is relu's input or its result."""
        _alike(self, "relu_grad", grad, y)
        return self.where(self.less_equal(y, 0.0), 0.0, grad)

    def leaky_relu(self, x: Tensor, negative_slope: float) -> Tensor:
        """Return x where x > 0, else negative_slope * x."""
        negative_slope = real("leaky_relu", "negative_slope", negative_slope)
        return self.where(self.greater(x, 0.0), x, self.multiply(x, negative_slope))

    def leaky_relu_grad(self, grad: Tensor, x: Tensor, negative_slope: float) -> Tensor:
        """Return grad where x > 0, else negative_slope * grad."""
        _alike(self, "leaky_relu_grad", grad, x)
        negative_slope = real("leaky_relu_grad", "negative_slope", negative_slope)
        return self.where(self.greater(x, 0.0), grad, self.multiply(grad, negative_slope))

    def sigmoid(self, x: Tensor) -> Tensor:
        """Return 1 / (1 + e^-x), computed as e^min(x, 0) / (1 + e^-|x|), which cannot overflow."""
        check_floating(self, "sigmoid", x)
        tail = self.exp(self.negative(self.abs(x)))
        return self.divide(self.exp(self.minimum(x, 0.0)), self.add(tail, 1.0))

    def sigmoid_grad(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return grad * y * (1 - y), where y is sigmoid's result."""
        _alike(self, "sigmoid_grad", grad, y)
        return self.multiply(grad, self.multiply(y, self.subtract(1.0, y)))

    def tanh_grad(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return grad * (1 - y²), where y is tanh's result."""
        _alike(self, "tanh_grad", grad, y)
        return self.multiply(grad, self.subtract(1.0, self.square(y)))

    def softplus(self, x: Tensor) -> Tensor:
        """Return ln(1 + e^x), computed as max(x, 0) + log1p(e^-|x|)."""
        check_floating(self, "softplus", x)
        return self.add(self.maximum(x, 0.0), self.log1p(self.exp(self.negative(self.abs(x)))))

    def softmax(self, x: Tensor, *, axis: int) -> Tensor:
        """Return e^x / Σ e^x along axis; the maximum along axis is subtracted from x first.

        If the maximum along the axis is inf or -inf, the result there is NaN, as in torch.
        """
        exp = self.exp(self.subtract(x, self._top("softmax", x, axis)))
        # One division for each sum: it takes as long as all else that a compiled row does.
        return self.multiply(exp, self.divide(1.0, self.sum(exp, axis=axis, keepdims=True)))

    def softmax_grad(self, grad: Tensor, y: Tensor, *, axis: int) -> Tensor:
        """Return y * (grad - Σ (grad * y)), where y is softmax's result and the sum runs along axis."""
        _alike(self, "softmax_grad", grad, y)
        axis = axis_of("softmax_grad", axis, len(self.shape(y)))
        inner = self.sum(self.multiply(grad, y), axis=axis, keepdims=True)
        return self.multiply(y, self.subtract(grad, inner))

    def log_softmax(self, x: Tensor, *, axis: int) -> Tensor:
        """Return x - ln Σ e^x along axis; the maximum along axis is subtracted from x first.

        If the maximum along the axis is inf or -inf, the result there is NaN, as in torch.
        """
        shifted = self.subtract(x, self._top("log_softmax", x, axis))
        return self.subtract(shifted, self.log(self.sum(self.exp(shifted), axis=axis, keepdims=True)))

    def log_softmax_grad(self, grad: Tensor, y: Tensor, *, axis: int) -> Tensor:
        """Return grad - e^y * Σ grad, where y is log_softmax's result and the sum runs along axis."""
        _alike(self, "log_softmax_grad", grad, y)
        axis = axis_of("log_softmax_grad", axis, len(self.shape(y)))
        return self.subtract(grad, self.multiply(self.exp(y), self.sum(grad, axis=axis, keepdims=True)))

    def exp_scaled(self, x: Tensor, scale: Tensor) -> Tensor:
        """Return e^x * scale, and 0 where the scale is 0, whatever x is; the scale broadcasts to x."""
        check_floating(self, "exp_scaled", x)
        shape, own = self.shape(x), self.shape(scale)
        if broadcast(shape, own, op="exp_scaled") != shape:
            raise ShapeError(
                f"exp_scaled: expected a scale that broadcasts to {tuple(shape)}, got shape {tuple(own)}"
            )
        return self.where(self.equal(scale, 0.0), 0.0, self.multiply(self.exp(x), scale))

    def logsumexp(self, x: Tensor, *, axis: int, keepdims: bool = False) -> Tensor:
        """Return ln Σ e^x along axis.

        If the maximum along the axis is inf or -inf, the result is that maximum. If the axis has size 0, the
        result is -inf.
        """
        top = self._top("logsumexp", x, axis)
        # inf - inf would be NaN, so an infinite maximum is not subtracted.
        shift = self.where(self.equal(self.abs(top), float("inf")), 0.0, top)
        total = self.sum(self.exp(self.subtract(x, shift)), axis=axis, keepdims=True)
        result = self.add(shift, self.log(total))
        return result if keepdims else self.sum(result, axis=axis)

    def _top(self, op: str, x: Tensor, axis: int) -> Tensor:
        """Return the maximum of x along axis, which keeps size 1; zeros if the axis has size 0."""
        shape = self.shape(x)
        axis = axis_of(op, axis, len(shape))
        dtype = check_floating(self, op, x)
        if shape[axis] == 0:
            return self.full(reduced(shape, axis, True), 0.0, dtype=dtype)
        return self.max(x, axis=axis, keepdims=True)


_EXPM1 = tuple(1.0 / math.factorial(n + 2) for n in range(18))
"""The coefficients of the series of (e^x - 1 - x) / x²."""


def check_floating(backend: Primitives, op: str, x: Tensor) -> str:
    """Return the dtype of x; raise DtypeError unless x is floating."""
    dtype = backend.dtype(x)
    if not is_floating(dtype):
        raise DtypeError(f"{op}: expected a floating tensor, got {dtype}; convert it with astype")
    return dtype


def check_dtypes(backend: Primitives, op: str, dtype: str, *others: Tensor | None) -> None:
    """Raise DtypeError unless the others have a dtype, or are None."""
    for other in others:
        if other is not None and (found := backend.dtype(other)) != dtype:
            raise unequal_dtypes(op, dtype, found)


def _alike(backend: Primitives, op: str, grad: Tensor, other: Tensor) -> None:
    """Raise unless the two tensors have equal shapes and the same floating dtype."""
    # Primitives would broadcast unequal shapes. Unequal dtypes would pass through `relu_grad`, for example:
    # no primitive in its definition takes both tensors.
    first, second = backend.dtype(grad), backend.dtype(other)
    if first != second:
        raise unequal_dtypes(op, first, second)
    check_floating(backend, op, grad)
    if backend.shape(grad) != backend.shape(other):
        raise gradient_shape_error(op, backend.shape(grad), backend.shape(other))
