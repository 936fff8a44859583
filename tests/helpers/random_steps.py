"""Random steps: Python code that calls random ops on random tensors and cells, the same at each run.

A step of a seed runs on any backend, eagerly or traced: what it does next depends on shapes and dtypes alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lamina.backends.host import Host
from lamina.backends.meta import Meta


def inputs(dtype: str = "float64", width: int = 5) -> tuple[Meta, ...]:
    """Return the shapes and dtypes of the batch."""
    return Meta((7, 3), dtype), Meta((7, width), dtype), Meta((7,), "int64")


INPUTS = inputs()
NUMBERS = {"lr": 0.25, "c": 1.5}


class RandomStep:
    """A step of `length` calls, drawn from a seed.

    Parameters
    ----------
    b
        The backend that it calls.
    sums
        Whether it may sum a flat buffer, the one thing that a pass computes in another order.
    width
        The columns of the weights: those of more than half a vector are padded.

    """

    def __init__(
        self,
        b: Any,
        seed: int,
        length: int,
        *,
        sums: bool = False,
        dtype: str = "float64",
        width: int = 5,
    ) -> None:
        self.b, self.seed, self.length, self.sums = b, seed, length, sums
        self.dtype, self.width, self.inputs = dtype, width, inputs(dtype, width)
        self.flats: list[Any] = []
        self.views: list[dict[str, Any]] = []
        # Parameters and gradients have shared, odd and empty views.
        own: Any = {"w": (3, width), "b": (width,), "s": (), "u": (width, 3), "none": (0, 2)}
        self.size = size = 7 * width + 1
        halves = {"halves": (size // 2,), "rest": (size - size // 2,)}
        for shapes in (own, own, {"all": (size,)}, halves):
            flat, views = b.cells(shapes)
            self.flats.append(flat)
            self.views.append(views)
        self.count, self.counts = b.cells({"step": (), "seen": (3,)}, dtype="int64")
        self.mark, self.marks = b.cells({"any": (), "each": (width,)}, dtype="bool")
        source = np.random.default_rng(seed)
        for flat in self.flats:
            b.assign(flat, b.from_host(self._numbers(source, size)))
        self.data = [
            source.integers(0, 3, m.shape) if m.dtype == "int64" else self._numbers(source, *m.shape)
            for m in self.inputs
        ]

    def _numbers(self, source: np.random.Generator, *shape: int) -> Host:
        """Return numbers with a NaN, an infinity or a -0 among them, in one step of three."""
        x = np.asarray(source.standard_normal(shape), self.dtype)
        if self.seed % 3 == 0 and x.size:
            x.reshape(-1)[source.integers(x.size)] = [np.nan, np.inf, -np.inf, -0.0][source.integers(4)]
        return x

    def tensors(self) -> list[Any]:
        """Return the batch."""
        return [self.b.from_host(x) for x in self.data]

    def state(self) -> list[Host]:
        """Return what the cells hold."""
        return [self.b.to_host(flat) for flat in (*self.flats, self.count, self.mark)]

    def restore(self, state: list[Host]) -> None:
        """Set what the cells hold."""
        for flat, before in zip((*self.flats, self.count, self.mark), state, strict=True):
            self.b.assign(flat, self.b.from_host(before, dtype=before.dtype.name))

    def __call__(self, batch: tuple[Any, ...], numbers: Mapping[str, Any]) -> tuple[Any, ...]:
        run = _Run(self, batch, numbers)
        for place in range(self.length):
            with self.b.scope(f"part{place // 4}"):
                run.take_one()
        chosen = [x for x in run.floats if run.source.random() < 0.3]
        return (*chosen[:4], run.floats[-1])


class _Run:
    def __init__(self, step: RandomStep, batch: tuple[Any, ...], numbers: Mapping[str, Any]) -> None:
        self.step, self.b, self.numbers = step, step.b, numbers
        self.source = random.Random(step.seed)
        self.floats: list[Any] = list(batch[:2])
        self.rows = batch[2]

    def take_one(self) -> None:
        """Make one call."""
        kinds = [self.unary, self.binary, self.choose, self.move, self.move, self.reduce, self.product]
        kinds += [
            self.load,
            self.load,
            self.store,
            self.store,
            self.update,
            self.update,
            self.derived,
            self.other,
            self.count,
        ]
        self.source.choice(kinds)()

    # -- choices ---------------------------------------------------------------------------------------

    def pick(self, fits: Callable[[tuple[int, ...]], bool] = lambda shape: True) -> Any:
        """Return one of the floats of a shape that fits, or None."""
        found = [x for x in self.floats if fits(self.b.shape(x))]
        # Late ones more often: chains make views of views, and loads of what was just stored.
        return found[-1 - int(self.source.random() ** 2 * len(found))] if found else None

    def keep(self, x: Any) -> None:
        if self.b.dtype(x) == self.step.dtype and np.prod(self.b.shape(x)) < 3000:
            self.floats.append(x)

    def like(self, x: Any) -> Any:
        """Return a tensor or a number that broadcasts with x."""
        shape = self.b.shape(x)

        def fits(other: tuple[int, ...]) -> bool:
            pairs = zip(reversed(shape), reversed(other), strict=False)
            return all(n == m or 1 in (n, m) for n, m in pairs)

        number = self.source.choice([0.5, -1.0, 1.0, 0.0, self.numbers["lr"] * 2, 1 / self.numbers["c"]])
        return self.pick(fits) if self.source.random() < 0.6 else number

    # -- kinds of calls --------------------------------------------------------------------------------

    def unary(self) -> None:
        op = self.source.choice(["negative", "abs", "sign", "tanh", "copy", "square"])
        self.keep(getattr(self.b, op)(self.pick()))

    def binary(self) -> None:
        op = self.source.choice(["add", "subtract", "multiply", "divide", "maximum", "minimum"])
        x = self.pick()
        y = self.like(x)
        pair = (x, y) if self.source.random() < 0.8 else (y, x)
        self.keep(getattr(self.b, op)(*pair))

    def choose(self) -> None:
        x = self.pick()
        condition = getattr(self.b, self.source.choice(["greater", "less_equal", "equal"]))(x, self.like(x))
        if self.source.random() < 0.3:
            condition = self.b.logical_not(condition)
        self.keep(self.b.where(condition, x, self.like(condition)))
        self.keep(self.b.astype(condition, self.step.dtype))

    def move(self) -> None:
        b, source, x = self.b, self.source, self.pick()
        shape, size = b.shape(x), int(np.prod(b.shape(x)))
        kind = source.choice(["reshape", "permute", "slice", "broadcast", "concat", "pad"])
        if kind == "reshape":
            splits = [n for n in range(1, size + 1) if size % n == 0] or [1]
            first = source.choice(splits)
            x = b.reshape(
                x, source.choice([(size,), (first, -1) if size else (0, 1), (1, *shape), (*shape, 1)])
            )
        elif kind == "permute":
            x = b.permute_dims(x, tuple(source.sample(range(len(shape)), len(shape))))
        elif kind == "slice":
            starts = tuple(source.randint(0, n) for n in shape)
            stops = tuple(source.randint(a, n) for a, n in zip(starts, shape, strict=True))
            x = b.slice(x, starts, stops, steps=tuple(source.randint(1, 3) for _ in shape))
        elif kind == "broadcast":
            x = b.broadcast_to(
                x, (source.randint(1, 3), *(source.choice([1, 2]) if n == 1 else n for n in shape))
            )
        elif kind == "concat" and shape:
            axis = source.randrange(len(shape))
            x = b.concat([x, *[x] * source.randint(0, 1)], axis=axis)
        elif kind == "pad":
            x = b.pad(x, tuple((source.randint(0, 1), 0) for _ in shape), value=source.choice([0.0, -1.5]))
        self.keep(x)

    def reduce(self) -> None:
        x = self.pick(lambda shape: 0 not in shape and (self.step.sums or shape != (self.step.size,)))
        if x is None:
            return
        rank = len(self.b.shape(x))
        axis = self.source.choice([None, *range(rank)])
        op = self.source.choice(["sum", "max"])
        self.keep(getattr(self.b, op)(x, axis=axis, keepdims=self.source.random() < 0.4))

    def product(self) -> None:
        x = self.pick(lambda shape: len(shape) >= 2)
        k = self.b.shape(x)[-1]
        y = self.pick(lambda shape: len(shape) == 2 and k in shape)
        if y is not None:
            y = y if self.b.shape(y)[0] == k else self.b.permute_dims(y, (1, 0))
            self.keep(self.b.tanh(self.b.matmul(x, y)))

    def load(self) -> None:
        """Read a cell: before and after it is stored, as a view, as a part of its buffer, or whole."""
        buffer = self.source.randrange(len(self.step.flats))
        views = self.step.views[buffer]
        cell = self.source.choice([self.step.flats[buffer], *views.values(), *views.values()])
        self.keep(self.b.multiply(cell, self.source.choice([1.0, 2.0])))

    def store(self) -> None:
        """Assign to a view or a buffer a value of any origin, or one cell to another."""
        buffer = self.source.randrange(len(self.step.flats))
        flat, views = self.step.flats[buffer], self.step.views[buffer]
        cell = self.source.choice([*views.values(), *views.values(), flat])
        shape = self.b.shape(cell)
        value = self.pick(lambda other: other == shape)
        if value is None:
            value = self.pick(lambda other: int(np.prod(other)) == int(np.prod(shape)))
            if value is None:
                small = self.pick(lambda other: other == ())
                small = self.b.full((), 0.75) if small is None else small
                value = self.b.broadcast_to(small, shape)
            value = self.b.reshape(value, shape)
        if self.source.random() < 0.1:
            twins = [v[n] for v in self.step.views for n in v if self.b.shape(v[n]) == shape]
            value = self.source.choice([*twins, value])
        self.b.assign(cell, value)

    def update(self) -> None:
        """Run an optimizer over whole buffers."""
        b, lr = self.b, self.numbers["lr"]
        p, g, m, v = self.source.sample(self.step.flats, 4)
        kind = self.source.choice(["sgd", "adam", "momentum", "clip", "norm", "mixed"])
        if kind == "sgd":
            b.assign(p, b.sgd_step(p, g, lr, out=p))
        elif kind == "adam":
            v = b.square(v)
            c = 1 / self.numbers["c"]
            options: Any = {"beta1": 0.5, "beta2": 0.25, "epsilon": 1e-8, "correction1": c, "correction2": c}
            new, first, _ = b.adam_step(p, g, m, v, learning_rate=lr, **options)
            b.assign(p, new)
            b.assign(m, first)
        elif kind == "momentum":
            m2 = b.add_scaled(b.multiply(m, 0.5, out=m), g, 1.0 - lr, out=m)
            b.assign(m, m2)
            b.assign(p, b.add_scaled(p, m2, -lr))
        elif kind == "clip":
            b.assign(g, b.clip(g, -0.5, 0.5))
            self.keep(b.copy(b.reshape(b.slice(g, (3,), (36,), steps=(3,)), (11, 1))))
        elif kind == "norm" and self.step.sums:
            norm = b.sqrt(b.sum(b.square(g)))
            b.assign(g, b.multiply(g, b.minimum(b.divide(1.0, b.add(norm, 1e-6)), 1.0)))
        elif kind == "mixed":
            flat = self.pick(lambda shape: shape == (self.step.size,))
            if flat is not None:
                b.assign(p, b.where(b.greater(flat, g), b.multiply(flat, 0.5), p))
            self.keep(b.subtract(g, b.full((self.step.size,), 0.25)))

    def derived(self) -> None:
        b, x = self.b, self.pick(lambda shape: len(shape) >= 2 and 0 not in shape)
        kind = self.source.choice(["relu", "softmax", "linear", "centre", "logsumexp", "linear_grad"])
        if kind == "linear":
            view = self.source.choice(self.step.views[:2])
            inside = b.shape(x)[-1]
            weight = {3: "u", self.step.width: "w"}.get(inside)
            if weight is not None:
                self.keep(b.linear(x, view[weight], view["b"] if weight == "u" else None))
        elif kind == "linear_grad":
            weight, bias = b.linear_grad(x, b.tanh(x), bias=self.source.random() < 0.5)
            self.keep(weight if bias is None else b.add(weight, b.sum(bias)))
        elif kind == "centre":
            self.keep(b.centre(x, axis=0)[0])
        elif kind == "relu":
            self.keep(b.relu_grad(x, b.relu(x)))
        else:
            self.keep(getattr(b, kind)(x, axis=-1))

    def count(self) -> None:
        """Move counters and marks: cells of whole numbers and of bools."""
        b, counts, marks = self.b, self.step.counts, self.step.marks
        kind = self.source.choice(["step", "seen", "each", "any", "draw", "read"])
        if kind == "step":
            b.assign(counts["step"], b.add(counts["step"], 1))
        elif kind == "seen":
            ones = b.full((7,), 1, dtype="int64")
            b.assign(counts["seen"], b.index_add(counts["seen"], self.rows, ones, axis=0))
        elif kind == "each":
            x = self.pick(lambda shape: shape == (self.step.width,))
            if x is not None:
                b.assign(marks["each"], b.greater(x, 0.0))
            self.keep(b.where(marks["each"], 2.0, self.step.views[0]["b"]))
        elif kind == "any":
            b.assign(marks["any"], b.less_equal(self.step.views[1]["s"], self.numbers["lr"]))
            self.keep(b.astype(b.logical_not(marks["any"]), self.step.dtype))
        elif kind == "draw":
            self.keep(b.random((7, self.step.width), seed=2, stream=1, step=counts["step"]))
        else:
            seen = b.maximum(b.multiply(counts["seen"], counts["step"]), -1)
            self.keep(b.multiply(b.astype(seen, self.step.dtype), 0.25))
            self.keep(b.astype(b.permute_dims(b.reshape(counts["seen"], (1, 3)), (1, 0)), self.step.dtype))

    def other(self) -> None:
        b = self.b
        kind = self.source.choice(["take", "index_add", "random", "constant", "one_hot", "bernoulli"])
        if kind == "take":
            x = self.pick(lambda shape: len(shape) > 0 and shape[0] >= 3)
            if x is not None:
                self.keep(b.take(x, self.rows, axis=0))
        elif kind == "index_add":
            values = self.pick(lambda shape: shape == (7, self.step.width))
            self.keep(b.index_add(self.step.views[0]["w"], self.rows, values, axis=0))
        elif kind == "one_hot":
            self.keep(b.one_hot(self.rows, 3, dtype=self.step.dtype))
        elif kind == "constant":
            self.keep(b.from_host(np.arange(float(self.step.width)) * self.source.choice([1.0, 2.0])))
        elif kind == "random":
            self.keep(b.random((7, 1), seed=1, stream=self.source.randrange(2), step=3))
        else:
            self.keep(b.bernoulli((self.step.width,), 0.5, seed=1, stream=0, step=self.source.randrange(2)))
