"""`check`: every proof of a layer or a loss, in one report.

Four independent oracles judge the hand-written backward pass: finite differences, the graph of operators
(autodiff), a second backend, and torch. Two more checks look for faults of a right formula: overwriting its
inputs, and overflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from typing_extensions import override

from ...backends import Backend, get_backend
from ...backends.host import Host
from ...backends.notebook import Shown, table
from ...backends.select import available
from .. import Loss, Module
from ..faults import check_made
from .against_backend import compare_with_backend
from .against_graph import compare_with_graph
from .against_torch import compare_with_torch
from .case import LayerCase, LossCase
from .effects import check_effects
from .finite_differences import check_differences
from .first_run import check_first_run
from .large_inputs import check_range
from .report import FaultError, Report
from .subject import Subject

RUN = "run"
DIFFERENCES, GRAPH, BACKEND, TORCH = "differences", "graph", "backend", "torch"
EFFECTS, RANGE = "effects", "range"
ORACLES = {
    RUN: "both passes run on opaque tensors, and give tensors of the right shapes",
    DIFFERENCES: "central finite differences, every index, rtol 1e-6",
    GRAPH: "the graph of operators (autodiff), 1e-9",
    BACKEND: "a second backend, 1e-9",
    TORCH: "torch.nn and torch.autograd, or torch.optim over 1,000 steps, 1e-9",
    EFFECTS: "no pass changes its input, its output or the gradient of the output",
    RANGE: "large inputs (100, 1000; probabilities of 0 and 1) give finite values, in float32 and float64",
}


@dataclass(repr=False)
class Proof(Shown):
    """The reports by oracle; an oracle that does not apply is absent."""

    subject: str
    reports: dict[str, Report] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """By oracle: the fault or error that prevented a comparison."""
    without_gradient: list[str] = field(default_factory=list)
    """The parameters for which backward accumulated no gradient."""

    @property
    def without_oracle(self) -> bool:
        """Whether nothing was compared: an optimizer without torch and a second backend."""
        return not self.reports and not self.failures

    @property
    def passed(self) -> bool:
        """Whether something was compared, and every oracle agrees."""
        return bool(self.reports) and not self.failures and all(r.passed for r in self.reports.values())

    def error(self, oracle: str) -> float | None:
        """Return an oracle's largest error as a share of the bar; None if the oracle does not apply."""
        if oracle in self.failures:
            return float("inf")
        return self.reports[oracle].error if oracle in self.reports else None

    def attempt(self, oracle: str, run: Callable[[], Report | None]) -> None:
        """Run an oracle; keep its report (the worse of two), or the error that stopped it."""
        try:
            report = run()
        except FaultError as fault:
            self.failures[oracle] = str(fault)
            return
        except Exception as error:  # whatever a user's class raises
            self.failures[oracle] = f"{type(error).__name__}: {error}"
            return
        earlier = self.reports.get(oracle)
        if report is not None and (earlier is None or report.error > earlier.error):
            self.reports[oracle] = report

    def __str__(self) -> str:
        lines = [f"{self.subject}: {'proven' if self.passed else 'NOT proven'}"]
        for oracle, description in ORACLES.items():
            if oracle in self.failures:
                lines.append(f"  {'' if oracle == RUN else f'{oracle}: '}{self.failures[oracle]}")
            elif oracle in self.reports:
                report = self.reports[oracle]
                if oracle in (EFFECTS, RANGE) and report.passed:
                    lines.append(f"  {oracle}: nothing found ({description})")
                    continue
                lines.append(f"  {oracle}: worst {report.error:.3g} of the bar ({description})")
                lines += [f"    {d}" for d in report.differences if not d.error <= 1.0]
        if not self.passed:
            lines += [f"  {name}: backward accumulated no gradient" for name in self.without_gradient]
        return "\n".join(lines)

    @override
    def _repr_html_(self) -> str:
        title, *lines = str(self).splitlines()
        rows = [line.strip().partition(": ")[::2] for line in lines]
        return table(("", ""), rows, names=2, caption=title)


def check(module: Module | Loss, *inputs: Any, torch: Any = None, large: bool = True) -> Proof:
    """Prove a layer or a loss; the module itself does not change.

    Parameters
    ----------
    module
        A layer or a loss. It is copied into float64.
    inputs
        Host arrays clear of kinks, which finite differences cannot judge: a layer's input (N, ...), or a
        loss's prediction and target.
    torch
        The equal torch.nn module, with the same names in its state_dict; or for a loss a callable of
        (prediction, target).
    large
        Whether to try large inputs, too; False for a function undefined there, such as arccos.

    """
    check_made(module)
    arrays = tuple(_array(value) for value in inputs)
    subject = Subject(module)
    is_wide = subject.backend.default_dtype == "float64"
    wide = subject.copy(None if is_wide else get_backend(subject.backend.raw.spec, dtype="float64"))
    other = second_backend(wide.backend)
    proof = Proof(str(subject))
    try:
        proof.without_gradient = check_first_run(wide.module, *arrays)
    except FaultError as fault:
        proof.failures[RUN] = str(fault)
        return proof  # every oracle would fail in the same way
    proof.attempt(DIFFERENCES, lambda: check_differences(wide.copy().module, *arrays))
    proof.attempt(GRAPH, lambda: compare_with_graph(wide.module, *arrays))
    if other is not None:
        proof.attempt(BACKEND, lambda: compare_with_backend(wide.module, other, *arrays))
    if torch is not None:
        proof.attempt(TORCH, lambda: compare_with_torch(wide.copy().module, torch, *arrays))
    proof.attempt(EFFECTS, lambda: check_effects(wide.module, *arrays))
    if large:
        proof.attempt(RANGE, lambda: check_range(wide.module, other, *arrays))
    return proof


def check_case(case: LayerCase | LossCase, backend: Backend) -> Proof:
    """Prove a row of the table on a float64 backend: at its inputs, and at its special ones on kinks."""
    special = case.special_inputs()
    twin = case.torch if "torch" in available() else None
    proof = check(case.build(backend), *case.inputs(), torch=None if twin is None else twin())
    proof.subject = case.name
    if not case.whole_derivative:
        for oracle in (DIFFERENCES, GRAPH):
            proof.reports.pop(oracle, None)
    if special is not None and case.graph_at_special:
        proof.attempt(GRAPH, lambda: compare_with_graph(case.build(backend), *special))
    if special is not None and twin is not None:
        proof.attempt(TORCH, lambda: compare_with_torch(case.build(backend), twin(), *special))
    return proof


def second_backend(backend: Backend) -> Backend | None:
    """Return another raw backend of float64 to compare with; None if only one is installed."""
    mine = backend.raw.spec.partition(":")[0]
    other = next((name for name in available() if name != mine), None)
    return None if other is None else get_backend(other, dtype="float64")


def _array(value: Any) -> Host:
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array
