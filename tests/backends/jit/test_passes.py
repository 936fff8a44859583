"""Every pass keeps what a program computes: on random steps, and on the cases that made trouble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_steps import INPUTS, NUMBERS, RandomStep
from steps import EXACT, PASSES, jit_around

from lamina.backends import Backend, get_backend
from lamina.backends.decorators.jit import generate as compiler
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.decorators.jit.instructions import Call, Load, Program, Store, View
from lamina.backends.decorators.jit.passes.cells import cells
from lamina.backends.decorators.jit.passes.lower import lower
from lamina.backends.decorators.jit.passes.rewriting import Replaced
from lamina.backends.decorators.jit.passes.simplify import simplify
from lamina.backends.decorators.jit.passes.views import reshaped, views
from lamina.backends.decorators.jit.program import Pass, ProgramError, apply, interpret, lines, show
from lamina.backends.host import Host
from lamina.backends.meta import Meta
from lamina.backends.numpy_backend import NumpyBackend
from lamina.backends.ops import Op
from lamina.backends.wrapper import Wrapper
from lamina.layers import Conv2d, MaxPool2d, ReLU, Sequential

ORDERS: tuple[tuple[Pass, ...], ...] = (
    (lower,),
    (cells,),
    (simplify,),
    (views,),
    EXACT,
    (*EXACT, simplify, views),
    (lower, simplify, cells, cells, simplify, views),
)


def test_transpositions_between_convolutions_are_gone() -> None:
    """Images keep the samples last from the first convolution to the last, and in the gradients."""
    b = get_backend("jit+numpy")
    model = Sequential(
        Conv2d(2, 3, 3, backend=b), ReLU(backend=b), MaxPool2d(2, backend=b), Conv2d(3, 2, 3, backend=b)
    )

    def step(batch: tuple[Any, ...], numbers: Mapping[str, Any]) -> tuple[Any, ...]:
        model.zero_grad()
        y = model(batch[0])
        return y, model.backward(y)

    traced = b.trace(step, [Meta((4, 2, 12, 12), "float32")], numbers=()).program  # type: ignore[attr-defined]
    turning = next(i for i, one in enumerate(compiler.PASSES) if one is compiler.sink)
    before = apply(traced, compiler.PASSES[:turning])
    after = apply(before, compiler.PASSES[turning : turning + 2])

    def images(program: Program) -> list[tuple[int, ...]]:
        moves = [i for i in program.body if isinstance(i, Call) and i.op == "permute_dims"]
        return [m.result.meta.shape for m in moves if len(m.result.meta.shape) == 4]

    assert len(images(before)) > 4
    # What is left stands at the step's ends: the input, the output and the gradient of the input.
    assert set(images(after)) <= {(2, 12, 12, 4), (4, 2, 3, 3), (4, 2, 12, 12)}, images(after)


class Definitions(Wrapper):
    """A backend that runs derived ops as they are defined, and whose sums do not depend on strides.

    On it `lower` keeps every bit, and so does a pass that changes how a tensor lies in memory.
    """

    name = "definitions"

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if op.kind == "derived":
            return self.lower(op, args, kwargs)
        if op.name in ("sum", "matmul"):
            args = [np.ascontiguousarray(x) if np.ndim(x) else x for x in args]
        return super().around(op, args, kwargs)


def definitions() -> Backend:
    return Definitions(NumpyBackend("cpu", "float64"))  # type: ignore[abstract]  # made by funnelled


class Random:
    """A random step and its program; each run starts from the same cells."""

    def __init__(self, seed: int, length: int, *, sums: bool = False) -> None:
        self.b: Any = JitBackend(definitions())  # type: ignore[abstract]  # made by funnelled
        self.step = RandomStep(self.b, seed, length, sums=sums)
        self.start = self.step.state()
        self.traced = self.b.trace(self.step, INPUTS, tuple(NUMBERS))
        self.tensors = self.step.tensors()

    def eager(self) -> list[Host]:
        """Return the results and the cells of two steps."""
        return self._twice(lambda: self.step(tuple(self.tensors), NUMBERS))

    def through(self, passes: Sequence[Pass]) -> list[Host]:
        """Return those of the program after passes."""
        program, inner, cells = apply(self.traced.program, passes), self.b.inner, self.traced.cells
        return self._twice(lambda: interpret(program, inner, self.tensors, numbers=NUMBERS, cells=cells))

    def _twice(self, run: Callable[[], tuple[Any, ...]]) -> list[Host]:
        self.step.restore(self.start)
        found: list[Host] = []
        with self.b.session():
            for _ in range(2):
                found += [self.b.to_host(x) for x in run()] + self.step.state()
        return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_random_steps_keep_every_bit(seed: int, length: int) -> None:
    subject = Random(seed, length)
    right = subject.eager()
    for passes in ((), *ORDERS):
        for one, other in zip(subject.through(passes), right, strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other, equal_nan=True), [p.__name__ for p in passes]
            assert np.array_equal(np.signbit(one), np.signbit(other)) or np.isnan(one).any()


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_sums_over_buffers_keep_their_digits(seed: int, length: int) -> None:
    subject = Random(3 * seed + 1, length, sums=True)  # such a seed has no NaN
    for one, other in zip(subject.through(PASSES), subject.eager(), strict=True):
        size = np.abs(other[np.isfinite(other)]).max(initial=1.0)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * size)


# -- what each pass makes --------------------------------------------------------------------------

X, Y = Meta((4, 3), "float64"), Meta((3,), "float64")


@pytest.fixture
def b() -> Any:
    return jit_around(get_backend("numpy", dtype="float64"))


def made(b: Any, step: Callable[..., Any], *passes: Pass, inputs: Sequence[Meta] = (X, Y)) -> list[str]:
    """Return the lines of a step's program after passes, and its results."""
    program = apply(b.trace(step, inputs, ("lr",)).program, passes)
    return [*lines(program), show(program).splitlines()[-1]]


def test_lower_replaces_derived_ops(b: Any) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        x, y = batch
        return b.linear_grad(b.relu(x), x)[1], b.square(y)

    assert made(b, step, lower) == [
        "%0: f64[4, 3] = maximum(%x0, 0.0)",
        "%1: f64[3, 4] = permute_dims(%0, (1, 0))",
        "%2: f64[3, 3] = matmul(%1, %x0)",
        "%3: f64[3] = sum(%0, axis=0)",
        "%4: f64[3] = multiply(%x1, %x1)",
        "return %3, %4",
    ]


def test_lower_keeps_what_the_compiler_knows(b: Any) -> None:
    found = made(b, lambda batch, numbers: (b.relu(b.square(batch[0])),), lambda p: lower(p, whole=("relu",)))
    assert found == ["%0: f64[4, 3] = multiply(%x0, %x0)", "%1: f64[4, 3] = relu(%0)", "return %1"]


def test_cells_forwards_stores_and_cuts_buffers(b: Any) -> None:
    (data, weights), (grad, grads) = (b.cells({"w": (4, 3), "b": (3,)}) for _ in range(2))

    def step(batch: Any, numbers: Any) -> Any:
        b.assign(grads["w"], b.multiply(batch[0], weights["w"]))
        b.assign(grads["b"], batch[1])
        b.assign(grads["b"], b.add(grads["b"], 1.0))
        b.assign(data, b.add_scaled(data, grad, -numbers["lr"]))
        return (weights["b"],)

    assert made(b, step, lower, cells, simplify) == [
        "%0: f64[4, 3] = load @0[0:12]",
        "%1: f64[4, 3] = multiply(%x0, %0)",
        "%2: f64[3] = add(%x1, 1.0)",
        "%3: f64[3] = load @0[12:15]",
        "%4: f64[4, 3] = multiply(%1, (-lr))",
        "%5: f64[3] = multiply(%2, (-lr))",
        "%6: f64[4, 3] = add(%0, %4)",
        "%7: f64[3] = add(%3, %5)",
        "store @1[0:12] = %1",
        "store @1[12:15] = %2",
        "store @0[0:12] = %6",
        "store @0[12:15] = %7",
        "return %7",
    ]


def test_cells_cuts_where_an_access_cuts(b: Any) -> None:
    """Two partitions of buffers that meet are cut at the ends of both."""
    (one, _), (other, parts) = b.cells({"a": (2, 3)}), b.cells({"c": (4,), "d": (2,)})

    def step(batch: Any, numbers: Any) -> Any:
        b.assign(one, b.negative(other))
        b.assign(parts["d"], b.reshape(b.slice(batch[1], (0,), (2,)), (2,)))
        return (b.exp(other),)

    assert made(b, step, cells, simplify) == [
        "%0: f64[4] = load @0[0:4]",
        "%1: f64[2] = load @0[4:6]",
        "%2: f64[4] = negative(%0)",
        "%3: f64[2] = negative(%1)",
        "%4: f64[2] = slice(%x1, (0,), (2,))",
        "%5: f64[4] = exp(%0)",
        "%6: f64[2] = exp(%4)",
        "%7: f64[6] = concat((%5, %6))",
        "store @1[0:4] = %2",
        "store @1[4:6] = %3",
        "store @0[4:6] = %4",
        "return %7",
    ]


def test_cells_drops_a_store_of_what_was_there(b: Any) -> None:
    _, views = b.cells({"a": (3,), "none": (0, 2)})
    _, twin = b.cells({"a": (3,)})

    def step(batch: Any, numbers: Any) -> Any:
        before = b.copy(views["a"])
        b.assign(views["a"], batch[1])
        b.assign(views["none"], b.exp(views["none"]))
        b.assign(twin["a"], views["a"])
        b.assign(views["a"], before)
        return ()

    assert made(b, step, simplify, cells, simplify) == ["store @1[0:3] = %x1", "return"]


SAME: dict[str, Callable[[Any, Any], Any]] = {
    "copy": lambda b, x: b.copy(x),
    "astype": lambda b, x: b.astype(x, "float64"),
    "reshape": lambda b, x: b.reshape(b.reshape(x, (2, 6)), (4, -1)),
    "permute_dims": lambda b, x: b.permute_dims(b.permute_dims(x, (-1, 0)), (1, 0)),
    "broadcast_to": lambda b, x: b.broadcast_to(x, (4, 3)),
    "slice": lambda b, x: b.slice(x, (0, 0), (4, 3)),
    "pad": lambda b, x: b.pad(x, ((0, 0), (0, 0)), value=2.0),
    "concat": lambda b, x: b.concat([x], axis=1),
    "multiply": lambda b, x: b.multiply(x, 1.0),
    "divide": lambda b, x: b.divide(x, 1),
    "subtract": lambda b, x: b.subtract(x, 0.0),
}
DIFFERENT: dict[str, Callable[[Any, Any], Any]] = {
    "astype": lambda b, x: b.astype(x, "float32"),
    "reshape": lambda b, x: b.reshape(b.permute_dims(x, (1, 0)), (4, 3)),
    "permute_dims": lambda b, x: b.permute_dims(b.matmul(x, b.permute_dims(x, (1, 0))), (1, 0)),
    "slice": lambda b, x: b.slice(x, (0, 0), (4, 3), steps=(1, 2)),
    "add": lambda b, x: b.add(x, 0.0),  # -0 becomes 0
    "subtract": lambda b, x: b.subtract(x, -0.0),
    "multiply": lambda b, x: b.multiply(x, -1.0),
    "divide": lambda b, x: b.divide(1.0, x),
}


@pytest.mark.parametrize("op", SAME)
def test_simplify_removes_identities(b: Any, op: str) -> None:
    assert made(b, lambda batch, numbers: (SAME[op](b, batch[0]),), simplify) == ["return %x0"]


@pytest.mark.parametrize("op", DIFFERENT)
def test_simplify_keeps_what_changes_a_bit(b: Any, op: str) -> None:
    found = made(b, lambda batch, numbers: (DIFFERENT[op](b, batch[0]),), simplify)
    assert f" = {op}(" in found[-2]


def test_simplify_joins_equal_ops(b: Any) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        x, lr = batch[0], numbers["lr"]
        pairs = [
            (b.multiply(x, lr * 2), b.multiply(x, lr * 2)),
            (b.add(x, b.from_host([1.0, 2.0, 3.0])), b.add(x, b.from_host([1.0, 2.0, 3.0]))),
            (b.random((2,), seed=0, stream=0), b.random((2,), seed=0, stream=0)),
            (b.maximum(x, float("nan")), b.maximum(x, float("nan"))),
        ]
        return tuple(x for pair in pairs for x in pair)

    assert made(b, step, simplify)[-1] == "return %0, %0, %2, %2, %3, %3, %4, %4"


def test_simplify_tells_numbers_apart(b: Any) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        x, lr = batch[0], numbers["lr"]
        factors = (2.0, 2, -0.0, 0.0, lr, lr + 1, float("nan"))
        return tuple(b.multiply(x, factor) for factor in factors)

    assert made(b, step, simplify)[-1] == "return %0, %1, %2, %3, %4, %5, %6"


def test_simplify_loads_again_after_a_store(b: Any) -> None:
    flat, views = b.cells({"a": (3,), "b": (3,)})

    def step(batch: Any, numbers: Any) -> Any:
        seen = [b.add(views["a"], views["b"]), b.add(views["a"], views["b"])]
        b.assign(views["a"], batch[1])
        return (*seen, b.add(views["a"], views["b"]), flat)

    assert made(b, step, simplify) == [
        "%0: f64[3] = load @0[0:3]",
        "%1: f64[3] = load @0[3:6]",
        "%2: f64[3] = add(%0, %1)",
        "store @0[0:3] = %x1",
        "%3: f64[3] = load @0[0:3]",
        "%4: f64[3] = add(%3, %1)",
        "%5: f64[6] = load @0[0:6]",
        "return %2, %2, %4, %5",
    ]


def test_views_are_strides(b: Any) -> None:
    def step(batch: Any, numbers: Any) -> Any:
        x, y = batch
        turned = b.reshape(b.permute_dims(x, (1, 0)), (3, 2, 2))
        part = b.slice(turned, (1, 0, 1), (3, 2, 2), steps=(1, 1, 1))
        wide = b.broadcast_to(b.reshape(y, (3, 1, 1)), (3, 2, 2))
        flat = b.reshape(b.permute_dims(x, (1, 0)), (12,))
        return b.exp(turned), b.exp(part), b.exp(wide), b.exp(flat), turned

    assert made(b, step, views) == [
        "%0: f64[3, 2, 2] = reshape(%x0[0; 3:1, 4:3], (3, 2, 2))",
        "%1: f64[12] = reshape(%x0[0; 3:1, 4:3], (12,))",
        "%2: f64[3, 2, 2] = exp(%x0[0; 3:1, 2:6, 2:3])",
        "%3: f64[2, 2, 1] = exp(%x0[4; 2:1, 2:6, 1:3])",
        "%4: f64[3, 2, 2] = exp(%x1[0; 3:1, 2:0, 2:0])",
        "%5: f64[12] = exp(%1)",
        "return %2, %3, %4, %5, %0",
    ]


@given(st.data())
@settings(deadline=None)
def test_a_reshape_of_strides_is_numpys(data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4)))
    axes = data.draw(st.permutations(range(len(shape))))
    steps = tuple(data.draw(st.sampled_from([1, 1, 2])) for _ in shape)
    x = (
        np.arange(np.prod(shape, dtype=int))
        .reshape(shape)
        .transpose(axes)[tuple(slice(None, None, s) for s in steps)]
    )
    sizes, new = x.size, []
    while sizes > 1 and len(new) < 4:
        new.append(data.draw(st.sampled_from([n for n in range(1, sizes + 1) if sizes % n == 0])))
        sizes //= new[-1]
    new.append(sizes)
    found = reshaped(x.shape, tuple(s // 8 for s in x.strides), tuple(new))
    view = x.view()
    try:
        view.shape = tuple(new)
    except AttributeError:
        assert found is None
    else:
        assert found is not None
        kept = [s // 8 for n, s in zip(new, view.strides, strict=True) if n != 1]
        assert kept == [s for n, s in zip(new, found, strict=True) if n != 1]


# -- faults ----------------------------------------------------------------------------------------


def _stale(program: Program) -> Program:
    """Join loads across stores."""
    first: dict[Any, Any] = {}
    body, replaced = [], Replaced()
    for instruction in program.body:
        if isinstance(instruction, Load) and instruction.region in first:
            replaced[instruction.result] = first[instruction.region]
            continue
        if isinstance(instruction, Load):
            first[instruction.region] = instruction.result
        body.append(instruction.mapped(replaced.resolve))
    return replace(program, body=tuple(body), outputs=tuple(map(replaced.value, program.outputs)))


def _swapped(program: Program) -> Program:
    """Swap the operands of each subtraction."""
    body = [
        replace(i, args=i.args[::-1]) if isinstance(i, Call) and i.op == "subtract" else i
        for i in program.body
    ]
    return replace(program, body=tuple(body))


def _first_store(program: Program) -> Program:
    """Keep the first store of each region."""
    seen: set[Any] = set()
    body = []
    for instruction in program.body:
        if isinstance(instruction, Store):
            if instruction.region in seen:
                continue
            seen.add(instruction.region)
        body.append(instruction)
    return replace(program, body=tuple(body))


def _stores_first(program: Program) -> Program:
    """Move each load behind the stores, as a wrong schedule would."""
    stores = [i for i in program.body if isinstance(i, Store)]
    rest = [i for i in program.body if not isinstance(i, Store)]
    return replace(program, body=(*rest[: len(rest) // 2], *stores, *rest[len(rest) // 2 :]))


def _wrong_stride(program: Program) -> Program:
    """Read the first row of each view in place of all."""

    def turn(x: Any) -> Any:
        return replace(x, strides=(0, *x.strides[1:])) if isinstance(x, View) and x.shape else x

    return replace(program, body=tuple(i.mapped(turn) for i in program.body))


def _lost_option(program: Program) -> Program:
    """Forget keepdims."""
    body = [
        replace(i, options={**i.options, "keepdims": False})
        if isinstance(i, Call) and "keepdims" in i.options
        else i
        for i in program.body
    ]
    return replace(program, body=tuple(body))


FAULTS: dict[str, tuple[Pass, ...]] = {
    "stale loads": (_stale,),
    "swapped operands": (_swapped,),
    "the first store stays": (_first_store,),
    "stores before loads": (lower, cells, _stores_first),
    "a wrong stride": (*PASSES, _wrong_stride),
    "a lost option": (_lost_option,),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str) -> None:
    for seed in range(40):
        subject = Random(seed, 60)
        try:
            found = subject.through(FAULTS[fault])
        except ProgramError:
            return
        right = subject.eager()
        if not all(np.array_equal(x, y, equal_nan=True) for x, y in zip(found, right, strict=True)):
            return
    pytest.fail("40 random steps have the right results")
