"""`check`: every proof of a layer or a loss, and what each of them says.

Four oracles that have nothing in common: finite differences, the graph of operators (autodiff), a second
backend, and torch. Each judges the backward pass that was written by hand. Two checks more look for what a
right formula can still do wrong: change what it was given, and overflow.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...backends import Backend, LaminaError, get_backend
from ...backends.select import available
from .. import Loss, Module
from .against_backend import compare_layer_with_backend, compare_loss_with_backend
from .against_graph import compare_layer_with_graph, compare_loss_with_graph
from .against_torch import compare_layer, compare_loss
from .case import LayerCase, LossCase
from .effects import check_layer_effects, check_loss_effects
from .finite_differences import check_layer, check_loss
from .magnitudes import check_range
from .report import FaultError, Report

Host = np.ndarray[Any, Any]
Case = LayerCase | LossCase

DIFFERENCES, GRAPH, BACKEND, TORCH = "differences", "graph", "backend", "torch"
EFFECTS, RANGE = "effects", "range"
ORACLES = {
    DIFFERENCES: "central finite differences, every index, rtol 1e-6",
    GRAPH: "the graph of operators (autodiff), 1e-9",
    BACKEND: "a second backend, 1e-9",
    TORCH: "torch.nn and torch.autograd, or torch.optim over 1,000 steps, 1e-9",
    EFFECTS: "input, output and the gradient that backward is given stay as they were",
    RANGE: "large inputs (100, 1000; probabilities of 0 and 1) give finite values, in float32 and float64",
}


@dataclass
class Proof:
    """What each oracle said; one that does not apply is absent."""

    subject: str
    reports: dict[str, Report] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """By oracle: what went wrong where no comparison came about."""

    @property
    def without_oracle(self) -> bool:
        """Whether nothing could be compared: an optimizer, without torch and a second backend."""
        return not self.reports and not self.failures

    @property
    def passed(self) -> bool:
        """Whether something was compared, and every oracle agrees."""
        return bool(self.reports) and not self.failures and all(r.passed for r in self.reports.values())

    def error(self, oracle: str) -> float | None:
        """Return the largest error as a share of the bar: above 1 is a failure; None if it does not apply."""
        if oracle in self.failures:
            return float("inf")
        return self.reports[oracle].error if oracle in self.reports else None

    def attempt(self, oracle: str, run: Callable[[], Report | None]) -> None:
        """Add what an oracle reports, the worse of two reports, or the error that stopped it."""
        try:
            report = run()
        except FaultError as finding:
            self.failures[oracle] = str(finding)
            return
        except (LaminaError, AssertionError, RuntimeError, ValueError, TypeError, KeyError) as error:
            self.failures[oracle] = f"{type(error).__name__}: {error}"
            return
        earlier = self.reports.get(oracle)
        if report is not None and (earlier is None or report.error > earlier.error):
            self.reports[oracle] = report

    def __str__(self) -> str:
        lines = [f"{self.subject}: {'proven' if self.passed else 'NOT proven'}"]
        for oracle, what in ORACLES.items():
            if oracle in self.failures:
                lines.append(f"  {oracle}: {self.failures[oracle]}")
            elif oracle in self.reports:
                report = self.reports[oracle]
                if oracle in (EFFECTS, RANGE) and report.passed:
                    lines.append(f"  {oracle}: nothing found ({what})")
                    continue
                lines.append(f"  {oracle}: worst {report.error:.3g} of the bar ({what})")
                lines += [f"    {d}" for d in report.differences if not d.error <= 1.0]
        return "\n".join(lines)


def check(subject: Module | Loss, *inputs: Any, torch: Any = None, large: bool = True) -> Proof:
    """Prove a layer or a loss of one's own; the subject itself is not changed.

    Parameters
    ----------
    subject
        A layer, with one input; or a loss, with a prediction and a target. It is copied into float64.
    inputs
        Host arrays (N, ...), clear of kinks: finite differences see nothing there.
    torch
        A torch.nn module that does the same, its state_dict under the same names; or for a loss a function
        of (prediction, target).
    large
        Whether large inputs are tried, too; False for a function that has no value there, such as arccos.

    """
    arrays = tuple(_array(value) for value in inputs)
    wide = copy.deepcopy(subject)
    if subject.backend.default_dtype != "float64":
        wide = wide.to(get_backend(subject.backend.raw.spec, dtype="float64"))
    title = str(subject)
    proof = Proof(type(subject).__name__ if "\n" in title else title)
    is_layer = isinstance(wide, Module)
    differences: Any = check_layer if is_layer else check_loss
    graph: Any = compare_layer_with_graph if is_layer else compare_loss_with_graph
    proof.attempt(DIFFERENCES, lambda: differences(copy.deepcopy(wide), *arrays))
    proof.attempt(GRAPH, lambda: graph(wide, *arrays))
    if (other := second_backend(wide.backend)) is not None:
        against: Any = compare_layer_with_backend if is_layer else compare_loss_with_backend
        proof.attempt(BACKEND, lambda: against(wide, other, *arrays))
    if torch is not None:
        with_torch: Any = compare_layer if is_layer else compare_loss
        proof.attempt(TORCH, lambda: with_torch(copy.deepcopy(wide), torch, *arrays))
    effects: Any = check_layer_effects if is_layer else check_loss_effects
    proof.attempt(EFFECTS, lambda: effects(wide, *arrays))
    if large:
        proof.attempt(RANGE, lambda: check_range(wide, other, *arrays))
    return proof


def check_case(case: Case, backend: Backend) -> Proof:
    """Prove a row of the table on a backend of float64: at its inputs, and at its special ones on kinks."""
    inputs: Any = case.inputs()
    special: Any = case.special_inputs()
    subject: Any = case.build(backend)
    twin = case.torch if "torch" in available() else None
    one = isinstance(case, LayerCase)
    proof = check(subject, *((inputs,) if one else inputs), torch=None if twin is None else twin())
    proof.subject = case.name
    if isinstance(case, LayerCase) and not case.whole_derivative:
        for oracle in (DIFFERENCES, GRAPH):
            proof.reports.pop(oracle, None)
    if isinstance(case, LayerCase) and special is not None and case.whole_derivative:
        proof.attempt(GRAPH, lambda: compare_layer_with_graph(case.build(backend), special))
    if special is not None and twin is not None:
        given = (special,) if one else special
        function: Any = compare_layer if one else compare_loss
        proof.attempt(TORCH, lambda: function(case.build(backend), twin(), *given))
    return proof


def second_backend(backend: Backend) -> Backend | None:
    """Return another raw backend of float64 to compare with; None where only one is installed."""
    mine = backend.raw.name
    other = next((name for name in available() if name != mine), None)
    return None if other is None else get_backend(other, dtype="float64")


def _array(value: Any) -> Host:
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array
