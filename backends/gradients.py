"""Vector-Jacobian products: for an op y = f(x, ...), the gradient of each tensor argument from that of y.

A rule is a tuple with one function per tensor argument, in the order of the op table, or None for an
argument without a gradient (indices, conditions). Each is called with (backend, g, y, *arguments,
**options), g the gradient of y. It may return the gradient in y's broadcast shape: `pull_back` sums it to
the argument's shape. At kinks the rules give what torch gives: |x|' = 0, a tie of maximum half to each,
clip' = 1 at its bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .base import VARIANCE_FLOOR, Backend
from .protocol import Shape, Tensor, Widths
from .shapes import count, reduced

if TYPE_CHECKING:
    from .ops import Op

VJP = tuple[Callable[..., Any] | None, ...]
_BROADCASTING = ("binary", "select", "contract", "move")


def pull_back(
    op: Op,
    b: Backend,
    g: Any,
    y: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    wanted: Callable[[Any], bool],
) -> Iterator[tuple[Any, Any]]:
    """Yield (x, dL/dx) for each wanted tensor argument x of y = op(*args, **kwargs), from g = dL/dy."""
    assert op.vjp is not None
    broadcasts = op.kind in _BROADCASTING
    for position, rule in zip(op.positions, op.vjp, strict=True):
        x: Any = args[position] if position < len(args) else None
        if rule is None:
            continue
        if type(x) in (tuple, list):
            if any(map(wanted, x)):
                parts = rule(b, g, y, *args, **kwargs)
                yield from ((one, part) for one, part in zip(x, parts, strict=True) if wanted(one))
        elif wanted(x):
            part = rule(b, g, y, *args, **kwargs)
            yield x, unbroadcast(b, part, x) if broadcasts else part


def unbroadcast(b: Backend, g: Tensor, x: Tensor) -> Tensor:
    """Return g summed over the axes along which x was broadcast: the adjoint of broadcast_to."""
    shape, target = b.shape(g), b.shape(x)
    if shape == target:
        return g
    lead = len(shape) - len(target)
    stretched = tuple(lead + i for i, n in enumerate(target) if n == 1 and shape[lead + i] != 1)
    total = b.sum(g, axis=(*range(lead), *stretched))
    return b.reshape(total, target) if stretched else total


def _zeros(b: Backend, x: Tensor) -> Tensor:
    return b.full(b.shape(x), 0.0, dtype=b.dtype(x))


def _transposed(b: Backend, x: Tensor) -> Tensor:
    rank = len(b.shape(x))
    return b.permute_dims(x, (*range(rank - 2), rank - 1, rank - 2))


def _spread(b: Backend, g: Tensor, x: Tensor, axis: Any) -> Tensor:
    """Return the gradient of a reduction, repeated over the reduced axes."""
    shape = b.shape(x)
    return b.broadcast_to(b.reshape(g, reduced(shape, axis, True)), shape)


def _share_of_max(b: Backend, g: Tensor, y: Tensor, x: Tensor, axis: Any) -> Tensor:
    hit = b.equal(x, _spread(b, y, x, axis))
    ties = b.sum(b.astype(hit, b.dtype(x)), axis=axis, keepdims=True)
    return b.divide(b.where(hit, _spread(b, g, x, axis), 0.0), ties)


def _larger(b: Backend, g: Tensor, x: Any, y: Any) -> Tensor:
    """Return 0 where x < y, half of g where they tie, g elsewhere (also at NaN)."""
    tie = b.where(b.equal(x, y), b.multiply(g, 0.5), g)
    return b.where(b.greater(y, x), 0.0, tie)


def _pow_base(b: Backend, g: Tensor, out: Tensor, x: Any, y: Any) -> Tensor:
    """g y x^(y-1), and 0 where y = 0, also at x = 0."""
    slope = b.multiply(b.multiply(g, y), b.pow(x, b.subtract(y, 1.0) if not _is_scalar(y) else y - 1.0))
    if _is_scalar(y):
        return slope if y != 0 else _zeros(b, x)
    return b.where(b.equal(y, 0.0), 0.0, slope)


def _pow_exponent(b: Backend, g: Tensor, out: Tensor, x: Any, y: Tensor) -> Tensor:
    """g x^y ln x, and 0 where x = 0 and y >= 0."""
    if _is_scalar(x):
        x = b.full(b.shape(y), x, dtype=b.dtype(y))
    slope = b.multiply(g, b.multiply(out, b.log(x)))
    flat = b.where(b.equal(x, 0.0), b.less_equal(0.0, y), False)
    return b.where(flat, 0.0, slope)


def _cross_entropy_target(b: Backend, g: Tensor, y: Tensor, p: Tensor, t: Tensor) -> Tensor:
    """g (ln(1 - p) - ln p), each logarithm at least -100."""
    return b.multiply(g, b.subtract(b.maximum(b.log1p(b.negative(p)), -100.0), b.maximum(b.log(p), -100.0)))


def _slope_of_slope(b: Backend, g: Tensor, y: Tensor, p: Tensor, t: Tensor) -> Tensor:
    """g (p² - 2 p t + t) / ((p + ε)² (1 - p + ε)²), ε = 1e-12: torch's, finite at p = 0 and 1."""
    top = b.add(b.multiply(p, b.subtract(p, b.multiply(t, 2.0))), t)
    root = b.multiply(b.add(p, 1e-12), b.add(b.subtract(1.0, p), 1e-12))
    return b.multiply(g, b.divide(top, b.square(root)))


def _slope_target(b: Backend, g: Tensor, y: Tensor, p: Tensor, t: Tensor) -> Tensor:
    """-g / max(p (1 - p), 1e-12)."""
    return b.negative(b.divide(g, b.maximum(b.multiply(p, b.subtract(1.0, p)), VARIANCE_FLOOR)))


def _logsumexp(b: Backend, g: Tensor, y: Tensor, x: Tensor, axis: int) -> Tensor:
    """g e^(x - y), the softmax."""
    return b.multiply(_spread(b, g, x, axis), b.exp(b.subtract(x, _spread(b, y, x, axis))))


def _is_scalar(x: object) -> bool:
    return type(x) in (int, float)  # isinstance would take np.float64, which is a handle on numpy


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    rank = len(axes)
    forward = [axis % rank for axis in axes]
    return tuple(forward.index(i) for i in range(rank))


def _split(b: Backend, g: Tensor, tensors: Any, axis: int) -> list[Tensor]:
    parts, start = [], 0
    shape = b.shape(g)
    axis %= len(shape)
    for tensor in tensors:
        stop = start + b.shape(tensor)[axis]
        starts = tuple(start if i == axis else 0 for i in range(len(shape)))
        stops = tuple(stop if i == axis else n for i, n in enumerate(shape))
        parts.append(b.slice(g, starts, stops))
        start = stop
    return parts


def _rows(b: Backend, x: Tensor) -> Tensor:
    """Return x (..., n) as a matrix (rows, n)."""
    shape = b.shape(x)
    return x if len(shape) == 2 else b.reshape(x, (-1, shape[-1]))


def _unpad(b: Backend, g: Tensor, x: Tensor, widths: Widths) -> Tensor:
    starts = tuple(before for before, _ in widths)
    stops: Shape = tuple(s + n for s, n in zip(starts, b.shape(x), strict=True))
    return b.slice(g, starts, stops)


# fmt: off
VJPS: dict[str, VJP] = {
    "astype": (lambda b, g, y, x, dtype: b.astype(g, b.dtype(x)),),
    "copy": (lambda b, g, y, x: g,),
    "negative": (lambda b, g, y, x: b.negative(g),),
    "abs": (lambda b, g, y, x: b.multiply(g, b.sign(x)),),
    "exp": (lambda b, g, y, x: b.multiply(g, y),),
    "log": (lambda b, g, y, x: b.divide(g, x),),
    "log1p": (lambda b, g, y, x: b.divide(g, b.add(x, 1.0)),),
    "sqrt": (lambda b, g, y, x: b.divide(g, b.multiply(y, 2.0)),),
    "tanh": (lambda b, g, y, x: b.multiply(g, b.subtract(1.0, b.multiply(y, y))),),
    "add": (lambda b, g, out, x, y: g,
            lambda b, g, out, x, y: g),
    "subtract": (lambda b, g, out, x, y: g,
                 lambda b, g, out, x, y: b.negative(g)),
    "multiply": (lambda b, g, out, x, y: b.multiply(g, y),
                 lambda b, g, out, x, y: b.multiply(g, x)),
    "divide": (lambda b, g, out, x, y: b.divide(g, y),
               lambda b, g, out, x, y: b.negative(b.divide(b.multiply(g, out), y))),
    "pow": (_pow_base, _pow_exponent),
    "maximum": (lambda b, g, out, x, y: _larger(b, g, x, y),
                lambda b, g, out, x, y: _larger(b, g, y, x)),
    "minimum": (lambda b, g, out, x, y: _larger(b, g, y, x),
                lambda b, g, out, x, y: _larger(b, g, x, y)),
    "where": (None,
              lambda b, g, out, condition, x, y: b.where(condition, g, 0.0),
              lambda b, g, out, condition, x, y: b.where(condition, 0.0, g)),
    "sum": (lambda b, g, y, x, *, axis=None, keepdims=False: _spread(b, g, x, axis),),
    "max": (lambda b, g, y, x, *, axis=None, keepdims=False: _share_of_max(b, g, y, x, axis),),
    "matmul": (lambda b, g, out, x, y: b.matmul(g, _transposed(b, y)),
               lambda b, g, out, x, y: b.matmul(_transposed(b, x), g)),
    "reshape": (lambda b, g, y, x, shape: b.reshape(g, b.shape(x)),),
    "permute_dims": (lambda b, g, y, x, axes: b.permute_dims(g, _inverse(axes)),),
    "broadcast_to": (lambda b, g, y, x, shape: g,),
    "concat": (lambda b, g, y, tensors, *, axis=0: _split(b, g, tensors, axis),),
    "pad": (lambda b, g, y, x, widths, *, value=0.0: _unpad(b, g, x, widths),),
    "slice": (lambda b, g, y, x, starts, stops, *, steps=None:
              b.slice_add(_zeros(b, x), g, starts, stops, steps=steps),),
    "slice_add": (lambda b, g, y, x, values, starts, stops, *, steps=None: g,
                  lambda b, g, y, x, values, starts, stops, *, steps=None:
                  b.slice(g, starts, stops, steps=steps)),
    "take": (lambda b, g, y, x, indices, *, axis: b.index_add(_zeros(b, x), indices, g, axis=axis), None),
    "index_add": (lambda b, g, y, x, indices, values, *, axis: g, None,
                  lambda b, g, y, x, indices, values, *, axis: b.take(g, indices, axis=axis)),
    "take_along_axis": (lambda b, g, y, x, indices, *, axis:
                        b.scatter_add(_zeros(b, x), indices, g, axis=axis), None),
    "scatter_add": (lambda b, g, y, x, indices, values, *, axis: g, None,
                    lambda b, g, y, x, indices, values, *, axis: b.take_along_axis(g, indices, axis=axis)),
    "unfold": (lambda b, g, y, x, window: b.fold(g, window),),
    "fold": (lambda b, g, y, columns, window: b.unfold(g, window),),
    # Derived ops whose definition has a kink (max, abs, where), which the op itself need not have, and the
    # most frequent ones; the others are lowered.
    "square": (lambda b, g, y, x: b.multiply(b.multiply(g, x), 2.0),),
    "mean": (lambda b, g, y, x, *, axis=None, keepdims=False:
             _spread(b, b.divide(g, float(count(b.shape(x), axis))), x, axis),),
    "linear": (lambda b, g, y, x, weight, bias=None: b.matmul(g, weight),
               lambda b, g, y, x, weight, bias=None:
               b.matmul(b.permute_dims(_rows(b, g), (1, 0)), _rows(b, x)),
               lambda b, g, y, x, weight, bias: b.sum(_rows(b, g), axis=0)),
    "clip": (lambda b, g, y, x, low, high:
             b.where(b.less_equal(low, x), b.where(b.less_equal(x, high), g, 0.0), 0.0),),
    "erf": (lambda b, g, y, x:
            b.multiply(g, b.multiply(b.exp(b.negative(b.square(x))), 2.0 / math.sqrt(math.pi))),),
    "binary_cross_entropy": (lambda b, g, y, p, t: b.multiply(g, b.binary_cross_entropy_slope(p, t)),
                             _cross_entropy_target),
    "binary_cross_entropy_slope": (_slope_of_slope, _slope_target),
    "expm1": (lambda b, g, y, x: b.multiply(g, b.add(y, 1.0)),),
    "sigmoid": (lambda b, g, y, x: b.sigmoid_grad(g, y),),
    "softplus": (lambda b, g, y, x: b.multiply(g, b.sigmoid(x)),),
    "softmax": (lambda b, g, y, x, *, axis: b.softmax_grad(g, y, axis=axis),),
    # Where the sum is 0, as in a row of a loss that does not count, y may be NaN.
    "log_softmax": (lambda b, g, y, x, *, axis:
                    b.subtract(g, b.exp_scaled(y, b.sum(g, axis=axis, keepdims=True))),),
    "exp_scaled": (lambda b, g, y, x, scale: b.multiply(g, y),
                   lambda b, g, y, x, scale: unbroadcast(b, b.multiply(g, b.exp(x)), scale)),
    "logsumexp": (lambda b, g, y, x, *, axis, keepdims=False: _logsumexp(b, g, y, x, axis),),
    "relu": (lambda b, g, y, x: b.relu_grad(g, y),),
    "leaky_relu": (lambda b, g, y, x, negative_slope: b.leaky_relu_grad(g, x, negative_slope),),
}
# fmt: on
