"""`normalize` and `normalize_grad`: their definitions in primitives, and the rule of their shapes."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import OptionError, ShapeError, gradient_shape_error
from .protocol import Shape, Tensor
from .shapes import axes_of

if TYPE_CHECKING:
    from .base import Backend

Axes = tuple[int, ...]


class Rule(NamedTuple):
    """The axes of a call, in order."""

    axes: Axes
    """Of a group: mean and deviation are over them."""
    shared: Axes
    """Those of a group along which the weight is the same."""
    inner: Axes
    """Those of a group along which it changes."""
    groups: Axes
    """Those of the groups along which it is the same: its gradient is summed over these and `shared`."""
    size: int
    """The elements of a group."""
    moments: Shape
    """The shape of mean and deviation."""


def rule(op: str, shape: Shape, axis: Any, weight: Shape | None, bias: Shape | None = None) -> Rule:
    """Return the rule of a call; raise unless axis, weight and bias fit a shape."""
    return _rule(op, shape, axes_of(axis, len(shape), op), weight, bias)


@functools.lru_cache(maxsize=1024)
def _rule(op: str, shape: Shape, axes: Axes, weight: Shape | None, bias: Shape | None) -> Rule:
    if bias is not None and weight is None:
        raise OptionError(f"{op}: expected a weight beside the bias, got None")
    for name, found in (("weight", weight), ("bias", bias)):
        if found is not None and (
            len(found) > len(shape)
            or any(n not in (1, m) for n, m in zip(found[::-1], shape[::-1], strict=False))
        ):
            raise ShapeError(
                f"{op}: expected {name} of a shape that broadcasts to x's {tuple(shape)}, got {tuple(found)}"
            )
    if bias is not None and bias != weight:
        raise ShapeError(
            f"{op}: expected a bias of the weight's shape {tuple(weight or ())}, got {tuple(bias)}"
        )
    own = (1,) * (len(shape) - len(weight or ())) + tuple(weight or ())
    return Rule(
        tuple(sorted(axes)),
        tuple(a for a in sorted(axes) if own[a] == 1),
        tuple(a for a in sorted(axes) if own[a] != 1),
        tuple(a for a, n in enumerate(own) if n == 1 and a not in axes),
        math.prod(shape[a] for a in axes),
        tuple(1 if a in axes else n for a, n in enumerate(shape)),
    )


def check_moments(op: str, shape: Shape, grad: Shape, wanted: Shape, mean: Shape, inverse: Shape) -> None:
    """Raise unless the gradient has x's shape, and the moments theirs."""
    if grad != shape:
        raise gradient_shape_error(op, grad, shape)
    for name, own in (("mean", mean), ("inverse", inverse)):
        if own != wanted:
            raise ShapeError(f"{op}: expected {name} of shape {tuple(wanted)}, got {tuple(own)}")


def normalized(
    b: Backend, x: Tensor, weight: Tensor | None, bias: Tensor | None, how: Rule, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, the mean and the inverse deviation."""
    mean = b.mean(x, axis=how.axes, keepdims=True)
    centred = b.subtract(x, mean)
    rest = b.mean(centred, axis=how.axes, keepdims=True)  # by so much the mean was rounded
    # No digit is lost: the mean of the squares is at least twice the other square, since differences from a
    # rounded mean are multiples of its last place, and `rest` is at most half of that.
    variance = b.subtract(b.mean(b.square(centred), axis=how.axes, keepdims=True), b.square(rest))
    centred = b.subtract(centred, rest, out=centred)
    inverse = factor = b.divide(1.0, b.sqrt(b.add(variance, epsilon)))
    if weight is not None and not how.inner:
        factor, weight = b.multiply(factor, weight), None  # small tensors, both
    y = b.multiply(centred, factor, out=centred)
    if weight is not None:
        y = b.multiply(y, weight, out=y)
    return (y if bias is None else b.add(y, bias, out=y)), mean, inverse


def normalized_grad(
    b: Backend,
    grad: Tensor,
    x: Tensor,
    mean: Tensor,
    inverse: Tensor,
    weight: Tensor | None,
    how: Rule,
    *,
    input_gradient: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of x, weight and bias.

    x̂ = s (x - mean), with s the inverse deviation and m elements in a group:
    dx̂ᵢ/dxⱼ = s (δᵢⱼ - 1/m - x̂ᵢ x̂ⱼ/m).
    So dL/dx = s (ĝ - Σ ĝ / m - x̂ Σ ĝ x̂ / m), where ĝ = g weight.
    """
    x_hat = b.subtract(x, mean)
    x_hat = b.subtract(x_hat, b.mean(x_hat, axis=how.axes, keepdims=True), out=x_hat)  # as in `centre`
    x_hat = b.multiply(x_hat, inverse, out=x_hat)
    total, product = grad, b.multiply(grad, x_hat)
    if how.shared:
        total = b.sum(total, axis=how.shared, keepdims=True)
        product = b.sum(product, axis=how.shared, keepdims=True)
    of_weight, of_bias = (
        None if weight is None else _of_affine(b, t, how, b.shape(weight)) for t in (product, total)
    )
    if not input_gradient:
        return None, of_weight, of_bias
    if how.inner and weight is not None:
        weighted = b.multiply(total, weight)
        grad = weighted if total is grad else b.multiply(grad, weight)
        total = b.sum(weighted, axis=how.inner, keepdims=True)
        product = b.sum(b.multiply(product, weight), axis=how.inner, keepdims=True)
    elif weight is not None:
        inverse = b.multiply(inverse, weight)
    m = float(how.size)
    along = b.multiply(x_hat, b.divide(product, m), out=x_hat)
    rest = b.subtract(grad, along, out=along)
    rest = b.subtract(rest, b.divide(total, m), out=rest)
    return b.multiply(rest, inverse, out=rest), of_weight, of_bias


def _of_affine(b: Backend, x: Tensor, how: Rule, shape: Shape) -> Tensor:
    """Return a sum over what shares a weight, in the weight's shape."""
    x = b.sum(x, axis=how.groups, keepdims=True) if how.groups else x
    return x if b.shape(x) == shape else b.reshape(x, shape)
