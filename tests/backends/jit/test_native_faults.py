"""The negative control: faults planted in passes and in what writes kernels, each caught by a step.

Some are the ones that random steps found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hazards
import pytest
from hazards import Hazard, check_hazard

from lamina.backends.decorators.jit.decorator import CompiledRun
from lamina.backends.decorators.jit.emit import kernels, products, roots, step
from lamina.backends.decorators.jit.emit.expressions import RULES
from lamina.backends.decorators.jit.instructions import View, base_of
from lamina.backends.decorators.jit.ir import Code, Value, scalar
from lamina.backends.decorators.jit.passes import cells, fuse, layout, memory

Patch = pytest.MonkeyPatch
Forwarding: Any = cells._Forwarding
Planner: Any = memory._Planner


def a_load_passes_its_store(patch: Patch) -> None:
    def held(self: Any, buffer: Any, part: Any) -> Any:
        right(self, buffer, part)
        return self.found.get((buffer, part), self.held[buffer, part])

    right = Forwarding._held
    patch.setattr(Forwarding, "_held", held)


def an_update_comes_too_early(patch: Patch) -> None:
    """The weights change before the gradient of the layer's input is computed from them."""
    patch.setattr(fuse._Fusion, "_ordered", lambda self, groups: groups)
    patch.setattr(Planner, "_done_before", lambda self, *where: True)


def a_view_of_its_own_value_is_fused(patch: Patch) -> None:
    def accepts(self: Any, place: int, tree: Any, outside: Any) -> bool:
        return right(self, place, tree, [x.base if isinstance(x, View) else x for x in outside])

    right = fuse._Fusion._accepts
    patch.setattr(fuse._Fusion, "_accepts", accepts)


def the_padding_is_summed(patch: Patch) -> None:
    def select(self: Code, condition: Value, x: Value, y: Value) -> Value:
        return x if condition.text.startswith("<") else right(self, condition, x, y)

    right = Code.select
    patch.setattr(Code, "select", select)


def a_counter_is_frozen(patch: Patch) -> None:
    def frozen(writer: Any) -> None:
        writer.arguments["step"] = 1
        right(writer)

    right = roots.ROOTS["random"]
    patch.setitem(roots.ROOTS, "random", frozen)


def operands_are_swapped(patch: Patch) -> None:
    def made(self: Any, w: Any, call: Any) -> None:
        right(self, w, call)
        if self.a.meta == self.b.meta:
            self.a, self.b, self.first, self.second = self.b, self.a, self.second, self.first

    right = products._Matmul.__init__
    patch.setattr(products._Matmul, "__init__", made)


def a_maximum_swallows_nan(patch: Patch) -> None:
    patch.setitem(RULES, "maximum", lambda code, x, y: code.select(code.compare("gt", x, y), x, y))


def rows_have_another_stride(patch: Patch) -> None:
    def strides(self: Any, operand: Any) -> Any:
        found = right(self, operand)
        return found if isinstance(operand, View) else layout.row_major(operand.meta.shape)

    right = layout.Layout.strides
    patch.setattr(layout.Layout, "strides", strides)


def a_view_begins_in_another_row(patch: Patch) -> None:
    patch.setattr(layout.Layout, "offset", lambda self, x: x.offset if isinstance(x, View) else 0)


def a_constant_is_padded(patch: Patch) -> None:
    patch.setattr(layout, "Constant", ())


def a_place_is_used_too_early(patch: Patch) -> None:
    right = Planner._last_reads
    patch.setattr(Planner, "_last_reads", lambda self: dict.fromkeys(right(self), -1))


def a_result_takes_a_place_that_is_read_later(patch: Patch) -> None:
    def replaces(self: Any, value: Any, operand: Any, found: Any, number: int) -> bool:
        return operand in found and value.meta == operand.meta

    patch.setattr(Planner, "_replaces", replaces)


def a_result_takes_the_place_of_its_own_transpose(patch: Patch) -> None:
    patch.setattr(memory, "_plainly", lambda group, operand: True)


def what_a_kernel_takes_lies_over_values(patch: Patch) -> None:
    patch.setattr(memory.Memory, "room", lambda self, number, size, taken: 0)


def a_copy_finds_its_source_overwritten(patch: Patch) -> None:
    def place(self: Any) -> None:
        self.last = self._last_reads()  # without those of the copies at the end
        right(self)

    right = Planner._place
    patch.setattr(Planner, "_place", place)


def cells_are_copied_one_after_the_other(patch: Patch) -> None:
    patch.setattr(Planner, "_apart", lambda self, late: late)


def an_epilogue_runs_twice(patch: Patch) -> None:
    def contract(code: Code, plan: Any, start: Any, finish: Any, **options: Any) -> None:
        def twice(value: Value, span: Any) -> None:
            finish(value, span)
            finish(value, span)

        right(code, plan, start, twice, **options)

    right = products.contract
    patch.setattr(products, "contract", contract)
    patch.setattr(products, "suits", lambda *product: False)


def numbers_are_those_of_another_step(patch: Patch) -> None:
    right = step._Step._numbers
    patch.setattr(step._Step, "_numbers", lambda self, k: right(self, 0))


def the_tail_is_lost(patch: Patch) -> None:
    patch.setattr(CompiledRun, "_rest", lambda self, *run: None)


def cells_are_not_copied_back(patch: Patch) -> None:
    right = step._Step._copy_cells
    patch.setattr(step._Step, "_copy_cells", lambda self, kind: kind is step.Load and right(self, kind))


def the_next_step_reads_what_only_the_last_one_writes(patch: Patch) -> None:
    patch.setattr(Planner, "_unread", lambda self, region: True)


def what_the_caller_alone_reads_is_lost(patch: Patch) -> None:
    def group(self: Any, group: Any) -> None:
        self.last = Value(scalar("i1"), "false")
        right(self, group)

    right = kernels.Kernels.group
    patch.setattr(kernels.Kernels, "group", group)


def a_turned_cell_is_copied_by_rows(patch: Patch) -> None:
    def strides(self: Any, shape: Any) -> Any:
        return layout.row_major(shape) if self.turned else right(self, shape)

    right = layout.Padded.strides
    patch.setattr(layout.Padded, "strides", strides)


def a_turned_view_walks_rows(patch: Patch) -> None:
    """A value that lies by columns is read as if it lay by rows."""

    def strides(self: Any, operand: Any) -> Any:
        how = self.padded_values.get(base_of(operand))
        if how is None or not how.turned:
            return right(self, operand)
        return operand.strides if isinstance(operand, View) else layout.row_major(operand.meta.shape)

    right = layout.Layout.strides
    patch.setattr(layout.Layout, "strides", strides)


FAULTS: list[tuple[Callable[[Patch], None], Hazard]] = [
    (a_load_passes_its_store, hazards.a_load_after_a_store),
    (an_update_comes_too_early, hazards.an_update_behind_a_product),
    (a_view_of_its_own_value_is_fused, hazards.a_row_of_its_own_value),
    (the_padding_is_summed, hazards.padding_beside_sums),
    (a_counter_is_frozen, hazards.counters_and_marks),
    (operands_are_swapped, hazards.square_products),
    (a_maximum_swallows_nan, hazards.numbers_that_are_none),
    (rows_have_another_stride, hazards.padding_beside_sums),
    (a_view_begins_in_another_row, hazards.columns_and_rows_broadcast),
    (a_constant_is_padded, hazards.a_constant_and_an_input_in_cells),
    (a_place_is_used_too_early, hazards.the_old_cell_is_read_after_its_update),
    (a_result_takes_a_place_that_is_read_later, hazards.places_that_are_read_later),
    (a_result_takes_the_place_of_its_own_transpose, hazards.places_that_are_read_later),
    (what_a_kernel_takes_lies_over_values, hazards.a_kernel_with_scratch),
    (a_copy_finds_its_source_overwritten, hazards.the_old_cell_is_read_after_its_update),
    (cells_are_copied_one_after_the_other, hazards.a_swap),
    (an_epilogue_runs_twice, hazards.an_update_behind_a_product),
    (numbers_are_those_of_another_step, hazards.an_update_behind_a_product),
    (the_tail_is_lost, hazards.an_update_behind_a_product),
    (cells_are_not_copied_back, hazards.an_update_behind_a_product),
    (the_next_step_reads_what_only_the_last_one_writes, hazards.an_update_behind_a_product),
    (what_the_caller_alone_reads_is_lost, hazards.a_narrow_weight),
    (a_turned_cell_is_copied_by_rows, hazards.a_narrow_weight),
    (a_turned_view_walks_rows, hazards.a_narrow_weight),
]


@pytest.mark.parametrize(("plant", "hazard"), FAULTS, ids=[plant.__name__ for plant, _ in FAULTS])
def test_a_planted_fault_is_caught(
    plant: Callable[[Patch], None], hazard: Hazard, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("LAMINA_CACHE", "off")  # it has the right machine code of these steps
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_hazard(hazard)
