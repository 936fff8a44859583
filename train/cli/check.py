"""`lamina check`: proofs of the backward passes of layers and losses, and of the optimizers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from ...backends import Backend, OptionError, get_backend
from ...backends.conformance import run as run_conformance
from ...backends.decorators.crosscheck.replay import replay as replay_repro
from ...backends.errors import did_you_mean
from ...layers import proofs as layer_proofs
from ...layers.proofs import LAYER_CASES, LOSS_CASES, LayerCase, LossCase, Proof
from ...layers.proofs.check import EFFECTS, ORACLES, RANGE, RUN
from ..optimizers import proofs as optimizer_proofs
from ..optimizers.proofs import OPTIMIZER_CASES, OptimizerCase
from .app import BackendOption, JsonOption, command, errors, print_json, say, say_lines, show_table
from .crosscheck import KeepGoing, Tolerance, chosen_crosscheck, show_crosscheck
from .own import Arguments, Input, Large, Prediction, PredictionOption, Target, TargetOption, prove_own

Case = LayerCase | LossCase | OptimizerCase
EVERY: tuple[Case, ...] = (*LAYER_CASES, *LOSS_CASES, *OPTIMIZER_CASES)


@command
def check(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A layer, loss or optimizer of Lamina, such as Conv2d, or a layer or loss of your own, "
            "module:Class (default: all of Lamina's)."
        ),
    ] = None,
    arguments: Arguments = "",
    shape: Input = None,
    prediction: PredictionOption = Prediction.PROBABILITIES,
    target: TargetOption = Target.PROBABILITIES,
    large: Large = True,
    replay: Annotated[
        Path | None,
        typer.Option(
            help="Repeat the op that crosscheck wrote to this .npz file, and compare again. It may name "
            "Lamina's own backends; name your own with --backend and --reference."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="--replay: the backend to compare with (default: the one in the file)."),
    ] = None,
    tolerance: Tolerance = None,
    keep_going: KeepGoing = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove backward passes with finite differences, autodiff, a second backend and torch.

    Optimizers have no backward pass: a second backend and torch check their steps.

    Two more columns appear if they fail. "effects": a pass must not change its
    input, its output or the gradient of the output. "range": large inputs (100
    and 1000; for a loss of probabilities, 0 and 1) must give finite values.

    With --backend and no name, the conformance suite checks the backend's ops first.
    """
    if replay is not None:
        if keep_going:
            raise OptionError("--keep-going: expected a run of many ops, got --replay, which repeats one")
        _replay(replay, backend, reference, 1.0 if tolerance is None else tolerance, as_json)
        return
    if reference is not None:
        raise OptionError(f"--reference: expected --replay FILE with it, got {reference!r} alone")
    if (arguments or shape or not large) and (name is None or ":" not in name):
        raise OptionError(
            f"--arguments, --input and --no-range: expected a class of your own, module:Class, got {name}"
        )
    b = get_backend(dtype="float64")
    crosscheck = chosen_crosscheck(b, tolerance, keep_going)
    conformance = _conformance(b, as_json) if backend is not None and name is None else None
    if name is not None and ":" in name:
        proofs = {name.partition(":")[2]: [prove_own(name, arguments, shape, b, prediction, target, large)]}
    else:
        proofs = _prove(_chosen(name), b, as_json)
    judged = [p for group in proofs.values() for p in group if not p.without_oracle]
    passed = all(p.passed for p in judged) and conformance in (None, True)
    results: dict[str, Any] = {"backend": b.spec, "passed": passed, "conformance": conformance}
    if crosscheck is not None:
        results["divergences"] = crosscheck.report().divergences
        results["passed"] = passed = passed and not results["divergences"]
    if as_json:
        print_json({**results, "rows": [_row(kind, group) for kind, group in proofs.items()]})
    else:
        _show(proofs, b)
        if crosscheck is not None:
            show_crosscheck(crosscheck)
    if not passed:
        raise typer.Exit(1)


def _chosen(name: str | None) -> tuple[Case, ...]:
    if name is None:
        return EVERY
    known = list(families(EVERY))
    if name not in known:
        raise OptionError(
            f"expected a layer, loss or optimizer ({', '.join(known)}), or your own, module:Class, "
            f"got {name!r}.{did_you_mean(name, known)}"
        )
    return tuple(case for case in EVERY if case.name.split()[0] == name)


def _prove(cases: tuple[Case, ...], b: Backend, quiet: bool) -> dict[str, list[Proof]]:
    """Prove the cases and group the proofs by class; show a progress bar."""
    groups: dict[str, list[Proof]] = {}
    with Progress(console=errors, disable=quiet, transient=True) as progress:
        task = progress.add_task("proving", total=len(cases))
        for kind, rows in families(cases).items():
            for case in rows:
                progress.update(task, description=kind)
                groups.setdefault(kind, []).append(_checked(case, b))
                progress.advance(task)
    return groups


def families(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Group the cases by class, in the order of the table."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.name.split()[0], []).append(case)
    return groups


def _checked(case: Case, b: Backend) -> Proof:
    if isinstance(case, OptimizerCase):
        return optimizer_proofs.check_case(case, b)
    return layer_proofs.check_case(case, b)


def _conformance(b: Backend, quiet: bool) -> bool:
    """Run the conformance suite on a backend; return whether it passed."""
    with Progress(console=errors, disable=quiet, transient=True) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of the NaN and infinities in the cases
        task = progress.add_task("conformance", total=None)
        report = run_conformance(b, on_result=lambda result: progress.update(task, description=result.op))
    if not quiet:
        say_lines(str(report), style="" if report.passed else "red")
    return report.passed


def _replay(path: Path, backend: str | None, reference: str | None, tolerance: float, as_json: bool) -> None:
    result = replay_repro(path, backend, reference, tolerance=tolerance)
    if as_json:
        print_json({"file": str(path), "passed": result.passed, "report": str(result)})
    else:
        say_lines(str(result))
    if not result.passed:
        raise typer.Exit(1)


def _worst(group: list[Proof], oracle: str) -> float | None:
    values = [error for proof in group if (error := proof.error(oracle)) is not None]
    return max(values) if values else None


def _row(kind: str, group: list[Proof]) -> dict[str, Any]:
    return {
        "name": kind,
        "cases": len(group),
        **{oracle: _worst(group, oracle) for oracle in ORACLES},
        "passed": _verdict(group) != "NOT PROVEN",
        "failures": [str(proof) for proof in group if not (proof.passed or proof.without_oracle)],
    }


def _show(proofs: dict[str, list[Proof]], b: Backend) -> None:
    every = [proof for group in proofs.values() for proof in group]
    columns = [oracle for oracle in ORACLES if _is_shown(every, oracle)]
    heads = {"": "left", "cases": "right", **dict.fromkeys(columns, "right"), "verdict": "left"}
    rows = []
    for kind, group in proofs.items():
        cells = [_cell(_worst(group, oracle)) for oracle in columns]
        rows.append((kind, str(len(group)), *cells, _verdict(group)))
    say(
        f"on {b.spec}, float64; largest error as a share of the bar (its tolerance): above 1 fails",
        style="dim",
    )
    show_table(heads, rows)
    for oracle, what in ORACLES.items():
        quiet = oracle not in columns and any(oracle in proof.reports for proof in every)
        if quiet or oracle in columns:
            say(f"{oracle}: {what}{' (nothing found)' if quiet else ''}", style="dim")
    failures = [proof for proof in every if not (proof.passed or proof.without_oracle)]
    for proof in failures:
        say_lines(str(proof), style="red")
    say((f"{sum(proof.passed for proof in every)} of {len(every)} cases proven", "bold"))
    if alone := sum(proof.without_oracle for proof in every):
        say(f"{alone} cases are not proven here: they need torch, or a second backend", style="yellow")


def _is_shown(every: list[Proof], oracle: str) -> bool:
    """Return whether an oracle gets a column: run, effects and range get one only if they fail."""
    worst = _worst(every, oracle)
    return worst is not None and (oracle not in (RUN, EFFECTS, RANGE) or not worst <= 1.0)


def _verdict(group: list[Proof]) -> str:
    if all(proof.without_oracle for proof in group):
        return "no oracle"
    return "proven" if all(p.passed or p.without_oracle for p in group) else "NOT PROVEN"


def _cell(error: float | None) -> str:
    if error is None:
        return "-"
    return "fails" if not math.isfinite(error) else f"{error:.2g}"
