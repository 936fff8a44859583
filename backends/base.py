"""`Backend`: the primitives, and the ops derived from them.

Each derived op has its *definition* here, in primitives. A backend may override a derived op for speed;
tests compare the override with the definition. `autodiff` records the definition of each derived op that
has no derivative in the op table.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, SupportsIndex, cast

from .erf import ERF
from .errors import DtypeError, OptionError, ShapeError, gradient_shape_error, unequal_dtypes
from .host import is_floating
from .loop import Loop
from .names import OTHER_NAMES, OtherName
from .options import integer, number, real
from .protocol import Axis, Operand, Primitives, Run, Scalar, Shape, Step, Tensor
from .shapes import axes_in, axis_of, check_equal, check_linear, check_pool_grad, count, extents, reduced
from .windows import Window, check_window

VARIANCE_FLOOR = 9.999999960041972e-13
"""torch's lower bound on p (1 - p), the divisor in the gradient of binary cross-entropy.

It is 1e-12 rounded to float32, for every dtype.
"""

Pair = tuple[Tensor, Tensor]
Triple = tuple[Tensor, Tensor, Tensor]


class _Nothing:
    """A context that does nothing, in C: the two methods of `nullcontext` take as long as a small op."""

    __enter__ = __exit__ = "".format  # takes any arguments, and returns ""


_NOTHING = cast(AbstractContextManager[None], _Nothing())


class Backend(Primitives):
    """The base of every backend.

    A subclass must implement the primitives and may override derived ops for speed.

    Parameters
    ----------
    device
        Where the tensors live, such as "cpu" or "cuda:0".
    dtype
        The default float dtype, "float32" or "float64".

    Raises
    ------
    OptionError
        If the dtype is another one.
    TypeError
        If the subclass lacks a primitive.

    """

    name: str = ""
    """The name of the implementation for `get_backend`, such as "numpy"."""
    scoped: bool = False
    """Whether `scope` has an effect; `named_scopes` does nothing if it is false."""
    cache_size: int = 1 << 20
    """The size in bytes of one core's cache; ops and convolutions choose their block size from it."""
    _text: str = ""
    """The text that `get_backend` made this instance from; empty for an instance constructed directly."""
    _reduced: tuple[Any, ...] = ()
    """What pickle stores: a function, and the arguments for which it returns this instance.

    Empty for an instance constructed directly.
    """

    def __init__(self, device: str = "cpu", dtype: str = "float32") -> None:
        if not is_floating(dtype):
            raise OptionError(f"{type(self).__name__}: expected dtype 'float32' or 'float64', got {dtype!r}")
        if missing := _missing(type(self)):
            raise TypeError(f"{type(self).__name__} lacks the primitives {', '.join(missing)}")
        self.device = device
        self.default_dtype = dtype

    def __repr__(self) -> str:
        return f"<backend {self.spec} {self.default_dtype}>"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in OTHER_NAMES]

    def __deepcopy__(self, memo: object) -> Backend:
        # A copied model stays on this instance: backends are compared by identity, and a decorator refuses
        # another instance's tensors.
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return self._reduced or super().__reduce_ex__(protocol)

    @property
    def spec(self) -> str:
        """The text to pass to `get_backend` for this backend."""
        # A subclass without its own `name` must not report its parent's.
        name = vars(type(self)).get("name") or f"{type(self).__module__}:{type(self).__qualname__}"
        return self._text or (name if self.device == "cpu" else f"{name}:{self.device}")

    @property
    def raw(self) -> Backend:
        """The innermost backend of a stack; for a raw backend, itself."""
        return self

    def details(self) -> dict[str, str | int]:
        """Return facts for `lamina backends` and for reports.

        The default returns the device alone; Lamina's backends add their version and threads.
        """
        return {"device": self.device}

    # -- hooks that do nothing by default ------------------------------------------------------------

    def synchronize(self) -> None:
        """Wait until every issued op is done.

        The default does nothing, for backends whose ops are done when they return.
        """

    def scope(self, name: str) -> AbstractContextManager[None]:
        """Return a context that tells decorators the name of the layer running in it."""
        return _NOTHING

    def session(self) -> AbstractContextManager[None]:
        """Return a context to enter around each step; a backend may use it to make ops cheaper."""
        return _NOTHING

    def compile(self, step: Step) -> Run:
        """Return a run of a step over batches; the default is a loop in Python."""
        return Loop(self, step)

    def unrecorded(self) -> AbstractContextManager[None]:
        """Return a context for handwritten backward passes; `autodiff` records nothing inside it."""
        return _NOTHING

    def leaf(self, cell: Tensor, owner: Any) -> None:
        """Tell `autodiff` that `cell` belongs to the parameter `owner`, which has `grad` and `accumulate`."""

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
        """Return x + scale y; x and y have equal shapes, and `out` may be x."""
        check_equal("add_scaled", self.shape(x), self.shape(y))
        return self.add(x, self.multiply(y, real("add_scaled", "scale", scale)), out=out)

    def expm1(self, x: Tensor) -> Tensor:
        """Return e^x - 1, accurate near 0 too: floating x (*) -> (*)."""
        dtype = _floating(self, "expm1", x)
        if dtype != "float64":  # a float32 `exp` may be off by 4 ULP, more than expm1 may
            return self.astype(self.expm1(self.astype(x, "float64")), dtype)
        near = self.clip(x, -1.0, 1.0)
        # For |x| <= 1 the result is the series x + x² Σ xⁿ / (n + 2)!: there e^x - 1 would lose digits.
        series = self.multiply(self.square(near), self._polynomial(_EXPM1, near))
        inner = self.where(self.equal(near, 0.0), near, self.add(near, series))  # -0 stays -0
        outer = self.subtract(self.exp(x), 1.0)
        return self.where(self.less_equal(self.abs(x), 1.0), inner, outer)

    def erf(self, x: Tensor) -> Tensor:
        """Return the error function 2/√π ∫ e^(-t²) dt from 0 to x: floating x (*) -> (*)."""
        # erf.py gives the formula and its symbols.
        p, q, centre, end = ERF[_floating(self, "erf", x)]
        near = self.clip(x, -1.0, 1.0)
        inner = self.add(near, self.multiply(near, self._polynomial(p, self.square(near))))
        z = self.clip(self.abs(x), 1.0, end)
        v = self.divide(self.subtract(z, centre), self.add(z, centre))
        tail = self.multiply(self.exp(self.negative(self.square(z))), self._polynomial(q, v))
        outer = self.multiply(self.sign(x), self.subtract(1.0, tail))
        return self.where(self.less_equal(self.abs(x), 1.0), inner, outer)

    def _polynomial(self, coefficients: Sequence[float], x: Tensor) -> Tensor:
        """Return Σ cᵢ xⁱ, by Horner's rule."""
        *rest, last = coefficients
        value = self.multiply(x, last)
        for c in rest[:0:-1]:
            value = self.multiply(self.add(value, c, out=value), x, out=value)
        return self.add(value, rest[0], out=value)

    # -- activations, and their gradients, which turn grad = dL/dresult into dL/dx --------------------

    def relu(self, x: Tensor) -> Tensor:
        """Return max(x, 0); NaN stays NaN."""
        _floating(self, "relu", x)
        return self.maximum(x, 0.0)

    def relu_grad(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return 0 where y <= 0 (so relu'(0) = 0), else grad; y is relu's input or its result."""
        _alike(self, "relu_grad", grad, y)
        return self.where(self.less_equal(y, 0.0), 0.0, grad)

    def leaky_relu(self, x: Tensor, negative_slope: float) -> Tensor:
        """Return x where x > 0, else negative_slope x."""
        negative_slope = real("leaky_relu", "negative_slope", negative_slope)
        return self.where(self.greater(x, 0.0), x, self.multiply(x, negative_slope))

    def leaky_relu_grad(self, grad: Tensor, x: Tensor, negative_slope: float) -> Tensor:
        """Return grad where x > 0, else negative_slope grad."""
        _alike(self, "leaky_relu_grad", grad, x)
        negative_slope = real("leaky_relu_grad", "negative_slope", negative_slope)
        return self.where(self.greater(x, 0.0), grad, self.multiply(grad, negative_slope))

    def sigmoid(self, x: Tensor) -> Tensor:
        """Return 1 / (1 + e^-x), computed as e^min(x, 0) / (1 + e^-|x|), which cannot overflow."""
        _floating(self, "sigmoid", x)
        tail = self.exp(self.negative(self.abs(x)))
        return self.divide(self.exp(self.minimum(x, 0.0)), self.add(tail, 1.0))

    def sigmoid_grad(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return grad y (1 - y), where y is sigmoid's result."""
        _alike(self, "sigmoid_grad", grad, y)
        return self.multiply(grad, self.multiply(y, self.subtract(1.0, y)))

    def tanh_grad(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return grad (1 - y²), where y is tanh's result."""
        _alike(self, "tanh_grad", grad, y)
        return self.multiply(grad, self.subtract(1.0, self.square(y)))

    def softplus(self, x: Tensor) -> Tensor:
        """Return ln(1 + e^x), computed as max(x, 0) + log1p(e^-|x|)."""
        _floating(self, "softplus", x)
        return self.add(self.maximum(x, 0.0), self.log1p(self.exp(self.negative(self.abs(x)))))

    def softmax(self, x: Tensor, *, axis: int) -> Tensor:
        """Return e^x / Σ e^x along axis; the maximum is subtracted from x first.

        If the maximum along the axis is inf or -inf, the result there is NaN, as in torch.
        """
        exp = self.exp(self.subtract(x, self._top("softmax", x, axis)))
        return self.divide(exp, self.sum(exp, axis=axis, keepdims=True))

    def softmax_grad(self, grad: Tensor, y: Tensor, *, axis: int) -> Tensor:
        """Return y (grad - Σ grad y), summed along axis, where y is softmax's result."""
        _alike(self, "softmax_grad", grad, y)
        axis = axis_of("softmax_grad", axis, len(self.shape(y)))
        inner = self.sum(self.multiply(grad, y), axis=axis, keepdims=True)
        return self.multiply(y, self.subtract(grad, inner))

    def log_softmax(self, x: Tensor, *, axis: int) -> Tensor:
        """Return x - ln Σ e^x along axis; the maximum is subtracted from x first.

        If the maximum along the axis is inf or -inf, the result there is NaN, as in torch.
        """
        shifted = self.subtract(x, self._top("log_softmax", x, axis))
        return self.subtract(shifted, self.log(self.sum(self.exp(shifted), axis=axis, keepdims=True)))

    def log_softmax_grad(self, grad: Tensor, y: Tensor, *, axis: int) -> Tensor:
        """Return grad - e^y Σ grad, summed along axis, where y is log_softmax's result."""
        _alike(self, "log_softmax_grad", grad, y)
        axis = axis_of("log_softmax_grad", axis, len(self.shape(y)))
        return self.subtract(grad, self.multiply(self.exp(y), self.sum(grad, axis=axis, keepdims=True)))

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
        """Return the maximum of x along an axis, which keeps size 1; return 0 if the axis has size 0."""
        shape = self.shape(x)
        axis = axis_of(op, axis, len(shape))
        dtype = _floating(self, op, x)
        if shape[axis] == 0:
            return self.full(reduced(shape, axis, True), 0.0, dtype=dtype)
        return self.max(x, axis=axis, keepdims=True)

    # -- losses --------------------------------------------------------------------------------

    def binary_cross_entropy(self, p: Tensor, t: Tensor) -> Tensor:
        """Return -(t ln p + (1 - t) ln(1 - p)), with each logarithm clamped to at least -100, as in torch."""
        _of_one_shape(self, "binary_cross_entropy", p, t)
        yes = self.multiply(t, self.maximum(self.log(p), -100.0))
        no = self.multiply(self.subtract(1.0, t), self.maximum(self.log1p(self.negative(p)), -100.0))
        return self.negative(self.add(yes, no))

    def binary_cross_entropy_slope(self, p: Tensor, t: Tensor) -> Tensor:
        """Return (p - t) / (p (1 - p)), the derivative of binary_cross_entropy with respect to p.

        The divisor is clamped to at least 1e-12, as in torch.
        """
        _of_one_shape(self, "binary_cross_entropy_slope", p, t)
        variance = self.maximum(self.multiply(p, self.subtract(1.0, p)), VARIANCE_FLOOR)
        return self.divide(self.subtract(p, t), variance)

    # -- statistics ----------------------------------------------------------------------------

    def mean(self, x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return Σ x / n along axis (int, tuple, or None for all axes); NaN if n = 0."""
        _floating(self, "mean", x)
        axis = axes_in("mean", axis, len(self.shape(x)))
        total = self.sum(x, axis=axis, keepdims=keepdims)
        return self.divide(total, float(count(self.shape(x), axis)))

    def centre(self, x: Tensor, *, axis: Axis = None) -> Pair:
        """Return (x - mean, mean) for floating x; the mean keeps the reduced axes with size 1.

        The mean is rounded: a float32 mean near 10⁴ is off by up to 5·10⁻⁴. The mean of the differences is
        therefore subtracted from them as well. The returned mean does not include this correction.
        """
        _floating(self, "centre", x)
        axis = axes_in("centre", axis, len(self.shape(x)))
        mean = self.mean(x, axis=axis, keepdims=True)
        rest = self.subtract(x, mean)
        return self.subtract(rest, self.mean(rest, axis=axis, keepdims=True), out=rest), mean

    def var(self, x: Tensor, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """Return Σ (x - mean)² / (n - correction) along axis; NaN or infinity if n <= correction.

        The mean is computed first: a formula with Σ x² in one pass loses digits when the mean is large.
        """
        _floating(self, "var", x)
        axis = axes_in("var", axis, len(self.shape(x)))
        correction = number("var", "correction", correction)
        centred = self.subtract(x, self.mean(x, axis=axis, keepdims=True))
        total = self.sum(self.square(centred), axis=axis, keepdims=keepdims)
        return self.divide(total, max(count(self.shape(x), axis) - correction, 0.0))

    # -- contractions, indices, random numbers ---------------------------------------------------

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return x Wᵀ + b: x (N, ..., I), weight (O, I), bias (O,) or None -> (N, ..., O)."""
        check_linear(self.shape(x), self.shape(weight), None if bias is None else self.shape(bias))
        y = self.matmul(x, self.permute_dims(weight, (1, 0)))
        return y if bias is None else self.add(y, bias)

    def linear_grad(
        self,
        grad: Tensor,
        x: Tensor,
        *,
        bias: bool = True,
        out: tuple[Tensor | None, Tensor | None] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return (gradᵀ x, Σ grad), the gradients of linear's weight (O, I) and bias (O,).

        grad (N, ..., O), x (N, ..., I); the sums run over all axes but the last. With bias=False the second
        gradient is None. `out` holds a tensor or None for each of the two gradients.
        """
        shape, grad_shape = self.shape(x), self.shape(grad)
        if shape[:-1] != grad_shape[:-1] or len(shape) < 2 or len(grad_shape) < 2:
            raise ShapeError(
                "linear_grad: expected grad (N, ..., O) and x (N, ..., I) with equal shapes but for the last "
                f"axis, got {tuple(grad_shape)} and {tuple(shape)}"
            )
        if len(shape) > 2:
            x = self.reshape(x, (-1, shape[-1]))
            grad = self.reshape(grad, (-1, grad_shape[-1]))
        weight_out, bias_out = out or (None, None)
        weight = self.matmul(self.permute_dims(grad, (1, 0)), x, out=weight_out)
        return weight, self.sum(grad, axis=0, out=bias_out) if bias else None

    def one_hot(self, indices: Tensor, num_classes: int, *, dtype: str | None = None) -> Tensor:
        """Return 1 at each index, 0 elsewhere: (*) int64 -> (*, num_classes).

        An index that is no class gives zeros only.
        """
        num_classes = integer("one_hot", "num_classes", num_classes, least=0)
        column = self.reshape(indices, (*self.shape(indices), 1))
        return self.astype(self.equal(column, self.arange(0, num_classes)), dtype or self.default_dtype)

    def bernoulli(
        self,
        shape: Shape,
        probability: float,
        *,
        seed: int,
        stream: int | str,
        step: int | Tensor = 0,
        dtype: str | None = None,
    ) -> Tensor:
        """Return ones with the given probability, else zeros; seed, stream and step determine the draw."""
        probability = number("bernoulli", "probability", probability, least=0, most=1)
        shape = extents("bernoulli", shape)
        uniform = self.random(shape, seed=seed, stream=stream, step=step, dtype=dtype)
        return self.astype(self.less(uniform, probability), dtype or self.default_dtype)

    # -- pooling -------------------------------------------------------------------------------

    def max_pool(self, x: Tensor, window: Window) -> Pair:
        """Return each window's maximum and its index: floating x (N, C, *size) -> two (N, C, *counts).

        An index counts the places of one channel's image in row-major order, from 0 and without padding.
        The first of equal maxima is chosen, NaN counts as the largest value, and padding is never chosen. A
        window of padding alone (see `window.hollow`) gives -inf and the index -1.
        """
        check_window("max_pool", window)
        _floating(self, "max_pool", x)
        shape = window.windows_of("max_pool", self.shape(x))
        samples, channels, positions = *shape[:2], window.positions
        every = (samples, channels, 1, positions)
        widths, over = ((0, 0), (0, 0), *window.padding), window.over_padded
        columns = self.unfold(self.pad(x, widths, value=float("-inf")), over)
        columns = self.reshape(columns, (samples, channels, window.places, positions))
        images = self.reshape(self.arange(0, window.image_places), (1, 1, *window.size))
        places = self.reshape(self.unfold(self.pad(images, widths, value=-1), over), (1, 1, -1, positions))
        inside = self.astype(self.less_equal(0, places), "int64")
        chosen = self.argmax(columns, axis=2, keepdims=True)
        indices = self.take_along_axis(self.broadcast_to(places, self.shape(columns)), chosen, axis=2)
        # If all values in a window are -inf, argmax may choose padding, whose index is -1. Then the window's
        # first place inside the image is chosen instead.
        first = self.take_along_axis(places, self.argmax(inside, axis=2, keepdims=True), axis=2)
        indices = self.where(self.less_equal(0, indices), indices, self.broadcast_to(first, every))
        values = self.take_along_axis(columns, chosen, axis=2)
        return self.reshape(values, shape), self.reshape(indices, shape)

    def max_pool_grad(
        self,
        grad: Tensor,
        indices: Tensor,
        size: tuple[int, ...],
        *,
        distinct: bool = False,
        hollow: bool = False,
    ) -> Tensor:
        """Return an image of zeros (N, C, *size) with grad (N, C, *counts) added at the indices.

        distinct=True is the caller's promise, which is not checked, that no index occurs twice in one image.
        With hollow=True an index may be -1, and its gradient is dropped.
        """
        size = check_pool_grad(self.shape(grad), self.shape(indices), size)
        if hollow:
            grad = self.where(self.less_equal(0, indices), grad, 0.0)
            indices = self.maximum(indices, 0)
        samples, channels, *counts = self.shape(grad)
        places, positions = math.prod(size), math.prod(counts)
        zeros = self.full((samples, channels, places), 0.0, dtype=self.dtype(grad))
        flat = (samples, channels, positions)
        image = self.scatter_add(zeros, self.reshape(indices, flat), self.reshape(grad, flat), axis=2)
        return self.reshape(image, (samples, channels, *size))

    # -- optimizer steps over a flat buffer ---------------------------------------------------------

    def sgd_step(
        self, parameter: Tensor, gradient: Tensor, learning_rate: float, *, out: Tensor | None = None
    ) -> Tensor:
        """Return parameter - learning_rate gradient; `out` may be the parameter."""
        check_equal("sgd_step", self.shape(parameter), self.shape(gradient))
        return self.add_scaled(parameter, gradient, -learning_rate, out=out)

    def adam_step(
        self,
        parameter: Tensor,
        gradient: Tensor,
        first: Tensor,
        second: Tensor,
        *,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        correction1: float,
        correction2: float,
        out: Triple | None = None,
    ) -> Triple:
        """Return the new (parameter, first, second) of Adam: Kingma & Ba 2015, algorithm 1.

            first = beta1 first + (1 - beta1) gradient
            second = beta2 second + (1 - beta2) gradient²
            parameter = parameter - learning_rate (first / correction1) / (√(second / correction2) + epsilon)

        At step t, from 1, the corrections are 1 - beta1^t and 1 - beta2^t. `out` may be (parameter, first,
        second).
        """
        for tensor in (gradient, first, second):
            check_equal("adam_step", self.shape(parameter), self.shape(tensor))
        out_p, out_m, out_v = out or (None, None, None)
        first = self.add_scaled(self.multiply(first, beta1, out=out_m), gradient, 1.0 - beta1, out=out_m)
        decayed = self.multiply(second, beta2, out=out_v)
        second = self.add_scaled(decayed, self.square(gradient), 1.0 - beta2, out=out_v)
        scaled = self.add(self.divide(self.sqrt(second), correction2**0.5), epsilon)
        update = self.divide(first, scaled)
        return self.add_scaled(parameter, update, -learning_rate / correction1, out=out_p), first, second


_EXPM1 = tuple(1.0 / math.factorial(n + 2) for n in range(18))
"""Coefficients of (e^x - 1 - x) / x²."""


def _floating(backend: Backend, op: str, x: Tensor) -> str:
    """Return the dtype of a floating tensor; raise for another one."""
    dtype = backend.dtype(x)
    if not is_floating(dtype):
        raise DtypeError(f"{op}: expected a floating tensor, got {dtype}; convert it with astype")
    return dtype


def _alike(backend: Backend, op: str, grad: Tensor, other: Tensor) -> None:
    # Primitives would broadcast unequal shapes. In some definitions no primitive takes both tensors, so none
    # would refuse unequal dtypes.
    first, second = backend.dtype(grad), backend.dtype(other)
    if first != second:
        raise unequal_dtypes(op, first, second)
    _floating(backend, op, grad)
    if backend.shape(grad) != backend.shape(other):
        raise gradient_shape_error(op, backend.shape(grad), backend.shape(other))


def _of_one_shape(backend: Backend, op: str, p: Tensor, t: Tensor) -> None:
    if backend.shape(p) != backend.shape(t):
        first, second = tuple(backend.shape(p)), tuple(backend.shape(t))
        raise ShapeError(f"{op}: expected p and t of equal shapes, got {first} and {second}")


def _names(cls: type) -> tuple[str, ...]:
    return tuple(n for n, member in vars(cls).items() if callable(member) and not n.startswith("_"))


@functools.cache
def _missing(cls: type[Backend]) -> list[str]:
    """Return the primitives that a class of backends does not implement."""
    return [op for op in PRIMITIVES if getattr(cls, op) is getattr(Primitives, op)]


_NOT_OPS = ("details", "leaf", "unrecorded")
PRIMITIVES: tuple[str, ...] = _names(Primitives)
DERIVED: tuple[str, ...] = tuple(n for n in _names(Backend) if n not in PRIMITIVES and n not in _NOT_OPS)

# torch's and numpy's names for ops become attributes of Backend. Reading one raises an error that gives
# Lamina's name. A `__getattr__` could do the same, but it would slow every attribute access.
for _name in OTHER_NAMES:
    setattr(Backend, _name, OtherName(_name))
