"""`Backend`: the base class of all backends, with the derived ops.

protocol.py declares the primitives. Each derived op has a *definition* made of primitives and other derived
ops. functions.py defines elementwise ops and activations; the other definitions are here. A backend may
override a derived op for speed; tests compare the override with the definition. If a derived op has no
derivative in the op table, `autodiff` records the ops of its definition.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, SupportsIndex, cast

from .errors import OptionError, ShapeError
from .functions import Functions, check_dtypes, check_floating
from .host import is_floating
from .loop import Loop
from .names import OTHER_NAMES, OtherName
from .normalize import check_moments, normalized, normalized_grad, rule
from .options import integer, number
from .protocol import Axis, Primitives, Run, Shape, Step, Tensor
from .shapes import axes_in, check_equal, check_linear, check_pool_grad, count, extents
from .windows import Window, check_window

VARIANCE_FLOOR = 9.999999960041972e-13
"""torch's lower bound on p (1 - p), the divisor in the gradient of binary cross-entropy.

The bound is 1e-12 rounded to float32. torch uses it for every dtype.
"""

Pair = tuple[Tensor, Tensor]
Triple = tuple[Tensor, Tensor, Tensor]


class _Nothing:
    """A context manager that does nothing. Its methods run in C, those of `nullcontext` in slower Python."""

    __enter__ = __exit__ = "".format  # takes any arguments and returns "", so errors are not suppressed


_NOTHING = cast(AbstractContextManager[None], _Nothing())


class Backend(Functions):
    """The base of every backend.

    A subclass must implement every primitive, except the four that have a default here: `synchronize`,
    `scope`, `session` and `compile`. It may override derived ops for speed.

    Parameters
    ----------
    device
        The device that holds the tensors, such as "cpu" or "cuda:0".
    dtype
        The default float dtype, "float32" or "float64".

    Raises
    ------
    OptionError
        If dtype is neither "float32" nor "float64".
    TypeError
        If the subclass lacks a primitive that has no default.

    """

    name: str = ""
    """The name of the implementation for `get_backend`, such as "numpy"."""
    scoped: bool = False
    """Whether `scope` has an effect. If it has none, `lamina.layers.named_scopes` skips it."""
    cache_size: int = 1 << 20
    """The assumed size of one core's cache in bytes. Ops and convolutions choose their block size by it."""
    _text: str = ""
    """The text from which `get_backend` made this raw backend; empty if the caller constructed it."""
    _reduced: tuple[Any, ...] = ()
    """What pickle stores: a function, and the arguments for which it returns this instance.

    Empty unless `get_backend` returns this instance each time it is asked for this backend.
    """

    tracing: bool = False
    """Whether the calling thread is tracing a step. While it does, ops are recorded and compute nothing."""

    def __init__(self, device: str = "cpu", dtype: str = "float32") -> None:
        if not is_floating(dtype):
            raise OptionError(f"{type(self).__name__}: expected dtype 'float32' or 'float64', got {dtype!r}")
        if missing := missing_primitives(type(self)):
            raise TypeError(f"{type(self).__name__} lacks the primitives {', '.join(missing)}")
        self.device = device
        self.default_dtype = dtype

    def __repr__(self) -> str:
        return f"<backend {self.spec} {self.default_dtype}>"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in OTHER_NAMES]

    def __deepcopy__(self, memo: object) -> Backend:
        # The copy of a model must keep this instance: backends are compared by identity, and a decorator
        # refuses the tensors of another instance.
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return self._reduced or super().__reduce_ex__(protocol)

    @property
    def spec(self) -> str:
        """The text to pass to `get_backend` for this backend."""
        # A subclass without its own `name` must not report its parent's name.
        name = vars(type(self)).get("name") or f"{type(self).__module__}:{type(self).__qualname__}"
        return self._text or (name if self.device == "cpu" else f"{name}:{self.device}")

    @property
    def raw(self) -> Backend:
        """The innermost backend of a stack of decorators; a backend without decorators returns itself."""
        return self

    def details(self) -> dict[str, str | int]:
        """Return facts for `lamina backends` and for reports.

        The default returns only the device. Lamina's own backends add the version of their library and the
        number of threads.
        """
        return {"device": self.device}

    # -- hooks, each with a default ------------------------------------------------------------------

    def synchronize(self) -> None:
        """Wait until every issued op is done.

        The default does nothing. It suits backends whose ops are done when they return.
        """

    def scope(self, name: str) -> AbstractContextManager[None]:
        """Return a context manager that tells decorators the name of the layer that runs inside it."""
        return _NOTHING

    def session(self) -> AbstractContextManager[None]:
        """Return a context manager to enter around each step; a backend may run the ops inside it faster."""
        return _NOTHING

    def compile(self, step: Step) -> Run:
        """Return a function that runs `step` on each batch of its data; the default loops in Python."""
        return Loop(self, step)

    def parts(self, x: Tensor, size: int) -> Iterable[Tensor]:
        """Return the rows of x (N, ...) in parts of `size`; the last part may have fewer."""
        rows, *others = self.shape(x)
        zeros = (0,) * len(others)
        for first in range(0, rows, size):
            yield self.slice(x, (first, *zeros), (min(first + size, rows), *others))

    def unrecorded(self) -> AbstractContextManager[None]:
        """Return a context manager inside which `autodiff` records nothing.

        Handwritten backward passes and optimizer steps run inside it.
        """
        return _NOTHING

    def leaf(self, cell: Tensor, owner: Any) -> None:
        """Tell `autodiff` that `cell` holds the value of the parameter `owner`.

        `autodiff` reads the gradient from `owner.grad` and adds to it through `owner.accumulate`.
        """

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
        """Return Σ x / n over the n elements along axis (int, tuple or None for all axes); NaN if n = 0."""
        check_floating(self, "mean", x)
        axis = axes_in("mean", axis, len(self.shape(x)))
        total = self.sum(x, axis=axis, keepdims=keepdims)
        return self.divide(total, float(count(self.shape(x), axis)))

    def centre(self, x: Tensor, *, axis: Axis = None) -> Pair:
        """Return (x - mean, mean) for floating x; the mean keeps the reduced axes with size 1.

        The mean is rounded: a float32 mean near 10⁴ is off by up to 5·10⁻⁴, and so is every difference. The
        mean of the differences is therefore subtracted from them. The returned mean is not corrected.
        """
        check_floating(self, "centre", x)
        axis = axes_in("centre", axis, len(self.shape(x)))
        mean = self.mean(x, axis=axis, keepdims=True)
        rest = self.subtract(x, mean)
        return self.subtract(rest, self.mean(rest, axis=axis, keepdims=True), out=rest), mean

    def var(self, x: Tensor, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """Return Σ (x - mean)² / (n - correction) over the n elements along axis.

        The result is NaN or infinity if n <= correction. The mean is computed before the squares: a formula
        that sums x and x² in one pass would lose digits when the mean is large.
        """
        check_floating(self, "var", x)
        axis = axes_in("var", axis, len(self.shape(x)))
        correction = number("var", "correction", correction)
        centred = self.subtract(x, self.mean(x, axis=axis, keepdims=True))
        total = self.sum(self.square(centred), axis=axis, keepdims=keepdims)
        return self.divide(total, max(count(self.shape(x), axis) - correction, 0.0))

    def normalize(
        self,
        x: Tensor,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        axis: Axis,
        epsilon: float,
    ) -> Triple:
        """Return (y, mean, inverse) with y = (x - mean) inverse weight + bias.

        Mean and inverse = 1 / √(variance + epsilon), by the biased variance, are over axis, and keep it with
        size 1. Weight and bias broadcast to x. A large mean costs no digits, as in `centre`.
        """
        dtype = check_floating(self, "normalize", x)
        own = [None if t is None else self.shape(t) for t in (weight, bias)]
        how = rule("normalize", self.shape(x), axis, *own)
        check_dtypes(self, "normalize", dtype, weight, bias)
        return normalized(self, x, weight, bias, how, number("normalize", "epsilon", epsilon, least=0))

    def normalize_grad(
        self,
        grad: Tensor,
        x: Tensor,
        mean: Tensor,
        inverse: Tensor,
        weight: Tensor | None = None,
        *,
        axis: Axis,
        input_gradient: bool = True,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of normalize's x, weight and bias.

        grad is the gradient of its y; mean and inverse are its own results for this x. The first gradient is
        None with input_gradient=False. Without a weight the others are None.
        """
        shape, dtype = self.shape(x), check_floating(self, "normalize_grad", x)
        how = rule("normalize_grad", shape, axis, None if weight is None else self.shape(weight))
        own = self.shape(grad), how.moments, self.shape(mean), self.shape(inverse)
        check_moments("normalize_grad", shape, *own)
        check_dtypes(self, "normalize_grad", dtype, grad, mean, inverse, weight)
        return normalized_grad(self, grad, x, mean, inverse, weight, how, input_gradient=input_gradient)

    # -- contractions, indices, random numbers ---------------------------------------------------

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return x weightᵀ + bias: x (N, ..., I), weight (O, I), bias (O,) or None -> (N, ..., O)."""
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

        grad (N, ..., O) is the gradient of linear's result, x (N, ..., I) its input. Both sums run over all
        axes except the last. With bias=False the second gradient is None. `out` is a pair: a tensor or None
        for each of the two gradients.
        """
        shape, grad_shape = self.shape(x), self.shape(grad)
        if shape[:-1] != grad_shape[:-1] or len(shape) < 2 or len(grad_shape) < 2:
            raise ShapeError(
                "linear_grad: expected grad (N, ..., O) and x (N, ..., I) with equal shapes except for the "
                f"last axis, got {tuple(grad_shape)} and {tuple(shape)}"
            )
        if len(shape) > 2:
            x = self.reshape(x, (-1, shape[-1]))
            grad = self.reshape(grad, (-1, grad_shape[-1]))
        weight_out, bias_out = out or (None, None)
        weight = self.matmul(self.permute_dims(grad, (1, 0)), x, out=weight_out)
        return weight, self.sum(grad, axis=0, out=bias_out) if bias else None

    def one_hot(self, indices: Tensor, num_classes: int, *, dtype: str | None = None) -> Tensor:
        """Return 1 at each index, 0 elsewhere: (*) int64 -> (*, num_classes).

        An index below 0 or above num_classes - 1 gives only zeros.
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
        """Return 1 with the given probability, else 0, in each place; seed, stream and step fix the draw."""
        probability = number("bernoulli", "probability", probability, least=0, most=1)
        shape = extents("bernoulli", shape)
        uniform = self.random(shape, seed=seed, stream=stream, step=step, dtype=dtype)
        return self.astype(self.less(uniform, probability), dtype or self.default_dtype)

    # -- pooling -------------------------------------------------------------------------------

    def max_pool(self, x: Tensor, window: Window) -> Pair:
        """Return each window's maximum and index: floating x (N, C, *size) -> two tensors (N, C, *counts).

        The index is the place of the maximum in its channel's image, counted from 0 in row-major order,
        without the padding. Padding is never the maximum. The first of equal maxima is chosen, and NaN counts
        as the largest value. A window that covers no place of the image (see `window.hollow`) gives -inf and
        the index -1.
        """
        check_window("max_pool", window)
        check_floating(self, "max_pool", x)
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
        """Return zeros (N, C, *size) with grad (N, C, *counts) added at the indices (N, C, *counts).

        With distinct=True the caller promises that no index occurs twice in one channel of one sample. A
        backend may rely on this promise; nothing checks it. With hollow=True an index may be -1, and its
        gradient is dropped.
        """
        size = check_pool_grad(self.shape(grad), self.shape(indices), size)
        if hollow:
            grad = self.where(self.less_equal(0, indices), grad, 0.0)
            indices = self.maximum(indices, 0)
        samples, channels, *counts = self.shape(grad)
        places, positions = math.prod(size), math.prod(counts)
        zeros = self.full((samples, channels, places), 0.0, dtype=self.dtype(grad))
        flat = (samples, channels, positions)
        indices = self.reshape(indices, flat)
        image = self.scatter_add(zeros, indices, self.reshape(grad, flat), axis=2, out=zeros)
        return self.reshape(image, (samples, channels, *size))

    # -- optimizer steps over a flat buffer ---------------------------------------------------------

    def sgd_step(
        self, parameter: Tensor, gradient: Tensor, learning_rate: float, *, out: Tensor | None = None
    ) -> Tensor:
        """Return parameter - learning_rate * gradient; `out` may be the parameter."""
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

            first = beta1 * first + (1 - beta1) * gradient
            second = beta2 * second + (1 - beta2) * gradient²
            update = (first / correction1) / (√(second / correction2) + epsilon)
            parameter = parameter - learning_rate * update

        At step t, counted from 1, correction1 is 1 - beta1^t and correction2 is 1 - beta2^t. `out` may be
        (parameter, first, second).
        """
        for tensor in (gradient, first, second):
            check_equal("adam_step", self.shape(parameter), self.shape(tensor))
        out_p, out_m, out_v = out or (None, None, None)
        first = self.add_scaled(self.multiply(first, beta1, out=out_m), gradient, 1.0 - beta1, out=out_m)
        decayed = self.multiply(second, beta2, out=out_v)
        second = self.add_scaled(decayed, self.square(gradient), 1.0 - beta2, out=out_v)
        # A multiplication: a division by a vector takes as long as all else that a compiled step does here.
        scaled = self.add(self.multiply(self.sqrt(second), 1.0 / correction2**0.5), epsilon)
        update = self.divide(first, scaled)
        return self.add_scaled(parameter, update, -learning_rate / correction1, out=out_p), first, second


def _of_one_shape(backend: Backend, op: str, p: Tensor, t: Tensor) -> None:
    """Raise ShapeError unless p and t have equal shapes."""
    if backend.shape(p) != backend.shape(t):
        first, second = tuple(backend.shape(p)), tuple(backend.shape(t))
        raise ShapeError(f"{op}: expected p and t of equal shapes, got {first} and {second}")


def _names(cls: type) -> tuple[str, ...]:
    """Return the names of a class's own public methods."""
    return tuple(n for n, member in vars(cls).items() if callable(member) and not n.startswith("_"))


@functools.cache
def missing_primitives(cls: type[Backend]) -> list[str]:
    """Return the primitives that a class of backends does not implement."""
    return [op for op in PRIMITIVES if getattr(cls, op) is getattr(Primitives, op)]


_NOT_OPS = ("details", "leaf", "parts", "unrecorded")
PRIMITIVES: tuple[str, ...] = _names(Primitives)
DERIVED: tuple[str, ...] = tuple(
    n for n in (*_names(Functions), *_names(Backend)) if n not in PRIMITIVES and n not in _NOT_OPS
)

# Other libraries' names for ops become attributes of Backend. Reading such an attribute raises an error that
# names the op to use. A `__getattr__` could do the same, but it would slow every attribute access down.
for _name in OTHER_NAMES:
    setattr(Backend, _name, OtherName(_name))
