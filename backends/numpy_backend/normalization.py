"""Normalisation in numpy: the sums of a group are products with ones, and few passes go over the elements.

A large array is cut along a kept axis into pieces that stay in cache.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from typing_extensions import override

from ..base import Backend
from ..normalize import rule
from ..options import number
from ..protocol import Axis, Shape
from ..quiet import quiet
from .handles import Array
from .pieces import EXACT_SUM, ONES, PIECE, long_sum

_ndarray = np.ndarray
_add_reduce: Any = np.add.reduce
_SIDE = 16
"""The fewest elements side by side in a group whose sum is a product with ones."""
_LONGEST = 1024
"""The most terms of such a product: it adds up some 32 sums beside each other."""
_ALONE = 1 << 13
"""The fewest elements of a group that is a piece by itself: numpy takes a third of the time with one factor
for all as with one for each row."""


class Plan(NamedTuple):
    """How a call is computed: its axes joined to as few as possible, with the rule's names."""

    shape: Shape
    weight: Shape
    axes: tuple[int, ...]
    shared: tuple[int, ...]
    inner: tuple[int, ...]
    groups: tuple[int, ...]
    size: int
    moments: Shape
    cut: int
    step: int
    """The axis that is cut, and the extent of a piece along it."""

    @property
    def whole(self) -> bool:
        """Whether all is one piece."""
        return self.step == self.shape[self.cut]

    @property
    def rows(self) -> bool:
        """Whether groups are rows, with a weight for each column."""
        return bool(self.inner) and not self.shared

    def pieces(self) -> Iterator[tuple[slice, ...]]:
        """Yield the index of each piece of x."""
        before = (slice(None),) * self.cut
        for start in range(0, self.shape[self.cut], self.step):
            yield (*before, slice(start, start + self.step))


class NumpyNormalization(Backend):
    """The overrides."""

    @override
    def normalize(
        self, x: Array, weight: Array = None, bias: Array = None, *, axis: Axis, epsilon: float
    ) -> Any:
        if not _alike(x, weight, bias):
            return super().normalize(x, weight, bias, axis=axis, epsilon=epsilon)
        own = (None if t is None else t.shape for t in (weight, bias))
        how = rule("normalize", x.shape, axis, *own)
        plan = _plan(x.shape, how.axes, None if weight is None else weight.shape)
        if plan is None:
            return super().normalize(x, weight, bias, axis=axis, epsilon=epsilon)
        epsilon = number("normalize", "epsilon", epsilon, least=0)
        source = x.reshape(plan.shape)
        w, b = (None if t is None else t.reshape(plan.weight) for t in (weight, bias))
        with quiet():
            if plan.whole:
                found = _normalize(plan, source, w, b, epsilon)
            else:
                found = np.empty_like(source), *np.empty((2, *plan.moments), x.dtype)
                for part in plan.pieces():
                    ws, bs = (t if t is None or t.shape[plan.cut] == 1 else t[part] for t in (w, b))
                    y, *places = (t[part] for t in found)
                    moments = _normalize(plan, source[part], ws, bs, epsilon, y)[1:]
                    for place, value in zip(places, moments, strict=True):
                        place[...] = value
        y, mean, inverse = found
        return y.reshape(x.shape), mean.reshape(how.moments), inverse.reshape(how.moments)

    @override
    def normalize_grad(
        self,
        grad: Array,
        x: Array,
        mean: Array,
        inverse: Array,
        weight: Array = None,
        *,
        axis: Axis,
        input_gradient: bool = True,
    ) -> Any:
        plan = None
        if _alike(x, grad, mean, inverse, weight) and grad.shape == x.shape:
            own = None if weight is None else weight.shape
            how = rule("normalize_grad", x.shape, axis, own)
            if mean.shape == inverse.shape == how.moments:
                plan = _plan(x.shape, how.axes, own)
        if plan is None:
            return super().normalize_grad(
                grad, x, mean, inverse, weight, axis=axis, input_gradient=input_gradient
            )
        g, source = grad.reshape(plan.shape), x.reshape(plan.shape)
        m, i = mean.reshape(plan.moments), inverse.reshape(plan.moments)
        w = None if weight is None else weight.reshape(plan.weight)
        dx: Any = np.empty_like(source) if input_gradient else None
        with quiet():
            if plan.whole:
                of_weight, of_bias = _normalize_grad(plan, g, source, m, i, w, dx)
            else:
                cut = plan.weight[plan.cut] != 1
                of_weight, of_bias = of_affine = np.zeros((2, *plan.weight))
                for part in plan.pieces():
                    ws = w[part] if cut and w is not None else w
                    place = None if dx is None else dx[part]
                    found = _normalize_grad(plan, g[part], source[part], m[part], i[part], ws, place)
                    for total, value in zip(of_affine, found, strict=True):
                        if value is not None:
                            sums = total[part] if cut else total
                            sums += value
        dx = None if dx is None else dx.reshape(x.shape)
        if weight is None:
            return dx, None, None
        return dx, *(t.astype(x.dtype, copy=False).reshape(weight.shape) for t in (of_weight, of_bias))


def _alike(x: Array, *others: Array) -> bool:
    """Return whether all are floating arrays of one dtype in row-major order; others may be None."""
    if type(x) is not _ndarray or x.dtype.kind != "f":
        return False
    return x.flags.c_contiguous and all(
        t is None or (type(t) is _ndarray and t.dtype is x.dtype and t.flags.c_contiguous) for t in others
    )


@functools.lru_cache(maxsize=1024)
def _plan(shape: Shape, axes: tuple[int, ...], weight: Shape | None) -> Plan | None:
    """Return how a call is computed; None if the definition serves as well."""
    own = (1,) * (len(shape) - len(weight or ())) + tuple(weight or ())
    kinds: list[tuple[bool, bool]] = []
    extents: list[int] = []
    for a, n in enumerate(shape):
        kind = (a in axes, own[a] != 1)
        if n != 1 and kinds and kinds[-1] == kind:
            extents[-1] *= n
        elif n != 1:
            kinds.append(kind)
            extents.append(n)
    kept = [i for i, (grouped, _) in enumerate(kinds) if not grouped]
    total, groups = math.prod(extents), math.prod(extents[i] for i in kept)
    if not kept or total in (0, groups):
        return None
    found = tuple(extents)
    spread = tuple(n if other else 1 for n, (_, other) in zip(extents, kinds, strict=True))
    how = rule("normalize", found, tuple(i for i in range(len(found)) if i not in kept), spread)
    if how.inner and not how.shared and (len(found) != 2 or how.axes != (1,)):
        return None
    cut = kept[0]
    step = found[cut]
    if total > PIECE:
        if how.axes[-1] != len(found) - 1 or found[-1] < _SIDE:
            return None
        each = total // found[cut]
        step = 1 if each >= _ALONE else max(PIECE // each, 1)
    return Plan(found, spread, *how, cut, step)


# -- one piece ---------------------------------------------------------------------------------------


def _normalize(
    plan: Plan, x: Array, weight: Array, bias: Array, epsilon: float, y: Array = None
) -> tuple[Array, Array, Array]:
    """Return y, which may have a place, the mean and the inverse deviation."""
    axes, n, kind = plan.axes, plan.size, x.dtype
    x, place = _beside(x)
    mean = (_sums(x, axes) / n).astype(kind, copy=False)
    centred, rest = _centred(plan, x, mean, place)
    inverse = 1.0 / np.sqrt(_products(centred, centred, axes) / n + epsilon)
    y = centred if y is None else y
    factor = inverse if weight is None or plan.rows else inverse * weight
    np.multiply(centred, factor.astype(kind, copy=False), y if bias is None and not plan.rows else centred)
    if plan.rows:
        np.multiply(centred, weight, y if bias is None else centred)
    if bias is not None:
        np.add(centred, bias, y)
    return y, (mean + rest).astype(kind, copy=False), inverse.astype(kind, copy=False)


def _centred(plan: Plan, x: Array, mean: Array, place: Array) -> tuple[Array, Array]:
    """Return x less its mean, and by how much the rounded mean was off."""
    centred = np.subtract(x, mean, place)
    rest = _sums(centred, plan.axes) / plan.size
    return np.subtract(centred, rest.astype(x.dtype, copy=False), centred), rest


def _normalize_grad(
    plan: Plan, g: Array, x: Array, mean: Array, inverse: Array, weight: Array, dx: Array
) -> tuple[Array, Array]:
    """Return the gradients of weight and bias, and write that of x to `dx`, if it is wanted."""
    n, kind = plan.size, x.dtype
    (x, place), (g, scratch) = _beside(x), _beside(g)
    centred, _ = _centred(plan, x, mean, place)
    if plan.rows:
        return _rows_grad(g, np.multiply(centred, inverse, centred), inverse, weight, dx)
    total, product = _sums(g, plan.shared), _products(g, centred, plan.shared) * inverse
    of_weight = of_bias = None
    scale = inverse
    if weight is not None:
        of_weight, of_bias = product, total
        if plan.groups:
            of_weight, of_bias = _added(product, plan.groups), _added(total, plan.groups)
        total, product, scale = total * weight, product * weight, inverse * weight
    if dx is None:
        return of_weight, of_bias
    if plan.inner:
        total, product = _added(total, plan.inner), _added(product, plan.inner)
    along, shift = inverse * (inverse * product) / n, inverse * total / n
    np.multiply(centred, along.astype(kind, copy=False), centred)
    np.add(centred, shift.astype(kind, copy=False), centred)
    np.subtract(np.multiply(g, scale, scratch), centred, dx)
    return of_weight, of_bias


def _rows_grad(g: Array, x_hat: Array, inverse: Array, weight: Array, dx: Array) -> tuple[Array, Array]:
    """The same for groups that are rows, with a weight for each column."""
    n = x_hat.shape[1]
    products = np.multiply(g, x_hat, dx)
    of_weight, of_bias = _added_rows(products), _added_rows(g)
    if dx is None:
        return of_weight, of_bias
    product, total = (np.dot(t, weight.reshape(-1))[:, None] / n for t in (products, g))
    np.multiply(x_hat, product, x_hat)
    np.add(x_hat, total, x_hat)
    np.multiply(g, weight, dx)
    np.subtract(dx, x_hat, dx)
    np.multiply(dx, inverse, dx)
    return of_weight, of_bias


def _beside(x: Array) -> tuple[Array, Array]:
    """Return a piece in one place of memory, and that place if it is a copy's, to be written.

    The rows of a channel often lie a power of two apart, and few such rows fit a cache at a time.
    """
    if x.flags.c_contiguous:
        return x, None
    copy = x.copy()
    return copy, copy


def _parts(x: Array) -> Array:
    """Return x with its last axis cut into equal parts, if float32 sums along it would be long."""
    n = x.shape[-1]
    if n <= _LONGEST or x.dtype.char != "f":
        return x
    return x.reshape(*x.shape[:-1], -1, _part(n))


@functools.lru_cache(maxsize=256)
def _part(n: int) -> int:
    return next((d for d in range(_LONGEST, _SIDE, -1) if n % d == 0), n)


@functools.lru_cache(maxsize=256)
def _ones(n: int, kind: str) -> Array:
    return ONES[kind][n] if n <= EXACT_SUM else np.ones(n, kind)


def _sums(x: Array, axes: tuple[int, ...]) -> Array:
    """Return the sums over some axes, which keep size 1; long ones in float64."""
    n = x.shape[-1]
    if axes[-1] != x.ndim - 1 or n < _SIDE:
        if math.prod(x.shape[a] for a in axes) <= EXACT_SUM:
            return _add_reduce(x, axes, None, None, True)
        return long_sum(x, axes, True) if x.dtype.char == "f" else _add_reduce(x, axes, None, None, True)
    parts = _parts(x)
    return _rest(x, np.matmul(parts, _ones(parts.shape[-1], x.dtype.char)), axes)


def _products(x: Array, y: Array, axes: tuple[int, ...]) -> Array:
    """Return the sums of x y."""
    if axes[-1] != x.ndim - 1 or x.shape[-1] < _SIDE:
        return _sums(np.multiply(x, y), axes)
    return _rest(x, np.vecdot(_parts(x), _parts(y)), axes)


def _rest(x: Array, sums: Array, axes: tuple[int, ...]) -> Array:
    """Add up the sums along the last axis of x over the other axes."""
    if len(axes) == 1 and sums.ndim == x.ndim - 1:
        return sums[..., None]
    return _added(sums.reshape(*x.shape[:-1], -1), axes)


def _added(x: Array, axes: tuple[int, ...]) -> Array:
    return _add_reduce(x, axes, np.float64, None, True)


def _added_rows(x: Array) -> Array:
    """Return the sum of a matrix's rows, in float64 if there are many."""
    if len(x) <= EXACT_SUM:
        return np.dot(_ones(len(x), x.dtype.char), x)
    return long_sum(x, 0, False) if x.dtype.char == "f" else _add_reduce(x, 0)
