"""The negative control: a row of the table with a planted fault, and the oracles that object to it.

A check that cannot fail proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from lamina.backends import Backend, LaminaError
from lamina.layers import Loss, Module
from lamina.layers.proofs import LayerCase, LossCase, Report, check_differences, compare_with_torch
from lamina.layers.proofs.against_graph import compare_with_graph
from lamina.layers.proofs.check import DIFFERENCES, GRAPH, TORCH

Case = TypeVar("Case", LayerCase, LossCase)


def planted(case: Case, faulty: type[Module] | type[Loss]) -> Case:
    """Return the row with a faulty subclass in place of its class, and the same options."""
    make: Any = case.make

    def broken(backend: Backend) -> Any:
        module = make(backend)
        module.__class__ = faulty
        return module

    return replace(case, make=broken)


def objections(case: LayerCase | LossCase, backend: Backend) -> set[str]:
    """Return the oracles that object, at the row's inputs and its special ones.

    An error of Lamina's own is an objection, too. Finite differences are not tried at special inputs.
    """
    inputs, special = case.inputs(), case.special_inputs()
    attempts: list[tuple[str, Callable[..., Report], tuple[Any, ...]]] = [
        (DIFFERENCES, check_differences, inputs),
        (GRAPH, compare_with_graph, inputs),
    ]
    if special is not None and case.graph_at_special:
        attempts.append((GRAPH, compare_with_graph, special))
    if case.torch is not None:
        attempts += [
            (TORCH, compare_with_torch, (case.torch(), *arrays)) for arrays in (inputs, special) if arrays
        ]
    return {oracle for oracle, proof, arguments in attempts if _fails(proof, case.build(backend), arguments)}


def _fails(proof: Callable[..., Report], module: Module | Loss, arguments: tuple[Any, ...]) -> bool:
    try:
        return not proof(module, *arguments).passed
    except LaminaError:
        return True
