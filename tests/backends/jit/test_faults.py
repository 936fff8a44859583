"""The negative control: faults planted in the kernels, each of which a check must catch."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import kernel_proofs as proofs
import pytest

from lamina.backends.decorators.jit.ir import Code, Value
from lamina.backends.decorators.jit.kernels import (
    argmax,
    contract,
    dot,
    gather,
    loops,
    random,
    reduce,
    span,
    tile,
)
from lamina.backends.decorators.jit.machine import host

Patch = pytest.MonkeyPatch


def check_map() -> None:
    proofs.check_map(host(), "float32", (4, 37), ["plain"] * 5, guarded=False)


def check_strided_map() -> None:
    proofs.check_map(
        host(), "float32", (7, 7), ["permuted", "plain", "plain", "plain", "plain"], guarded=False
    )


def check_product(kernel: str = "contract", layouts: Any = ("plain", "padded", "plain")) -> None:
    proofs.check_contract(host(), "float32", (), 61, 37, (29,), layouts, kernel=kernel, guarded=False)


def check_small_product() -> None:
    proofs.check_contract(host(), "float64", (), 1, 5, (29,), ["plain"] * 3, guarded=False)


def check_dot() -> None:
    layouts = ["padded", "permuted", "plain"]
    proofs.check_contract(host(), "float32", (), 2, 3, (37,), layouts, kernel="dot", guarded=False)


def check_sum() -> None:
    proofs.check_reduce(host(), "float32", (5, 37), (1,), ["padded", "padded", "plain"], guarded=False)


def check_maximum() -> None:
    layouts = ["plain"] * 3
    proofs.check_reduce(host(), "float64", (40, 9), (0,), layouts, op="max", special=True, guarded=False)


def check_argmax() -> None:
    proofs.check_reduce(host(), "float32", (6, 50), (1,), ["plain"] * 3, op="argmax", guarded=False)


def check_transposition() -> None:
    proofs.check_copy(host(), "float32", (40, 50), ["plain", "permuted"], guarded=False)


def check_rows() -> None:
    proofs.check_rows(host(), "float64", (9, 5), 0, 7, ["plain"] * 3, guarded=False)


def check_no_rows() -> None:
    proofs.check_rows(host(), "float64", (9, 5), 0, 0, ["plain"] * 3, guarded=False)


CHECKS = (
    check_map, check_strided_map, check_product, check_small_product, check_dot, check_sum, check_maximum,
    check_argmax, check_transposition, check_rows, check_no_rows,
)  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_without_a_fault_the_check_passes(check: Callable[[], None]) -> None:
    check()


def wrong_stride(patch: Patch) -> None:
    right = span.Span.address

    def address(self: span.Span, array: span.Array) -> Value:
        return right(self, array.permuted(range(len(array.strides))[::-1]))

    patch.setattr(span.Span, "address", address)


def lost_tail(patch: Patch) -> None:
    right = loops.spans

    def spans(code: Any, places: Any, axis: int, n: int, w: int, body: Any, **options: bool) -> None:
        right(code, places, axis, n // w * w, w, body, **options)

    patch.setattr(loops, "spans", spans)


def lost_rows(patch: Patch) -> None:
    right = contract._heights
    patch.setattr(contract, "_heights", lambda rows, *how: right(rows, *how)[:1])


def swapped_operands(patch: Patch) -> None:
    patch.setattr(Code, "sub", lambda self, x, y: self.arithmetic("sub", y, x))


def swallowed_nan(patch: Patch) -> None:
    def larger(code: Code, x: Value, y: Value) -> Value:
        return code.select(code.compare("gt", x, y), x, y)

    patch.setattr(reduce, "MAX", reduce.Reducer(larger, reduce.MAX.identity, adds=False))
    patch.setattr(proofs, "MAX", reduce.MAX)


def read_dead_lanes(patch: Patch) -> None:
    right = Code.load
    patch.setattr(Code, "load", lambda self, pointer, kind, live=None: right(self, pointer, kind))


def summed_padding(patch: Patch) -> None:
    read_dead_lanes(patch)
    unmasked_lanes(patch)


def unmasked_lanes(patch: Patch) -> None:
    patch.setattr(Code, "select", _second_of_constant_mask(Code.select))


def _second_of_constant_mask(right: Callable[..., Value]) -> Callable[..., Value]:
    """Return a select that takes no notice of a mask of dead lanes."""

    def select(self: Code, condition: Value, x: Value, y: Value) -> Value:
        return x if condition.text.startswith("<") else right(self, condition, x, y)

    return select


def written_dead_lanes(patch: Patch) -> None:
    right = Code.store
    patch.setattr(Code, "store", lambda self, x, pointer, live=None: right(self, x, pointer))


def a_body_before_the_test(patch: Patch) -> None:
    right = Code.loop
    patch.setattr(Code, "loop", lambda self, count: right(self, count or 1))


def lost_part(patch: Patch) -> None:
    right = tile.Tile._total
    patch.setattr(tile.Tile, "_total", lambda self, cells: right(self, cells[:1]))


def lost_start(patch: Patch) -> None:
    right = tile.Tile.multiply
    patch.setattr(
        tile.Tile, "multiply", lambda self, x, y, extents, initial: right(self, x, y, extents, self.zeros())
    )


def swapped_quarters(patch: Patch) -> None:
    right = Code.shuffle

    def shuffle(self: Code, x: Value, y: Value, lanes: Any) -> Value:
        return right(self, y, x, lanes)

    patch.setattr(Code, "shuffle", shuffle)


def overwritten_rows(patch: Patch) -> None:
    right = gather.elementwise

    def last(code: Code, row: Any, inputs: Any, outputs: Any, op: Any) -> None:
        right(code, row, inputs, outputs, lambda code, *values: values[-1])

    patch.setattr(gather, "elementwise", last)


def unchecked_index(patch: Patch) -> None:
    right = gather._checked
    patch.setattr(gather, "_checked", lambda code, index, extent, flag: right(code, index, extent + 1, flag))


def last_of_ties(patch: Patch) -> None:
    patch.setattr(argmax._Best, "_beyond", lambda self, x, y: self.code.compare("le", y, x))


def a_round_less(patch: Patch) -> None:
    patch.setattr(random, "_ROUNDS", 9)


def one_long_sum(patch: Patch) -> None:
    patch.setattr(reduce, "_RUN", {})


def one_long_product(patch: Patch) -> None:
    patch.setattr(contract, "LONGEST", 2**40)


def sums_in_each_others_lanes(patch: Patch) -> None:
    right = dot._lanes_added
    patch.setattr(dot, "_lanes_added", lambda code, values: right(code, values[::-1]))


def a_block_of_one_row(patch: Patch) -> None:
    right = span.Block._steps

    def steps(self: span.Block, array: span.Array) -> list[int]:
        return right(replace(self, columns=self.width), array)

    patch.setattr(span.Block, "_steps", steps)


FAULTS: list[tuple[Callable[[Patch], None], Callable[[], None]]] = [
    (wrong_stride, check_strided_map),
    (lost_tail, check_map),
    (lost_rows, check_product),
    (swapped_operands, check_map),
    (swallowed_nan, check_maximum),
    (summed_padding, check_dot),
    (unmasked_lanes, check_sum),
    (written_dead_lanes, check_product),
    (a_body_before_the_test, check_no_rows),
    (lost_part, check_small_product),
    (lost_start, check_product),
    (swapped_quarters, check_transposition),
    (overwritten_rows, check_rows),
    (unchecked_index, check_rows),
    (last_of_ties, check_argmax),
    (a_round_less, lambda: proofs.check_random(host(), "float32", 9)),
    (sums_in_each_others_lanes, check_dot),
    (a_block_of_one_row, check_dot),
    (one_long_sum, lambda: proofs.check_long_sum(0)),
    (one_long_product, lambda: proofs.check_long_product(contract.contract)),
]


@pytest.mark.parametrize(("plant", "check"), FAULTS, ids=[plant.__name__ for plant, _ in FAULTS])
def test_a_planted_fault_is_caught(
    plant: Callable[[Patch], None], check: Callable[[], None], monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check()


OVERREAD = """
import sys
sys.path.insert(0, {helpers!r})
import kernel_proofs as proofs
from lamina.backends.decorators.jit.ir import Code
from lamina.backends.decorators.jit.machine import host
right = Code.load
if {fault}:
    Code.load = lambda self, pointer, kind, live=None: right(self, pointer, kind)
proofs.check_contract(host(), "float32", (), 2, 3, (37,), ["plain", "permuted", "plain"], kernel="dot")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no guard pages")
def test_a_read_behind_an_array_ends_the_process() -> None:
    helpers = str(Path(proofs.__file__).parent)
    for fault, code in ((False, 0), (True, -signal.SIGSEGV)):
        text = OVERREAD.format(helpers=helpers, fault=fault)
        assert subprocess.run([sys.executable, "-c", text], check=False).returncode == code
