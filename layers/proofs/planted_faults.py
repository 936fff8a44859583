"""The negative control: a row of the table with a fault planted in it, and which proofs object.

A check that cannot fail proves nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ...backends import Backend, LaminaError
from .. import Loss, Module
from .against_graph import compare_layer_with_graph, compare_loss_with_graph
from .against_torch import compare_layer, compare_loss
from .case import LayerCase, LossCase
from .check import DIFFERENCES, GRAPH, TORCH
from .finite_differences import check_layer, check_loss
from .report import Report

Host = np.ndarray[Any, Any]
Case = TypeVar("Case", LayerCase, LossCase)


def planted(case: Case, faulty: type[Module] | type[Loss]) -> Case:
    """Return the row with a faulty subclass in place of the sound class, and all of its options."""
    make: Any = case.make

    def broken(backend: Backend) -> Any:
        sound = make(backend)
        sound.__class__ = faulty
        return sound

    return replace(case, make=broken)


def objections(case: LayerCase | LossCase, backend: Backend) -> set[str]:
    """Return which oracles object, at the row's inputs; torch, and of layers the graph, at special ones too.

    An error of Lamina's own that the fault leads to counts as well. The graph is not asked of a loss at
    special inputs: where BCE is clamped, its gradient is not that of its value.
    """
    places = [inputs for inputs in (case.inputs(), case.special_inputs()) if inputs is not None]
    tried: list[tuple[str, Host | tuple[Host, Host]]] = [(DIFFERENCES, places[0])]
    tried += [(GRAPH, inputs) for inputs in (places if isinstance(case, LayerCase) else places[:1])]
    tried += [(TORCH, inputs) for inputs in places if case.torch is not None]
    return {oracle for oracle, inputs in tried if _fails(oracle, case, backend, inputs)}


def _fails(oracle: str, case: LayerCase | LossCase, b: Backend, inputs: Host | tuple[Host, Host]) -> bool:
    functions: dict[str, tuple[Any, Any]] = {
        DIFFERENCES: (check_layer, check_loss),
        GRAPH: (compare_layer_with_graph, compare_loss_with_graph),
        TORCH: (compare_layer, compare_loss),
    }
    function = functions[oracle][0 if isinstance(case, LayerCase) else 1]
    twin: Any = case.torch
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        report: Report = function(case.build(b), *([twin()] if oracle == TORCH else []), *given)
    except LaminaError:
        return True
    return not report.passed
