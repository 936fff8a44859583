"""Steps that make trouble for a compiler: what one kernel writes, another still needs, in another order.

A row of 25 numbers is padded; what lies in the padding must reach no result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.backends import get_backend
from lamina.backends.decorators.jit.decorator import JitBackend

CELLS = {
    "a": (3, 25),
    "b": (3, 25),
    "c": (25, 3),
    "d": (25, 3),
    "x": (4, 25),
    "y": (25, 4),
    "s": (),
    "none": (0, 25),
}
ROWS = 4
ORDER = np.random.default_rng(2).permutation(14)
Cells = dict[str, Any]
Batch = tuple[Any, ...]
Hazard = Callable[[Any, Cells, Batch], Batch]
"""Takes the backend, the cells and the step's number "lr" by name, and a batch (4, 25), (4,)."""


def a_swap(b: Any, cell: Cells, batch: Batch) -> Batch:
    first, second = b.copy(cell["a"]), b.copy(cell["b"])
    b.assign(cell["a"], second)
    b.assign(cell["b"], first)
    return (b.sum(first),)


def a_swap_that_computes(b: Any, cell: Cells, batch: Batch) -> Batch:
    first, second = b.multiply(cell["a"], 1.5), b.multiply(cell["b"], 0.5)
    b.assign(cell["a"], second)
    b.assign(cell["b"], first)
    return ()


def three_in_a_ring(b: Any, cell: Cells, batch: Batch) -> Batch:
    first = b.copy(cell["a"])
    b.assign(cell["a"], cell["b"])
    b.assign(cell["b"], b.permute_dims(cell["c"], (1, 0)))
    b.assign(cell["c"], b.permute_dims(first, (1, 0)))
    return (b.sum(cell["a"]),)


def the_old_cell_is_read_after_its_update(b: Any, cell: Cells, batch: Batch) -> Batch:
    """The update needs the product, and what follows needs the old cell: no order spares a copy."""
    product = b.matmul(batch[0], b.permute_dims(cell["a"], (1, 0)))
    new = b.subtract(cell["a"], b.multiply(b.matmul(b.permute_dims(product, (1, 0)), batch[0]), 0.01))
    late = b.matmul(new, b.permute_dims(cell["a"], (1, 0)))
    other = b.matmul(b.tanh(late), b.exp(b.multiply(cell["b"], 0.1)))
    b.assign(cell["a"], new)
    return product, b.sum(other)


def a_product_of_its_own_cell(b: Any, cell: Cells, batch: Batch) -> Batch:
    square = b.matmul(cell["a"], b.permute_dims(cell["a"], (1, 0)))
    new = b.multiply(b.matmul(square, cell["a"]), 0.01)
    b.assign(cell["a"], new)
    return (b.matmul(b.matmul(batch[0], b.permute_dims(new, (1, 0))), cell["b"]),)


def one_value_in_two_cells(b: Any, cell: Cells, batch: Batch) -> Batch:
    rows = b.take(cell["b"], batch[1], axis=0)  # takes plain rows: b is not padded
    both = b.add(b.add(cell["a"], cell["b"]), 1.0)
    b.assign(cell["b"], both)
    b.assign(cell["a"], both)
    return (rows,)


def one_cell_in_another_that_is_not_padded(b: Any, cell: Cells, batch: Batch) -> Batch:
    new = b.add(cell["b"], 1.0)
    rows = b.take(new, batch[1], axis=0)
    b.assign(cell["a"], cell["b"])
    b.assign(cell["b"], new)
    return (rows,)


def places_that_are_read_later(b: Any, cell: Cells, batch: Batch) -> Batch:
    """Values whose last reader is elementwise, but reads a transpose, or is not the last."""
    square = b.matmul(batch[0], b.permute_dims(cell["x"], (1, 0)))
    both = b.add(square, b.permute_dims(square, (1, 0)))
    more = b.multiply(b.matmul(both, both), 0.01)
    late = b.tanh(more)
    return b.matmul(more, batch[0]), b.matmul(late, batch[0])


def a_constant_and_an_input_in_cells(b: Any, cell: Cells, batch: Batch) -> Batch:
    b.assign(cell["a"], b.from_host(np.arange(75.0).reshape(3, 25)))
    b.assign(cell["x"], batch[0])
    return batch[0], b.sum(b.add(cell["a"], cell["b"]))


def an_output_is_stored_and_viewed(b: Any, cell: Cells, batch: Batch) -> Batch:
    y = b.tanh(batch[0])
    turned = b.permute_dims(y, (1, 0))
    b.assign(cell["x"], y)
    b.assign(cell["y"], turned)
    b.assign(cell["c"], b.slice(turned, (0, 1), (25, 4)))
    return y, y, b.reshape(turned, (4, 25)), b.matmul(y, turned)


def views_that_do_not_walk_rows(b: Any, cell: Cells, batch: Batch) -> Batch:
    y = b.multiply(b.matmul(b.matmul(batch[0], cell["c"]), cell["b"]), 0.1)
    flat = b.reshape(y, (100,))
    odd = b.slice(flat, (1,), (100,), steps=(3,))
    halves = b.sum(b.reshape(y, (2, 50)), axis=1)
    fives = b.max(b.reshape(y, (4, 5, 5)), axis=2)
    return b.sum(odd), b.sum(b.multiply(halves, halves)), fives


def padding_beside_sums(b: Any, cell: Cells, batch: Batch) -> Batch:
    y, w = b.exp(batch[0]), b.exp(cell["a"])
    joined = b.concat([y, w], axis=0)
    centred = b.subtract(y, b.divide(b.sum(y, axis=1, keepdims=True), 25.0))
    return (
        b.sum(joined), b.max(b.negative(y), axis=1), b.argmax(centred, axis=1), b.sum(b.square(centred)),
        b.sum(b.multiply(y, b.sum(w, axis=0))), b.softmax(b.add(y, b.max(w)), axis=1),
        b.sum(b.multiply(b.slice(w, (0, 3), (3, 20)), b.slice(y, (0, 8), (1, 25)))),
    )  # fmt: skip


def columns_and_rows_broadcast(b: Any, cell: Cells, batch: Batch) -> Batch:
    column = b.sum(b.tanh(batch[0]), axis=1, keepdims=True)
    row = b.tanh(b.slice(cell["a"], (1, 0), (2, 25)))
    table = b.add(b.multiply(column, row), cell["s"])
    cube = b.multiply(b.reshape(table, (4, 1, 25)), b.reshape(b.exp(cell["a"]), (1, 3, 25)))
    b.assign(cell["s"], b.multiply(b.sum(cube), 1e-3))
    return table, b.max(cube, axis=1)


def mixed_dtypes(b: Any, cell: Cells, batch: Batch) -> Batch:
    y = b.tanh(batch[0])
    positive = b.greater(y, 0.1)
    places = b.astype(b.multiply(y, 10.0), "int64")
    both = b.where(positive, b.astype(b.maximum(places, 2), "float64"), y)
    count = b.sum(b.astype(positive, "int64"), axis=1)
    return both, b.logical_not(positive), places, b.multiply(b.astype(count, "float64"), 0.5)


def nothing_at_all(b: Any, cell: Cells, batch: Batch) -> Batch:
    none = b.slice(batch[0], (0, 0), (4, 0))
    b.assign(cell["none"], b.add(cell["none"], 1.0))
    return none, b.sum(none), b.matmul(none, b.permute_dims(none, (1, 0))), b.add(none, b.full((4, 1), 1.0))


def a_row_of_its_own_value(b: Any, cell: Cells, batch: Batch) -> Batch:
    """A batch normalisation's shift by the first row: all rows need it before they are computed."""
    y = b.tanh(batch[0])
    shifted = b.subtract(y, b.slice(y, (2, 0), (3, 25)))
    new = b.add(cell["a"], 1.0)
    b.assign(cell["a"], b.subtract(new, b.slice(new, (1, 0), (2, 25))))
    b.assign(cell["b"], new)
    return shifted, y


def a_kernel_with_scratch(b: Any, cell: Cells, batch: Batch) -> Batch:
    """Its panels lie in the workspace beside what it reads and writes."""
    y = b.concat([batch[0]] * 24, axis=1)
    big = b.matmul(b.permute_dims(y, (1, 0)), y)
    bigger = b.tanh(b.matmul(b.permute_dims(big, (1, 0)), b.permute_dims(big, (1, 0))))
    return (b.matmul(y, bigger),)


def an_update_behind_a_product(b: Any, cell: Cells, batch: Batch) -> Batch:
    """The last batch has two rows."""
    old = b.copy(cell["a"])
    y = b.matmul(batch[0], b.permute_dims(old, (1, 0)))
    gradient = b.matmul(b.permute_dims(y, (1, 0)), batch[0])
    b.assign(cell["a"], b.subtract(cell["a"], b.multiply(gradient, cell["lr"])))
    b.assign(cell["b"], gradient)
    return b.matmul(y, old), b.sum(y)


def a_narrow_weight(b: Any, cell: Cells, batch: Batch) -> Batch:
    """A weight (25, 3) lies by columns; its views, a second cell and the caller see rows."""
    x, w = b.slice(batch[0], (0, 0), (4, 3)), cell["c"]
    y = b.maximum(b.matmul(x, b.permute_dims(w, (1, 0))), 0.0)
    gradient = b.matmul(b.permute_dims(y, (1, 0)), x)
    rows = b.sum(b.slice(w, (3, 1), (20, 3), steps=(2, 1)), axis=0)
    new = b.subtract(w, b.multiply(gradient, cell["lr"]))
    b.assign(cell["c"], new)
    b.assign(cell["d"], gradient)
    b.assign(cell["y"], b.concat([gradient, b.sum(new, axis=1, keepdims=True)], axis=1))
    late = b.matmul(x, b.permute_dims(new, (1, 0)))
    return b.matmul(y, b.slice(w, (0, 1), (25, 2))), b.sum(rows), b.sum(late)


def a_load_after_a_store(b: Any, cell: Cells, batch: Batch) -> Batch:
    b.assign(cell["a"], b.multiply(cell["a"], 0.5))
    b.assign(cell["a"], b.add(cell["a"], 1.0))
    return b.add(batch[0], b.sum(cell["a"])), b.sum(cell["all"])


def counters_and_marks(b: Any, cell: Cells, batch: Batch) -> Batch:
    b.assign(cell["step"], b.add(cell["step"], 1))
    kept = b.random((4, 25), seed=1, stream=0, step=cell["step"])
    seen = b.index_add(cell["seen"], batch[1], b.full((4,), 1, dtype="int64"), axis=0)
    b.assign(cell["seen"], seen)
    b.assign(cell["mark"], b.greater(b.sum(batch[0], axis=0), 0.0))
    return kept, b.where(cell["mark"], batch[0], kept), b.multiply(cell["step"], 2)


def numbers_that_are_none(b: Any, cell: Cells, batch: Batch) -> Batch:
    root = b.sqrt(batch[0])
    least = b.minimum(b.divide(batch[0], cell["s"]), root)
    return b.maximum(root, 0.0), b.max(root, axis=1), least, b.sum(b.where(b.greater(root, 0.0), root, 1.0))


def square_products(b: Any, cell: Cells, batch: Batch) -> Batch:
    first, second = b.matmul(cell["a"], cell["c"]), b.matmul(cell["b"], cell["c"])
    return (b.sum(b.tanh(b.matmul(first, second))),)


HAZARDS: tuple[Hazard, ...] = (
    a_swap, a_swap_that_computes, three_in_a_ring, the_old_cell_is_read_after_its_update,
    a_product_of_its_own_cell, one_value_in_two_cells, one_cell_in_another_that_is_not_padded,
    places_that_are_read_later, a_constant_and_an_input_in_cells, an_output_is_stored_and_viewed,
    views_that_do_not_walk_rows,
    padding_beside_sums, columns_and_rows_broadcast, mixed_dtypes, nothing_at_all, a_row_of_its_own_value,
    a_kernel_with_scratch, an_update_behind_a_product, a_narrow_weight, a_load_after_a_store,
    counters_and_marks, numbers_that_are_none, square_products,
)  # fmt: skip


def check_hazard(hazard: Hazard) -> None:
    """Run steps natively and eagerly; compare results and cells."""
    source = np.random.default_rng(0)
    data = source.standard_normal((14, 25)), source.integers(0, 3, 14)
    rows = 14 if hazard is an_update_behind_a_product else 12
    found = []
    for compiled in (False, True):
        b: Any = JitBackend(get_backend("numpy", dtype="float64"))  # type: ignore[abstract]
        flat, cell = b.cells(CELLS)
        b.assign(flat, b.from_host(np.random.default_rng(1).standard_normal(b.shape(flat)) * 0.5))
        count, counters = b.cells({"step": (), "seen": (3,)}, dtype="int64")
        marks, mark = b.cells({"mark": (25,)}, dtype="bool")
        cell |= counters | mark | {"all": flat}

        def step(batch: Batch, numbers: Any, b: Any = b, cell: Cells = cell) -> Batch:
            return hazard(b, {**cell, **numbers}, batch)

        run = (b if compiled else b.inner).compile(step)
        lr = {"lr": 0.01 * 0.5 ** np.arange(-(-rows // ROWS))}
        with np.errstate(all="ignore"):
            results = run([b.from_host(x) for x in data], ORDER[:rows], batch_size=ROWS, numbers=lr)
        found.append([np.array(x) for x in (*results, flat, count, marks)])
    for right, native in zip(*found, strict=True):
        assert native.dtype == right.dtype
        np.testing.assert_allclose(native, right, rtol=1e-12, atol=1e-12)
